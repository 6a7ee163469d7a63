"""`make drill`: replays changes like those that the API has made; shows which gate fails, and that no other does.

In a throw-away copy of the tree a first release is pretended, so that the comparisons have something to judge by. Each
change of `drill.toml` is made there, alone: first it is asked whether `generated/` is still what the contract gives,
then the client is generated again, as the author of the change would do, and all other gates run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .release import move_forward
from .versions import TOP, package_version, replace_version

CHANGES = Path(__file__).with_name("drill.toml")
#: Gates by name, each with its command in the copy. The first two come first, in this order.
GATES: dict[str, tuple[str, ...]] = {
    "check-generated": ("make", "check-generated"),
    "generate": ("make", "generate"),
    "contract-diff": ("make", "contract-diff"),
    "api-diff": ("make", "api-diff"),
    "lint": ("make", "lint"),
    "lint-contract": ("make", "lint-contract"),
    "types": (".venv/bin/mypy",),  # pyright, the other half of `make types`, would take a third of the whole drill
    "test-declared": ("make", "test-declared"),
    # Those that ask what the contract and the interface say; all would take longer than everything else here.
    "tests": (
        *(".venv/bin/pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "--randomly-seed=1"),
        *("contract_tests/test_coverage_of_operations.py", "contract_tests/test_generated_client.py"),
        *("contract_tests/test_tables.py", "-k", "not test_every_status_means and not raises_for_no_status"),
        *("wrapper/tests/test_exported_members.py", "wrapper/tests/test_send.py", "wrapper/tests/test_changelog.py"),
    ),
}


def copy_to(tree: Path) -> None:
    """Lay out a copy of the tree as it is, with an environment of its own and a pretended first release."""
    names = said("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=TOP).split("\0")
    for name in filter(None, names):
        if (TOP / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, tree / name)
    replace_version(tree, package_version(tree), "2026-01-01")
    said("make", "setup", ".venv/node", cwd=tree)
    move_forward(tree)
    said("git", "init", "--quiet", cwd=tree)
    said("git", "add", "--all", cwd=tree)
    said(
        "git",
        "-c",
        "user.name=drill",
        "-c",
        "user.email=drill@localhost",
        "commit",
        "--quiet",
        "-m",
        "pretended",
        cwd=tree,
    )


def said(*command: str, cwd: Path) -> str:
    """Return what a command says; end with it if it fails."""
    status, told = asked(command, cwd)
    if status:
        sys.exit(f"drill: {' '.join(command)} failed in the copy:\n{told}")
    return told


def asked(command: tuple[str, ...], cwd: Path) -> tuple[int, str]:
    """Return status and words of a command."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )  # fmt: skip
    return done.returncode, done.stdout


@contextmanager
def changed(tree: Path, edits: list[dict[str, Any]]) -> Iterator[None]:
    """Make the edits in the copy; afterwards it is as it was."""
    outside: dict[Path, bytes] = {}
    try:
        for edit in edits:
            (path,) = tree.glob(edit["file"])
            before = path.read_bytes()
            pattern = re.compile(edit["find"], re.DOTALL)
            after = pattern.sub(edit["put"], before.decode(), count=0 if edit.get("all") else 1)
            if after == before.decode():
                sys.exit(f"drill: nothing in {edit['file']} is like {edit['find']!r}: the drill is older than the tree")
            if ".venv" in path.parts:
                outside.setdefault(path, before)
                path.unlink()  # uv links what it installs to its cache: that stays as it is
            path.write_text(after, encoding="utf-8", newline="\n")
        yield
    finally:
        for path, content in outside.items():
            path.write_bytes(content)
        said("git", "reset", "--quiet", "--hard", cwd=tree)
        said("git", "clean", "--quiet", "-fd", cwd=tree)


def replay(tree: Path, change: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Make a change, ask all gates, and return status and words of each."""
    gates = GATES | {gate: tuple(more["command"]) for gate, more in change.get("also", {}).items()}
    first, second, *others = gates
    with changed(tree, change["edits"]):
        answers = {gate: asked(gates[gate], tree) for gate in (first, second)}
        with ThreadPoolExecutor(2) as pool:
            answers |= zip(others, pool.map(lambda gate: asked(gates[gate], tree), others), strict=True)
    return answers


def verdicts(change: Mapping[str, Any], answers: Mapping[str, tuple[int, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield gate, what it was asked for, and the line in which it says so; without such a line, what it said."""
    for gate, (status, told) in answers.items():
        wanted = change["expect"].get(gate, [])
        if bool(status) != bool(wanted):
            yield gate, "WRONG: was silent" if wanted else "WRONG: was to be silent", told
        for words in [*wanted, *filter(None, [change.get("also", {}).get(gate, {}).get("says")])]:
            line = next((line for line in told.splitlines() if re.search(words, line)), None)
            yield (gate, "", line.strip()) if line is not None else (gate, f"WRONG: not a line has {words!r}", told)


def main(wanted: list[str]) -> str | None:
    """Replay all changes, or those whose names hold one of the words; return what differed from what is expected."""
    changes = tomllib.loads(CHANGES.read_text(encoding="utf-8"))["change"]
    chosen = [change for change in changes if not wanted or any(word in change["name"] for word in wanted)]
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        tree.mkdir()
        copy_to(tree)
        unchanged = {"name": "no change", "edits": [], "expect": {}}
        for change in [unchanged, *chosen]:
            began = time.monotonic()
            answers = replay(tree, change)
            found = list(verdicts(change, answers))
            right = not any(complaint for _, complaint, _ in found)
            wrong += not right
            spoke = [gate for gate, (status, _) in answers.items() if status]
            print(f"\n{change['name']}  ({time.monotonic() - began:.0f} s{'' if right else ', WRONG'})")
            print(f"  expected  {', '.join(sorted(change['expect'])) or 'silence'}")
            print(f"  seen      {', '.join(sorted(spoke)) or 'silence'}", flush=True)
            for gate, complaint, told in found:
                print(f"    {gate:16} {complaint}\n{told}" if complaint else f"    {gate:16} {told[:150]}", flush=True)
    print(f"\ndrill: {len(chosen) + 1 - wrong} of {len(chosen) + 1} met the gates that they were to meet, and no other")
    return "drill: what is expected stands in release/drill.toml" if wrong else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
