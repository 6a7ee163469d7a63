"""A call in the words of the contract, and what came of it, whichever client made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._contract import Operation


@dataclass(frozen=True)
class Call:
    """What is asked of a client. A parameter that is not in `values`, or a content None, is left out of the call."""

    operation: Operation
    values: Mapping[str, Any]
    content: bytes | None = field(default=b"%PDF-1.7 \xff\x00", repr=False)
    # Both differ from every default and from what one would guess from the other: a value that gets lost shows.
    name: str = "счёт № 7.pdf"
    content_type: str | None = "application/x-vector"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether the contract allows it, as read by these tests; an empty file counts as not: it is undocumented."""
        complete = self.content is not None and 0 < len(self.content) <= self.operation.max_bytes
        return complete and not self.extra and self.operation.allows(self.values)

    def __repr__(self) -> str:
        size = "no content" if self.content is None else f"{len(self.content)} B {self.content[:40]!r}"
        return (
            f"<{self.operation.id} {dict(self.values)} {size} {self.name!r} {self.content_type!r} {self.extra or ''}>"
        )


@dataclass(frozen=True)
class Outcome:
    """What the client gave back: either a result or an error."""

    result: Any = None
    error: Exception | None = None

    def get(self) -> Any:
        """The result; the error, if it was one, is raised."""
        if self.error is not None:
            raise self.error
        return self.result
