"""`make release` and the versions: when it refuses, and that a refusal leaves all as it was. On clones of this tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release.api_diff import SNAPSHOT
from release.versions import (
    CHANGELOG,
    CONTRACT,
    NOT_RELEASED,
    PYPROJECT,
    TOP,
    VERSION_MODULE,
    Impact,
    Version,
    contract_version,
    package_version,
    replace_version,
    sections,
)

NEWEST = sections()[0]
UNRELEASED = NEWEST._replace(when=NOT_RELEASED)
NEXT = package_version().after(Impact.BREAKING)


def git(tree: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with this tree in it, as it is, whose newest section is not released yet."""
    tree = tmp_path / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TOP, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (TOP / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, tree / name)
    replace(tree / CHANGELOG, NEWEST.heading, UNRELEASED.heading)
    git(tree, "init", "--quiet")
    commit(tree)
    return tree


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "as it is")


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def release(tree: Path, version: str) -> str:
    """Try a release; return its output. Nothing may have changed."""
    before = git(tree, "status", "--porcelain"), git(tree, "log", "--all", "--format=%H %D"), files(tree)
    settings = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "test"}
    settings |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "test@localhost"}
    done = subprocess.run(
        [sys.executable, "-m", "release.release", version],
        cwd=tree, env=os.environ | settings, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("Nothing is released; tree, tags and dist/ are as they were.\n")
    assert before == (git(tree, "status", "--porcelain"), git(tree, "log", "--all", "--format=%H %D"), files(tree))
    return done.stdout + done.stderr


def files(tree: Path) -> dict[str, bytes]:
    left_out = {".git", ".release", "__pycache__"}
    return {
        str(file): file.read_bytes()
        for file in sorted(tree.rglob("*"))
        if file.is_file() and not left_out & set(file.relative_to(tree).parts)
    }


@pytest.mark.parametrize("text", ["", "1", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3.4", " 1.2.3", "١.٢.٣"])
def test_a_version_is_three_numbers(tree: Path, text: str) -> None:
    assert f"{text!r} is not a version like 1.2.3" in release(tree, text)


def edited(tree: Path) -> None:
    (tree / "README.md").write_text("other", encoding="utf-8")


def new_file(tree: Path) -> None:
    (tree / "stray.txt").write_text("x", encoding="utf-8")


def tagged(tree: Path) -> None:
    git(tree, "tag", f"v{NEXT}")


def nothing_to_say(tree: Path) -> None:
    replace(tree / CHANGELOG, UNRELEASED.heading, NEWEST._replace(when="2026-01-01").heading)
    commit(tree)


def another_contract(tree: Path) -> None:
    replace(tree / CHANGELOG, UNRELEASED.heading, UNRELEASED._replace(contract=Version(9, 9, 9)).heading)
    commit(tree)


def empty_section(tree: Path) -> None:
    heading = UNRELEASED._replace(version=NEXT).heading
    replace(tree / CHANGELOG, UNRELEASED.heading, f"{heading}\n\n{NEWEST._replace(when='2026-01-01').heading}")
    commit(tree)


def lower(tree: Path) -> None:
    last = NEWEST._replace(version=NEXT.after(Impact.WORDING), when="2026-01-01").heading
    replace(tree / CHANGELOG, UNRELEASED.heading, f"{UNRELEASED.heading}\n\nSomething.\n\n{last}")
    commit(tree)


def the_same(tree: Path) -> None:
    last = NEWEST._replace(version=NEXT, when="2026-01-01").heading
    replace(tree / CHANGELOG, UNRELEASED.heading, f"{UNRELEASED.heading}\n\nSomething.\n\n{last}")
    commit(tree)


def strange_heading(tree: Path) -> None:
    replace(tree / CHANGELOG, UNRELEASED.heading, "## Unreleased")
    commit(tree)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (edited, "the tree is not clean; commit or remove first:\n M README.md"),
        (new_file, "the tree is not clean; commit or remove first:\n?? stray.txt"),
        (tagged, f"there is a tag v{NEXT} already"),
        (nothing_to_say, f"{CHANGELOG} has no section for it, but one that is released; write one: '## {NEXT} (not"),
        (another_contract, f"{CHANGELOG}: the newest section names contract 9.9.9, but it is {NEWEST.contract}"),
        (empty_section, f"{CHANGELOG}: the newest section is empty"),
        (lower, f"{NEXT} is not higher than {NEXT.after(Impact.WORDING)}, the last release"),
        (the_same, f"{NEXT} is not higher than {NEXT}, the last release"),
        (strange_heading, f"{CHANGELOG}: the heading '## Unreleased' is not like '## 1.2.3 (not released yet), c"),
    ],
)  # fmt: skip
def test_a_release_that_cannot_begin_says_why(tree: Path, prepare: Callable[[Path], None], words: str) -> None:
    prepare(tree)
    assert words in release(tree, str(NEXT))


def test_a_release_that_fails_on_the_way_leaves_all_as_it_was(tree: Path) -> None:
    with (tree / "wrapper" / "scripts" / "demo.py").open("a", encoding="utf-8") as demo:
        demo.write("import os\n")  # not at the top, and not used
    commit(tree)
    told = release(tree, str(NEXT))
    assert "E402" in told
    assert "make check failed for what would have been released" in told


STUB = """
check contract-diff api-diff test test-release test-matrix:
	@echo made $@ >> $(NOTES)
	@test $@ != test -o -e $(NOTES).fixed
build:
	@mkdir -p dist && echo a wheel > dist/a.whl
	@echo made $@ >> $(NOTES)
"""


def test_a_release_goes_on_where_it_stopped(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that failed by chance does not cost what has passed; another commit begins again."""
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    (tree / "Makefile").write_text(STUB, encoding="utf-8")
    with (tree / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write("/dist/\n")
    commit(tree)
    made = ["check", "contract-diff", "api-diff", "test"]
    assert "make test failed for what would have been released" in release(tree, str(NEXT))
    assert notes.read_text().split()[1::2] == made
    assert "make api-diff has passed before" in release(tree, str(NEXT))
    made += ["test"]
    assert notes.read_text().split()[1::2] == made
    commit(tree)  # another commit: all of it again
    release(tree, str(NEXT))
    made += ["check", "contract-diff", "api-diff", "test"]
    assert notes.read_text().split()[1::2] == made
    Path(f"{notes}.fixed").touch()
    settings = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "test"}
    settings |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "test@localhost"}
    done = subprocess.run(
        [sys.executable, "-m", "release.release", str(NEXT)],
        cwd=tree, env=os.environ | settings, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert notes.read_text().split()[1::2] == [*made, "test", "test-release", "test-matrix", "build"]
    assert git(tree, "tag", "--list") == f"v{NEXT}"
    assert git(tree, "status", "--porcelain") == ""
    assert (tree / "dist" / "a.whl").exists()
    assert not (tree / ".release").exists()


def test_a_change_that_asks_for_more_than_the_version_is_not_released(tree: Path) -> None:
    snapshot = {"version": str(package_version()), "contract": str(contract_version(TOP / CONTRACT)), "interface": {}}
    snapshot["interface"] = {"yandex_market_chat.Gone": "class"}
    (tree / SNAPSHOT).write_text(json.dumps(snapshot), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "release.api_diff"], cwd=tree, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "  breaking  gone: yandex_market_chat.Gone (class)\n" in done.stdout
    assert f"api-diff: breaking: the version must be {NEXT} or higher, and is {package_version()}" in done.stderr
    replace_version(tree, NEXT, "2026-01-01")
    subprocess.run([sys.executable, "-m", "release.api_diff"], cwd=tree, check=True, timeout=60)


@pytest.mark.parametrize(
    ("released", "impact", "asked"),
    [
        ("1.2.3", Impact.NONE, "1.2.3"),
        ("1.2.3", Impact.WORDING, "1.2.4"),
        ("1.2.3", Impact.ADDITION, "1.3.0"),
        ("1.2.3", Impact.BREAKING, "2.0.0"),
        ("0.2.3", Impact.WORDING, "0.2.4"),
        ("0.2.3", Impact.ADDITION, "0.3.0"),
        ("0.2.3", Impact.BREAKING, "0.3.0"),
    ],
)
def test_what_a_change_asks_of_the_version(released: str, impact: Impact, asked: str) -> None:
    assert str(Version.parse(released).after(impact)) == asked


def test_a_version_is_set_everywhere(tree: Path) -> None:
    replace_version(tree, Version(3, 4, 5), "2031-02-03")
    assert package_version(tree) == Version(3, 4, 5)
    assert '__version__ = "3.4.5"\n' in (tree / VERSION_MODULE).read_text(encoding="utf-8")
    assert 'version = "3.4.5"\n' in (tree / PYPROJECT).read_text(encoding="utf-8")
    assert sections(tree)[0] == NEWEST._replace(version=Version(3, 4, 5), when="2031-02-03")
    assert git(tree, "diff", "--shortstat") == "3 files changed, 3 insertions(+), 3 deletions(-)"
