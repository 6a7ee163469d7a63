"""The catalogue of defects in contract_tests/measure/defects/: what is planted, and which test is to notice."""

from __future__ import annotations

import random
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..stock_schemathesis import seed_of_the_tree

TOP = Path(__file__).resolve().parents[2]
CATALOGUE = Path(__file__).with_name("defects")
PLACES = sorted(path.stem for path in CATALOGUE.glob("*.toml") if path.stem != "equivalent")
# Only asked where git is not: what the targets make.
_MADE = (".git", ".venv", ".bench", ".scratch", ".hypothesis", "__pycache__", "dist", "build")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One defect.

    name:           says what is wrong.
    failure:        what a user would see.
    kind:           of test that should notice.
    file:           below the top of the project.
    find, replace:  `find` stands in it exactly once.
    killed_by:      the test that is to fail, whose name says why; without a parameter: any of its cases.
    upstream:       of the five real defects of the generator: the thread, or what is wrong.
    killed_before:  of those written blind: whether a test noticed before any was written for it.
    """

    place: str
    name: str
    failure: str
    file: str
    find: str
    replace: str
    kind: str = ""
    killed_by: str = ""
    upstream: str = ""
    killed_before: bool | None = None

    def plant(self, tree: Path) -> None:
        """Put it into a copy of the project."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.find) != 1:
            raise ValueError(f"{self.name!r}: {self.file} holds its `find` {text.count(self.find)} times, not once")
        path.write_text(text.replace(self.find, self.replace), encoding="utf-8")

    def noticed_by(self, failed: Iterable[str]) -> bool:
        """Whether the test that is to fail is among those that did."""
        return any(test == self.killed_by or test.startswith(f"{self.killed_by}[") for test in failed)


def read(path: Path) -> list[Defect]:
    """Return the defects of one file."""
    return [Defect(place=path.stem, **entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["defect"]]


def catalogue() -> list[Defect]:
    """Return all of them."""
    return [defect for place in PLACES for defect in read(CATALOGUE / f"{place}.toml")]


def files_of(top: Path = TOP) -> list[Path]:
    """Return the files that make up the project, as paths below its top."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=top,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [Path(name) for name in listed.stdout.split("\0") if name]
    if listed.returncode:
        found = [path.relative_to(top) for path in top.rglob("*")]
    return sorted(path for path in found if (top / path).is_file() and not set(path.parts) & set(_MADE))


def sample(defects: list[Defect], count: int) -> list[Defect]:
    """Return so many, others after each change of the project, and the same until then."""
    return random.Random(seed_of_the_tree()).sample(defects, count)
