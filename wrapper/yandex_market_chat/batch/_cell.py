"""A cell of CSV as spreadsheets take it: what is text stays text, and nothing is a formula."""

from __future__ import annotations

import re

EXACT_DIGITS = 15
"""Excel keeps so many digits of a number, and writes zeros for the rest."""

# What a spreadsheet would calculate, with the apostrophes of earlier guards (OWASP, "CSV Injection").
_FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_GUARDED = re.compile(f"'{_FORMULA.pattern}")
# What it would turn into a number or a date: 007, 1/2, 3E5.
_LIKE_A_NUMBER = re.compile(r"[0-9][0-9 .,:/eE+-]*")
_TEXT = re.compile('="((?:[^"]|"")*)"')


def guarded(value: object) -> object:
    """Return what to write so that Excel shows `value` as it is."""
    if isinstance(value, int):
        return f'="{value}"' if len(str(value)) > EXACT_DIGITS else value
    if not isinstance(value, str):
        return value
    if _FORMULA.match(value):
        return f"'{value}"
    return f'="{value}"' if _LIKE_A_NUMBER.fullmatch(value) else value


def plain(cell: str) -> str:
    """Return what `guarded` was given."""
    if cell[:1] not in ("=", "'"):
        return cell
    if text := _TEXT.fullmatch(cell):
        return text[1].replace('""', '"')
    return cell[1:] if _GUARDED.match(cell) else cell
