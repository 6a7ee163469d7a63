"""What arrived: the record of every request and of every file, safe to read from any thread at any time."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from ._contract import Operation
from ._credentials import Headers
from ._limits import Ticket
from ._multipart import Part
from ._retention import Contents, Latest

#: How many requests, files and bodies are kept, besides the bounds on their sizes.
MOST_RECORDS: Final = 5_000
#: For how many businesses it is known how many requests they ever had at once.
_MOST_BUSINESSES: Final = 10_000


@dataclass(frozen=True)
class ReceivedFile:
    """A file that the server took.

    That is, it answered with 200 and the status OK, whether or not all of that got through, or the script said
    `taken=True`.

    Attributes:
        business_id: of the chat.
        chat_id: where it was sent.
        name: the file name of the part, None if it had none.
        content_type: of the part, None if it had none.
        size: of the content, in bytes.
        sha256: of the content, in hexadecimal.
        headers: of the request, with its credentials; the `repr` does not show them.
        at: when the request arrived, in UTC.
    """

    business_id: int
    chat_id: int
    name: str | None
    content_type: str | None
    size: int
    sha256: str
    headers: Headers = field(repr=False)
    at: datetime
    _contents: Contents = field(repr=False, compare=False)
    _part: int = field(repr=False, compare=False)

    @property
    def content(self) -> bytes:
        """The bytes. LookupError if the server no longer keeps them (see `keep_bytes`); then there is the sha256."""
        return self._contents.parts[self._part].content

    @property
    def kept(self) -> bool:
        """Whether the server still keeps the bytes."""
        return not self._contents.dropped


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it arrived, valid or not, and what became of it.

    Attributes:
        operation: the id of the operation that it is about, such as "sendFileToChat"; None if it is about none.
        method: of the request line; empty if it was not to be understood.
        target: likewise.
        path: of the target, still percent-encoded.
        query: of the target, still percent-encoded.
        headers: names and values in the order of the wire, with the credentials; the `repr` does not show them.
        body_complete: whether the body is all of it.
        status: that the answer had; None if none was begun (yet), or if it was not HTTP.
        violation: what broke the contract, None if nothing did. Also told when a scripted answer hid it. What is
            refused for the limits is none, nor for a credential that was revoked or lacks the scope, nor for a business
            or chat that is not among those that the server was given.
        scripted: whether a scripted answer or fault was used up.
        connection: the number of the connection that it came on, the first being 1.
        at: when it arrived, in UTC.
    """

    method: str
    target: str = field(repr=False)
    path: str
    query: str = field(repr=False)
    headers: Headers = field(repr=False)
    connection: int
    at: datetime
    operation: str | None = None
    body_complete: bool = False
    status: int | None = None
    violation: str | None = None
    scripted: bool = False
    _contents: Contents = field(default_factory=Contents, repr=False, compare=False)

    @property
    def body(self) -> bytes:
        """The body as far as it was received, without the framing of chunks; empty while it is being read.

        LookupError if the server no longer keeps it (see `keep_bytes`).
        """
        return self._contents.body

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the form, if there was one and it was well-formed. LookupError as for the body."""
        return self._contents.parts


class Visit:
    """One request while it is being served: the pen that writes its record, and its place among those in flight."""

    def __init__(self, journal: Journal, number: int, request: ReceivedRequest, business: int | None) -> None:
        self.request = request
        self.business = business
        self.operation: Operation | None = None
        self.contents = request._contents
        self.ticket: Ticket | None = None
        self.on_leave: Callable[[], None] | None = None
        self.reason: str | None = None
        """Why the request deserves to be refused, if it does; a violation or not."""
        self._journal = journal
        self._number = number
        self._present = True

    def note(self, *, body: bytes | None = None, parts: tuple[Part, ...] | None = None, **changes: Any) -> None:
        """Change the record; to be done before the client can know of what is noted, so that a test finds it there."""
        self.contents.put(body=body, parts=parts)
        self.request = replace(self.request, **changes)
        self._journal.put(self._number, self.request)

    def leave(self) -> None:
        """End the time in flight; more than once is harmless."""
        if self._present:
            self._present = False
            self._journal.left(self.business)
            if self.on_leave is not None:
                self.on_leave()


MOST_VIOLATIONS = 20


class Journal:
    """The latest records of one server, in order of arrival, and the content of the latest `keep_bytes` of bodies."""

    def __init__(self, keep_bytes: int) -> None:
        self._lock = threading.Lock()
        self._requests: Latest[ReceivedRequest] = Latest(MOST_RECORDS)
        self._received: Latest[ReceivedFile] = Latest(MOST_RECORDS)
        self._violations: list[ReceivedRequest] = []
        self._keep_bytes = keep_bytes
        self._contents: deque[tuple[Contents, int]] = deque()
        self._kept_bytes = 0
        self._connections = 0
        # Under None: all businesses together.
        self._in_flight: Counter[int | None] = Counter()
        self._most_in_flight: Counter[int | None] = Counter()

    @property
    def violations(self) -> tuple[ReceivedRequest, ...]:
        """The first requests that broke the contract without being scripted."""
        with self._lock:
            return tuple(self._violations)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        with self._lock:
            return self._requests.all()

    @property
    def received(self) -> tuple[ReceivedFile, ...]:
        with self._lock:
            return self._received.all()

    def numbered(self) -> list[tuple[int, ReceivedFile]]:
        """Return the files with the numbers that they keep when older ones are forgotten; the first is 1."""
        with self._lock:
            return list(enumerate(self._received.all(), self._received.first + 1))

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
            number = self._requests.add(request, _head_size(request))
            for whom in _counted(business):
                self._in_flight[whom] += 1
                self._most_in_flight[whom] = max(self._most_in_flight[whom], self._in_flight[whom])
            if len(self._most_in_flight) > _MOST_BUSINESSES:
                # Behind that of all businesses: the oldest.
                del self._most_in_flight[next(islice(self._most_in_flight, 1, None))]
            return Visit(self, number, request, business)

    def put(self, number: int, request: ReceivedRequest) -> None:
        with self._lock:
            self._requests.put(number, request)

    def left(self, business: int | None) -> None:
        with self._lock:
            for whom in _counted(business):
                self._in_flight[whom] -= 1
                if not self._in_flight[whom]:
                    del self._in_flight[whom]

    def accept(self, file: ReceivedFile) -> int:
        """Keep a file; its number, the first being 1."""
        with self._lock:
            characters = len(file.name or "") + len(file.content_type or "")
            head = sum(len(name) + len(value) for name, value in file.headers)
            return self._received.add(file, characters + head) + 1

    def served(self, visit: Visit) -> None:
        """Keep the content of a request that has been served, at the cost of the oldest."""
        size = len(visit.request.body)
        with self._lock:
            # Kept apart: what broke the contract is to be told however much has come since.
            if visit.request.violation and not visit.request.scripted and len(self._violations) < MOST_VIOLATIONS:
                self._violations.append(visit.request)
            if not size:
                return
            self._contents.append((visit.contents, size))
            self._kept_bytes += size
            while self._kept_bytes > self._keep_bytes or len(self._contents) > MOST_RECORDS:
                oldest, size = self._contents.popleft()
                oldest.drop()
                self._kept_bytes -= size

    def in_flight(self, business: int | None = None) -> int:
        """Count the requests that are being served now; None: of all businesses."""
        with self._lock:
            return self._in_flight[business]

    def most_in_flight(self, business: int | None = None) -> int:
        """Tell how many requests were ever being served at once; None: of all businesses."""
        with self._lock:
            return self._most_in_flight[business]


def _counted(business: int | None) -> tuple[int | None, ...]:
    return (None,) if business is None else (None, business)


def _head_size(request: ReceivedRequest) -> int:
    return 2 * len(request.target) + sum(len(name) + len(value) for name, value in request.headers)
