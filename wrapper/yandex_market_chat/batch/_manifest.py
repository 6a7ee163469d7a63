"""The lines of a manifest, and everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from .._base_client import LARGEST_ID
from .._file_name import is_content_type
from ._dialect import Columns, Report, read_rows, stripped

COLUMNS = Columns(
    needed=("business_id", "file"),
    either=("chat_id", "order_id"),
    optional=("name", "content_type", "key"),
    # A report can be the next manifest.
    ignored=(
        "line", "outcome", "retryable", "error", "error_code", "status_code", "trace_id", "attempts",
        "unknown_attempts", "reason", "at", "opened_chat_id", "confirmed_by", "message_id", "since",
    ),
)  # fmt: skip
LONGEST_CELL = 4096
_NO_CHAT = "chat_id or order_id is missing"
_ID = re.compile("[0-9]{1,19}")
# 123,0 and 1,23457E+18; or in groups of three.
_FORMATTED = re.compile("[0-9]+[.,][0-9]*([eE][+]?[0-9]+)?|[0-9]+[eE][+]?[0-9]+|[0-9]{1,3}([ \xa0\u202f',][0-9]{3})+")
# The usual one, which has nothing to be taken out.
_RELATIVE = re.compile(r"[^./\\:][^/\\:]*(/[^./\\][^/\\:]*)*")
# Control characters; and lone surrogates, which JSON may hold.
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
    chat_id: int | None
    order_id: int | None
    """The order whose chat it is, if there is no chat_id."""
    file: str
    name: str | None
    content_type: str | None


def read_lines(content: bytes, folder: Path, report: Report) -> Iterator[Line]:
    """Yield the lines that have nothing wrong with them; report the others.

    `folder` is where relative paths start: an absolute one that leads there is the same as a relative one.
    """
    for number, cells in read_rows(content, COLUMNS, report):
        line = _line(number, cells, folder, report)
        if line is not None:
            yield line


def _spelled(file: str, folder: Path) -> str:
    if _RELATIVE.fullmatch(file):
        return file
    path = PurePath(file)  # without "." and doubled slashes; what ".." means is up to the links on the way
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _line(number: int, cells: dict[str, Any], folder: Path, report: Report) -> Line | None:
    sound = True

    def wrong(reason: str) -> None:
        nonlocal sound
        sound = False
        report(number, reason)

    ids: dict[str, Any] = dict.fromkeys(("chat_id", "order_id"))
    given_ids = [name for name in ids if cells.get(name) is not None]
    if len(given_ids) != 1:
        wrong("chat_id and order_id are both there; one of them says where to" if given_ids else _NO_CHAT)
    for name in ("business_id", *given_ids):
        value = cells.get(name)
        # As text too: in JSON, numbers beyond 2^53 suffer in other languages' hands.
        given = stripped(value) if isinstance(value, str) else value
        given = int(given) if isinstance(given, str) and _ID.fullmatch(given) else given
        if value is None:
            wrong(f"{name} is missing")
        elif isinstance(given, str) and _FORMATTED.fullmatch(given):
            advice = "format the column as text, and enter the id again"
            wrong(f"{name} is {value!r:.60}, a number as spreadsheets format and round it: {advice}")
        elif isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= LARGEST_ID:
            wrong(f"{name} is {value!r:.60}, and no whole number from 1 to {LARGEST_ID}")
        ids[name] = given
    for name in ("file", *COLUMNS.optional):
        value = cells.get(name)
        if value is None or value == "":
            if name == "file":
                wrong("file is missing")
        elif not isinstance(value, str):
            wrong(f"{name} is {value!r:.60}, and no text")
        elif len(value) > LONGEST_CELL:
            wrong(f"{name} has more than {LONGEST_CELL} characters")
        elif found := _UNWANTED.search(value):
            what = "half a character" if found.group() >= "\ud800" else "a control character or line break"
            wrong(f"{name} holds {what}: {value!r:.60}")
        elif name == "content_type" and not is_content_type(value):
            wrong(f"content_type is {value!r:.60}, and not like application/pdf")
    if not sound:
        return None
    chat = ids["chat_id"] or f"order {ids['order_id']}"
    file, key = _spelled(cells["file"], folder), cells.get("key")
    default = f"{ids['business_id']}/{chat}/{file}"
    return Line(
        number, key or default, bool(key) and key != default, **ids, file=file, name=cells.get("name") or None,
        content_type=cells.get("content_type") or None,
    )  # fmt: skip
