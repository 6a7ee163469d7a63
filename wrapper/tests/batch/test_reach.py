"""When a batch that does not reach Market tries again, and when it ends."""

from __future__ import annotations

import math

import pytest

from yandex_market_chat._errors import ConnectionFailedError, ConnectionLostError, UnexpectedRefusalError
from yandex_market_chat.batch._outcome import FileChangedError, Opened
from yandex_market_chat.batch._reach import FOREIGN, LONGEST_PAUSE, UNKNOWN, UNREACHED, Reach

BEGIN = 1_000_000.0
BEGINNINGS = pytest.mark.parametrize("now", [BEGIN, 0.0])
"""By the clock, which begins anywhere."""
LOST = ConnectionFailedError._because("Nobody is there.")
OTHER = UnexpectedRefusalError._because("Not Market's.", status_code=407, body="<html>", headers={})


@BEGINNINGS
def test_each_round_without_a_connection_pauses_twice_as_long(now: float) -> None:
    reach, pauses = Reach(due=100), []
    while not reach.over:
        assert reach.wait(now) == 0.0
        reach.ended(reach.started(), LOST, now)
        pauses.append(reach.wait(now))
        assert reach.wait(now + pauses[-1] / 2) == pytest.approx(pauses[-1] / 2)
        now += pauses[-1]
    assert pauses == [min(LONGEST_PAUSE, 2.0**number) for number in range(UNREACHED)]


@BEGINNINGS
def test_a_response_ends_the_pause(now: float) -> None:
    reach = Reach(due=100)
    first, second = reach.started(), reach.started()
    reach.ended(first, LOST, now)
    reach.ended(second, Opened(1), now)
    assert reach.wait(now) == 0.0


@pytest.mark.parametrize("due", [0, 1])
def test_one_item_has_one_try(due: int) -> None:
    reach = Reach(due)
    assert reach.trouble is None
    reach.ended(reach.started(), LOST, BEGIN)
    assert reach.over == str(LOST)


def test_those_in_flight_together_count_once() -> None:
    reach = Reach(due=100)
    reach.ended(reach.started(), Opened(1), BEGIN)
    marks = [reach.started() for _ in range(UNREACHED)]
    for mark in marks:
        reach.ended(mark, LOST, BEGIN)
    assert (reach.wait(BEGIN), reach.over) == (1.0, "")


def test_only_foreign_responses_in_a_row_end_it() -> None:
    reach = Reach(due=100)
    for _ in range(3):
        reach.ended(reach.started(), Opened(1), BEGIN)
        for _ in range(FOREIGN - 1):
            reach.ended(reach.started(), OTHER, BEGIN)
    assert not reach.over
    reach.ended(reach.started(), OTHER, BEGIN)
    assert reach.over


def test_the_trouble_is_told_until_market_has_responded() -> None:
    reach = Reach(due=100)
    reach.ended(reach.started(), LOST, BEGIN)
    reach.ended(reach.started(), FileChangedError(), BEGIN)
    assert reach.trouble == str(LOST)
    reach.ended(reach.started(), Opened(1), BEGIN)
    assert reach.trouble is None


def test_one_at_a_time_asks_until_market_has_responded() -> None:
    reach = Reach(due=100)
    first, second = reach.started(), reach.started()
    reach.ended(first, FileChangedError(), BEGIN)
    assert reach.wait(BEGIN) == math.inf
    reach.ended(second, LOST, BEGIN)
    reach.started()
    assert reach.wait(BEGIN + 0.5) == 0.5
    assert reach.wait(BEGIN + 1.0) == math.inf


def test_so_many_unknown_in_a_row_end_the_run() -> None:
    reach = Reach(due=100)
    unknown = ConnectionLostError._because("It broke.")
    for outcome in (*[unknown] * (UNKNOWN - 1), Opened(1), *[unknown] * (UNKNOWN - 1)):
        reach.ended(reach.started(), outcome, BEGIN)
        assert not reach.over
    assert reach.ended(reach.started(), unknown, BEGIN)
    assert reach.over == f"{UNKNOWN} sends in a row ended unknown. {unknown}"
