"""What the bytes of a manifest are: CSV as spreadsheets write it, JSON Lines, or something else, which is named."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from ._cell import plain

Report = Callable[[int, str], object]
"""Takes the number of a line, and what is wrong with it."""
Rows = Iterator[tuple[int, dict[str, Any]]]
"""The number of a line, and its cells by column."""


class Columns(NamedTuple):
    """What the columns of a manifest may be called."""

    needed: tuple[str, ...]
    either: tuple[str, ...]
    """At least one of these is needed, too."""
    optional: tuple[str, ...]
    ignored: tuple[str, ...]
    """Those of a report."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """All that are read."""
        return self.needed + self.either + self.optional


_AS_UTF8 = 'save it as UTF-8 (in Excel: "CSV UTF-8")'
_AS_CSV = 'save the sheet as CSV (in Excel: "CSV UTF-8")'
_EMPTY = "the manifest is empty: there is no header and no object"
_OTHERS = (
    (b"PK\x03\x04", f"a workbook (.xlsx, .ods) or another ZIP archive; {_AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", f"a workbook (.xls); {_AS_CSV}"),
    (b"SQLite format 3\x00", "a SQLite file, such as the journal; pass the CSV file"),
    (b"\x1f\x8b", "compressed (gzip); decompress it"),
    (b"%PDF-", "a PDF; pass the CSV file that names it"),
    (b"{\\rtf", f"a text document (RTF); {_AS_CSV}"),
    (b"<", f"HTML or XML, as some programs export tables; open it in a spreadsheet and {_AS_CSV}"),
)
_WORKBOOKS = ((b"vnd.oasis.opendocument", ".ods"), (b"xl/", ".xlsx"), (b"Index/", ".numbers"))
_LEGACY = {"cp1251": "Windows-1251", "cp866": "DOS 866", "mac-cyrillic": "Mac Cyrillic"}
_RUSSIAN = re.compile("[А-яЁё]")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", ":": "colons", " ": "blanks"}
_SEP = re.compile(r'"?sep=(\\t|.)"?[,;\s]*', re.IGNORECASE | re.DOTALL)
# What editors and web pages leave at the ends of a cell: all of white space, and what has no width.
_INVISIBLE = re.compile("[\\s\u200b\u2060\ufeff]+")


def read_rows(content: bytes, columns: Columns, report: Report) -> Rows:
    """Yield the rows of a manifest that can be read; report the others."""
    if other := _something_else(content):
        report(1, f"it is {other}")
        return
    try:
        text = content.decode().lstrip("\ufeff")
    except UnicodeDecodeError as error:
        report(content.count(b"\n", 0, error.start) + 1, f"it is not UTF-8{_guess(content)}; {_AS_UTF8}")
        return
    match text.lstrip()[:1]:
        case "[":
            report(1, "it is a JSON array; write one object on each line (jq -c '.[]' does it)")
        case "{":
            yield from _read_json_lines(io.StringIO(text, newline=""), columns, report)
        case _:
            yield from _read_csv(io.StringIO(text, newline=""), columns, report)


def column_of(cell: str) -> str:
    """Return the name of a column, however a spreadsheet or a person has spelled it."""
    return _INVISIBLE.sub(" ", cell).strip().replace(" ", "_").replace("-", "_").casefold()


def is_blank(cell: str) -> bool:
    """Whether nothing is to be seen in a cell."""
    return not cell or (not "!" <= cell[0] <= "~" and not _INVISIBLE.sub("", cell))


def stripped(cell: str) -> str:
    """Return a cell without what cannot be seen at its ends."""
    return re.sub(f"^{_INVISIBLE.pattern}|{_INVISIBLE.pattern}$", "", cell)


def _something_else(content: bytes) -> str:
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, what in _OTHERS:
        if start.startswith(magic):
            kinds = [kind for sign, kind in _WORKBOOKS if magic.startswith(b"PK") and sign in content]
            return f"a workbook ({kinds[0]}); {_AS_CSV}" if kinds else what
    # Of UTF-16 every other byte is 0 where the text is ASCII, as names of columns are.
    head = content[:32]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(head) > 3 and (not any(head[1::2]) or not any(head[::2]))):
        return f'UTF-16 ("Unicode text" of Excel); {_AS_UTF8}'
    return ""


def _guess(content: bytes) -> str:
    """Name the encoding in which the most letters are Russian."""
    if len(_RUSSIAN.findall(content.decode(errors="ignore"))) > content.decode(errors="replace").count("\ufffd"):
        return " in this line"  # and elsewhere it is
    count = {encoding: len(_RUSSIAN.findall(content.decode(encoding, errors="replace"))) for encoding in _LEGACY}
    best = max(count, key=lambda encoding: count[encoding])
    return f" but, it seems, {_LEGACY[best]} ({best})" if count[best] else ""


class _Lines:
    """The lines of a text."""

    cut: bool
    """Whether the last one has no end."""

    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.cut = not line.endswith(("\n", "\r"))
            yield line


def _read_csv(text: io.StringIO, columns: Columns, report: Report) -> Rows:
    delimiter, before = "", 0
    for first in text:
        if found := _SEP.fullmatch(first):  # Excel's way to say it
            delimiter = found[1].replace("\\t", "\t")
        elif first.strip(' ,;\t|"\r\n\xa0\ufeff'):
            break
        before += 1
    else:
        report(1, _EMPTY)
        return
    if not delimiter:
        delimiter = max(_DELIMITERS, key=lambda each: _known(first, each, columns))
        if delimiter not in ",;":
            said = f"the cells are separated by {_DELIMITERS[delimiter]}, not by commas or semicolons; {_AS_CSV}"
            report(before + 1, said)
            return
    lines = _Lines(text)
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        number = before + rows.line_num + 1  # a cell may go over several lines: the first counts
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            report(number, f"no CSV: {error}")
            if not header:
                return
            continue
        if all(map(is_blank, row)):
            continue
        if not header:
            header = [column_of(name) for name in row]
            wrong = list(_faults_of_header(header, columns))
            for reason in wrong:
                report(number, reason)
            if wrong:
                return
            continue
        reason = _fault_of_row(row, header, lines.cut)
        if reason:
            report(number, reason)
        else:
            # An empty cell is one that is not there.
            filled = {name: plain(cell) for name, cell in zip(header, row, strict=False) if not is_blank(cell)}
            yield number, {name: cell for name, cell in filled.items() if name in columns.wanted}


def _known(header: str, delimiter: str, columns: Columns) -> tuple[int, int, bool]:
    """Return how many names of columns there are if that is the delimiter; what is more likely is more."""
    cells: list[str] = []
    with suppress(csv.Error):  # it is reported when the header is read
        cells = next(csv.reader([header], delimiter=delimiter))
    found = sum(column_of(cell) in columns.wanted for cell in cells)
    return found, len(cells) if delimiter in ",;\t" else 0, delimiter == ","


def _faults_of_header(header: list[str], columns: Columns) -> Iterator[str]:
    for name in filter(None, dict.fromkeys(header)):
        if name not in columns.wanted + columns.ignored:
            yield f"unknown column {name!r:.60}; there are {', '.join(columns.wanted)}"
        elif header.count(name) > 1:
            yield f"the column {name} is there more than once"
    missing = [name for name in columns.needed if name not in header]
    if not set(columns.either) & set(header):
        missing.append(" or ".join(columns.either))
    if missing:
        yield f"the header lacks {', '.join(missing)}"


def _fault_of_row(row: list[str], header: list[str], cut: bool) -> str:
    # Spreadsheets pad rows and headers with empty cells, and leave out those at the end of a row (Excel, KB 77295).
    if len(row) < len(header) and cut:
        return f"{len(row)} cells where the header has {len(header)}, and no line break: the file seems to be cut short"
    if any(not is_blank(cell) for cell in row[len(header) :]):
        return f"{len(row)} cells where the header has {len(header)}"
    for name, cell in zip(header, row, strict=False):
        if not name and not is_blank(cell):
            return f"{cell!r:.60} stands in a column without a name"
    return ""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its doubles."""


