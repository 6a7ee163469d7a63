"""One file, sent in every way that the interface offers, and what the server got."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from yandex_market_chat import SentFile
from yandex_market_chat.testing import MockServer

from .conftest import Chat

CONTENT = bytes(range(256)) * 300  # more than one piece of 64 KiB


def test_the_file_arrives_and_the_result_says_so(chat: Chat, server: MockServer) -> None:
    sent = chat.send(CONTENT, business_id=2**63 - 1, chat_id=2**62, name="счёт.pdf", content_type="application/x-own")
    (got,) = server.received
    assert got.content == CONTENT
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (got.business_id, got.chat_id, got.name, got.content_type) == (
        2**63 - 1,
        2**62,
        "счёт.pdf",
        "application/x-own",
    )
    (request,) = server.requests
    assert request.violation is None
    assert isinstance(sent, SentFile)
    assert (sent.business_id, sent.chat_id, sent.name, sent.size, sent.content_type) == (
        got.business_id,
        got.chat_id,
        got.name,
        len(CONTENT),
        got.content_type,
    )
    assert (sent.attempts, sent.unknown_attempts) == (1, 0)
    assert 0 < sent.elapsed < 10
    assert sent.trace_id


def test_every_kind_of_file(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x" + CONTENT)
    with path.open("rb") as opened:
        opened.seek(1)
        for file in (path, str(path), opened, BytesIO(CONTENT), CONTENT, bytearray(CONTENT), memoryview(CONTENT)):
            chat.send(file)
        assert not opened.closed
    assert [got.content for got in server.received] == [b"x" + CONTENT] * 2 + [CONTENT] * 5
    assert [got.name for got in server.received] == ["a.png"] * 3 + ["file.bin"] * 4
    assert [got.content_type for got in server.received] == ["image/png"] * 3 + ["application/octet-stream"] * 4


@pytest.mark.parametrize("size", [1, 64 * 1024, 64 * 1024 + 1, 5 * 1024 * 1024])
def test_progress_counts_the_bytes_of_the_file(chat: Chat, server: MockServer, size: int) -> None:
    told: list[tuple[int, int]] = []
    chat.send(b"\xff" * size, on_progress=lambda sent, total: told.append((sent, total)))
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert told == sorted(set(told))
    assert server.received[0].content == b"\xff" * size


def test_a_token_goes_into_its_own_header(server: MockServer, mode: str) -> None:
    with Chat(mode, oauth_token=server.oauth_token, base_url=server.base_url) as chat:
        chat.send(b"x")
    names = [name.lower() for name, _ in server.requests[0].headers]
    assert names.count("authorization") == 1
    assert "api-key" not in names


def test_the_environment_gives_key_and_server(mode: str, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", server.api_key)
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", server.base_url)
    with Chat(mode) as chat:
        chat.send(b"x")
    assert len(server.received) == 1
