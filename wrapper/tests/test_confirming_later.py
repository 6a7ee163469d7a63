"""`confirm`: the history is read once more, on demand, for a send that ended unknown."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    ChatClient,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    ResponseTimeoutError,
    RetryPolicy,
    SentFile,
    ServerError,
    UnclearResponseError,
    WaitTimeoutError,
)
from yandex_market_chat._errors import ChatNotOpenedError
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .handed_over import refused
from .test_confirming import HISTORY, PATIENT


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


def test_it_has_the_quota_that_is_known(chat: Chat, server: MockServer) -> None:
    server.limits.enabled = True
    chat.send(b"another")
    error = unknown(chat, server)
    found = chat.confirm(error)
    assert found is not None
    assert found.quota is not None
    assert found.quota == chat.quota(1)


def test_one_message_confirms_one_of_two_errors_that_were_made_by_hand(chat: Chat, server: MockServer) -> None:
    """Nothing tells which send they are of but the moment."""
    errors = [unknown(chat, server, taken=False), unknown(chat, server)]
    for error in errors:
        del error._owner
    found = [chat.confirm(error) for error in reversed(errors)]
    assert [each is not None for each in found] == [True, False]


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
    assert re.search(r"[.\])] The history was not read\.( |$)", str(later))
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
