"""What keeps the journal's memory bounded: the latest records only, and the content of fewer still."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

from ._multipart import Part

Record = TypeVar("Record")

#: What clients chose in the heads of the records that are kept, in characters: each head may have 32 KiB.
_MOST_CHARACTERS: Final = 4 * 1024 * 1024


class Contents:
    """The body of a request and the parts in it, shared by all records that tell of them, until they are dropped."""

    __slots__ = ("_body", "_parts", "dropped")

    def __init__(self) -> None:
        self._body = b""
        self._parts: tuple[Part, ...] = ()
        self.dropped = False

    @property
    def body(self) -> bytes:
        """The bytes as far as they were received. LookupError once dropped, since no bytes would be a lie."""
        self._check()
        return self._body

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the form, if it was well-formed. LookupError once dropped."""
        self._check()
        return self._parts

    def put(self, *, body: bytes | None = None, parts: tuple[Part, ...] | None = None) -> None:
        """Take in what has arrived."""
        self._body = self._body if body is None else body
        self._parts = self._parts if parts is None else parts

    def drop(self) -> None:
        """Let the bytes go."""
        self.dropped = True
        self._body, self._parts = b"", ()

    def _check(self) -> None:
        if self.dropped:
            raise LookupError("the server no longer keeps this content (see keep_bytes); of a file there is the sha256")


class Latest(Generic[Record]):
    """The latest records, numbered from 0 on; how many depends on their number and on the size of their heads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._records: deque[Record] = deque()
        self._sizes: deque[int] = deque()
        self._size = 0
        self.first = 0
        """The number of the oldest that is kept."""

    def add(self, record: Record, size: int) -> int:
        """Append a record with so many characters of the client's choice; its number."""
        self._records.append(record)
        self._sizes.append(size)
        self._size += size
        while len(self._records) > self._most or self._size > _MOST_CHARACTERS:
            self._records.popleft()
            self._size -= self._sizes.popleft()
            self.first += 1
        return self.first + len(self._records) - 1

    def put(self, number: int, record: Record) -> None:
        """Replace a record, if it is still kept."""
        if number >= self.first:
            self._records[number - self.first] = record

    def all(self) -> tuple[Record, ...]:
        """Return them, the oldest first."""
        return tuple(self._records)
