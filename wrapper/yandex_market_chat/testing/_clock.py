"""The clock of a server: what its answers are dated with, and what its hourly windows follow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

if sys.platform == "win32":
    real_monotonic = time.monotonic
else:
    # What freezes time for a test replaces `time.monotonic`, and may have done so before this module is imported.
    _gettime, _MONOTONIC = time.clock_gettime, time.CLOCK_MONOTONIC

    def real_monotonic() -> float:
        """Return seconds of a clock that only goes forward, also while a test has frozen time."""
        return _gettime(_MONOTONIC)


class Clock:
    """The time of this machine until a test sets or moves it; from then on it runs as far ahead or behind.

    It decides `Date`, `createdAt` of messages, `X-RateLimit-Resource-Until`, the windows of the limits, and when
    something was received: `clock.move(timedelta(hours=2))` makes a server whose clock is two hours fast. Delays of
    faults are real seconds anyway.

    Clients go by their own time: one that knows a quota to be spent does not ask again before that time has really
    passed. Those of the fixture `market_chat` forget what they know of quotas whenever the clock is set or moved.
    """

    def __init__(self) -> None:
        # One reference, put in place at once: readable from any thread without a lock.
        self._ahead = timedelta()
        self._on_change: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """Return the moment, aware and in UTC."""
        return datetime.now(UTC) + self._ahead

    def set(self, moment: datetime) -> None:
        """Put the clock to an aware moment, from which it runs on; ValueError for a naive one."""
        if moment.tzinfo is None:
            raise ValueError("the clock is set to an aware moment: datetime(..., tzinfo=UTC)")
        self._ahead = moment - datetime.now(UTC)
        self._on_change()

    def move(self, by: timedelta | float) -> None:
        """Move the clock by a time, or by seconds; back if negative."""
        self._ahead += by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._on_change()

    def _elapsed(self) -> float:
        """Return seconds that pass as this clock's do, also while a test has frozen time."""
        return real_monotonic() + self._ahead.total_seconds()

    def __repr__(self) -> str:
        return f"<Clock {self.now().isoformat(timespec='seconds')}>"
