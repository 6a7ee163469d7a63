"""An unknown outcome is looked up in the chat's history: within the total, and before each repeat."""

from __future__ import annotations

import asyncio
import pickle
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat import (
    AsyncChatClient,
    ConnectionLostError,
    DeliveryUnknownError,
    InvalidRequestError,
    NotSentError,
    ResponseTimeoutError,
    RetryPolicy,
    ServerError,
    Timeout,
    UnclearResponseError,
    _delivery,
)
from yandex_market_chat._steps import READ_HISTORY, SEND_FILE, MakeRequest, Pause, TakeSlot
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .world import Market, Outcome, World, answer, lost, parallel

HISTORY = "getChatHistory"
SOON = 8.0
"""Seconds to confirm in, with one look."""


def reads(server: MockServer) -> int:
    return sum(request.operation == HISTORY for request in server.requests)


def sends(server: MockServer) -> int:
    return sum(request.operation == "sendFileToChat" for request in server.requests)


# For real, within the send

LOST: dict[str, tuple[Answer | Fault, type[DeliveryUnknownError]]] = {
    "500": (Answer(500, taken=True), ServerError),
    "499": (Answer(499, off_contract=True, taken=True), ServerError),
    "302": (Answer(302, off_contract=True, taken=True), UnclearResponseError),
    "ERROR": (Answer(200, {"status": "ERROR"}, taken=True), UnclearResponseError),
    "lost after the body": (Fault(cut="reset", at="after-body", taken=True), ConnectionLostError),
    "cut response": (Fault(cut="drop", at="in-answer", after=60, taken=True), ConnectionLostError),
    "silence": (Fault(cut="silence", at="after-body", taken=True), ResponseTimeoutError),
}
PATIENT = Timeout(total=20.0, read=0.5)


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("kind", LOST)
def test_a_file_that_arrived_is_sent(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script(LOST[kind][0])
    sent = connect(confirm_unknown=SOON, timeout=PATIENT).send(b"abc", name='счёт "7".pdf')
    (message,) = server.chats.messages(1, 2)
    assert (sent.confirmed_by, sent.message_id) == ("history", message.message_id)
    assert (sent.attempts, sent.unknown_attempts, sent.trace_id) == (1, 0, None)
    assert (sends(server), reads(server)) == (1, 1)
    assert all(request.violation is None for request in server.requests)


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("shown", [unicodedata.normalize("NFD", 'счёт "7й".pdf'), "счёт %227й%22.pdf"])
def test_a_name_may_be_shown_in_another_spelling(connect: Callable[..., Chat], server: MockServer, shown: str) -> None:
    server.chats.alter = lambda name, size: (shown, size)
    server.script(LOST["500"][0])
    sent = connect(confirm_unknown=SOON, timeout=PATIENT).send(b"abc", name='счёт "7й".pdf')
    assert sent.confirmed_by == "history"


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("kind", LOST)
def test_one_that_did_not_stays_unknown(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    step, expected = LOST[kind]
    server.chats.alter = lambda name, size: ("another", size)
    server.script(step)
    before = datetime.now(UTC)
    with pytest.raises(DeliveryUnknownError) as caught:
        connect(confirm_unknown=SOON, timeout=PATIENT).send(b"abc", name="a.pdf")
    error = caught.value
    assert type(error) is expected
    assert "Check the chat before resending." in str(error)
    assert error.since is not None
    assert error.history_read_at is not None
    assert before <= error.since <= error.history_read_at <= datetime.now(UTC)
    assert (error.content_type, error.later, sends(server), reads(server)) == ("application/pdf", None, 1, 1)


def test_a_late_message_is_waited_for(connect: Callable[..., Chat], server: MockServer) -> None:
    server.chats.lag = 2.5
    server.script(Answer(500, taken=True))
    sent = connect(confirm_unknown=10.0, timeout=60.0).send(b"abc")
    assert sent.confirmed_by == "history"
    assert reads(server) == 2
    assert sent.elapsed >= 3


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_server_whose_clock_is_wrong(connect: Callable[..., Chat], server: MockServer, hours: int) -> None:
    server.clock.move(timedelta(hours=hours))
    chat = connect(confirm_unknown=SOON)
    server.script(Answer(500, taken=True))
    assert chat.send(b"abc").confirmed_by == "history"
    server.script(Answer(500))
    server.chats.post(1, 2, files=[("file.bin", 3)], sender="PARTNER", at=server.clock.now() - timedelta(seconds=10))
    with pytest.raises(ServerError):
        chat.send(b"abc")


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("newest_first", [False, True])
def test_in_a_long_history_of_either_order(
    connect: Callable[..., Chat], server: MockServer, newest_first: bool
) -> None:
    server.chats.newest_first = newest_first
    for number in range(120):
        server.chats.post(1, 2, f"message {number}")
    server.script(Answer(500, taken=True))
    assert connect(confirm_unknown=SOON).send(b"abc").confirmed_by == "history"
    assert reads(server) == (1 if newest_first else 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_stops_the_confirming_and_changes_nothing(
    connect: Callable[..., Chat], server: MockServer, status: int
) -> None:
    server.script(Answer(500, taken=True))
    server.script_on(HISTORY, Answer(status))
    with pytest.raises(ServerError) as caught:
        connect(confirm_unknown=20.0, timeout=60.0).send(b"abc")
    error = caught.value
    assert (type(error), error.status_code, error.history_read_at, error.later) == (ServerError, 500, None, None)
    assert reads(server) == 1


@pytest.mark.usefixtures("one_look")
def test_a_500_is_repeated(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    server.script_on(HISTORY, Answer(500), Fault(cut="drop", at="after-body"), Answer(420, example="parallel"))
    assert connect(confirm_unknown=SOON).send(b"abc").confirmed_by == "history"
    assert reads(server) == 4


def test_a_reading_that_is_cut_off_is_repeated_later(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_delivery, "LOOKS", (0.05, 0.5))
    server.script(Answer(500, taken=True))
    server.script_on(HISTORY, Fault(cut="reset", at="after-body"))
    chat = connect(confirm_unknown=60.0, timeout=100.0, retry=RetryPolicy(attempts=1))
    assert chat.send(b"abc", name="a.pdf").confirmed_by == "history"
    assert reads(server) == 2


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 413])
def test_without_an_unknown_outcome_nothing_is_read(
    connect: Callable[..., Chat], server: MockServer, status: int
) -> None:
    server.script(Answer(status, off_contract=True))
    with nullcontext() if status == 200 else pytest.raises(NotSentError):
        connect(confirm_unknown=20.0).send(b"abc")
    assert (sends(server), reads(server)) == (1, 0)


# Rule 12: time is reserved


@pytest.mark.usefixtures("one_look")
def test_a_send_that_times_out_still_reads_the_history(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Fault(cut="silence", at="after-body", taken=True))
    sent = connect(confirm_unknown=20.0, timeout=Timeout(total=10, read=10)).send(b"abc")
    assert sent.confirmed_by == "history"
    assert 8 <= sent.elapsed < 10


@pytest.mark.usefixtures("one_look")
def test_a_response_that_drips_leaves_time_too(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(200, fault=Fault(drip=2.0, taken=True)))
    sent = connect(confirm_unknown=20.0, timeout=Timeout(total=9, read=9)).send(b"abc")
    assert sent.confirmed_by == "history"


@pytest.mark.parametrize(
    ("confirm_unknown", "timeout", "reserve"),
    [
        (20.0, Timeout(total=10), 2.0),
        (20.0, Timeout(total=120), 3.0),
        (20.0, Timeout(total=1), 0.2),
        (20.0, Timeout(total=None), 0.0),
        (0.0, Timeout(total=10), 0.0),
    ],
)
def test_what_is_reserved(confirm_unknown: float, timeout: Timeout, reserve: float) -> None:
    world = World(confirm_unknown=confirm_unknown)
    world.send(answer(), total=timeout.total or 1e9, timeout=timeout)
    assert world.requests[0].reserve == pytest.approx(reserve)


def test_only_the_read_timeout_is_shortened_and_only_that_of_a_send() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    play = playing(market, answer(500))
    with pytest.raises(ServerError):
        world.send(total=100.0, play=play, order_id=None, timeout=Timeout(total=100.0))
    assert {step.operation: step.reserve for step in world.requests} == {SEND_FILE: 3.0, READ_HISTORY: 0.0}
    assert world.requests[0].deadline == pytest.approx(5100.0)


def test_without_confirming_the_whole_time_is_the_responses(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Fault(delay=1.7))
    assert connect(timeout=Timeout(total=2, read=2)).send(b"abc").confirmed_by == "response"


@pytest.mark.parametrize("kind", LOST)
def test_confirm_unknown_0_never_reads(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script(LOST[kind][0])
    with pytest.raises(DeliveryUnknownError) as caught:
        connect(confirm_unknown=0, timeout=PATIENT).send(b"abc")
    assert (reads(server), caught.value.history_read_at) == (0, None)
    assert caught.value.since is not None


@pytest.mark.parametrize("value", [-1, True, False, "20", None, float("nan"), float("inf"), 1e7])
def test_seconds_to_confirm_in_that_are_none_are_refused(value: Any, mode: str) -> None:
    with pytest.raises(InvalidRequestError, match="confirm_unknown must be a number of seconds"):
        Chat(mode, api_key="ACMA:key", confirm_unknown=value)


def playing(market: Market, *outcomes: Outcome, delivers: tuple[int, ...] = ()) -> Callable[[MakeRequest], Outcome]:
    """Play the sends one after the other, each a second long; those of these numbers reach the chat."""
    left = iter(enumerate(outcomes))

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        number, outcome = next(left)
        if number in delivers:
            market.post(at=market.world.now)
        market.world.now += 1
        return outcome

    return play


def test_the_pauses_hold_no_slot() -> None:
    world = World(confirm_unknown=20.0)
    with pytest.raises(ServerError):
        world.send(total=100.0, play=playing(Market(world), answer(500)))
    assert world.steps == [TakeSlot, MakeRequest, *[Pause, TakeSlot, MakeRequest] * 4]
    assert world.pauses == pytest.approx([1, 2, 4, 8])


def test_with_little_time_left_it_is_read_early() -> None:
    """A second after the failure would be too late; half of the time is left for the reading."""
    world = World(confirm_unknown=0.6)
    market = Market(world)
    sent = world.send(total=100.0, play=playing(market, answer(500), delivers=(0,)))
    assert sent.confirmed_by == "history"
    assert world.pauses == pytest.approx([0.3])


def test_others_send_while_one_waits_to_read_again(server: MockServer) -> None:
    server.script(Answer(500))

    async def main() -> list[Any]:
        settings: dict[str, Any] = {"api_key": server.api_key, "base_url": server.base_url}
        async with AsyncChatClient(**settings, confirm_unknown=6.5, max_parallel=1) as client:
            first = asyncio.ensure_future(client.send_file(b"lost", business_id=1, chat_id=2))
            while not server.requests:
                await asyncio.sleep(0.01)
            for _ in range(5):
                await client.send_file(b"abc", business_id=1, chat_id=2)
            assert not first.done()
            return await asyncio.gather(first, return_exceptions=True)

    (error,) = asyncio.run(main())
    assert type(error) is ServerError
    assert reads(server) == 2


def test_reading_has_a_quota_of_its_own() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    market.script = [lambda step: answer(420, remaining=0, until=1800)]
    with pytest.raises(ServerError):
        world.send(total=100.0, play=playing(market, answer(500)))
    assert world.quotas.spent_for((READ_HISTORY, 1), world.now) > 0
    assert world.quotas.spent_for((SEND_FILE, 1), world.now) == 0
    assert world.send(answer(), total=10.0).attempts == 1
    # Known to be spent, it is not asked again.
    with pytest.raises(ServerError) as caught:
        world.send(total=100.0, play=playing(market, answer(500)))
    assert len(market.reads) == 1
    assert caught.value.history_read_at is None


def test_a_spent_quota_of_sending_does_not_keep_from_reading() -> None:
    world = World(confirm_unknown=20.0)
    spent_with_it = answer(500, remaining=0, until=1800)
    sent = world.send(total=100.0, play=playing(Market(world), spent_with_it, delivers=(0,)))
    assert sent.confirmed_by == "history"
    assert sent.quota is not None
    assert sent.quota.remaining == 0


# resend_unknown

AGAIN = RetryPolicy(attempts=3, resend_unknown=True)


def test_the_history_is_read_before_each_repeat() -> None:
    world = World(confirm_unknown=20.0, retry=AGAIN)
    market = Market(world)
    with pytest.raises(ServerError) as caught:
        world.send(total=200.0, play=playing(market, answer(500), lost(), answer(502)))
    operations = [step.operation for step in world.requests]
    assert operations == [SEND_FILE, *[READ_HISTORY] * 4] * 3
    assert caught.value.status_code == 500
    assert type(caught.value.later) is ServerError
    assert (caught.value.attempts, caught.value.later.status_code) == (3, 502)


@pytest.mark.parametrize("lag", [0.0, 5.0, 13.0])
def test_found_means_sent_and_no_copy(lag: float) -> None:
    world = World(confirm_unknown=20.0, retry=AGAIN)
    market = Market(world)

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        market.post(at=world.now, shown=world.now + lag)
        return answer(500)

    sent = world.send(total=200.0, play=play)
    assert (sent.attempts, sent.unknown_attempts, sent.confirmed_by) == (1, 0, "history")
    assert len(market.posted) == 1


def test_the_file_of_the_first_attempt_is_found_after_the_second() -> None:
    world = World(confirm_unknown=20.0, retry=AGAIN)
    market = Market(world)
    numbers = iter(range(3))

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        if next(numbers) == 0:
            market.post(at=world.now, shown=world.now + 18)
        return lost()

    sent = world.send(total=200.0, play=play)
    assert (sent.attempts, sent.unknown_attempts, sent.message_id) == (2, 1, 3001)


def test_a_refusal_after_an_unknown_attempt_looks_once_more() -> None:
    world = World(confirm_unknown=20.0, retry=AGAIN)
    market = Market(world)

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        if market.posted:
            return answer(401)
        market.post(at=world.now, shown=world.now + 18)
        return answer(500)

    assert world.send(total=200.0, play=play).message_id == 3001


def test_a_repeat_that_market_confirms_is_confirmed_by_the_response() -> None:
    world = World(confirm_unknown=20.0, retry=AGAIN)
    sent = world.send(total=200.0, play=playing(Market(world), lost(), parallel(), answer()))
    assert (sent.confirmed_by, sent.message_id, sent.attempts, sent.unknown_attempts) == ("response", None, 3, 1)


def test_how_many_may_have_arrived_is_known_later_too(connect: Callable[..., Chat], server: MockServer) -> None:
    chat = connect(retry=AGAIN)
    server.script(Answer(500, taken=True), Answer(420, example="parallel"), Answer(500, taken=True))
    with pytest.raises(ServerError) as caught:
        chat.send(b"abc")
    assert (caught.value.attempts, caught.value.unknown_attempts) == (3, 2)
    found = chat.confirm(pickle.loads(pickle.dumps(caught.value)))
    assert found is not None
    assert (found.attempts, found.unknown_attempts) == (3, 1)


@pytest.mark.usefixtures("one_look")
def test_no_copy_for_real(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(500, taken=True), Answer(500, taken=True))
    sent = connect(confirm_unknown=SOON, retry=AGAIN).send(b"abc")
    assert (sent.attempts, sent.confirmed_by, len(server.received)) == (1, "history", 1)


@pytest.mark.usefixtures("one_look")
def test_an_unreadable_history_keeps_no_one_from_resending_who_asked_for_it(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    server.script(Answer(500), Answer(500))
    server.script_on(HISTORY, Answer(403))
    sent = connect(confirm_unknown=SOON, retry=AGAIN).send(b"abc")
    assert (sent.attempts, sent.unknown_attempts, sent.confirmed_by, reads(server)) == (3, 2, "response", 1)
