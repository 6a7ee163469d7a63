"""The hourly quota of a business, as the server tells it in the headers of its responses."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# The window is an hour; what claims to end later than that and a minute is no window of this API.
LONGEST_WINDOW = timedelta(hours=1, minutes=1)


Key = tuple[str, int]
"""An operation and a business."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one business for this operation, as one response told it (headers `X-RateLimit-Resource-*`)."""

    limit: int | None
    """Requests an hour; None if not told."""
    remaining: int | None
    """Requests left until `resets_at`; None if not told."""
    resets_at: datetime | None
    """When the quota is renewed (aware, UTC); None if not told, not readable or impossible."""


_UNTOLD = Quota(None, None, None)


def read_quota(headers: Mapping[str, str], now: Callable[[], datetime]) -> tuple[Quota | None, float]:
    """Return the quota that a response tells, and the seconds until it is renewed (0 if that is past or untold).

    Seconds are measured against the response's own `Date`, so that a wrong local clock (`now`) does not matter.
    """
    limit = _count(headers.get("X-RateLimit-Resource-Limit"))
    remaining = _count(headers.get("X-RateLimit-Resource-Remaining"))
    resets_at = moment(headers.get("X-RateLimit-Resource-Until"))
    ahead = resets_at - (moment(headers.get("Date")) or now()) if resets_at is not None else timedelta()
    if ahead > LONGEST_WINDOW:
        resets_at, ahead = None, timedelta()
    quota = Quota(limit, remaining, resets_at)
    return None if quota == _UNTOLD else quota, max(0.0, ahead.total_seconds())


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def moment(value: str | None) -> datetime | None:
    """Return what an HTTP date says."""
    if value is None:
        return None
    # An HTTP date (RFC 9110, section 5.6.7), whatever weekday it names: the official example has a wrong one.
    try:
        moment = parsedate_to_datetime(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


class _Known(NamedTuple):
    quota: Quota
    renewed: float  # on the monotonic clock


class Quotas:
    """What is known of the quota of each business. Responses arrive out of order, and from several threads."""

    def __init__(self) -> None:
        self.forget()
        self.renew_lock()

    def forget(self) -> None:
        """Know nothing, as at the beginning."""
        self._known: dict[Key, _Known] = {}

    def renew_lock(self) -> None:
        """Forget the lock, in a forked child: it may be held by a thread that only the parent has."""
        self._lock = threading.Lock()

    def learn(self, key: Key, quota: Quota | None, seconds: float, now: float) -> None:
        """Take in what a response told; `now` is the monotonic moment when it came."""
        if quota is None:
            return
        told = _Known(quota, now + seconds)
        with self._lock:
            known = self._known.get(key, told)
            until = known.quota.resets_at
            if until is None or (now >= known.renewed if quota.resets_at is None else quota.resets_at > until):
                self._known[key] = told
            elif quota.resets_at == until:
                # One window: the least that was left counts. `Date` has whole seconds and a response takes time to
                # arrive, so each estimate of the end is late, and the earliest is the best.
                least = [left for left in (quota.remaining, known.quota.remaining) if left is not None]
                merged = Quota(quota.limit or known.quota.limit, min(least, default=None), until)
                self._known[key] = _Known(merged, min(told.renewed, known.renewed))

    def of(self, key: Key) -> Quota | None:
        """Return what is known."""
        known = self._known.get(key)
        return known.quota if known else None

    def left(self, key: Key, now: float) -> tuple[int | None, float]:
        """Return how many requests are known to be left, and for how many seconds more that holds.

        None, for 0 seconds, if that is not known, or no longer.
        """
        known = self._known.get(key)
        if known is None or known.quota.resets_at is None or now >= known.renewed:
            return None, 0.0
        return known.quota.remaining, known.renewed - now

    def spent_for(self, key: Key, now: float) -> float:
        """Return for how many seconds more the quota is known to be spent; 0 if it is not."""
        left, seconds = self.left(key, now)
        return seconds if left == 0 else 0.0
