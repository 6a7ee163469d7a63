"""A chat's history, and what it says of a file. Only ids, times, senders, names and sizes of it are kept.

"It is there" can be proven by it, "it is not there" never: messages may lag, be renamed or be recompressed.
"""

import json
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from ._answer import Answer
from ._quota import moment

PAGE_LIMIT = 50
"""Messages a page: of a hundred long ones not all might be kept."""
PAGES = 20
"""How many are read at most."""


class Posted(NamedTuple):
    """A file that the shop's side has posted."""

    created_at: datetime
    message_id: int
    name: str
    size: int


class Page(NamedTuple):
    """What is kept of a page."""

    posted: list[Posted]
    next_token: str | None
    date: datetime | None
    """When the server wrote it, by its clock."""


def read_page(answer: Answer) -> Page | None:
    """Return what a page holds, whatever else is wrong with its messages; None if it is no page."""
    try:
        document = json.loads(answer.body.decode("utf-8-sig", errors="replace"), parse_int=_number)
        status, result = document["status"], document["result"]
        messages, token = result["messages"], (result.get("paging") or {}).get("nextPageToken")
        if status != "OK" or not isinstance(messages, list) or not isinstance(token, str | None):
            return None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    date = moment(answer.headers.get("Date"))
    return Page([posted for message in messages for posted in _posted(message)], token, date)


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) < 20 else None  # of thousands of digits Python makes none, and raises


def _posted(message: Any) -> Iterator[Posted]:
    # Read item by item: the generated parser loses a page with one malformed message.
    try:
        if message["sender"] != "PARTNER":
            return
        number, created_at = message["messageId"], datetime.fromisoformat(message["createdAt"])
        payload = message["payload"]
        if type(number) is not int or created_at.tzinfo is None or not isinstance(payload, list):
            return
    except (ValueError, KeyError, TypeError):
        return
    for item in payload:
        name, size = (item.get("name"), item.get("size")) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and type(size) is int:
            yield Posted(created_at, number, name, size)


def comparable(name: str) -> str:
    """Return a file name as it is compared: in NFC, and with a quote as it is on the wire."""
    return unicodedata.normalize("NFC", name).replace('"', "%22")
