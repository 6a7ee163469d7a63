"""Where a file of a manifest is on the disk, however its name is spelled there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from ._dialect import stripped


def find(folder: Path, file: str) -> Path:
    """Return the path of a file: as written, or in the form that the disk has.

    Keyboards write й as one character (NFC), Macs have named files with two (NFD), and sheets add blanks.
    """
    path = folder / file
    if path.exists():
        return path
    found = folder
    for part in Path(file).parts:
        found = next((each for name in _spellings(part) if os.path.lexists(each := found / name)), found / part)
    return found


def _spellings(part: str) -> Iterator[str]:
    for name in (part, stripped(part)):
        yield from (name, normalize("NFC", name), normalize("NFD", name))
