"""How long a batch will still take, as it tells while it runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat import Quota
from yandex_market_chat.batch import BatchProgress, BusinessProgress
from yandex_market_chat.batch._estimate import Estimate
from yandex_market_chat.testing import Fault

from .conftest import Mailing, chats


def test_the_time_to_go_knows_the_quota(mailing: Mailing) -> None:
    """26 minutes before the next hour: 10 requests are left for 30 files."""
    mailing.server.clock.set(datetime(2026, 1, 1, 12, 34, tzinfo=UTC))
    mailing.server.limits.enabled = True
    mailing.server.limits.spend(1, 990)
    for chat in range(1, 31):
        mailing.server.script_for(chat, Fault(delay=0.4))
    mailing.write(*chats(30))
    told: list[tuple[int, timedelta | None]] = []

    async def run() -> Any:
        stop = asyncio.Event()

        def watch(progress: BatchProgress) -> None:
            told.append((progress.done, progress.to_go()))
            if progress.businesses[1].paused_until:
                stop.set()

        return await mailing.send(stop=stop, on_progress=watch)

    result = asyncio.run(run())
    assert (result.sent, result.left) == (10, 20)
    assert told[0] == (0, None)
    known = [seconds for _, seconds in told if seconds is not None]
    assert len(known) >= 2
    assert timedelta(minutes=25) < min(known) <= max(known) < timedelta(minutes=27)


@pytest.mark.parametrize(
    ("left", "quota", "renewed", "seconds"),
    [
        (100, None, 0, 100),
        (100, Quota(1000, 100, None), 600, 100),
        (101, Quota(1000, 100, None), 600, 601),
        (1100, Quota(1000, 100, None), 600, 1600),
        (1101, Quota(1000, 100, None), 600, 600 + 3600 + 1),
        (1000, Quota(1000, 100, None), 0, 1000),  # nothing is known of the hour that has begun
        (1001, Quota(1000, None, None), 600, 3600 + 1),
        (100, Quota(None, 10, None), 600, 100),
        (100, Quota(1000, 100, None), 3600, 100),  # just enough
        (1101, Quota(1000, 100, None), 0.5, 3601),
    ],
)
def test_a_time_to_go(left: int, quota: Quota | None, renewed: float, seconds: float) -> None:
    estimate = Estimate()
    estimate._began -= 100
    estimate.learned(1, renewed)
    business = BusinessProgress(1, left, 0, done=100, quota=quota)
    told = estimate.to_go([business, BusinessProgress(2, 0, 7)])
    assert told
    assert told.total_seconds() == pytest.approx(seconds, rel=0.01, abs=1)


def test_a_pause_is_time_to_go_and_none_of_the_rate() -> None:
    estimate = Estimate()
    estimate._began -= 110
    business = BusinessProgress(1, 10, 0, done=20, paused_until=datetime.now(UTC) + timedelta(seconds=100))
    estimate.paused(1, 100.0)
    told = estimate.to_go([business])
    assert told
    assert told.total_seconds() == pytest.approx(105, abs=1)


def to_go(*businesses: BusinessProgress, paused: float = 0.0) -> float | None:
    """How long these will take, a hundred seconds after the start."""
    estimate = Estimate()
    estimate._began -= 100
    for _ in range(2):
        estimate.paused(1, paused / 2)
    told = estimate.to_go(businesses)
    return None if told is None else round(told.total_seconds(), 1)


def test_one_that_has_not_begun_goes_at_the_usual_rate() -> None:
    slow, fast = BusinessProgress(1, 100, 0, done=100), BusinessProgress(2, 3, 0, done=300)
    assert to_go(slow, fast) == 100
    assert to_go(slow, fast, BusinessProgress(3, 400, 0)) == 200


def test_a_time_to_go_at_its_ends() -> None:
    assert to_go(BusinessProgress(1, 10, 0)) is None
    assert Estimate().to_go([BusinessProgress(1, 10, 0, done=1)]) is None  # too soon to say
    assert to_go(BusinessProgress(1, 0, 0, done=1)) == 0
    assert to_go(BusinessProgress(1, 10, 0, done=1), paused=99.5) == pytest.approx(5.0, abs=0.2)
    past = datetime.now(UTC) - timedelta(seconds=10)
    assert to_go(BusinessProgress(1, 10, 0, done=100, paused_until=past)) == pytest.approx(10, abs=0.2)
    # Nothing was told of how long the quota holds: an hour.
    assert to_go(BusinessProgress(1, 11, 0, done=1, quota=Quota(10, 1, None))) == pytest.approx(3700, abs=2)
