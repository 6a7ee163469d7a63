"""The decision core alone: what it asks for and when, on a clock of the test's own. No network, no sleep."""

from __future__ import annotations

import logging
import math
import random
from datetime import timedelta
from itertools import pairwise

import pytest

from yandex_market_chat import (
    AuthenticationError,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    NotSentError,
    ParallelLimitError,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    SentFile,
    ServerError,
    WaitTimeoutError,
)
from yandex_market_chat._delivery import deliver
from yandex_market_chat._send import Send
from yandex_market_chat._steps import LONGEST_PAUSE, SEND_FILE, MakeRequest, Pause, Steps, TakeSlot

from .world import DATE, World, answer, failed, lost, parallel, spent, untold

KEY = (SEND_FILE, 1)


def begun(world: World, total: float) -> Steps[SentFile]:
    """A send whose first attempt is being made."""
    steps = deliver(Send(lambda: world.now, business_id=1), world.rules, world.now + total)
    assert isinstance(next(steps), TakeSlot)
    assert isinstance(next(steps), MakeRequest)
    return steps


# Repeats


@pytest.mark.parametrize("refusal", [failed, parallel, untold])
def test_what_was_not_sent_is_repeated(refusal: type) -> None:
    world = World()
    sent = world.send(refusal(), refusal(), refusal(), answer())
    assert (sent.attempts, sent.unknown_attempts, world.attempts) == (4, 0, 4)
    assert (sent.name, sent.size, sent.content_type, sent.business_id, sent.chat_id) == ("a", 3, "b/c", 1, 2)
    assert sent.elapsed == 4 + sum(world.pauses)


@pytest.mark.parametrize(
    ("refusal", "error"), [(failed, ConnectionFailedError), (parallel, ParallelLimitError), (untold, RateLimitError)]
)
@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_as_often_as_the_policy_allows(refusal: type, error: type[ChatError], attempts: int) -> None:
    world = World(retry=RetryPolicy(attempts=attempts))
    with pytest.raises(error) as caught:
        world.send(*[refusal() for _ in range(attempts)])
    assert type(caught.value) is error
    assert caught.value.attempts == world.attempts == attempts


@pytest.mark.parametrize("outcome", [lambda: failed(final=True), lost, lambda: answer(401), lambda: answer(500)])
def test_nothing_else_is(outcome: type) -> None:
    world = World()
    with pytest.raises(ChatError) as caught:
        world.send(outcome())
    assert caught.value.attempts == 1
    assert world.pauses == []


def test_what_would_happen_again_is_not_repeated_on_demand_either() -> None:
    with pytest.raises(ConnectionFailedError):
        World(retry=RetryPolicy(resend_unknown=True)).send(failed(final=True))


@pytest.mark.parametrize("second", [failed, parallel, lambda: spent(1800), lost, lambda: answer(401), untold])
def test_after_an_unknown_attempt_no_failure_says_not_sent(second: type) -> None:
    world = World(retry=RetryPolicy(attempts=2, resend_unknown=True))
    with pytest.raises(DeliveryUnknownError) as caught:
        world.send(answer(503), second())
    error = caught.value
    assert type(error) is ServerError
    assert not isinstance(error, NotSentError)
    assert error.later is not None
    assert error.attempts == error.later.attempts == 2


def test_an_ok_after_unknown_attempts_tells_how_many() -> None:
    sent = World(retry=RetryPolicy(attempts=4, resend_unknown=True)).send(lost(), failed(), answer(500), answer())
    assert (sent.attempts, sent.unknown_attempts) == (4, 2)


# Pauses


def pauses(jitter: float, attempts: int = 9) -> list[float]:
    world = World(retry=RetryPolicy(attempts=attempts), jitter=jitter)
    world.send(*[parallel() for _ in range(attempts - 1)], answer())
    return world.pauses


def test_pauses_double_up_to_a_bound() -> None:
    longest = pauses(jitter=1.0)
    assert longest[0] == pytest.approx(0.02)
    assert all(after == pytest.approx(min(2 * before, LONGEST_PAUSE)) for before, after in pairwise(longest))
    assert max(pauses(jitter=1.0, attempts=40)) == pytest.approx(LONGEST_PAUSE)


def test_half_of_each_pause_is_chance() -> None:
    for shortest, middle, longest in zip(pauses(0.0), pauses(0.5), pauses(1.0), strict=True):
        assert shortest == pytest.approx(longest / 2)
        assert middle == pytest.approx(longest * 0.75)


