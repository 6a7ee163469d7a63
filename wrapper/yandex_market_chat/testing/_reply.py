"""An answer as the bytes that go out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

Pairs = tuple[tuple[str, str], ...]

_BODILESS: Final = (204, 304)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r\n]")
# 420 is in no register. The words are Market's kind of 429.
_REASONS: Final = {420: "Limit Exceeded"} | {int(known): known.phrase for known in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. The headers win over those that the server would add; `wire` is sent as it is, instead of all.

    A Content-Length that is not that of the body is a lie told on purpose; the connection ends with such an answer.
    With `tells_spent` the server adds the headers of a spent quota.
    """

    status: int | None
    headers: Pairs = ()
    body: bytes = b""
    wire: bytes | None = None
    tells_spent: bool = False

    @property
    def ends_connection(self) -> bool:
        """Whether nothing can follow on the same connection, whatever the client asked for."""
        if self.wire is not None:
            return True
        given = {name.lower(): value.strip().lower() for name, value in self.headers}
        framed = "transfer-encoding" in given or given.get("content-length", str(len(self.body))) != str(len(self.body))
        return framed or "close" in given.get("connection", "")

    @property
    def json(self) -> object:
        """What the body says, as JSON; None if it is none."""
        body = self.body if self.wire is None else self.wire.partition(b"\r\n\r\n")[2]
        try:
            value: object = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return value

    def encode(self, *, to_head: bool, close: bool, now: datetime, more: Pairs = ()) -> bytes:
        """Return the bytes of the answer.

        to_head: the request was HEAD, so no body; close: announce the end of the connection; more: headers that the
        server adds besides those of HTTP.
        """
        if self.wire is not None:
            return self.wire
        own = [("Date", format_datetime(now, usegmt=True)), *more]
        bodiless = self.status in _BODILESS
        if self.body and not bodiless:
            own.append(("Content-Type", "application/json"))
        if not bodiless:
            own.append(("Content-Length", str(len(self.body))))
        if close:
            own.append(("Connection", "close"))
        given = {name.lower() for name, _ in self.headers}
        if "transfer-encoding" in given:
            given.add("content-length")
        pairs = [*((name, value) for name, value in own if name.lower() not in given), *self.headers]
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status or 0, '')}", *(f"{n}: {v}" for n, v in pairs)]
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
        return head if to_head or bodiless else head + self.body


def json_reply(status: int, body: Any, headers: Pairs = ()) -> Reply:
    """Make a JSON answer."""
    return Reply(status, headers, json.dumps(body, ensure_ascii=False).encode())


def wire_reply(wire: bytes) -> Reply:
    """Take bytes as they are; the status is read from them, if they are HTTP."""
    found = _STATUS_LINE.match(wire)
    return Reply(int(found.group(1)) if found else None, wire=wire)
