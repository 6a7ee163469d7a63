"""What is a key, and what is a ledger."""

from __future__ import annotations

import asyncio
import pickle
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import (
    AsyncChatClient,
    ChatClient,
    FileTooLargeError,
    InvalidRequestError,
    Ledger,
    ParallelLimitError,
    ResponseTimeoutError,
    Timeout,
)
from yandex_market_chat.batch import send_batch
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat
from .ledgers import KEY, Database, row, states

Connect = Callable[..., Chat]


@pytest.mark.parametrize("key", ["", "x" * 256, 7, True, b"k", "a\0b", "\ud800", ["k"]], ids=repr)
def test_what_is_no_key(sender: Connect, server: MockServer, key: object) -> None:
    with pytest.raises(InvalidRequestError, match="idempotency_key must be a str of 1 to 255 characters, without NUL"):
        sender().send(b"abc", idempotency_key=key)
    assert not server.requests


@pytest.mark.parametrize(
    "key", ["x", "я" * 255, " ", "a\nb", "👩‍👩‍👧" * 20, "'; DROP TABLE sent; --", "%(key)s :key {now}"]
)
def test_what_is_one(sender: Connect, server: MockServer, database: Database, key: str) -> None:
    chat = sender()
    assert not chat.send(b"abc", idempotency_key=key).from_ledger
    assert chat.send(b"abc", idempotency_key=key).from_ledger
    assert states(database) == {key: "sent"}


def test_a_key_without_a_ledger(chat: Chat, server: MockServer) -> None:
    with pytest.raises(InvalidRequestError, match="needs a client with a ledger"):
        chat.send(b"abc", **KEY)
    assert not server.requests


def test_a_file_that_is_too_large_is_told(sender: Connect, server: MockServer) -> None:
    with pytest.raises(FileTooLargeError):
        sender(max_file_size=2).send(b"abc", **KEY)


def test_the_total_is_kept(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Fault(cut="silence", at="after-body"))
    with pytest.raises(ResponseTimeoutError) as caught:
        sender(timeout=Timeout(total=20.0, read=0.3)).send(b"abc", **KEY)
    assert caught.value.retryable
    assert states(database) == {"k": "unknown"}


def test_a_limit_is_waited_for_under_the_claim(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(*[Answer(420, example="parallel")] * 4, Answer(200))
    with pytest.raises(ParallelLimitError):
        sender().send(b"abc", **KEY)
    assert (row(database)["state"], row(database)["attempts"]) == ("not sent", 4)
    assert sender().send(b"abc", **KEY).attempts == 1


REFUSED: list[tuple[object, str]] = [
    (7, "ledger must be a path, a URL"),
    (b"/x", "ledger must be a path, a URL"),
    ("  ", "ledger must be a path, a URL"),
    ("redis://cache", "ledger: It must be a path, sqlite:////absolute/path or postgresql://…"),
    ("mysql://shop@db", "It must be a path"),
    ("postgresql:shop", "It must be a path"),
    ("sqlite:sent.sqlite", "It must be a path"),
    ("file:/x", "It must be a path"),
    (":memory:", "It must be a path"),
    ("postgresql://shop@db/shop?nonsense=1", "libpq knows no parameter nonsense"),
    ("a\0b", "Ledger.sqlite takes the path of a file"),
]


@pytest.mark.parametrize(("value", "sentence"), REFUSED, ids=repr)
def test_what_is_no_ledger(server: MockServer, value: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(sentence)):
        ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=value)


def test_what_the_environment_says(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_LEDGER", f"sqlite:///{tmp_path}/sent.sqlite")
    for again in (False, True):
        assert connect().send(b"abc", **KEY).from_ledger is again
    with pytest.raises(InvalidRequestError, match="needs a client with a ledger"):
        connect(ledger="").send(b"abc", **KEY)
    monkeypatch.setenv("YANDEX_MARKET_LEDGER", "redis://cache")
    with pytest.raises(InvalidRequestError, match="YANDEX_MARKET_LEDGER: It must be a path"):
        connect()


@pytest.mark.parametrize("lease", [0, 0.5, 3601, True, "60", None])
def test_what_is_no_lease(tmp_path: Path, lease: Any) -> None:
    with pytest.raises(InvalidRequestError, match="lease must be a number of seconds from 1 to 3600"):
        Ledger.sqlite(tmp_path / "sent.sqlite", lease=lease)


@pytest.mark.parametrize("age", [timedelta(seconds=-1), 90, None])
def test_what_is_no_age(tmp_path: Path, age: Any) -> None:
    with pytest.raises(InvalidRequestError, match="older_than must be a timedelta"):
        Ledger.sqlite(tmp_path / "sent.sqlite").prune(age)


def test_a_ledger_is_made_by_its_names() -> None:
    with pytest.raises(InvalidRequestError, match=r"made by Ledger\.sqlite"):
        Ledger("x")
    ledger = Ledger.sqlite("sent.sqlite")
    assert repr(ledger) == "<Ledger 'sent.sqlite'>"
    with pytest.raises(TypeError, match="create one in each process"):
        pickle.dumps(ledger)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_batch_uses_its_journal(server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    (tmp_path / "a.csv").write_text("business_id,chat_id,file\n")
    arguments: dict[str, Any] = {"api_key": server.api_key, "base_url": server.base_url}
    if by == "argument":
        arguments["ledger"] = tmp_path / "sent.sqlite"
    else:
        monkeypatch.setenv("YANDEX_MARKET_LEDGER", str(tmp_path / "sent.sqlite"))

    async def send() -> None:
        async with AsyncChatClient(**arguments) as chat:
            await send_batch(chat, tmp_path / "a.csv", journal=tmp_path / "a.sqlite")

    with pytest.raises(InvalidRequestError, match="A batch uses its journal"):
        asyncio.run(send())