def test_chance_is_real_by_default() -> None:
    seen = set()
    for _ in range(20):
        world = World()
        world.rules = world.rules._replace(jitter=random.random)
        world.send(parallel(), answer())
        seen.add(round(world.pauses[0], 9))
    assert len(seen) > 10
    assert all(0.01 <= pause <= 0.02 for pause in seen)


def test_thousands_of_attempts_overflow_nothing() -> None:
    world = World(retry=RetryPolicy(attempts=3000))
    assert world.send(*[failed() for _ in range(2999)], answer()).attempts == 3000
    assert max(world.pauses) == pytest.approx(LONGEST_PAUSE)


def test_a_slot_is_taken_for_each_attempt_and_not_held_in_a_pause() -> None:
    world = World()
    world.send(parallel(), failed(), answer())
    assert world.steps == [*[TakeSlot, MakeRequest, Pause] * 2, TakeSlot, MakeRequest]


def test_a_quota_that_others_spend_while_one_waits_for_a_slot_is_waited_for_without_the_slot() -> None:
    world = World()
    steps = deliver(Send(lambda: world.now, business_id=1), world.rules, world.now + 3600)
    assert isinstance(next(steps), TakeSlot)
    World.send(world, answer(remaining=0, until=1800))
    assert next(steps) == Pause(1800.0)
    world.now += 1800
    assert [type(next(steps)) for _ in range(2)] == [TakeSlot, MakeRequest]


# Time


@pytest.mark.parametrize(
    ("refusal", "error"), [(failed, ConnectionFailedError), (parallel, ParallelLimitError), (untold, RateLimitError)]
)
@pytest.mark.parametrize("slack", [0.0, 0.019])
def test_the_last_failure_is_raised_if_the_pause_would_end_behind_the_total(
    refusal: type, error: type[ChatError], slack: float
) -> None:
    world = World()
    with pytest.raises(error) as caught:
        world.send(refusal(), total=1.0 + slack)
    assert (caught.value.attempts, world.pauses) == (1, [])


def test_a_pause_that_ends_before_the_total_is_made() -> None:
    world = World()
    assert world.send(parallel(), answer(), total=1.03).attempts == 2


def test_without_a_total_there_is_always_time() -> None:
    assert World().send(spent(3600), answer(), total=math.inf).elapsed > 3600


def test_a_wait_too_long_before_any_attempt_is_a_wait() -> None:
    world = World()
    with pytest.raises(WaitTimeoutError, match="not sent") as caught:
        world.send(total=0.0)
    assert (caught.value.attempts, world.attempts) == (0, 0)


def test_a_pause_that_took_longer_than_asked_ends_with_the_last_failure() -> None:
    world = World()
    steps = begun(world, total=5)
    assert isinstance(steps.send(parallel()), Pause)
    world.now += 60  # a laptop that was closed
    with pytest.raises(ParallelLimitError):
        next(steps)


def test_a_pause_that_was_shorter_than_asked_is_made_up_for() -> None:
    world = World()
    steps = begun(world, total=5)
    first = steps.send(parallel())
    assert isinstance(first, Pause)
    world.now += first.seconds / 2
    second = next(steps)
    assert isinstance(second, Pause)
    assert second.seconds == pytest.approx(first.seconds / 2)


# The hourly quota


@pytest.mark.parametrize("hours", [-30000, -5, 0, 5, 30000])
def test_the_wait_is_measured_against_the_answers_own_date(hours: int) -> None:
    world = World(utcnow=DATE + timedelta(hours=hours))
    sent = world.send(spent(600), answer(), total=700)
    assert world.pauses == [600]
    assert sent.elapsed == 602


def test_without_a_date_the_local_clock_must_do() -> None:
    world = World(utcnow=DATE)
    world.send(spent(600, date=None), answer(), total=700)
    assert world.pauses == [600]


def test_a_reset_behind_the_total_is_raised_at_once() -> None:
    world = World()
    with pytest.raises(QuotaExceededError) as caught:
        world.send(spent(600), total=601)
    error = caught.value
    assert (world.pauses, error.attempts, error.resets_at) == ([], 1, DATE + timedelta(seconds=600))
    assert (error.status_code, error.elapsed) == (420, 1)


def test_a_reset_that_is_past_is_paced_like_any_limit() -> None:
    world = World()
    world.send(spent(-5), spent(0), answer())
    assert world.pauses == pytest.approx([0.02, 0.04])


