"""A manifest as it is written: CSV with a header or JSON Lines, read line by line with everything that is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .._base_client import LARGEST_ID
from .._file_name import is_content_type

NEEDED = ("business_id", "chat_id", "file")
COLUMNS = (*NEEDED, "name", "content_type", "key")
LONGEST_CELL = 4096
_JSON_LINES = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_ID = re.compile("[0-9]{1,19}")
# Control characters; and lone surrogates, which is what bytes that are no UTF-8 have become.
_UNWANTED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class ManifestFault(NamedTuple):
    """What is wrong with one line of a manifest."""

    line: int
    """Its number; the first, in CSV the header, is 1."""
    reason: str
    """A sentence."""


class BatchError(Exception):
    """A batch that was not begun: nothing was sent. Its subclass tells whether manifest or journal is at fault."""


class ManifestError(BatchError, ValueError):
    """The manifest is faulty, or cannot be read. Nothing was sent, and the journal is as it was."""

    faults: tuple[ManifestFault, ...] = ()
    """Everything that is wrong, in order of the lines; empty if the manifest as a whole cannot be read."""


class Line(NamedTuple):
    """One line: what is to be sent where."""

    number: int
    key: str
    keyed: bool
    """Whether the key is the caller's own."""
    business_id: int
    chat_id: int
    file: str
    name: str | None
    content_type: str | None


Report = Callable[[int, str], object]
"""Takes the number of a line, and what is wrong with it."""


def read_lines(content: bytes, report: Report) -> Iterator[Line]:
    """Yield the lines that have nothing wrong with them; report the others."""
    if not content.strip():
        report(1, "the manifest is empty: there is no header and no object")
        return
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", errors="surrogateescape", newline="")
    read = _read_json_lines if _JSON_LINES.match(content) else _read_csv
    for number, cells in read(text, report):
        line = _line(number, cells, report)
        if line is not None:
            yield line


def _read_csv(text: io.TextIOWrapper, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    first = text.readline()
    text.seek(0)
    # Spreadsheets write semicolons where the comma is the decimal one.
    rows = csv.reader(text, delimiter=";" if ";" in first and "," not in first else ",", strict=True)
    header: list[str] | None = None
    while True:
        number = rows.line_num + 1  # a cell may go over several lines: the first counts
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            report(number, f"no CSV: {error}")
            if header is None:
                return
            continue
        if not row:
            continue
        if header is None:
            header = [name.strip() for name in row]
            wrong = list(_faults_of_header(header))
            for reason in wrong:
                report(number, reason)
            if wrong:
                return
        elif len(row) != len(header):
            report(number, f"{len(row)} cells where the header has {len(header)}")
        else:
            # An empty cell is one that is not there.
            yield number, {name: cell for name, cell in zip(header, row, strict=True) if cell}


def _faults_of_header(header: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            yield f"unknown column {name!r:.60}; there are {', '.join(COLUMNS)}"
        elif header.count(name) > 1:
            yield f"the column {name} is there more than once"
    missing = [name for name in NEEDED if name not in header]
    if missing:
        yield f"the header lacks {', '.join(missing)}"


def _read_json_lines(text: io.TextIOWrapper, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            report(number, f"no JSON: {error}" if isinstance(error, json.JSONDecodeError) else "no JSON")
            continue
        if not isinstance(pairs, _Pairs):
            report(number, "no JSON object")
            continue
        names = [name for name, _ in pairs]
        for name in dict.fromkeys(names):
            if name not in COLUMNS:
                report(number, f"unknown field {name!r:.60}; there are {', '.join(COLUMNS)}")
            elif names.count(name) > 1:
                report(number, f"the field {name} is there more than once")
        if set(names) <= set(COLUMNS) and len(set(names)) == len(names):
            yield number, {name: value for name, value in pairs if value is not None}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its doubles."""


def _line(number: int, cells: dict[str, Any], report: Report) -> Line | None:
    sound = True

    def wrong(reason: str) -> None:
        nonlocal sound
        sound = False
        report(number, reason)

    ids: list[Any] = []
    for name in NEEDED[:2]:
        value = cells.get(name)
        # As text too: in JSON, numbers beyond 2^53 suffer in other languages' hands.
        given = value.strip() if isinstance(value, str) else value
        given = int(given) if isinstance(given, str) and _ID.fullmatch(given) else given
        if value is None:
            wrong(f"{name} is missing")
        elif isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= LARGEST_ID:
            wrong(f"{name} is {value!r:.60}, and no whole number from 1 to {LARGEST_ID}")
        ids.append(given)
    for name in COLUMNS[2:]:
        value = cells.get(name)
        if value is None or value == "":
            if name == "file":
                wrong("file is missing")
        elif not isinstance(value, str):
            wrong(f"{name} is {value!r:.60}, and no text")
        elif len(value) > LONGEST_CELL:
            wrong(f"{name} has more than {LONGEST_CELL} characters")
        elif found := _UNWANTED.search(value):
            what = "bytes that are no UTF-8" if found.group() >= "\ud800" else "a control character or line break"
            wrong(f"{name} holds {what}: {value!r:.60}")
        elif name == "content_type" and not is_content_type(value):
            wrong(f"content_type is {value!r:.60}, and not like application/pdf")
    if not sound:
        return None
    business_id, chat_id = ids
    file, key = cells["file"], cells.get("key")
    default = f"{business_id}/{chat_id}/{file}"
    return Line(
        number, key or default, bool(key), business_id, chat_id, file, cells.get("name") or None,
        cells.get("content_type") or None,
    )  # fmt: skip
