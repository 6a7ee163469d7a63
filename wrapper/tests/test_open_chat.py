"""From the order to its chat: what is repeated, what it fails with, what is remembered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    AsyncChatClient,
    AuthenticationError,
    BadRequestError,
    ChatClient,
    ChatError,
    ChatNotOpenedError,
    ConnectionFailedError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    ParallelLimitError,
    QuotaExceededError,
    RetryPolicy,
    SentFile,
    WaitTimeoutError,
    _steps,
)
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat
from .handed_over import refused
from .interrupts import interrupted_when, needs_signals

OPEN = "createChat"
NOBODY = "http://127.0.0.1:9"  # privileged and unused, so nobody comes to listen there
ONCE = RetryPolicy(attempts=1)


def operations(server: MockServer) -> list[str]:
    return [request.operation or "" for request in server.requests]


def spent() -> dict[str, str]:
    now = datetime.now(UTC)
    until = format_datetime(now.replace(microsecond=0), usegmt=True)
    ahead = format_datetime(datetime.fromtimestamp(now.timestamp() + 1800, UTC), usegmt=True)
    return {"Date": until, "X-RateLimit-Resource-Remaining": "0", "X-RateLimit-Resource-Until": ahead}


def test_the_chat_of_an_order(chat: Chat, server: MockServer) -> None:
    opened = chat.open_chat(order_id=77)
    assert opened == server.chats.open(1, order_id=77)
    (request,) = server.requests
    assert request.method == "POST"
    assert request.path == "/v2/businesses/1/chats/new"
    assert json.loads(request.body) == {"context": {"type": "ORDER", "id": 77}}
    assert request.violation is None


def test_a_file_for_an_order(chat: Chat, server: MockServer) -> None:
    sent = chat.send(b"abc", order_id=77, name="a.pdf")
    assert operations(server) == [OPEN, "sendFileToChat"]
    assert (sent.order_id, sent.chat_id, sent.attempts) == (77, server.chats.open(1, order_id=77), 1)
    assert [(got.chat_id, got.content) for got in server.received] == [(sent.chat_id, b"abc")]
    assert chat.send(b"abc", chat_id=5).order_id is None


def test_what_is_remembered_is_not_asked_again(chat: Chat, server: MockServer) -> None:
    first = chat.open_chat(order_id=77)
    for _ in range(3):
        assert chat.open_chat(order_id=77) == first
        assert chat.send(b"abc", order_id=77).chat_id == first
    assert operations(server) == [OPEN] + ["sendFileToChat"] * 3
    # Of each business its own.
    chat.open_chat(order_id=77, business_id=2)
    assert operations(server)[4:] == [OPEN]


def test_what_is_remembered_is_bounded(chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps, "MOST_CHATS", 3)
    for order in (1, 2, 3, 4):
        chat.open_chat(order_id=order)
    assert list(chat.client._rules.chats) == [(1, 2), (1, 3), (1, 4)]
    chat.open_chat(order_id=1)
    assert operations(server) == [OPEN] * 5


def test_a_chat_that_is_gone_is_forgotten(chat: Chat, server: MockServer) -> None:
    chat.send(b"abc", order_id=77)
    server.script(Answer(404))
    with pytest.raises(NotFoundError) as caught:
        chat.send(b"abc", order_id=77)
    assert (caught.value.order_id, caught.value.chat_id) == (77, server.chats.open(1, order_id=77))
    chat.send(b"abc", order_id=77)
    assert operations(server) == [OPEN, "sendFileToChat", "sendFileToChat", OPEN, "sendFileToChat"]


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_any_other_failure_forgets_nothing(chat: Chat, server: MockServer, status: int) -> None:
    server.script(Answer(status))
    with pytest.raises(ChatError):
        chat.send(b"abc", order_id=77)
    chat.send(b"abc", order_id=77)
    assert operations(server) == [OPEN, "sendFileToChat", "sendFileToChat"]


# Repeats

REPEATED: dict[str, Answer | Fault] = {
    "500": Answer(500),
    "502": SCENARIOS["gateway-page"],
    "503": Answer(503, off_contract=True),
    "499": Answer(499, off_contract=True),
    "parallel limit": Answer(420, example="parallel"),
    "reset before the response": Fault(cut="reset", at="after-body"),
    "drop before the response": Fault(cut="drop", at="after-body", taken=True),
    "drop in the response": Fault(cut="drop", at="in-answer", after=100),
    "not HTTP": SCENARIOS["not-http"],
    "opened, and a 500": Answer(500, taken=True),
}


@pytest.mark.parametrize("kind", REPEATED)
@pytest.mark.parametrize("times", [1, 3])
def test_opening_is_repeated(connect: Callable[..., Chat], server: MockServer, kind: str, times: int) -> None:
    server.script_on(OPEN, *[REPEATED[kind]] * times)
    chat = connect()
    sent = chat.send(b"abc", order_id=77)
    assert operations(server) == [OPEN] * (times + 1) + ["sendFileToChat"]
    assert (sent.chat_id, sent.attempts, sent.unknown_attempts) == (server.chats.open(1, order_id=77), 1, 0)


def test_opening_is_repeated_after_a_timeout(connect: Callable[..., Chat], server: MockServer) -> None:
    from yandex_market_chat import Timeout

    server.script_on(OPEN, Fault(cut="silence", at="after-body"))
    assert connect(timeout=Timeout(total=20, read=0.5)).open_chat(order_id=77)
    assert operations(server) == [OPEN, OPEN]


@pytest.mark.parametrize("kind", REPEATED)
def test_not_more_often_than_the_policy_says(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script_on(OPEN, *[REPEATED[kind]] * 2)
    with pytest.raises(NotSentError) as caught:
        connect(retry=RetryPolicy(attempts=2)).send(b"abc", order_id=77)
    error = caught.value
    assert type(error) is (ParallelLimitError if kind == "parallel limit" else ChatNotOpenedError)
    assert error.retryable
    assert operations(server) == [OPEN, OPEN]
    assert server.received == ()
    assert (error.business_id, error.order_id, error.chat_id, error.size) == (1, 77, None, 3)


# Failures

FAILURES: dict[str, tuple[Answer | Fault, type[NotSentError]]] = {
    "400": (Answer(400), BadRequestError),
    "401": (Answer(401), AuthenticationError),
    "403": (Answer(403), AccessDeniedError),
    "404": (Answer(404), NotFoundError),
    "420": (Answer(420, example="parallel"), ParallelLimitError),
    "405": (Answer(405, off_contract=True), ChatNotOpenedError),
    "302": (Answer(302, off_contract=True), ChatNotOpenedError),
    "204": (Answer(204, "", off_contract=True), ChatNotOpenedError),
    "999": (Answer(999, "", off_contract=True), ChatNotOpenedError),
    "500": (Answer(500), ChatNotOpenedError),
    "lost": (Fault(cut="reset", at="after-body"), ChatNotOpenedError),
    "ERROR": (Answer(200, {"status": "ERROR"}), ChatNotOpenedError),
    "no JSON": (Answer(200, "OK", off_contract=True), ChatNotOpenedError),
    "no result": (Answer(200, {"status": "OK"}), ChatNotOpenedError),
    "no id": (Answer(200, {"status": "OK", "result": {}}, off_contract=True), ChatNotOpenedError),
    "id 0": (Answer(200, {"status": "OK", "result": {"chatId": 0}}, off_contract=True), ChatNotOpenedError),
    "id 2^63": (Answer(200, {"status": "OK", "result": {"chatId": 2**63}}, off_contract=True), ChatNotOpenedError),
    "id true": (Answer(200, {"status": "OK", "result": {"chatId": True}}, off_contract=True), ChatNotOpenedError),
    "id in quotes": (Answer(200, {"status": "OK", "result": {"chatId": "5"}}, off_contract=True), ChatNotOpenedError),
    "id 5.0": (Answer(200, {"status": "OK", "result": {"chatId": 5.0}}, off_contract=True), ChatNotOpenedError),
    "id null": (Answer(200, {"status": "OK", "result": {"chatId": None}}, off_contract=True), ChatNotOpenedError),
}
LATER = {"420", "500", "lost"}


@pytest.mark.parametrize("kind", [kind for kind in FAILURES if kind not in LATER])
def test_a_refusal_is_not_repeated(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script_on(OPEN, FAILURES[kind][0])
    with pytest.raises(NotSentError):
        connect().send(b"abc", order_id=77)
    assert operations(server) == [OPEN]


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_says_what_it_means(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    step, expected = FAILURES[kind]
    server.script_on(OPEN, step, step)
    chat = connect(retry=ONCE)
    for call in (lambda: chat.send(b"abc", order_id=77), lambda: chat.open_chat(order_id=77)):
        with pytest.raises(NotSentError) as caught:
            call()
        error = caught.value
        assert type(error) is expected
        assert error.retryable is (kind in LATER)
        assert (error.business_id, error.order_id, error.chat_id) == (1, 77, None)
        assert getattr(error, "status_code", 0) == (int(kind) if expected is not ChatNotOpenedError else 0)
    assert operations(server) == [OPEN] * 2
    assert chat.client._rules.chats == {}


@pytest.mark.parametrize("kind", FAILURES)
def test_the_text_speaks_of_what_was_asked(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script_on(OPEN, *[FAILURES[kind][0]] * 2)
    chat = connect(retry=ONCE)
    with pytest.raises(NotSentError) as caught:
        chat.send(b"abc", order_id=77)
    assert str(caught.value).count("The file was not sent.") == 1
    with pytest.raises(NotSentError) as caught:
        chat.open_chat(order_id=77)
    assert_speaks_of_the_chat(caught.value)


def assert_speaks_of_the_chat(error: ChatError) -> None:
    text = str(error)
    assert "The chat was not opened." in text
    for word in ("file", "sent", "send", "deliver", "buyer"):
        assert word not in text.lower(), text
    assert error.args == (text,)


@pytest.mark.parametrize("word", [{"base_url": NOBODY}, {"timeout": 1e-9}])
def test_the_text_of_what_never_reached_market(connect: Callable[..., Chat], word: dict[str, Any]) -> None:
    chat = connect(**({"retry": ONCE} | word))
    with pytest.raises(ConnectionFailedError if "base_url" in word else WaitTimeoutError) as caught:
        chat.open_chat(order_id=77)
    assert_speaks_of_the_chat(caught.value)
    assert caught.value.retryable


def test_a_quota_is_that_of_its_operation(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script_on(OPEN, Answer(420, headers=spent(), example="resource"))
    chat = connect(timeout=5.0)
    for attempts in (1, 0):
        with pytest.raises(QuotaExceededError) as caught:
            chat.open_chat(order_id=77)
        assert (caught.value.operation, caught.value.attempts) == (OPEN, attempts)
        assert_speaks_of_the_chat(caught.value)
    with pytest.raises(QuotaExceededError, match="file was not sent") as caught:
        chat.send(b"abc", order_id=77)
    assert caught.value.operation == OPEN
    assert operations(server) == [OPEN]
    # Files and other businesses have their own.
    assert chat.quota() is None
    chat.send(b"abc", chat_id=2)
    chat.open_chat(order_id=77, business_id=2)


def test_the_total_may_pass_while_a_request_is_in_flight(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script_on(OPEN, Fault(cut="silence", at="after-body"))
    with pytest.raises(ChatNotOpenedError, match="No complete response") as caught:
        connect(timeout=0.5).open_chat(order_id=77)
    assert caught.value.retryable
    assert_speaks_of_the_chat(caught.value)


def test_requests_are_counted(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script_on(OPEN, *[Answer(500)] * 8)
    chat = connect()
    with pytest.raises(ChatNotOpenedError) as caught:
        chat.open_chat(order_id=77)
    assert caught.value.attempts == 4
    with pytest.raises(ChatNotOpenedError) as caught:
        chat.send(b"abc", order_id=77)
    assert caught.value.attempts == 0  # of the file


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order_id": 0}, "order_id must be from 1"),
        ({"order_id": "77"}, "order_id must be an int, not str"),
        ({"order_id": 77, "business_id": None}, "business_id must be an int"),
        ({"order_id": 77, "timeout": -1}, "timeout must be a number"),
    ],
)
def test_wrong_arguments(chat: Chat, server: MockServer, arguments: dict[str, Any], words: str) -> None:
    with refused(server, InvalidRequestError, words):
        chat.open_chat(**arguments)


def test_a_closed_client_opens_nothing(chat: Chat, server: MockServer) -> None:
    asyncio.run(chat.client.aclose()) if chat.mode == "async" else chat.client.close()
    with refused(server, InvalidRequestError, "is closed"):
        chat.open_chat(order_id=77)


# No chat is opened before the file is read and found good


class Broken:
    def read(self, size: int) -> bytes:
        raise ValueError("the reader's own")


BAD_FILES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: b"",
    "an empty file": lambda path: BytesIO(),
    "too large": lambda path: b"x" * 11,
    "a file that is too large": lambda path: BytesIO(b"x" * 11),
    "missing": lambda path: path / "missing",
    "a directory": lambda path: path,
    "no file": lambda path: 7,
    "a reader that fails": lambda path: Broken(),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_no_chat_is_opened_for_a_bad_file(
    connect: Callable[..., Chat], server: MockServer, tmp_path: Path, kind: str
) -> None:
    with pytest.raises((NotSentError, OSError, ValueError)):
        connect(max_file_size=10).send(BAD_FILES[kind](tmp_path), order_id=77)
    assert server.connections == 0


# Interrupts and the log


def test_an_interrupt_while_opening_says_not_sent(server: MockServer, caplog: pytest.LogCaptureFixture) -> None:
    server.script_on(OPEN, *[Fault(cut="silence", at="after-body")] * 2)

    async def main() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url) as client:
            for call, arguments in ((client.send_file, (b"abc",)), (client.open_chat, ())):
                task = asyncio.ensure_future(call(*arguments, business_id=1, order_id=77))
                before = len(server.requests)
                while len(server.requests) == before or server.in_flight == 0:
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    with caplog.at_level(logging.INFO, logger="yandex_market_chat"):
        asyncio.run(main())
    texts = [record.getMessage() for record in caplog.records if record.name == "yandex_market_chat"]
    assert texts == ["not sent: CancelledError ['file.bin' to 1/order 77]", "not opened: CancelledError [1/order 77]"]


@needs_signals
def test_ctrl_c_while_opening_says_not_sent(server: MockServer, caplog: pytest.LogCaptureFixture) -> None:
    server.script_on(OPEN, Fault(cut="silence", at="after-body"))
    with (
        caplog.at_level(logging.INFO, logger="yandex_market_chat"),
        ChatClient(api_key=server.api_key, base_url=server.base_url) as client,
        interrupted_when(lambda: server.requests),
        pytest.raises(KeyboardInterrupt),
    ):
        client.send_file(b"abc", business_id=1, order_id=77)
    (record,) = [record for record in caplog.records if record.name == "yandex_market_chat"]
    assert record.getMessage() == "not sent: KeyboardInterrupt ['file.bin' to 1/order 77]"


def test_the_log_tells_what_was_opened(chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="yandex_market_chat"):
        opened = chat.open_chat(order_id=77)
        sent = chat.send(b"abc", order_id=77, name="a.pdf")
        server.script_on(OPEN, Answer(404))
        with pytest.raises(NotFoundError):
            chat.open_chat(order_id=78)
    assert isinstance(sent, SentFile)
    records = [record for record in caplog.records if record.name == "yandex_market_chat"]
    texts = [record.getMessage() for record in records]
    assert texts[:2] == [f"opened 1/{opened}", f"sent 'a.pdf' to 1/{opened}"]
    assert texts[2].startswith("not opened: Market answered 404")
    assert texts[2].endswith("[1/order 78]")
    assert [record.order_id for record in records] == [77, 77, 78]  # type: ignore[attr-defined]
