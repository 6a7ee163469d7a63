"""How long a batch will still take: at its rate, with the quotas and pauses that are known."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ._result import BusinessProgress

HOUR = 3600.0


class Estimate:
    """What is measured for it. Businesses run side by side: the one that takes longest counts."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._paused: defaultdict[int, float] = defaultdict(float)
        self._renewed: dict[int, float] = {}

    def paused(self, business_id: int, seconds: float) -> None:
        """Note a pause that has ended: it is none of the rate."""
        self._paused[business_id] += seconds

    def learned(self, business_id: int, seconds: float) -> None:
        """Note for how many seconds more holds what is known of the quota."""
        self._renewed[business_id] = time.monotonic() + seconds

    def to_go(self, businesses: Iterable[BusinessProgress]) -> timedelta | None:
        """Return how long these will still take; None if nothing has ended yet."""
        elapsed = time.monotonic() - self._began
        rates = {
            each.business_id: each.done / max(elapsed - self._paused[each.business_id], 0.001)
            for each in businesses
            if each.done
        }
        if not rates or elapsed < 1:
            return None
        usual = sum(rates.values()) / len(rates)
        seconds = [self._seconds(each, rates.get(each.business_id, usual)) for each in businesses if each.left]
        return timedelta(seconds=max(seconds, default=0.0))

    def _seconds(self, business: BusinessProgress, rate: float) -> float:
        until, quota = business.paused_until, business.quota
        pause = max(0.0, (until - datetime.now(UTC)).total_seconds()) if until else 0.0
        at_work = pause + business.left / rate
        if quota is None or not quota.limit:
            return at_work
        window, remaining = self._renewed.get(business.business_id, 0.0) - time.monotonic(), quota.remaining
        if window <= 0 or remaining is None:  # nothing is known of the hour that has begun
            window, remaining = HOUR, quota.limit
        if business.left <= remaining:
            return at_work
        hours, last = divmod(business.left - remaining - 1, quota.limit)
        return max(at_work, window + hours * HOUR + (last + 1) / rate)
