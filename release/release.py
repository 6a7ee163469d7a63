"""`make release VERSION=x.y.z`: check everything, make the commit of that version, build it. Nothing is uploaded.

All of it happens in a clone; the tree takes the finished commit at the very end. So whatever fails on the way, the tree
is as it was. The clone stays in .release/ then: run again for the same version of the same commit, the release goes on
with what has not passed yet.
"""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import api_diff
from .build import DIST
from .versions import (
    CHANGELOG,
    CONTRACT,
    NOT_RELEASED,
    RELEASED_CONTRACT,
    TOP,
    Version,
    contract_version,
    replace_version,
    sections,
)

#: The clone of a release that has not ended, which release it is of, and what has passed.
UNFINISHED = ".release"
#: In this order, in the clone: first the change is compared with the release before.
BEFORE = ("check",)
AFTER = ("contract-diff", "api-diff", "test", "test-release", "test-matrix", "build")


class RefusedError(Exception):
    """The release cannot begin; the sentence says why, and what to do."""


def git(*arguments: str, cwd: Path = TOP) -> str:
    """Return what git says."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout.rstrip()


def examine(text: str) -> Version:
    """Return the version to release; raises RefusedError if the tree is not ready for it."""
    try:
        version, found = Version.parse(text), sections()
    except ValueError as error:
        raise RefusedError(str(error)) from None
    if changed := git("status", "--porcelain"):
        raise RefusedError(f"the tree is not clean; commit or remove first:\n{changed}")
    if git("tag", "--list", f"v{version}"):
        raise RefusedError(f"there is a tag v{version} already; choose a higher version")
    last = next((section.version for section in found if section.when != NOT_RELEASED), None)
    if last is not None and version <= last:
        raise RefusedError(f"{version} is not higher than {last}, the last release")
    newest, contract = found[0], contract_version(TOP / CONTRACT)
    if newest.when != NOT_RELEASED:
        example = newest._replace(version=version, when=NOT_RELEASED, contract=contract).heading
        raise RefusedError(f"{CHANGELOG} has no section for it, but one that is released; write one: {example!r}")
    if newest.contract != contract:
        raise RefusedError(f"{CHANGELOG}: the newest section names contract {newest.contract}, but it is {contract}")
    if not body_of(newest.heading):
        raise RefusedError(f"{CHANGELOG}: the newest section is empty; say what changes for callers")
    return version


def committer() -> list[str]:
    """Return the options with which git commits in a clone as it would here."""
    found = {key: git("config", "--default", "", f"user.{key}") for key in ("name", "email")}
    if not all(found.values()):
        raise RefusedError('git does not know who you are: git config user.name "…"; git config user.email "…"')
    return [part for key, value in found.items() for part in ("-c", f"user.{key}={value}")]


def body_of(heading: str) -> str:
    """Return the text of a section of the changelog."""
    _, _, rest = (TOP / CHANGELOG).read_text(encoding="utf-8").partition(f"{heading}\n")
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()


def move_forward(tree: Path) -> None:
    """Make the present contract and interface the last released ones."""
    shutil.copyfile(tree / CONTRACT, tree / RELEASED_CONTRACT)
    (tree / api_diff.SNAPSHOT).write_text(api_diff.snapshot(tree), encoding="utf-8", newline="\n")


def make(tree: Path, *targets: str) -> None:
    """Run those make targets in a clone that have not passed in it, and show the output."""
    record = tree.parent / "passed"
    commit = git("rev-parse", "HEAD", cwd=tree)
    for target in targets:
        line = f"{commit} {target}\n"
        if record.exists() and line in record.read_text().splitlines(keepends=True):
            print(f"\n=== make {target} has passed before", flush=True)
            continue
        print(f"\n=== make {target}", flush=True)
        if subprocess.run(["make", "--no-print-directory", target], cwd=tree, check=False).returncode:
            raise RefusedError(f"make {target} failed for what would have been released")
        with record.open("a") as passed:
            passed.write(line)


def clone_for(version: Version) -> Path:
    """Return the clone in which the version is made: that of the last try, if it was of the same commit."""
    folder, wanted = TOP / UNFINISHED, f"{version} of {git('rev-parse', 'HEAD')}\n"
    clone, of = folder / "tree", folder / "of"
    if not of.exists() or of.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        git("clone", "--quiet", str(TOP), str(clone))
        replace_version(clone, version, datetime.datetime.now(datetime.UTC).date().isoformat())
        of.write_text(wanted)  # last: a clone that was cut short is not taken up
    return clone


def release(text: str) -> None:
    """Release, or raise RefusedError with the tree as it was."""
    version = examine(text)
    person = committer()
    clone = clone_for(version)
    if git("rev-parse", "HEAD", cwd=clone) == git("rev-parse", "HEAD"):
        make(clone, *BEFORE)
        move_forward(clone)
        git("add", "--all", cwd=clone)
        message = f"Release {version}, contract {contract_version(clone / CONTRACT)}"
        git(*person, "commit", "--quiet", "--message", message, cwd=clone)
    contract = contract_version(clone / CONTRACT)
    make(clone, *AFTER)
    if git("status", "--porcelain", cwd=clone):
        raise RefusedError("making it has changed the tree that is to be released")
    git("fetch", "--quiet", str(clone), "HEAD")
    git("merge", "--quiet", "--ff-only", "FETCH_HEAD")
    git(*person, "tag", "--annotate", f"v{version}", "--message", f"{version}, contract {contract}")
    shutil.rmtree(TOP / DIST, ignore_errors=True)
    shutil.copytree(clone / DIST, TOP / DIST)
    shutil.rmtree(TOP / UNFINISHED)
    print(f"\n{version} is released here: its commit, the tag v{version}, and in {DIST}/:")
    print(*sorted(f"  {file.name}" for file in (TOP / DIST).iterdir()), sep="\n")
    print(f"Nothing has been uploaded. Next: git push origin HEAD v{version}, then upload wheel and sdist.")


def main(arguments: list[str]) -> str | None:
    """Release, or return why not."""
    try:
        release(*arguments)
    except RefusedError as refused:
        return f"release: {refused}\nNothing is released; tree, tags and {DIST}/ are as they were."
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
