"""What a message of the chat, or a call of `confirm`, does to the row of a key."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from yandex_market_chat import (
    DeliveryUnknownError,
    InvalidRequestError,
    LedgerError,
    RetryPolicy,
    ServerError,
    _delivery,
)
from yandex_market_chat.shared._row import RowError, Rows
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat
from .ledgers import KEY, Database, in_thread, requests, row, states
from .programs import wait_for

Connect = Callable[..., Chat]


@pytest.mark.usefixtures("one_look")
def test_a_message_that_confirms_another_key_leaves_it_unknown(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes see the same message at the same moment: who writes it down second has none."""
    monkeypatch.setattr(Rows, "others", lambda *_: [])  # as both have been told before
    server.script(Answer(500, taken=True), Answer(500, fault=Fault(delay=1.0)))
    assert sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key="first").confirmed_by == "history"
    began = datetime.now(UTC)
    with pytest.raises(
        DeliveryUnknownError, match=r"^The message in the chat confirms another idempotency key\."
    ) as caught:
        sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key="second")
    assert caught.value.retryable
    assert caught.value.since is not None
    assert began <= caught.value.since <= datetime.now(UTC) - timedelta(seconds=1)
    assert (row(database, "second")["state"], row(database, "second")["unknown_attempts"]) == ("unknown", 1)
    # And that stays so, whatever comes.
    server.script(Answer(401))
    with pytest.raises(DeliveryUnknownError):
        sender(retry=RetryPolicy(resend_unknown=True)).send(b"abc", name="a.pdf", idempotency_key="second")
    made = len(requests(server))
    with pytest.raises(DeliveryUnknownError):
        sender().send(b"abc", name="a.pdf", idempotency_key="second")
    assert len(requests(server)) == made


def test_confirm_does_not_take_a_message_that_another_key_has_just_been_given(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rows, "others", lambda *_: [])  # as it has been told before
    server.script(Answer(500, taken=True), Answer(500))
    errors = []
    for key in ("first", "second"):
        with pytest.raises(ServerError) as caught:
            sender().send(b"abc", name="a.pdf", idempotency_key=key)
        errors.append(caught.value)
    assert sender().confirm(errors[0]) is not None
    assert sender().confirm(errors[1]) is None
    assert states(database) == {"first": "sent", "second": "unknown"}


@pytest.mark.usefixtures("one_look")
def test_without_the_ledger_no_message_confirms(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another key's."""

    def fail(*_: object) -> None:
        raise RowError("The disk is gone")

    monkeypatch.setattr(Rows, "others", fail)
    server.script(Answer(500, taken=True))
    with pytest.raises(ServerError) as caught:
        sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", **KEY)
    assert caught.value.history_read_at is None
    with pytest.raises(ServerError) as again:
        sender().confirm(caught.value)
    assert isinstance(again.value.later, LedgerError)
    assert states(database) == {"k": "unknown"}


def test_who_else_has_sent_is_asked_after_the_page_was_read(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_delivery, "LOOKS", (0.05, 2.0))
    server.script(Answer(500))
    thread, ended = in_thread(lambda: sender(confirm_unknown=8.0).send(b"abc", name="a.pdf", idempotency_key="lost"))
    wait_for(lambda: "getChatHistory" in requests(server))
    sender().send(b"abc", name="a.pdf", idempotency_key="sent")
    thread.join()
    assert requests(server).count("getChatHistory") == 2
    assert isinstance(ended[0], ServerError)
    assert states(database) == {"lost": "unknown", "sent": "sent"}


def test_confirm_asks_the_ledger_and_tells_it(
    sender: Connect, connect: Connect, server: MockServer, database: Database
) -> None:
    server.script(Answer(500))
    with pytest.raises(ServerError) as lost:
        sender().send(b"abc", name="a.pdf", idempotency_key="lost")
    sender().send(b"abc", name="a.pdf", idempotency_key="sent")
    assert sender(confirm_unknown=5.0).confirm(lost.value) is None
    server.script(Answer(500, taken=True))
    with pytest.raises(ServerError) as arrived:
        sender().send(b"abc", name="b.pdf", idempotency_key="arrived")
    assert arrived.value.idempotency_key == "arrived"
    error = pickle.loads(pickle.dumps(arrived.value))
    with pytest.raises(InvalidRequestError, match="needs a client with a ledger"):
        connect().confirm(error)
    found = sender().confirm(error)
    assert found is not None
    assert states(database) == {"lost": "unknown", "sent": "sent", "arrived": "sent"}
    assert sender().send(b"abc", name="b.pdf", idempotency_key="arrived").message_id == found.message_id
