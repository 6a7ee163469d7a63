"""What arrived: the record of every request and of every file, safe to read from any thread at any time."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ._credentials import Headers
from ._multipart import Part


@dataclass(frozen=True)
class ReceivedFile:
    """A file that the server took and answered with the documented 200.

    business_id, chat_id:  where it was sent.
    name:          the file name of the part, None if it had none.
    content_type:  of the part, None if it had none.
    size, sha256:  of the content; in bytes, and in hexadecimal.
    headers:       of the request, with its credentials; the `repr` does not show them.
    at:            when the request arrived, in UTC.
    """

    business_id: int
    chat_id: int
    name: str | None
    content_type: str | None
    size: int
    sha256: str
    content: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    at: datetime


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it arrived, valid or not, and what became of it.

    method, target:  of the request line; both empty if it was not to be understood.
    path, query:     the two halves of the target, still percent-encoded.
    headers:         names and values in the order of the wire, with the credentials; the `repr` does not show them.
    body:            as far as it was received, without the framing of chunks; empty while it is being read.
    body_complete:   whether that is all of it.
    parts:           of the form, if there was one and it was well-formed.
    status:          that the answer had; None if none was begun (yet), or if it was not HTTP.
    violation:       what broke the contract, None if nothing did. Also told when a scripted answer hid it.
    scripted:        whether a scripted answer or fault was used up.
    connection:      the number of the connection that it came on, the first being 1.
    at:              when it arrived, in UTC.
    """

    method: str
    target: str = field(repr=False)
    path: str
    query: str = field(repr=False)
    headers: Headers = field(repr=False)
    connection: int
    at: datetime
    body: bytes = field(default=b"", repr=False)
    body_complete: bool = False
    parts: tuple[Part, ...] = ()
    status: int | None = None
    violation: str | None = None
    scripted: bool = False


class Visit:
    """One request while it is being served: the pen that writes its record, and its place among those in flight."""

    def __init__(self, journal: Journal, number: int, request: ReceivedRequest, business: int | None) -> None:
        self.request = request
        self._journal = journal
        self._number = number
        self._business = business
        self._present = True

    def note(self, **changes: Any) -> None:
        """Change the record; to be done before the client can know of what is noted, so that a test finds it there."""
        self.request = replace(self.request, **changes)
        self._journal.put(self._number, self.request)

    def leave(self) -> None:
        """End the time in flight; more than once is harmless."""
        if self._present:
            self._present = False
            self._journal.left(self._business)


class Journal:
    """The records of one server, in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[ReceivedRequest] = []
        self._received: list[ReceivedFile] = []
        self._connections = 0
        # Under None: all businesses together.
        self._in_flight: Counter[int | None] = Counter()
        self._most_in_flight: Counter[int | None] = Counter()

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        with self._lock:
            return tuple(self._requests)

    @property
    def received(self) -> tuple[ReceivedFile, ...]:
        with self._lock:
            return tuple(self._received)

    @property
    def connections(self) -> int:
        return self._connections

    def connected(self) -> int:
        """Count a new connection; its number."""
        with self._lock:
            self._connections += 1
            return self._connections

    def arrived(self, request: ReceivedRequest, business: int | None) -> Visit:
        """Begin the record of a request, which is in flight from now on."""
        with self._lock:
            self._requests.append(request)
            for whom in {None, business}:
                self._in_flight[whom] += 1
                self._most_in_flight[whom] = max(self._most_in_flight[whom], self._in_flight[whom])
            return Visit(self, len(self._requests) - 1, request, business)

    def put(self, number: int, request: ReceivedRequest) -> None:
        with self._lock:
            self._requests[number] = request

    def left(self, business: int | None) -> None:
        with self._lock:
            for whom in {None, business}:
                self._in_flight[whom] -= 1

    def accept(self, file: ReceivedFile) -> None:
        with self._lock:
            self._received.append(file)

    def in_flight(self, business: int | None = None) -> int:
        """Count the requests that are being served now; None: of all businesses."""
        with self._lock:
            return self._in_flight[business]

    def most_in_flight(self, business: int | None = None) -> int:
        """Tell how many requests were ever being served at once; None: of all businesses."""
        with self._lock:
            return self._most_in_flight[business]
