"""`make watch`, dry: against two states of a repository in the shape of Market's, with a gh that only notes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..versions import TOP
from .test_upstream_diff import CHAT, FILES

NOTES = """#!/bin/sh
echo "$@" >> "$NOTES"
case "$2" in
    list) cat "$NOTES.open" 2> /dev/null || true ;;
    create) cat >> "$NOTES.body"; echo 7 > "$NOTES.open" ;;
esac
"""


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    for name, text in FILES.items():
        (folder / "openapi" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "openapi" / name).write_text(text, encoding="utf-8")
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def change(theirs: Path, old: str, new: str) -> None:
    path = theirs / "openapi" / CHAT
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    git(theirs, "commit", "--quiet", "-am", "another")


def watch(theirs: Path, *, token: bool = True) -> tuple[int, str]:
    folder = theirs.parent / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "gh").write_text(NOTES)
    (folder / "gh").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "NOTES": str(theirs.parent / "notes")}
    environment.pop("GH_TOKEN", None)
    if token:
        environment["GH_TOKEN"] = "a token"
    command = [sys.executable, "-m", "release.watch", theirs.as_uri()]
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def noted(theirs: Path, name: str = "notes") -> list[str]:
    path = theirs.parent / name
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_nothing_that_matters_is_no_issue(theirs: Path) -> None:
    status, told = watch(theirs)
    assert (status, noted(theirs)) == (0, []), told
    assert "no differences that matter" in told


def test_what_matters_is_one_issue_with_its_words(theirs: Path) -> None:
    change(theirs, "required: true", "required: false")
    status, told = watch(theirs)
    assert status == 0, told
    assert [line.split()[1] for line in noted(theirs)] == ["list", "create"]
    (words,) = [line for line in noted(theirs, "notes.body") if "DIFFERS" in line and "chatId" in line][:1]
    assert "query parameter chatId: ours says required, theirs says optional" in words
    git(theirs, "commit", "--quiet", "--allow-empty", "-m", "another commit, the same words")
    assert watch(theirs)[0] == 0
    assert [line.split()[1] for line in noted(theirs)] == ["list", "create", "list"]


def test_without_a_token_it_is_told_here(theirs: Path) -> None:
    change(theirs, "required: true", "required: false")
    status, told = watch(theirs, token=False)
    assert (status, noted(theirs)) == (2, [])
    assert "theirs says optional" in told


def test_a_repository_that_is_not_there(theirs: Path) -> None:
    status, told = watch(theirs.parent / "nowhere")
    assert status == 2
    assert "cannot be cloned" in told
