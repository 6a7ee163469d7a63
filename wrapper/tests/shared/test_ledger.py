"""One file a key: what a call with an idempotency key ends with, and what the ledger says of it then.

Run with SQLite here, and with PostgreSQL by `make test-ledger`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import (
    BadRequestError,
    ChatClient,
    DeliveryUnknownError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    NotSentError,
    QuotaExceededError,
    RetryPolicy,
    SentFile,
    ServerError,
    WaitTimeoutError,
)
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import SOON, Chat
from .ledgers import KEY, SLOW, Database, in_thread, requests, row, states
from .programs import in_flight, known, wait_for

Connect = Callable[..., Chat]


# Sent

SENDS: list[dict[str, Any]] = [{"chat_id": 2}, {"order_id": 77}]


@pytest.mark.parametrize("target", SENDS, ids=str)
def test_sent_once(
    sender: Connect, server: MockServer, database: Database, target: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "yandex_market_chat")
    first = sender().send(b"abc", name="a.pdf", **target, **KEY)
    made = len(requests(server))
    for client in (sender(), sender(retry=RetryPolicy(resend_unknown=True))):
        again = client.send(b"abc", name="a.pdf", **target, **KEY)
        assert again.from_ledger
        assert not first.from_ledger
        assert again == replace(first, elapsed=again.elapsed, quota=None, from_ledger=True)
        record = vars(caplog.records[-1])
        assert record["message"].startswith("sent before, as the ledger says: 'a.pdf' to 1/")
        assert (record["delivery"], record["outcome"]) == ("sent", "SentFile")
    assert len(requests(server)) == made
    assert requests(server).count("sendFileToChat") == 1
    assert states(database) == {"k": "sent"}


def test_keys_of_their_own(sender: Connect, server: MockServer) -> None:
    chat = sender()
    for more in (
        {"idempotency_key": "k"},
        {"idempotency_key": "K"},
        {"idempotency_key": "k", "business_id": 7},
        {},
        {},
    ):
        assert not chat.send(b"abc", **more).from_ledger
    assert len(server.received) == 5


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"file": b"abd"}, "another content"),
        ({"file": b"abcd"}, "another content"),
        ({"name": "b.pdf"}, "the name 'a.pdf'"),
        ({"chat_id": 3}, "chat_id=2"),
        ({"chat_id": None, "order_id": 77}, "chat_id=2"),
        ({"file": b"abd", "name": "b.pdf"}, "the name 'a.pdf' and another content"),
    ],
    ids=str,
)
@pytest.mark.parametrize("state", ["sent", "not sent", "unknown"])
def test_another_send_under_a_known_key(
    sender: Connect, server: MockServer, database: Database, more: dict[str, Any], what: str, state: str
) -> None:
    chat = sender()
    arguments = {"file": b"abc", "name": "a.pdf", "chat_id": 2}
    chat.send(**arguments, **KEY)
    database.execute(f"UPDATE {{table}} SET state = '{state}', unknown_attempts = {int(state == 'unknown')}")
    with pytest.raises(InvalidRequestError, match=f"was used with {what}. Another send needs a key of its own"):
        chat.send(**arguments | more, **KEY)
    assert requests(server).count("sendFileToChat") == 1
    assert states(database) == {"k": state}


@pytest.mark.parametrize("content", [b"abd", b"abcd", b"", b"x" * 2000], ids=len)
@pytest.mark.parametrize("target", SENDS, ids=str)
def test_another_content_in_a_new_process(
    sender: Connect, server: MockServer, content: bytes, target: dict[str, int]
) -> None:
    sender().send(b"abc", **target, **KEY)
    made = len(requests(server))
    if content:
        with pytest.raises(InvalidRequestError, match="another content"):
            sender(max_file_size=1000).send(content, **target, **KEY)
    else:  # what is truncated may as well be gone
        with pytest.raises(InvalidRequestError):
            sender().send(content, **target, **KEY)
    assert len(requests(server)) == made


def test_an_order_and_another(sender: Connect, server: MockServer) -> None:
    chat = sender()
    chat.send(b"abc", order_id=77, **KEY)
    with pytest.raises(InvalidRequestError, match="was used with order_id=77"):
        chat.send(b"abc", order_id=78, **KEY)
    assert len(server.received) == 1


def gone(folder: Path) -> Any:
    return folder / "a.pdf"


def closed(folder: Path) -> Any:
    reader = BytesIO(b"abc")
    reader.close()
    return reader


class Broken:
    def read(self, size: int = -1) -> bytes:
        raise RuntimeError("the reader's own")


FILES: dict[str, Callable[[Path], Any]] = {
    "gone": gone,
    "folder": lambda folder: folder,
    "closed": closed,
    "limit": lambda folder: b"abc",
    "broken": lambda folder: Broken(),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_known_as_sent_needs_no_file(
    sender: Connect, server: MockServer, database: Database, tmp_path: Path, kind: str
) -> None:
    sender().send(b"abc", name="a.pdf", **KEY)
    chat = sender(max_file_size=2)
    file = FILES[kind](tmp_path)
    assert chat.send(file, name="a.pdf", **KEY).from_ledger
    # Of a key of which nothing is known, and of one that was not sent, the file's own error is told.
    database.execute("UPDATE {table} SET state = 'not sent'")
    for key in ("k", "new"):
        with pytest.raises((OSError, InvalidRequestError, RuntimeError)) as caught:
            chat.send(file, name="a.pdf", idempotency_key=key)
        assert not isinstance(caught.value, LedgerError)
    # An unknown one stays that.
    database.execute("UPDATE {table} SET state = 'unknown', unknown_attempts = 1")
    with pytest.raises(DeliveryUnknownError) as unknown:
        chat.send(file, name="a.pdf", **KEY)
    assert (unknown.value.size, unknown.value.retryable) == (3, True)
    assert len(server.received) == 1


def test_a_quota_that_is_spent_hides_nothing(sender: Connect, busy: MockServer) -> None:
    chat = sender()
    chat.send(b"abc", **KEY)
    busy.limits.spend(1)
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            chat.send(b"abc", idempotency_key="new", timeout=1.0)
    assert chat.send(b"abc", timeout=1.0, **KEY).from_ledger


def test_no_slot_in_time_hides_nothing(sender: Connect, server: MockServer) -> None:
    chat = sender(max_parallel=1)
    chat.send(b"abc", **KEY)
    server.script(Answer(200, fault=SLOW))
    first = ChatClient(api_key=server.api_key, base_url=server.base_url)
    chat.client._slots = first._slots = type(chat.client._slots)(1)
    thread, ended = in_thread(lambda: first.send_file(b"abc", business_id=1, chat_id=2))
    wait_for(lambda: server.in_flight == 1)
    assert chat.send(b"abc", timeout=0.2, **KEY).from_ledger
    with pytest.raises(WaitTimeoutError):
        chat.send(b"abc", timeout=0.2, idempotency_key="new")
    thread.join()
    assert isinstance(ended[0], SentFile)


# Not sent


@pytest.mark.parametrize(("status", "error"), [(400, BadRequestError), (404, NotFoundError)])
def test_what_was_not_sent_is_tried_again(
    sender: Connect, server: MockServer, database: Database, status: int, error: type[NotSentError]
) -> None:
    server.script(Answer(status))
    with pytest.raises(error) as caught:
        sender().send(b"abc", **KEY)
    known = row(database)
    assert (known["state"], known["error"], known["status_code"]) == ("not sent", error.__name__, status)
    assert known["trace_id"] == caught.value.trace_id is not None
    assert not sender().send(b"abc", **KEY).from_ledger
    assert (row(database)["state"], row(database)["attempts"]) == ("sent", 2)
    assert row(database)["error"] is None


# Unknown


@pytest.mark.parametrize("seen", [False, True])
def test_what_is_unknown_is_looked_for_and_not_sent(
    sender: Connect, server: MockServer, database: Database, seen: bool
) -> None:
    server.script(Answer(500, taken=seen))
    with pytest.raises(ServerError) as first:
        sender().send(b"abc", name="a.pdf", **KEY)
    assert first.value.retryable
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("unknown", 1)
    database.execute("UPDATE {table} SET since = since - 60")
    chat = sender(confirm_unknown=5.0)
    if seen:
        found = chat.send(b"abc", name="a.pdf", **KEY)
        (message,) = server.chats.messages(1, 2)
        assert (found.confirmed_by, found.message_id, found.from_ledger) == ("history", message.message_id, False)
        assert (found.content_type, found.attempts, found.unknown_attempts) == ("application/pdf", 1, 0)
        again = chat.send(b"abc", name="a.pdf", **KEY)
        assert (again.confirmed_by, again.message_id, again.from_ledger) == ("history", message.message_id, True)
    else:
        with pytest.raises(DeliveryUnknownError) as caught:
            chat.send(b"abc", name="a.pdf", **KEY)
        error = caught.value
        assert str(error) == (
            "An earlier call with this idempotency key ended unknown (ServerError, status 500). Nobody can know whether"
            " the buyer received the file. This call sent nothing, and calling again with the key sends nothing either."
        )
        assert (error.retryable, error.unknown_attempts, error.attempts) == (True, 1, 0)
        assert error.since is not None
        assert first.value.since is not None
        assert abs(error.since + timedelta(seconds=60) - first.value.since) < timedelta(seconds=SOON)
        assert error.history_read_at is not None
    assert requests(server) == ["sendFileToChat", "getChatHistory"]
    assert states(database) == {"k": "sent" if seen else "unknown"}


@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_what_is_known_is_told_without_a_pause(sender: Connect, server: MockServer, state: str) -> None:
    server.script(Answer(200 if state == "sent" else 500))
    took = []
    for _ in range(6):  # a busy machine may make a pause of any of them, of all not
        try:
            took.append(sender(confirm_unknown=5.0).send(b"abc", name="a.pdf", order_id=77, **KEY).elapsed)
        except DeliveryUnknownError as error:
            took.append(error.elapsed)
    assert min(took[1:]) < 0.9


def test_the_history_is_read_once_for_an_order(sender: Connect, server: MockServer) -> None:
    server.script(Answer(500))
    with pytest.raises(ServerError):
        sender().send(b"abc", name="a.pdf", order_id=77, **KEY)
    with pytest.raises(DeliveryUnknownError):
        sender(confirm_unknown=5.0).send(b"abc", name="a.pdf", order_id=77, **KEY)
    assert requests(server) == ["createChat", "sendFileToChat", "getChatHistory"]


def test_what_is_told_of_a_lost_connection(sender: Connect, server: MockServer) -> None:
    server.script(Fault(cut="reset", at="after-body"))
    for said in (
        "The connection broke",
        r"An earlier call with this idempotency key ended unknown \(ConnectionLostError\)\. ",
    ):
        with pytest.raises(DeliveryUnknownError, match=f"^{said}"):
            sender().send(b"abc", **KEY)


def test_the_history_is_not_read_for_who_does_not_want_it(sender: Connect, server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    chat = sender(confirm_unknown=0.0)
    for _ in range(2):
        with pytest.raises(DeliveryUnknownError) as caught:
            chat.send(b"abc", **KEY)
    assert caught.value.history_read_at is None
    assert requests(server) == ["sendFileToChat"]


def test_resent_on_request(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Answer(500))
    with pytest.raises(ServerError):
        sender().send(b"abc", **KEY)
    sent = sender(confirm_unknown=5.0, retry=RetryPolicy(resend_unknown=True)).send(b"abc", **KEY)
    assert (sent.unknown_attempts, sent.confirmed_by, sent.from_ledger) == (1, "response", False)
    assert requests(server) == ["sendFileToChat", "getChatHistory", "sendFileToChat"]
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("sent", 1)


def test_who_resends_is_not_told_that_it_is_harmless(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(*[Answer(500)] * 3)
    for attempts in (2, 1):
        with pytest.raises(DeliveryUnknownError) as caught:
            sender(retry=RetryPolicy(attempts=attempts, resend_unknown=True)).send(b"abc", **KEY)
        assert caught.value.retryable is False
        assert "Check the chat before resending." in str(caught.value)
        assert "This call sent nothing" not in str(caught.value)
        assert row(database)["unknown_attempts"] == len(server.requests)


def test_what_is_unknown_is_written_before_it_is_tried_again(
    sender: Connect, server: MockServer, database: Database
) -> None:
    server.script(Answer(500, fault=Fault(delay=1.0)), Answer(500), SLOW)
    thread, ended = in_thread(lambda: sender(retry=RetryPolicy(resend_unknown=True)).send(b"abc", **KEY))
    wait_for(lambda: len(server.requests) == 3 and server.in_flight)
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("sending", 2)
    ((age,),) = (each.values() for each in database.execute("SELECT {now} - since AS age FROM {table}"))
    assert 1 <= age < 1 + SOON
    thread.join()
    assert ended[0].unknown_attempts == 2
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("sent", 2)


def test_a_refusal_does_not_undo_what_was_unknown(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Answer(500), Answer(400))
    with pytest.raises(ServerError):
        sender().send(b"abc", **KEY)
    with pytest.raises(DeliveryUnknownError) as caught:
        sender(retry=RetryPolicy(resend_unknown=True)).send(b"abc", **KEY)
    assert isinstance(caught.value.later, BadRequestError)
    assert str(caught.value) == (
        "An earlier call with this idempotency key ended unknown (ServerError, status 500). Nobody can know whether the"
        " buyer received the file. Check the chat before resending."
    )
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("unknown", 1)


def test_what_is_found_without_a_turn_of_its_own_is_written(
    sender: Connect, busy: MockServer, database: Database
) -> None:
    """The quota of sends is spent, that of histories is not."""
    busy.script(Answer(500, taken=True))
    with pytest.raises(ServerError):
        sender().send(b"abc", name="a.pdf", **KEY)
    chat = sender(confirm_unknown=5.0)
    busy.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        chat.send(b"abc", timeout=5.0)
    assert chat.send(b"abc", name="a.pdf", timeout=5.0, **KEY).confirmed_by == "history"
    assert states(database) == {"k": "sent"}
    assert row(database)["attempts"] == 1


def test_who_only_looks_uses_up_nothing_of_a_shared_quota(
    sender: Connect, busy: MockServer, limits: Path, database: Database
) -> None:
    busy.script(Answer(500, taken=True))
    with pytest.raises(ServerError):
        sender(shared_limits=limits).send(b"abc", name="a.pdf", **KEY)
    wait_for(lambda: in_flight(limits) == 0)
    with pytest.raises(DeliveryUnknownError):
        sender(shared_limits=limits).send(b"abc", name="a.pdf", **KEY)
    chat = sender(shared_limits=limits, confirm_unknown=5.0)
    assert chat.send(b"abc", name="a.pdf", **KEY).confirmed_by == "history"
    wait_for(lambda: in_flight(limits) == 0)
    assert set(re.findall(r'"lost":(\d+)', known(limits))) == {"0"}


# What it remembers


@pytest.mark.parametrize("chats", ["one chat", "a chat each"])
def test_prune(sender: Connect, server: MockServer, database: Database, chats: str) -> None:
    """What was sent stays while it may explain a message that another key of the chat would take for its own."""
    chat = sender()
    keys = {"sent": 0, "not sent": 0, "unknown": 1, "sending": 1}
    for number, (state, unknown) in enumerate(keys.items()):
        chat.send(b"abc", chat_id=2 if chats == "one chat" else 10 + number, idempotency_key=state)
        changes = f"state = '{state}', unknown_attempts = {unknown}"
        database.execute(f"UPDATE {{table}} SET {changes} WHERE key = '{state}'")
    ledger = database.ledger()
    assert ledger.prune(timedelta(hours=1)) == 0
    database.execute("UPDATE {table} SET changed_at = changed_at - 7200")
    assert ledger.prune(timedelta(hours=1)) == (1 if chats == "one chat" else 2)
    kept = {"unknown", "sending"} | ({"sent"} if chats == "one chat" else set())
    assert set(states(database)) == kept
    if chats != "one chat":
        assert not chat.send(b"abc", chat_id=10, idempotency_key="sent").from_ledger


def test_what_a_row_holds(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Answer(200))
    sent = sender().send(b"the content", name="счёт.pdf", order_id=77, **KEY)
    found = row(database)
    assert found["business_id"] == 1
    assert (found["chat_id"], found["order_id"]) == (sent.chat_id, 77)
    assert (found["name"], found["size"], found["content_type"]) == ("счёт.pdf", 11, "application/pdf")
    assert found["trace_id"] == sent.trace_id
    assert server.api_key not in repr(found)
    assert "the content" not in repr(found)
