"""An unknown outcome is looked up in the chat's history: within the total, before each repeat, and later on demand."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    AsyncChatClient,
    ChatClient,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    QuotaExceededError,
    ResponseTimeoutError,
    RetryPolicy,
    SentFile,
    ServerError,
    Timeout,
    UnclearResponseError,
    WaitTimeoutError,
)
from yandex_market_chat._errors import ChatNotOpenedError
from yandex_market_chat._steps import READ_HISTORY, SEND_FILE, MakeRequest, Pause, TakeSlot
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .handed_over import refused
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


# Later


def unknown(chat: Chat, server: MockServer, *, taken: bool = True, **arguments: Any) -> DeliveryUnknownError:
    """The error of a send whose response is lost, of a client that leaves the history alone."""
    server.script(Answer(500, taken=taken))
    with pytest.raises(ServerError) as caught:
        chat.send(**({"file": b"abc", "name": "счёт.pdf"} | arguments))
    assert caught.value.history_read_at is None
    return caught.value


def test_a_later_question_finds_the_file(chat: Chat, server: MockServer) -> None:
    error = unknown(chat, server)
    found = chat.confirm(error)
    assert isinstance(found, SentFile)
    (message,) = server.chats.messages(1, 2)
    assert (found.confirmed_by, found.message_id) == ("history", message.message_id)
    assert (found.business_id, found.chat_id, found.order_id) == (1, 2, None)
    assert (found.name, found.size, found.content_type) == ("счёт.pdf", 3, "application/pdf")
    assert (found.attempts, found.unknown_attempts) == (1, 0)
    # The message is this send's for good, and no other's.
    again = chat.confirm(error)
    assert again is not None
    assert again.message_id == message.message_id


def test_it_knows_the_order(chat: Chat, server: MockServer) -> None:
    error = unknown(chat, server, order_id=77)
    found = chat.confirm(error)
    assert found is not None
    assert (found.order_id, found.chat_id) == (77, error.chat_id)


def test_what_is_not_seen_is_none_and_the_error_says_when(chat: Chat, server: MockServer) -> None:
    error = unknown(chat, server, taken=False)
    before = datetime.now(UTC)
    assert chat.confirm(error) is None
    assert error.history_read_at is not None
    assert before <= error.history_read_at <= datetime.now(UTC)
    first = error.history_read_at
    assert chat.confirm(error) is None
    assert error.history_read_at >= first


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_error_will_do(connect: Callable[..., Chat], chat: Chat, server: MockServer, protocol: int) -> None:
    error = pickle.loads(pickle.dumps(unknown(chat, server), protocol))
    found = connect().confirm(error)
    assert found is not None
    assert found.message_id == server.chats.messages(1, 2)[0].message_id


def test_an_error_from_another_process(chat: Chat, server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    code = """
import pickle, sys
from yandex_market_chat import ChatClient, DeliveryUnknownError
with ChatClient(confirm_unknown=0) as client:
    try:
        client.send_file(b"abc", business_id=1, chat_id=2, name="a.pdf")
    except DeliveryUnknownError as error:
        sys.stdout.buffer.write(pickle.dumps(error))
