"""Market's two limits, counted per business: so many requests at once, and so many of an operation in a window.

What the documentation leaves open is decided here so that a client that gets on with this server gets on with more
than it has to: a window begins with the hour of the clock, a 420 uses up the quota as any other 4xx does, and so does
a request that gets no answer.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Literal

from ._clock import Clock
from ._contract import Contract, LimitNumbers, Operation
from ._reply import Pairs

#: Hostile clients can name any number of businesses. The longest unused is forgotten, with what it has used up.
_MOST_BUSINESSES: Final = 10_000


@dataclass(slots=True)
class Ticket:
    """One request's dealings with the limits."""

    business: int | None
    operation: Operation
    window: int
    """When the window began in which it arrived, in seconds since 1970."""
    refused: Literal["parallel", "resource"] | None = None
    has_place: bool = False
    counted: bool = False


class Limits:
    """The limits of a server, off until `enabled` is set. Used from any thread.

    Args:
        parallel: requests at once and per business, of whatever operations.
        resource: requests per window and per business of sendFileToChat; `resource_of` tells those of another
            operation.
        window: the length of a window; each begins at a multiple of it since 1970, so an hour with the hour, in UTC.

    The numbers are the contract's `x-limits`. With the limits on, every answer has the X-RateLimit-Resource-* headers
    of its operation; one to a request that names no business tells an untouched quota. 2xx and 4xx use the quota up,
    420 too; 5xx do not.

    `operation` is the id of an operation, such as "getChatHistory"; None: sendFileToChat. ValueError for one that the
    contract does not have.
    """

    def __init__(self, contract: Contract, clock: Clock, *, enabled: bool = False) -> None:
        self.enabled = enabled
        self._contract = contract
        numbers = self._numbers(contract.send)
        self.parallel: Final[int] = numbers.parallel
        self.resource: Final[int] = numbers.resource
        self.window: Final = timedelta(seconds=numbers.window_seconds)
        self._clock = clock
        self._lock = threading.Lock()
        # By operation and business: when the window began, and how many were used in it.
        self._used: dict[tuple[str, int], tuple[int, int]] = {}
        self._places: Counter[int] = Counter()

    def resource_of(self, operation: str) -> int:
        """Tell how many requests of an operation a business has per window."""
        return self._numbers(self._contract.operation(operation)).resource

    def remaining(self, business_id: int, operation: str | None = None) -> int:
        """Tell how many requests of an operation the business has left in this window."""
        with self._lock:
            return self._left(self._named(operation), business_id)

    def spend(self, business_id: int, requests: int | None = None, operation: str | None = None) -> None:
        """Use up so many requests of this window, by default all that are left, as if they had been made.

        ValueError if fewer are left; RuntimeError while the limits are off, when it would have no effect.
        """
        if not self.enabled:
            raise RuntimeError("the limits are off: set limits.enabled = True first")
        named = self._named(operation)
        with self._lock:
            left = self._left(named, business_id)
            count = left if requests is None else requests
            if not 0 <= count <= left:
                raise ValueError(f"of the quota {left} are left: {count} cannot be spent")
            self._use(named, business_id, count)

    def resets_at(self, operation: str | None = None) -> datetime:
        """Return the end of this window, aware and in UTC."""
        return self._end(self._named(operation))

    # For the server

    def _enter(self, business: int | None, operation: Operation | None) -> Ticket | None:
        """Take in a request: the ticket says whether it has to be refused. None while the limits are off."""
        if not self.enabled:
            return None
        asked = operation or self._contract.send
        with self._lock:
            ticket = Ticket(business, asked, self._window(asked))
            if business is None:
                return ticket
            if self._left(asked, business) == 0:
                ticket.refused = "resource"
                return ticket
            self._use(asked, business, 1)
            ticket.counted = True
            if self._places[business] >= self.parallel:
                ticket.refused = "parallel"
            else:
                self._places[business] += 1
                ticket.has_place = True
            return ticket

    def _leave(self, ticket: Ticket) -> None:
        """Make the slot free again; more than once is harmless."""
        with self._lock:
            if ticket.has_place and ticket.business is not None:
                ticket.has_place = False
                self._places[ticket.business] -= 1
                if not self._places[ticket.business]:
                    del self._places[ticket.business]

    def _settle(self, ticket: Ticket, status: int | None) -> Pairs:
        """Note how the request is answered; return the headers that tell the quota."""
        operation, business = ticket.operation, ticket.business
        with self._lock:
            if ticket.counted and business is not None and status is not None and 500 <= status <= 599:
                ticket.counted = False
                if ticket.window == self._window(operation) and (operation.id, business) in self._used:
                    self._use(operation, business, -1)
            left = self._numbers(operation).resource if business is None else self._left(operation, business)
        return self._headers(operation, left)

    def _headers(self, operation: Operation | None, left: int) -> Pairs:
        """Return what tells that so many are left."""
        asked = operation or self._contract.send
        return (
            ("X-RateLimit-Resource-Limit", str(self._numbers(asked).resource)),
            ("X-RateLimit-Resource-Remaining", str(left)),
            ("X-RateLimit-Resource-Until", format_datetime(self._end(asked), usegmt=True)),
        )

    def _sentence(self, ticket: Ticket) -> str:
        """Say which limit was hit, in the documentation's words."""
        if ticket.refused == "parallel":
            return f"Hit rate limit of {self.parallel} parallel requests for businessId {ticket.business}"
        numbers = self._numbers(ticket.operation)
        return (
            f"Hit rate limit of {numbers.resource} requests per {numbers.window_seconds / 3600:g} hour"
            f" for resource {ticket.operation.path} for businessId {ticket.business}"
        )

    def _named(self, operation: str | None) -> Operation:
        return self._contract.send if operation is None else self._contract.operation(operation)

    def _numbers(self, operation: Operation) -> LimitNumbers:
        """Return the numbers of an operation; where the contract says none, those of sending a file."""
        numbers = operation.limits or self._contract.send.limits
        if numbers is None:
            raise NotImplementedError("the contract says no limits of sending a file (x-limits)")
        return numbers

    def _window(self, operation: Operation) -> int:
        """Return when the window began that the clock is in."""
        seconds = self._numbers(operation).window_seconds
        return int(self._clock.now().timestamp()) // seconds * seconds

    def _end(self, operation: Operation) -> datetime:
        window = timedelta(seconds=self._numbers(operation).window_seconds)
        return datetime.fromtimestamp(self._window(operation), UTC) + window

    def _left(self, operation: Operation, business: int) -> int:
        began, used = self._used.get((operation.id, business), (0, 0))
        return self._numbers(operation).resource - (used if began == self._window(operation) else 0)

    def _use(self, operation: Operation, business: int, count: int) -> None:
        used = self._numbers(operation).resource - self._left(operation, business)
        # Put in again, so that the order is that of the last use.
        self._used.pop((operation.id, business), None)
        self._used[operation.id, business] = (self._window(operation), used + count)
        if len(self._used) > _MOST_BUSINESSES:
            del self._used[next(iter(self._used))]

    def __repr__(self) -> str:
        numbers = f"{self.parallel} at once, {self.resource} in {self.window}"
        return f"<Limits {'on' if self.enabled else 'off'}: {numbers}>"
