"""What is repeated, and what the outcome of several attempts is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO

import pytest

from yandex_market_chat import (
    AuthenticationError,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    ParallelLimitError,
    QuotaExceededError,
    ResponseTimeoutError,
    RetryPolicy,
    ServerError,
    Timeout,
    UnclearResponseError,
    _steps,
)
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import SOON, Chat
from .ports import kept_port

FILE = b"%PDF" + bytes(range(256)) * 500
RESEND = RetryPolicy(resend_unknown=True)
PARALLEL = Answer(420, example="parallel")
NOT_APPLIED = Answer(200, {"status": "ERROR"})
LOST = SCENARIOS["reset-after-body"]


def far_limit() -> Answer:
    """A 420 that clears in half an hour."""
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)
    headers = {"X-RateLimit-Resource-Remaining": "0", "X-RateLimit-Resource-Until": until}
    return Answer(420, headers=headers, example="resource")


def odd(status: int) -> Answer:
    return Answer(status, b"", off_contract=True)


# Repeated without asking


def test_a_connection_that_cannot_be_made_is_tried_again(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 0.2)
    keeper, port = kept_port()
    late = MockServer(port=port)
    starter = threading.Timer(0.05, late.start)
    starter.start()
    try:
        sent = connect(base_url=f"http://127.0.0.1:{port}", retry=RetryPolicy(attempts=6)).send(FILE)
    finally:
        starter.join()
        late.stop()
        keeper.close()
    assert sent.attempts >= 2
    assert sent.unknown_attempts == 0
    assert [file.content for file in late.received] == [FILE]


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_a_limit_that_clears_is_waited_for(chat: Chat, server: MockServer, refusals: int) -> None:
    server.script(*[PARALLEL, Answer(420, {"status": "ERROR"}), PARALLEL][:refusals])
    sent = chat.send(FILE)
    assert (sent.attempts, sent.unknown_attempts) == (len(server.requests), 0) == (refusals + 1, 0)
    assert len(server.received) == 1


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_after_the_last_attempt_the_limit_is_the_error(
    connect: Callable[..., Chat], server: MockServer, attempts: int
) -> None:
    server.script(*[PARALLEL] * 5)
    with pytest.raises(ParallelLimitError) as caught:
        connect(retry=RetryPolicy(attempts=attempts)).send(FILE)
    assert caught.value.attempts == len(server.requests) == attempts


@pytest.mark.parametrize("attempts", [1, 3])
def test_after_the_last_attempt_the_failed_connection_is_the_error(
    connect: Callable[..., Chat], server: MockServer, attempts: int
) -> None:
    chat = connect(retry=RetryPolicy(attempts=attempts))
    server.stop()
    with pytest.raises(ConnectionFailedError) as caught:
        chat.send(FILE)
    assert caught.value.attempts == attempts


def test_the_last_failure_itself_is_raised_at_once_if_the_pause_would_end_too_late(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(_steps, "LONGEST_PAUSE", 1000.0)
    server.script(PARALLEL)
    with pytest.raises(ParallelLimitError) as caught:
        connect(timeout=60.0).send(FILE)
    assert caught.value.attempts == 1
    assert caught.value.elapsed < SOON


# Never repeated

UNKNOWN: dict[str, Answer | Fault] = {
    "lost before the body": SCENARIOS["drop-before-body"],
    "lost in the body": SCENARIOS["reset-in-body"],
    "lost": LOST,
    "lost in the answer": SCENARIOS["drop-in-answer"],
    "half an OK": SCENARIOS["short-body"],
    "not HTTP": SCENARIOS["not-http"],
    "499": odd(499),
    "500": Answer(500),
    "502": SCENARIOS["gateway-page"],
    "503": odd(503),
    "200 with ERROR": NOT_APPLIED,
    "204": odd(204),
    **{str(status): odd(status) for status in (300, 301, 302, 303, 304, 307, 308, 399)},
    "999": odd(999),
}
REFUSED: dict[str, Answer | Fault] = {
    str(status): Answer(status) if status in (400, 401, 403, 404) else odd(status)
    for status in (400, 401, 403, 404, 405, 409, 413, 415, 422, 429)
}


@pytest.mark.parametrize("name", UNKNOWN | REFUSED)
def test_nothing_else_is_repeated(chat: Chat, server: MockServer, name: str) -> None:
    server.script((UNKNOWN | REFUSED)[name])
    with pytest.raises(ChatError) as caught:
        chat.send(FILE)
    assert caught.value.attempts == len(server.requests) == 1
    assert isinstance(caught.value, DeliveryUnknownError) == (name in UNKNOWN)
    assert getattr(caught.value, "later", None) is None


def test_no_answer_in_time_is_not_repeated(chat: Chat, server: MockServer) -> None:
    server.script(SCENARIOS["silence-after-body"])
    with pytest.raises(ResponseTimeoutError):
        chat.send(FILE, timeout=Timeout(total=5.0, read=0.2))
    assert len(server.requests) == 1


# Repeated on demand


@pytest.mark.parametrize("name", UNKNOWN)
def test_on_demand_the_unknown_is_repeated_and_counted(
    connect: Callable[..., Chat], server: MockServer, name: str
) -> None:
    server.script(UNKNOWN[name])
    sent = connect(retry=RESEND).send(FILE)
    assert (sent.attempts, sent.unknown_attempts) == (2, 1)
    assert len(server.requests) == 2
    assert server.received[-1].content == FILE


def test_on_demand_no_answer_in_time_is_repeated(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(SCENARIOS["silence-after-body"])
    assert connect(retry=RESEND).send(FILE, timeout=Timeout(total=5.0, read=0.2)).unknown_attempts == 1


def test_only_the_unknown_attempts_are_counted(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(PARALLEL, LOST, PARALLEL, Answer(500))
    sent = connect(retry=RetryPolicy(attempts=5, resend_unknown=True)).send(FILE)
    assert (sent.attempts, sent.unknown_attempts) == (5, 2)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_not_repeated_on_demand_either(
    connect: Callable[..., Chat], server: MockServer, name: str
) -> None:
    server.script(REFUSED[name])
    with pytest.raises(ChatError) as caught:
        connect(retry=RESEND).send(FILE)
    assert caught.value.attempts == len(server.requests) == 1


@pytest.mark.parametrize("name", ["lost", "500", "200 with ERROR"])
def test_with_one_attempt_there_is_one(connect: Callable[..., Chat], server: MockServer, name: str) -> None:
    server.script(UNKNOWN[name])
    with pytest.raises(DeliveryUnknownError) as caught:
        connect(retry=RetryPolicy(attempts=1, resend_unknown=True)).send(FILE)
    assert caught.value.later is None
    assert len(server.requests) == 1


# The outcome is over all attempts


@pytest.mark.parametrize(
    ("steps", "first", "later"),
    [
        ([LOST, Answer(401)], ConnectionLostError, AuthenticationError),
        ([LOST, far_limit], ConnectionLostError, QuotaExceededError),
        ([LOST, PARALLEL, Answer(401)], ConnectionLostError, AuthenticationError),
        ([PARALLEL, LOST, Answer(401)], ConnectionLostError, AuthenticationError),
        ([LOST, Answer(500), NOT_APPLIED, odd(303)], ConnectionLostError, UnclearResponseError),
        ([Answer(500), LOST, LOST, LOST], ServerError, ConnectionLostError),
        ([NOT_APPLIED, PARALLEL, PARALLEL, PARALLEL], UnclearResponseError, ParallelLimitError),
        ([Answer(500), LOST, Answer(401)], ServerError, AuthenticationError),
    ],
)
def test_the_first_unknown_attempt_decides(
    connect: Callable[..., Chat],
    server: MockServer,
    steps: list[Answer | Fault | Callable[[], Answer]],
    first: type[ChatError],
    later: type[ChatError],
) -> None:
    server.script(*(step() if callable(step) else step for step in steps))
    with pytest.raises(DeliveryUnknownError) as caught:
        connect(retry=RESEND).send(FILE, name="a.pdf")
    error = caught.value
    assert type(error) is first
    assert type(error.later) is later
    for each in (error, error.later):
        assert (each.business_id, each.chat_id, each.name, each.size) == (1, 2, "a.pdf", len(FILE))
        assert each.attempts == len(server.requests) == len(steps)
        assert each.elapsed > 0
    assert server.script_left == ()
    assert not isinstance(error.later, DeliveryUnknownError) or error.later.later is None


@contextmanager
def last_guest() -> Iterator[str]:
    """The base URL of somebody who takes one whole request and is gone, port and all."""

    def serve() -> None:
        accepted, _ = listener.accept()
        listener.close()
        with accepted:
            received = b""
            while FILE not in received:
                received += accepted.recv(65536)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    yield "http://{}:{}".format(*listener.getsockname())
    thread.join()


def test_lost_then_refused_stays_unknown(connect: Callable[..., Chat]) -> None:
    with last_guest() as url, pytest.raises(ConnectionLostError) as caught:
        connect(base_url=url, retry=RESEND).send(FILE)
    assert type(caught.value.later) is ConnectionFailedError
    assert caught.value.attempts == 4


def test_lost_and_no_time_for_another_stays_unknown(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(_steps, "LONGEST_PAUSE", 1000.0)
    server.script(LOST)
    with pytest.raises(ConnectionLostError) as caught:
        connect(retry=RESEND, timeout=60.0).send(FILE)
    assert caught.value.later is None
    assert caught.value.elapsed < SOON


def test_lost_then_out_of_time_stays_unknown(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(LOST, SCENARIOS["silence-after-body"])
    with pytest.raises(ConnectionLostError) as caught:
        connect(retry=RESEND, timeout=0.3).send(FILE)
    assert type(caught.value.later) is ResponseTimeoutError
    assert caught.value.attempts == len(server.requests) == 2


# The same file each time


@pytest.mark.parametrize("kind", ["bytes", "stream", "progress"])
def test_every_repeat_carries_the_same_bytes_name_and_type(
    connect: Callable[..., Chat], server: MockServer, kind: str
) -> None:
    server.script(PARALLEL, LOST, Answer(500))
    told: list[int] = []
    arguments = {"on_progress": lambda sent, total: told.append(sent)} if kind == "progress" else {}
    file = BytesIO(b"before" + FILE)
    file.seek(6)
    chat = connect(retry=RESEND)
    chat.send(file if kind == "stream" else FILE, name="счёт №1.pdf", content_type="application/x-own", **arguments)
    assert len(server.requests) == 4
    parts = [part for request in server.requests for part in request.parts]
    assert {(part.content, part.filename, part.content_type) for part in parts} == {
        (FILE, "счёт №1.pdf", "application/x-own")
    }
    assert len({(request.method, request.target) for request in server.requests}) == 1
    assert len(parts) == 4
    if kind == "progress":
        assert (told.count(0), told.count(len(FILE))) == (4, 4)
