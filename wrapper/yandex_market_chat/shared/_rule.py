"""When a request may begin, for all who share limits: one pure rule over a small state.

The server is the counter. The state holds who is in flight and what the server told last; all times in it are the
engine's. Market counts the requests at once over all operations of a business, the quota of an hour per operation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ANSWERED, UNUSED, LOST = "answered", "unused", "lost"
"""What became of a request: it was answered, it was never made, or nobody knows whether it counts."""
PRESENT, REFRESHED = 0.5, 0.1
"""Seconds for which a process keeps its place in the line without asking, and after which asking again is written."""
LONGEST_WINDOW = 3660.0
"""Seconds. What claims to end later was written by a clock that was wrong."""


class Told(NamedTuple):
    """The quota of an operation, as a response told it."""

    limit: int | None
    left: int | None
    until: float
    """When it is renewed, by the server's clock, in seconds since 1970."""
    seconds: float
    """How long that is from now."""


class Ask(NamedTuple):
    """A request that wants to begin, or is in flight. The id is its own, so that asking twice takes one slot."""

    id: str
    operation: str


class End(NamedTuple):
    """A request that has ended."""

    id: str
    operation: str
    fate: str
    told: Told | None = None


class Trip(NamedTuple):
    """What a process tells and asks in one exchange."""

    ends: Iterable[End] = ()
    renewals: Iterable[Ask] = ()
    """Those in flight, also what went without asking: they are registered whatever the rule says."""
    asks: Iterable[Ask] = ()
    """All that wait now."""
    who: str = ""
    """The process, for its place in the line."""
    due: bool = True
    """Whether those in flight are to be renewed. Those that the engine has lost are registered anyway."""
    writes: bool = False
    """Whether to write in any case: an engine that only reads is none."""


class Reply(NamedTuple):
    """What it learns."""

    granted: frozenset[str]
    spent: frozenset[str]
    """Those asked for in vain because their quota is spent."""
    quotas: dict[str, Told]


LONGEST_LEASE = 3600.0
"""Seconds, as `SharedLimits` has it."""
MOST, LATEST = 2**53, 253_402_300_000.0
"""Counts from here on, and times after the year 9999, are nonsense."""


@dataclass(slots=True)
class _Lease:
    operation: str
    expires: float
    length: float
    mark: int
    """How many requests of the operation had been lost when it began."""


@dataclass(slots=True)
class _Window:
    """What is known of the quota of an operation."""

    limit: int | None = None
    left: int | None = None
    until: float = 0.0
    renewed: float = 0.0
    told: bool = True
    """Whether the last answer left anything known of the quota. Until the first one it may."""
    lost: int = 0
    accounted: int = 0
    """How many of these are in what the server has told since."""

    def known(self, now: float) -> bool:
        return now < self.renewed <= now + LONGEST_WINDOW and self.left is not None

    def learn(self, told: Told | None, now: float) -> None:
        """Take in an answer: a later window replaces an earlier one; within one the least counts."""
        if told is not None:
            # `Date` has whole seconds, so each estimate of the end is late: the earliest is the best.
            renewed = round(now + min(max(told.seconds, 0.0), LONGEST_WINDOW), 3)
            if not self.known(now) or told.until > self.until:
                self.limit, self.left, self.until, self.renewed = told.limit, told.left, told.until, renewed
            elif told.until == self.until:
                self.limit = told.limit or self.limit
                self.left = min(left for left in (told.left, self.left) if left is not None)
                self.renewed = min(renewed, self.renewed)
        self.told = self.known(now)


@dataclass(slots=True)
class _Place:
    """A process in the line for slots: whoever has some asks first for the next, so for that it goes to the end."""

    since: float
    seen: float
    covered: bool = True
    """Whether it waits for a slot. If it waits for its quota to be known, it holds up nobody."""


