"""The versions of package and contract, the changelog that names both, and what a change asks of them."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, Self

TOP = Path(__file__).resolve().parents[1]
PYPROJECT, VERSION_MODULE = "pyproject.toml", "wrapper/yandex_market_chat/_version.py"
CHANGELOG, CONTRACT, RELEASED_CONTRACT = "CHANGELOG.md", "openapi/openapi.yaml", "openapi/released.yaml"
NOT_RELEASED = "not released yet"

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<when>[^)]*)\), contract (?P<contract>\S+)$")


class Impact(IntEnum):
    """What a change means for those who depend on it."""

    NONE = 0
    WORDING = 1
    ADDITION = 2
    BREAKING = 3


class Version(NamedTuple):
    """`major.minor.patch`, as Semantic Versioning 2.0.0 has it."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version; raises ValueError with a sentence for what is none."""
        if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", text, re.ASCII):
            raise ValueError(f"{text!r} is not a version like 1.2.3")
        return cls(*map(int, text.split(".")))

    def after(self, impact: Impact) -> Version:
        """Return the least version that a change of that impact asks for; below 1.0.0 a break moves the minor."""
        if impact is Impact.BREAKING and self.major:
            return Version(self.major + 1, 0, 0)
        if impact >= Impact.ADDITION:
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1) if impact else self

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Section(NamedTuple):
    """A section of the changelog; `when` is a date, or that it is not released yet."""

    version: Version
    when: str
    contract: Version

    @property
    def heading(self) -> str:
        """The line that begins it."""
        return f"## {self.version} ({self.when}), contract {self.contract}"


def sections(top: Path = TOP) -> list[Section]:
    """Read the changelog's sections, newest first; raises ValueError for a heading that is not like the others."""
    found = []
    for line in (top / CHANGELOG).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            match = _HEADING.match(line)
            if not match or not re.fullmatch(rf"{NOT_RELEASED}|\d{{4}}-\d\d-\d\d", match["when"], re.ASCII):
                example = Section(Version(1, 2, 3), NOT_RELEASED, Version(1, 0, 0)).heading
                raise ValueError(f"{CHANGELOG}: the heading {line!r} is not like {example!r}, nor has a date there")
            found.append(Section(Version.parse(match["version"]), match["when"], Version.parse(match["contract"])))
    if not found:
        raise ValueError(f"{CHANGELOG} has no section")
    return found


def package_version(top: Path = TOP) -> Version:
    """Read the version of the package."""
    return Version.parse(_found(top / PYPROJECT, r'^version = "(.*)"$'))


def contract_version(contract: Path) -> Version:
    """Read `info.version` of a contract of ours."""
    return Version.parse(_found(contract, r"^  version: (.*)$"))


def replace_version(top: Path, version: Version, date: str) -> None:
    """Set the tree's version: package, module and the newest section of the changelog, with that date."""
    _replace(top / PYPROJECT, r'^version = "(.*)"$', str(version))
    _replace(top / VERSION_MODULE, r'^__version__ = "(.*)"$', str(version))
    newest = sections(top)[0]
    path = top / CHANGELOG
    text = path.read_text(encoding="utf-8")
    heading = newest._replace(version=version, when=date).heading
    path.write_text(text.replace(newest.heading, heading, 1), encoding="utf-8", newline="\n")


def _found(path: Path, pattern: str) -> str:
    return _match(path.read_text(encoding="utf-8"), pattern, path).group(1)


def _replace(path: Path, pattern: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    match = _match(text, pattern, path)
    path.write_text(text[: match.start(1)] + new + text[match.end(1) :], encoding="utf-8", newline="\n")


def _match(text: str, pattern: str, path: Path) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE)
    if not match:
        raise ValueError(f"{path} has no line like {pattern}")
    return match
