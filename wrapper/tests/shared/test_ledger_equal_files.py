"""Equal files under several keys: a message of the chat confirms one of them, whichever process asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from yandex_market_chat import DeliveryUnknownError, ServerError
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat
from .ledgers import Database, in_thread, states
from .programs import wait_for

Connect = Callable[..., Chat]


@pytest.mark.parametrize("arrived", [1, 2])
def test_equal_files_of_two_keys(sender: Connect, server: MockServer, database: Database, arrived: int) -> None:
    """Of one message nobody knows whose it is, whoever asks first; two are of both."""
    server.script(Answer(500, taken=True), Answer(500, taken=arrived == 2))
    for key in ("a", "b"):
        with pytest.raises(ServerError):
            sender().send(b"abc", name="a.pdf", idempotency_key=key)
    ends = []
    for key in ("b", "a", "b", "a"):
        try:
            ends.append(sender(confirm_unknown=5.0).send(b"abc", name="a.pdf", idempotency_key=key).message_id)
        except DeliveryUnknownError:
            ends.append(None)
    if arrived == 1:
        assert ends == [None] * 4
    else:
        assert set(ends) == {message.message_id for message in server.chats.messages(1, 2)}
    assert set(states(database).values()) == {"unknown" if arrived == 1 else "sent"}


@pytest.mark.parametrize(
    "shift",
    [
        "UPDATE {table} SET changed_at = changed_at - 72 WHERE key = 'sent'",  # 12 s before, and the clock set by 60 s
        "UPDATE {table} SET state = 'unknown', unknown_attempts = 1, changed_at = changed_at - 9999 WHERE key = 'sent'",
    ],
    ids=["the database's clock was set", "an unknown one may arrive at any time"],
)
def test_nor_by_a_clock_that_was_set(sender: Connect, server: MockServer, database: Database, shift: str) -> None:
    sender().send(b"abc", name="a.pdf", idempotency_key="sent")
    server.script(Answer(500))
    with pytest.raises(ServerError):
        sender().send(b"abc", name="a.pdf", idempotency_key="lost")
    database.execute("UPDATE {table} SET since = since - 60 WHERE key = 'lost'")
    database.execute(shift)
    with pytest.raises(DeliveryUnknownError):
        sender(confirm_unknown=5.0).send(b"abc", name="a.pdf", idempotency_key="lost")
    assert states(database)["lost"] == "unknown"


def test_a_message_of_another_process_confirms_nothing(sender: Connect, server: MockServer, database: Database) -> None:
    """It is accounted for by the response that the other process got."""
    server.script(Answer(500), Answer(200))
    with pytest.raises(ServerError):
        sender().send(b"abc", name="a.pdf", idempotency_key="lost")
    sender().send(b"abc", name="a.pdf", idempotency_key="sent")
    with pytest.raises(DeliveryUnknownError):
        sender(confirm_unknown=5.0).send(b"abc", name="a.pdf", idempotency_key="lost")
    assert states(database) == {"lost": "unknown", "sent": "sent"}


@pytest.mark.usefixtures("one_look")
def test_nor_within_the_send_itself(sender: Connect, server: MockServer, database: Database) -> None:
    other = sender()
    server.script(Answer(500, fault=Fault(delay=1.0)), Answer(200))
    thread, ended = in_thread(lambda: sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key="lost"))
    wait_for(lambda: server.in_flight == 1)
    other.send(b"abc", name="a.pdf", idempotency_key="sent")
    thread.join()
    assert isinstance(ended[0], ServerError)
    assert ended[0].history_read_at is not None
    assert states(database) == {"lost": "unknown", "sent": "sent"}


@pytest.mark.usefixtures("one_look")
def test_a_message_that_confirms_one_key_is_none_of_the_next(sender: Connect, server: MockServer) -> None:
    found = []
    for key in ("first", "second"):
        server.script(Answer(500, taken=True))
        found.append(sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key=key).message_id)
    assert found == [message.message_id for message in server.chats.messages(1, 2)]


@pytest.mark.usefixtures("one_look")
def test_what_client_and_ledger_know_both_counts_once(sender: Connect, server: MockServer) -> None:
    chat = sender(confirm_unknown=8.0)
    chat.send(b"abc", name="a.pdf", idempotency_key="sent")
    server.script(Answer(500, taken=True))
    found = chat.send(b"abc", name="a.pdf", idempotency_key="lost")
    assert found.message_id == server.chats.messages(1, 2)[-1].message_id


@pytest.mark.usefixtures("one_look")
def test_what_was_sent_long_ago_accounts_for_nothing_new(
    sender: Connect, server: MockServer, database: Database
) -> None:
    sender().send(b"abc", name="a.pdf", chat_id=3, idempotency_key="sent")
    database.execute("UPDATE {table} SET chat_id = 2, changed_at = changed_at - 9999")  # where its message is too old
    server.script(Answer(500, taken=True))
    assert sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key="lost").confirmed_by == "history"