@dataclass(slots=True)
class _State:
    leases: dict[str, _Lease] = field(default_factory=dict)
    windows: dict[str, _Window] = field(default_factory=dict)
    line: dict[str, _Place] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> _State:
        """Return what was written; nothing, if that is not to be read: a lost state costs one request that probes."""
        try:
            found = json.loads(text or "{}")
            state = cls(
                {name: _Lease(**lease) for name, lease in found.get("leases", {}).items()},
                {name: _Window(**window) for name, window in found.get("windows", {}).items()},
                {name: _Place(**place) for name, place in found.get("line", {}).items()},
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls()
        return state if state.is_sound() else cls()

    def is_sound(self) -> bool:
        """Whether everything is what it is to be: another version, or somebody's hand, may have written it."""
        leases, windows, places = self.leases.values(), self.windows.values(), self.line.values()
        counts = [
            *(lease.mark for lease in leases),
            *(count for window in windows for count in (window.lost, window.accounted)),
            *(count for window in windows for count in (window.limit, window.left) if count is not None),
        ]
        times = [
            *(time for lease in leases for time in (lease.expires, lease.length)),
            *(time for window in windows for time in (window.until, window.renewed)),
            *(time for place in places for time in (place.since, place.seen)),
        ]
        return (
            all(type(count) is int and 0 <= count < MOST for count in counts)
            and all(type(time) in (int, float) and 0 <= time < LATEST for time in times)
            and all(isinstance(lease.operation, str) and lease.length <= LONGEST_LEASE for lease in leases)
        )

    def write(self) -> str:
        def fields(each: Any) -> dict[str, Any]:
            return {name: getattr(each, name) for name in each.__slots__}

        return json.dumps(self, default=fields, separators=(",", ":"), sort_keys=True)

    def window(self, operation: str) -> _Window:
        return self.windows.setdefault(operation, _Window())

    def expire(self, now: float) -> None:
        """Free the slots of those who no longer renew them; what they began may count."""
        for name, lease in list(self.leases.items()):
            if not now < lease.expires <= now + lease.length + 1:
                del self.leases[name]
                self.window(lease.operation).lost += 1
        self.line = {
            who: place for who, place in self.line.items() if place.since <= place.seen <= now < place.seen + PRESENT
        }

    def end(self, end: End, now: float) -> None:
        window, lease = self.window(end.operation), self.leases.pop(end.id, None)
        if end.fate == ANSWERED:
            if lease is not None:
                window.accounted = max(window.accounted, lease.mark)
            window.learn(end.told, now)
        elif end.fate == LOST and lease is not None:  # an expired one was counted when it expired
            window.lost += 1

    def hold(self, ask: Ask, now: float, length: float) -> None:
        known = self.leases.get(ask.id)
        mark = known.mark if known else self.window(ask.operation).lost
        self.leases[ask.id] = _Lease(ask.operation, round(now + length, 3), length, mark)

    def is_covered(self, operation: str, now: float) -> bool:
        """Whether the quota covers one more. The first of a window goes alone: what is left of it is not known yet."""
        window = self.window(operation)
        in_flight = sum(lease.operation == operation for lease in self.leases.values())
        if not window.known(now):
            return in_flight == 0 or not window.told
        left = window.left or 0
        return left > 0 and (in_flight == 0 or left > in_flight + window.lost - window.accounted)

    def take_slot(self, who: str, now: float, slots: int, *, covered: bool) -> bool:
        """Whether it is this process's turn; if not, it stands in the line."""
        place = self.line.get(who, _Place(now, 0.0, covered))
        before = sum(other.covered and other.since < place.since for name, other in self.line.items() if name != who)
        if covered and slots - len(self.leases) > before:
            self.line.pop(who, None)
            return True
        if now - place.seen > REFRESHED or (covered and not place.covered):
            place.seen, place.covered = round(now, 3), covered
            place.since = min(round(place.since, 3), place.seen)
        self.line[who] = place
        return False


def exchange(text: str | None, now: float, *, trip: Trip, slots: int, length: float) -> tuple[str | None, Reply]:
    """Return the state to write (None: as it was) and what the process learns.

    Ends come first, so that a slot that is given back can be granted in the same exchange.
    """
    state = _State.read(text)
    state.expire(now)
    for end in trip.ends:
        state.end(end, now)
    for renewal in trip.renewals:
        if trip.due or renewal.id not in state.leases:
            state.hold(renewal, now, length)
    granted, spent, asks = set(), set(), list(trip.asks)
    if not asks:
        state.line.pop(trip.who, None)
    for ask in asks:
        window = state.window(ask.operation)
        if window.known(now) and window.left == 0 and ask.id not in state.leases:
            spent.add(ask.id)
        elif ask.id in state.leases or state.take_slot(
            trip.who, now, slots, covered=state.is_covered(ask.operation, now)
        ):
            state.hold(ask, now, length)
            granted.add(ask.id)
    quotas = {
        name: Told(window.limit, window.left, window.until, window.renewed - now)
        for name, window in state.windows.items()
        if window.known(now)
    }
    state.windows = {name: window for name, window in state.windows.items() if window != _Window()}
    written = state.write()
    unchanged = written == (text or _State().write()) and not trip.writes
    return None if unchanged else written, Reply(frozenset(granted), frozenset(spent), quotas)