def _read_json_lines(text: io.StringIO, columns: Columns, report: Report) -> Rows:
    whole = False  # whether it was tried as one object over several lines
    for number, line in enumerate(text, 1):
        if is_blank(line):
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            if not whole and _goes_on(line, text):
                report(number, "the object goes over several lines; write each on one line (jq -c . does it)")
                return
            whole = True
            report(number, f"no JSON: {error}" if isinstance(error, json.JSONDecodeError) else "no JSON")
            continue
        if not isinstance(pairs, _Pairs):
            report(number, "no JSON object")
            continue
        cells = [(column_of(name), value) for name, value in pairs]
        names = [name for name, _ in cells]
        for name in dict.fromkeys(names):
            if name not in columns.wanted:
                report(number, f"unknown field {name!r:.60}; there are {', '.join(columns.wanted)}")
            elif names.count(name) > 1:
                report(number, f"the field {name} is there more than once")
        if set(names) <= set(columns.wanted) and len(set(names)) == len(names):
            yield number, {name: value for name, value in cells if value is not None}


def _goes_on(line: str, text: io.StringIO) -> bool:
    """Whether an object begins in that line and ends in a later one."""
    here = text.tell()
    rest = (line + text.read()).lstrip()
    text.seek(here)
    with suppress(ValueError, RecursionError):
        found, end = json.JSONDecoder().raw_decode(rest)
        return isinstance(found, dict) and end > len(line.strip())
    return False