def test_a_spent_quota_is_not_asked_again_before_its_reset() -> None:
    world = World()
    world.send(answer(remaining=0, until=600), total=10)
    with pytest.raises(QuotaExceededError) as caught:
        world.send(total=10)
    error = caught.value
    assert (world.attempts, error.attempts, error.status_code, error.body, error.errors) == (0, 0, 420, b"", ())
    assert error.resets_at == DATE + timedelta(seconds=600)
    assert error.quota is not None
    assert error.quota.remaining == 0
    assert world.send(answer(), total=10, business_id=7).attempts == 1
    # In the nick of time, and not a second before.
    world.now += 499
    assert world.send(answer(), total=110).elapsed == 101
    assert world.pauses == [100]


def test_after_the_reset_it_is_asked_at_once() -> None:
    world = World()
    with pytest.raises(AuthenticationError):
        world.send(answer(401, remaining=0, until=600))
    world.now += 601
    assert world.send(answer(), total=10).attempts == 1
    assert world.pauses == []


def test_what_others_learn_meanwhile_counts() -> None:
    world = World(retry=RetryPolicy(resend_unknown=True))
    steps = begun(world, total=60)
    pause = steps.send(lost())
    assert isinstance(pause, Pause)
    world.now += pause.seconds
    World.send(world, answer(remaining=0, until=1800))
    with pytest.raises(ConnectionLostError) as caught:
        next(steps)
    assert caught.value.later is None


def test_a_failure_before_others_learn_is_the_error() -> None:
    world = World()
    steps = begun(world, total=60)
    steps.send(failed())
    world.now += 1
    World.send(world, answer(remaining=0, until=1800))
    with pytest.raises(ConnectionFailedError):
        next(steps)


@pytest.mark.parametrize(
    ("told", "left", "until"),
    [
        # The same Until: the least that was left counts, in whatever order the answers come.
        ([(5, 600), (7, 600)], 5, 600),
        ([(7, 600), (5, 600)], 5, 600),
        ([(None, 600), (5, 600)], 5, 600),
        ([(5, 600), (None, 600)], 5, 600),
        ([(None, 600), (None, 600)], None, 600),
        # A later one begins a new hour, an earlier one is a latecomer.
        ([(0, 600), (999, 1200)], 999, 1200),
        ([(999, 1200), (0, 600)], 999, 1200),
        # Without one it says nothing about an hour that is known.
        ([(5, 600), (9, None)], 5, 600),
        ([(9, None), (5, 600)], 5, 600),
        ([(9, None), (8, None)], 8, None),
        ([(9, None), (None, None)], 9, None),
        # None of this API.
        ([(5, 600), (0, 3661)], 5, 600),
        ([(5, 600), (0, 3660)], 0, 3660),
    ],
)
def test_answers_that_arrive_out_of_order(
    told: list[tuple[int | None, int | None]], left: int | None, until: int | None
) -> None:
    world = World(took=0.0)
    for remaining, seconds in told:
        limits = {"remaining": remaining, "until": seconds}
        world.send(answer(**{name: value for name, value in limits.items() if value is not None}))
    quota = world.quotas.of(KEY)
    assert quota is not None
    assert (quota.remaining, quota.resets_at) == (left, until and DATE + timedelta(seconds=until))
    assert world.quotas.spent_for(KEY, world.now) == (until if left == 0 else 0)
    assert world.quotas.of((SEND_FILE, 2)) is None


def test_the_earliest_estimate_of_a_reset_counts() -> None:
    world = World(took=0.0)
    world.send(answer(remaining=0, until=600))
    world.now += 30
    # The same moment, told by an answer that was long on its way: its Date is as old.
    with pytest.raises(QuotaExceededError):
        world.send(total=569)
    world.quotas.learn(KEY, world.quotas.of(KEY), 600.0, world.now)
    assert world.quotas.spent_for(KEY, world.now) == 570


def test_what_is_told_after_the_reset_replaces_what_was_known() -> None:
    world = World()
    world.send(answer(remaining=5, until=600))
    world.now += 700
    world.send(answer(remaining=3))
    quota = world.quotas.of(KEY)
    assert quota is not None
    assert (quota.remaining, quota.resets_at) == (3, None)


# What is told about it


def test_each_step_is_logged_for_those_who_look(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="yandex_market_chat"):
        World().send(failed(), parallel(), answer())
    texts = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in texts] == [
        "attempt 1",
        "pause of 0.020 s",
        "attempt 2",
        "pause of 0.040 s",
        "attempt 3",
        "sent 'a' to 1/2",
    ]