"""
    settings = {"YANDEX_MARKET_API_KEY": server.api_key, "YANDEX_MARKET_BASE_URL": server.base_url}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | settings, capture_output=True, check=True)
    found = chat.confirm(pickle.loads(done.stdout))
    assert found is not None
    assert (found.name, found.size) == ("a.pdf", 3)


def test_a_clock_that_was_set_since(chat: Chat, server: MockServer) -> None:
    """By up to 300 s in either direction of what is safe: later than it was, the file is still found."""
    error = unknown(chat, server)
    assert error.since is not None
    error.since += timedelta(seconds=290)
    assert chat.confirm(error) is not None


def test_an_older_file_is_not_the_one(chat: Chat, server: MockServer) -> None:
    error = unknown(chat, server, taken=False)
    assert error.since is not None
    server.chats.post(1, 2, files=[("счёт.pdf", 3)], sender="PARTNER", at=error.since - timedelta(seconds=310))
    assert chat.confirm(error) is None


@pytest.mark.parametrize("since", [datetime.min, datetime.max, datetime(1970, 1, 1), datetime(3000, 1, 1)])
def test_the_ends_of_the_calendar(chat: Chat, server: MockServer, since: datetime) -> None:
    error = unknown(chat, server)
    error.since = since.replace(tzinfo=UTC)
    assert (chat.confirm(error) is not None) is (since.year < 2000)


# Not readable

UNREADABLE: dict[str, tuple[Answer | Fault, type[ChatError]]] = {
    "401": (Answer(401), ChatError),
    "403": (Answer(403), AccessDeniedError),
    "404": (Answer(404), NotFoundError),
    "500": (Answer(500), ServerError),
    "lost": (Fault(cut="reset", at="after-body"), ConnectionLostError),
    "silent": (Fault(cut="silence", at="after-body"), ResponseTimeoutError),
    "no history": (Answer(200, {"status": "OK"}, off_contract=True), UnclearResponseError),
    "quota": (Answer(420, example="resource"), QuotaExceededError),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_history_raises_the_same_error_and_says_why(
    connect: Callable[..., Chat], server: MockServer, kind: str
) -> None:
    chat = connect(retry=RetryPolicy(attempts=1), timeout=PATIENT)
    error = unknown(chat, server)
    attributes, text = dict(vars(error)), str(error)
    step, expected = UNREADABLE[kind]
    server.script_on(HISTORY, step)
    with pytest.raises(ServerError) as caught:
        chat.confirm(error)
    assert caught.value is error
    later = error.later
    assert isinstance(later, expected)
    assert (str(error), error.history_read_at) == (text, None)
    assert {name: value for name, value in vars(error).items() if name != "later"} == {
        name: value for name, value in attributes.items() if name != "later"
    }
    # Of the file it says nothing.
    assert "The history was not read." in str(later)
    for words in ("not sent", "Nobody can know", "Send it"):
        assert words not in str(later)
    assert (later.business_id, later.chat_id, later.name, later.size) == (1, 2, "счёт.pdf", 3)
    assert getattr(later, "body", b"") == b""
    assert pickle.loads(pickle.dumps(error)).later.args == later.args


def test_nobody_there(connect: Callable[..., Chat], server: MockServer) -> None:
    error = unknown(connect(), server)
    with pytest.raises(ServerError) as caught:
        connect(base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=1)).confirm(error)
    assert type(caught.value.later) is ConnectionFailedError


def test_no_time_to_read(chat: Chat, server: MockServer) -> None:
    error = unknown(chat, server)
    with pytest.raises(ServerError) as caught:
        chat.confirm(error, timeout=1e-9)
    assert type(caught.value.later) is WaitTimeoutError
    assert chat.confirm(error) is not None


# Wrong arguments


def good() -> ServerError:
    error = ServerError("It failed.")
    vars(error).update(business_id=1, chat_id=2, name="a", size=3, since=datetime.now(UTC), content_type="b/c")
    return error


def changed(**changes: object) -> Callable[[], object]:
    def make() -> ServerError:
        error = good()
        vars(error).update(changes)
        return error

    return make


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "none": (lambda: None, "error must be a DeliveryUnknownError"),
    "a text": (lambda: "error", "error must be a DeliveryUnknownError"),
    "an error that says not sent": (lambda: ChatNotOpenedError("No."), "error must be a DeliveryUnknownError"),
    "a foreign error": (lambda: TimeoutError("No."), "error must be a DeliveryUnknownError"),
    "the class": (lambda: ServerError, "error must be a DeliveryUnknownError"),
    "an error of nothing": (lambda: ServerError("No."), "with business_id, chat_id, name and size"),
    "no chat": (changed(chat_id=None), "with business_id, chat_id, name and size"),
    "no name": (changed(name=None), "with business_id, chat_id, name and size"),
    "no size": (changed(size=None), "with business_id, chat_id, name and size"),
    "no business": (changed(business_id=None), "business_id must be an int"),
    "a business in quotes": (changed(business_id="1"), "business_id must be an int"),
    "a chat in quotes": (changed(chat_id="2"), "chat_id must be an int"),
    "no time": (changed(since=None), "error.since must be the moment"),
    "a time without a zone": (changed(since=datetime(2026, 1, 1)), "error.since must be the moment"),
    "a time in words": (changed(since="2026-01-01T00:00:00Z"), "error.since must be the moment"),
    "a name that is no text": (changed(name=7), "with business_id, chat_id, name and size"),
    "a size that is no number": (changed(size="3"), "with business_id, chat_id, name and size"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_unknown_send_is_refused(chat: Chat, server: MockServer, kind: str) -> None:
    make, words = WRONG[kind]
    with refused(server, InvalidRequestError, words):
        chat.confirm(make())


def test_a_closed_client_confirms_nothing(chat: Chat, server: MockServer) -> None:
    asyncio.run(chat.client.aclose()) if chat.mode == "async" else chat.client.close()
    with refused(server, InvalidRequestError, "is closed"):
        chat.confirm(good())


def test_many_threads_confirm_one_error_alike(server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    found: list[SentFile | None] = []
    with ChatClient(api_key=server.api_key, base_url=server.base_url, confirm_unknown=0) as client:
        with pytest.raises(ServerError) as caught:
            client.send_file(b"abc", business_id=1, chat_id=2)
        asking = [threading.Thread(target=lambda: found.append(client.confirm(caught.value))) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert len({each and each.message_id for each in found} - {None}) == 1
    assert len([each for each in found if each is not None]) == 8
