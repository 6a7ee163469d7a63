"""Market's two limits, counted per business: so many requests at once, and so many in a window of the clock.

What the documentation leaves open is decided here so that a client that gets on with this server gets on with more
than it has to: a window begins with the hour of the clock, a 420 uses up the allowance as any other 4xx does, and so
does a request that gets no answer.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Literal

from ._clock import Clock
from ._contract import Contract

#: Hostile clients can name any number of businesses. The longest unused is forgotten, with what it has used up.
_MOST_BUSINESSES: Final = 10_000


@dataclass(slots=True)
class Ticket:
    """One request's dealings with the limits."""

    business: int | None
    window: int
    """When the window began in which it arrived, in seconds since 1970."""
    refused: Literal["parallel", "resource"] | None = None
    has_place: bool = False
    counted: bool = False


class Limits:
    """The limits of a server, off until `enabled` is set. Used from any thread.

    parallel:  requests at once and per business.
    resource:  requests per window and per business.
    window:    the length of a window; each begins at a multiple of it since 1970, so an hour with the hour, in UTC.

    The numbers are the contract's `x-limits`. With the limits on, every answer has the X-RateLimit-Resource-* headers;
    one to a request that names no business tells an untouched allowance. 2xx and 4xx use the allowance up, 420 too; 5xx
    do not.
    """

    def __init__(self, contract: Contract, clock: Clock, *, enabled: bool = False) -> None:
        self.enabled = enabled
        numbers = next(limits for operation in contract.operations if (limits := operation.limits))
        self.parallel: Final[int] = numbers.parallel
        self.resource: Final[int] = numbers.resource
        self.window: Final = timedelta(seconds=numbers.window_seconds)
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._used: dict[int, int] = {}
        self._places: Counter[int] = Counter()

    def remaining(self, business_id: int) -> int:
        """Tell how many requests the business has left in this window."""
        with self._lock:
            self._turn()
            return self._left(business_id)

    def spend(self, business_id: int, requests: int | None = None) -> None:
        """Use up so many requests of this window, by default all that are left, as if they had been made.

        ValueError if fewer are left; RuntimeError while the limits are off, when it would have no effect.
        """
        if not self.enabled:
            raise RuntimeError("the limits are off: set limits.enabled = True first")
        with self._lock:
            self._turn()
            left = self._left(business_id)
            count = left if requests is None else requests
            if not 0 <= count <= left:
                raise ValueError(f"of the allowance {left} are left: {count} cannot be spent")
            self._use(business_id, count)

    def resets_at(self) -> datetime:
        """Return the end of this window, aware and in UTC."""
        with self._lock:
            self._turn()
            return datetime.fromtimestamp(self._window, UTC) + self.window

    # For the server

    def _enter(self, business: int | None) -> Ticket | None:
        """Take in a request: the ticket says whether it has to be refused. None while the limits are off."""
        if not self.enabled:
            return None
        with self._lock:
            self._turn()
            ticket = Ticket(business, self._window)
            if business is None:
                return ticket
            if self._left(business) == 0:
                ticket.refused = "resource"
                return ticket
            self._use(business, 1)
            ticket.counted = True
            if self._places[business] >= self.parallel:
                ticket.refused = "parallel"
            else:
                self._places[business] += 1
                ticket.has_place = True
            return ticket

    def _leave(self, ticket: Ticket) -> None:
        """Make the place free again; more than once is harmless."""
        with self._lock:
            if ticket.has_place and ticket.business is not None:
                ticket.has_place = False
                self._places[ticket.business] -= 1
                if not self._places[ticket.business]:
                    del self._places[ticket.business]

    def _settle(self, ticket: Ticket, status: int | None) -> tuple[tuple[str, str], ...]:
        """Note how the request is answered; return the headers that tell the allowance."""
        with self._lock:
            if ticket.counted and status is not None and 500 <= status <= 599:
                ticket.counted = False
                if ticket.window == self._window and ticket.business in self._used:
                    self._used[ticket.business] -= 1
            self._turn()
            left = self.resource if ticket.business is None else self._left(ticket.business)
            until = datetime.fromtimestamp(self._window, UTC) + self.window
        return self._headers(left, until)

    def _headers(self, left: int, until: datetime) -> tuple[tuple[str, str], ...]:
        """Return what tells that so many are left."""
        return (
            ("X-RateLimit-Resource-Limit", str(self.resource)),
            ("X-RateLimit-Resource-Remaining", str(left)),
            ("X-RateLimit-Resource-Until", format_datetime(until, usegmt=True)),
        )

    def _sentence(self, ticket: Ticket, path: str) -> str:
        """Say which limit was hit, in the documentation's words."""
        if ticket.refused == "parallel":
            return f"Hit rate limit of {self.parallel} parallel requests for businessId {ticket.business}"
        hours = self.window / timedelta(hours=1)
        return (
            f"Hit rate limit of {self.resource} requests per {hours:g} hour for resource {path}"
            f" for businessId {ticket.business}"
        )

    def _turn(self) -> None:
        """Begin a new window, if the clock has left the one that is counted."""
        seconds = int(self.window.total_seconds())
        window = int(self._clock.now().timestamp()) // seconds * seconds
        if window != self._window:
            self._window = window
            self._used = {}

    def _left(self, business: int) -> int:
        return self.resource - self._used.get(business, 0)

    def _use(self, business: int, count: int) -> None:
        # Put in anew, so that the order is that of the last use.
        self._used[business] = self._used.pop(business, 0) + count
        if len(self._used) > _MOST_BUSINESSES:
            del self._used[next(iter(self._used))]

    def __repr__(self) -> str:
        numbers = f"{self.parallel} at once, {self.resource} in {self.window}"
        return f"<Limits {'on' if self.enabled else 'off'}: {numbers}>"
