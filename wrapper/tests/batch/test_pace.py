"""When a business may start another request: limits, quotas, and what Market has said lately."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from yandex_market_chat import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    ParallelLimitError,
    Quota,
    QuotaExceededError,
    RateLimitError,
)
from yandex_market_chat._quota import Quotas
from yandex_market_chat._steps import OPEN_CHAT, SEND_FILE
from yandex_market_chat.batch import BatchProgress, _pace
from yandex_market_chat.batch._outcome import FileChangedError, Opened
from yandex_market_chat.batch._pace import Pace
from yandex_market_chat.testing import SCENARIOS, Answer, Fault

from .conftest import Mailing, chats

SPENT = {
    "X-RateLimit-Resource-Limit": "1000",
    "X-RateLimit-Resource-Remaining": "0",
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2018 00:42:43 GMT",
    "Date": "Tue, 10 Jul 2018 00:42:42 GMT",
}


def test_a_spent_quota_is_waited_for_and_others_go_on(mailing: Mailing) -> None:
    """Nothing is refused: those in flight count as used."""
    mailing.server.clock.set(datetime(2026, 1, 1, 12, 59, 56, tzinfo=UTC))
    mailing.server.limits.enabled = True
    mailing.server.limits.spend(1, 993)
    mailing.server.limits.spend(2, 1000)
    paused: set[tuple[int, datetime]] = set()
    sent_while_paused: set[int] = set()

    def watch(progress: BatchProgress) -> None:
        for business in progress.businesses.values():
            if business.paused_until:
                paused.add((business.business_id, business.paused_until.replace(microsecond=0)))
                sent_while_paused.add(progress.businesses[3].sent)

    for chat in range(1, 16):
        mailing.server.script_for(chat, *[Fault(delay=0.05)] * 4)
    mailing.write(*(line for business in (1, 2, 3) for line in chats(15, business)))
    assert mailing.run(on_progress=watch).sent == 45
    assert {business for business, _ in paused} == {1, 2}
    assert max(sent_while_paused) > min(sent_while_paused)
    refused = [request.path for request in mailing.server.requests if request.status == 420]
    # Of business 2 nobody could know before the first was refused.
    assert refused == ["/v2/businesses/2/chats/file/send"]
    first = [file.at for file in mailing.server.received if file.business_id == 1]
    assert (sum(at.hour == 12 for at in first), sum(at.hour == 13 for at in first)) == (7, 8)


def test_a_spent_quota_does_not_count_against_an_item(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pace, "LONGEST_PAUSE", 0.02)
    told = SPENT | {"Date": SPENT["X-RateLimit-Resource-Until"]}  # renewed at once
    mailing.server.script(*[Answer(420, example="resource", headers=told)] * (_pace.TRIES + 1))
    mailing.write(*chats(1))
    assert mailing.run().sent == 1
    assert len(mailing.server.requests) == _pace.TRIES + 2


def test_lost_answers_count_as_used(mailing: Mailing) -> None:
    mailing.server.clock.set(datetime(2026, 1, 1, 12, 59, 57, tzinfo=UTC))
    mailing.server.limits.enabled = True
    mailing.server.limits.spend(1, 990)
    # Not the last of the hour: what is lost after the last answer of all is learned by asking once.
    for chat in (3, 5, 7, 8):
        mailing.server.script_for(chat, SCENARIOS["drop-after-body"])
    mailing.write(*chats(14))
    result = mailing.run()
    assert (result.sent, result.unknown) == (10, 4)
    assert not [request for request in mailing.server.requests if request.status == 420]


def test_too_many_at_once_makes_it_slower(mailing: Mailing) -> None:
    """Another program of the cabinet uses two of the four places."""
    mailing.server.limits.enabled = True
    mailing.server.limits._places[1] = 2
    for chat in range(1, 21):
        mailing.server.script_for(chat, *[Fault(delay=0.05)] * 4)
    mailing.write(*chats(20))
    assert mailing.run().sent == 20
    refused = [request for request in mailing.server.requests if request.status == 420]
    assert 1 <= len(refused) <= 3


def test_an_item_that_is_refused_with_420_for_ever(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pace, "pause_after", lambda *_: 0.01)
    mailing.server.script_for(1, *[Answer(420)] * _pace.TRIES)
    mailing.write(*chats(2))
    result = mailing.run()
    assert (result.sent, result.not_sent) == (1, 1)
    assert len(mailing.server.requests) == _pace.TRIES + 1


def test_a_spent_quota_is_waited_for_to_its_end() -> None:
    quotas = Quotas()
    quotas.learn((SEND_FILE, 1), Quota(1000, 0, datetime(2026, 1, 1, 13, tzinfo=UTC)), 600.0, 0.0)
    pace = Pace(1, quotas, 4)
    pace.ended(pace.started(), QuotaExceededError._because("spent", status_code=420), 0.0)
    assert pace.wait(0.0) == 600.0


def test_a_spent_quota_that_nobody_has_told_is_asked_for_less_and_less() -> None:
    pace = Pace(1, Quotas(), 4)
    waits = []
    for _ in range(8):
        pace.ended(pace.started(), QuotaExceededError._because("spent", status_code=420), 0.0)
        waits.append(pace.wait(0.0))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_one_request_fewer_is_one_fewer_of_both_operations() -> None:
    sending = Pace(1, Quotas(), 2)
    opening = Pace(1, Quotas(), 2, OPEN_CHAT, sending)
    assert sending.wait(0.0) == opening.wait(0.0) == 0.0
    sending.ended(sending.started(), ParallelLimitError._because("too many", status_code=420), 0.0)
    sending.started()
    assert opening.wait(60.0) == math.inf
    assert opening.wait(3700.0) == 0.0


def test_a_420_that_tells_nothing_may_be_the_hours() -> None:
    pace = Pace(1, Quotas(), 4)
    waits = []
    for _ in range(3):
        pace.ended(pace.started(), RateLimitError._because("untold", status_code=420), 0.0)
        waits.append(pace.wait(0.0))
    assert waits[0] <= waits[1] <= 1.0
    assert waits[2] == 3600.0


UNTIL = datetime(2026, 1, 1, 13, tzinfo=UTC)
DONE = Opened(1)
LOST = ConnectionLostError._because("lost")
UNTOLD = RateLimitError._because("untold", status_code=420)
REFUSED = AuthenticationError._because("no such key", status_code=401)


def a_pace(left: int | None = None, slots: int = 10) -> tuple[Pace, Quotas]:
    """One whose quota is known for 600 s, if it is."""
    quotas = Quotas()
    quotas.learn((SEND_FILE, 1), None if left is None else Quota(1000, left, UNTIL), 600.0, 0.0)
    return Pace(1, quotas, slots), quotas


def end(pace: Pace, *outcomes: object) -> None:
    for outcome in outcomes:
        pace.ended(pace.started(), outcome, 0.0)


def test_the_first_of_a_window_goes_alone_unless_no_quota_is_told() -> None:
    pace, quotas = a_pace()
    assert pace.wait(0.0) == 0.0
    mark = pace.started()
    assert pace.wait(0.0) == math.inf
    pace.ended(mark, DONE, 0.0)
    pace.started()
    assert pace.wait(0.0) == 0.0
    quotas.learn((SEND_FILE, 1), Quota(1000, 50, UNTIL), 600.0, 0.0)
    end(pace, DONE)
    assert pace.wait(599.0) == 0.0
    assert pace.wait(600.0) == math.inf


def test_what_is_in_flight_or_lost_counts_until_the_server_has_told_more() -> None:
    pace, quotas = a_pace(left=9)
    first, second, third = (pace.started() for _ in range(3))
    pace.ended(second, LOST, 0.0)
    pace.ended(third, LOST, 0.0)
    quotas.learn((SEND_FILE, 1), Quota(1000, 4, UNTIL), 600.0, 0.0)
    assert pace.wait(0.0) == 0.0  # of four, one is in flight and two may have been used
    later = pace.started()
    assert pace.wait(0.0) == math.inf
    pace.ended(first, DONE, 0.0)  # it began before they were lost, and tells nothing of them
    assert pace.wait(0.0) == 0.0
    more = pace.started()
    assert pace.wait(0.0) == math.inf
    pace.ended(later, DONE, 0.0)
    pace.ended(more, DONE, 0.0)
    for _ in range(3):
        pace.started()
        assert pace.wait(0.0) == 0.0
    pace.started()
    assert pace.wait(0.0) == math.inf


@pytest.mark.parametrize("between", [DONE, LOST])
def test_only_what_comes_in_a_row_counts(between: object) -> None:
    pace, _ = a_pace(left=900)
    end(pace, UNTOLD, UNTOLD, between, UNTOLD, UNTOLD)
    assert pace.wait(0.0) <= 1.0


@pytest.mark.parametrize("between", [None, ConnectionFailedError._because("nobody is there"), FileChangedError()])
def test_what_never_went_out_is_none_of_the_row(between: object) -> None:
    pace, _ = a_pace(left=900)
    end(pace, UNTOLD, between, UNTOLD, between, UNTOLD)
    assert pace.wait(0.0) == 3600.0


@pytest.mark.parametrize(("outcome", "most"), [(REFUSED, _pace.REFUSALS), (LOST, _pace.UNKNOWN)])
def test_a_business_is_given_up_after_so_many_in_a_row(outcome: object, most: int) -> None:
    pace, _ = a_pace(left=900)
    end(pace, *[outcome] * (most - 1), DONE, *[outcome] * (most - 1))
    assert not pace.given_up
    end(pace, outcome)
    assert pace.given_up.startswith(f"{most} sends in a row ")


@pytest.mark.parametrize("spent", [False, True])
def test_a_business_that_is_limited_for_ever_is_given_up(spent: bool) -> None:
    """Whatever Market tells of the quota, a counter of its own that stands still is not waited for without end."""
    limited = QuotaExceededError if spent else RateLimitError
    pace, _ = a_pace(left=900)
    outcome = limited._because("too many", status_code=420)
    for now, ended in ((0.0, outcome), (9000.0, outcome), (10_000.0, DONE), (11_000.0, outcome), (21_799.0, outcome)):
        pace.ended(pace.started(), ended, now)
        assert not pace.given_up
    pace.ended(pace.started(), outcome, 21_800.0)
    assert pace.given_up.startswith("nothing but 420 for 3 hours ")


def test_a_pause_is_no_longer_than_it_has_to_be() -> None:
    pace, _ = a_pace(left=5)
    end(pace, ParallelLimitError._because("too many", status_code=420))
    assert 0.0 < pace.wait(0.0) <= 0.5


def test_a_pause_ends_at_its_moment_and_takes_no_slot_that_is_not_free() -> None:
    pace, _ = a_pace(slots=2)
    end(pace, DONE, UNTOLD, UNTOLD, UNTOLD)
    pace.started()
    assert pace.wait(3599.0) == 1.0
    assert pace.wait(3600.0) == 0.0
    pace.started()
    assert pace.wait(3600.0) == math.inf
