"""The fixture itself: its clients go by its clock and do not wait for long, and its reports stay with the test."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    AuthenticationError,
    NotFoundError,
    QuotaExceededError,
    ResponseTimeoutError,
    SentFile,
    Timeout,
)
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MarketChat, MockServer

HALF_PAST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def send(market_chat: MarketChat, mode: str) -> None:
    if mode == "sync":
        market_chat.client.send_file(b"x", business_id=1, chat_id=2)
    else:
        asyncio.run(market_chat.async_client.send_file(b"x", business_id=1, chat_id=2))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_hour_passes(market_chat: MarketChat, mode: str) -> None:
    market_chat.clock.set(HALF_PAST)
    market_chat.limits.enabled = True
    market_chat.limits.spend(1)
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            send(market_chat, mode)
    # The second was refused by what the client knew.
    assert len(market_chat.requests) == 1
    market_chat.clock.move(3600)
    send(market_chat, mode)
    market_chat.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        send(market_chat, mode)
    market_chat.clock.set(HALF_PAST)
    send(market_chat, mode)
    assert len(market_chat.received) == 2


def test_a_scripted_quota(market_chat: MarketChat) -> None:
    market_chat.clock.set(HALF_PAST)
    market_chat.script(Answer(420, example="resource"))
    with pytest.raises(QuotaExceededError) as caught:
        send(market_chat, "sync")
    assert caught.value.resets_at == datetime(2026, 1, 1, 13, tzinfo=UTC)
    market_chat.clock.move(3600)
    send(market_chat, "sync")


def test_silence_ends_soon(market_chat: MarketChat) -> None:
    silences = [name for name, step in SCENARIOS.items() if isinstance(step, Fault) and step.cut == "silence"]
    assert len(silences) == 4

    async def all_at_once() -> list[object]:
        sends = []
        for number, name in enumerate([*silences, "silence-before-body"], 1):
            market_chat.script_for(number, SCENARIOS[name])
            content = bytes(5 * 1024 * 1024 if number == 5 else 10)
            sends.append(market_chat.async_client.send_file(content, business_id=number, chat_id=number))
        return await asyncio.gather(*sends, return_exceptions=True)

    begin = time.monotonic()
    ended = asyncio.run(all_at_once())
    # Of one the file was taken and the response never ended: the history tells.
    taken = [isinstance(each, SentFile) and each.confirmed_by for each in ended]
    assert taken == [False, False, False, "history", False]
    assert [type(each) for each, told in zip(ended, taken, strict=True) if not told] == [ResponseTimeoutError] * 4
    assert time.monotonic() - begin < 10
    assert market_chat.client._options == market_chat.async_client._options


def test_silence_outlasts_the_timeouts_of_a_client() -> None:
    assert Fault().hold > 2 * max(Timeout().read, Timeout().total or 0)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_the_test_itself_forbids_is_no_violation(market_chat: MarketChat, mode: str) -> None:
    market_chat.revoke(market_chat.api_key)
    with pytest.raises(AuthenticationError):
        send(market_chat, mode)
    assert market_chat.requests[0].violation is None
    assert market_chat.violations() == ()


def test_configured_businesses_and_chats_are_no_violation() -> None:
    with MarketChat(businesses={1}, chats={7}) as server:
        with pytest.raises(NotFoundError):
            server.client.send_file(b"x", business_id=1, chat_id=2)
        with pytest.raises(AccessDeniedError):
            server.client.send_file(b"x", business_id=2, chat_id=7)
        assert server.violations() == ()


REFUSED: dict[str, Any] = {
    "type": "not a step",
    "status": Answer(502),
    "example": Answer(420, example="other"),
    "body": Answer(200, {}),
    "raw": Answer(wire=b"x"),
    "early": Fault(early="abrupt"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("for_chat", [False, True])
def test_a_refused_script_is_shown_where_it_was_written(server: MockServer, name: str, for_chat: bool) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        server.script_for(7, REFUSED[name]) if for_chat else server.script(REFUSED[name])
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert len(frames) > 2
    assert not any(frame.f_locals.get("__tracebackhide__") for frame in frames[:1])
    assert all(frame.f_locals.get("__tracebackhide__") for frame in frames[1:])


@pytest.mark.market_chat(allow_violations=True)
def test_a_violation_is_told_however_much_has_come_since(market_chat: MarketChat) -> None:
    with socket.create_connection(("127.0.0.1", int(market_chat.base_url.rpartition(":")[2]))) as connection:
        connection.sendall(b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while connection.recv(4096):
            pass
        assert len(market_chat.violations()) == 1
    bad = b"POST /nope/again HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * 15_000 + b"\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(market_chat.base_url.rpartition(":")[2]))) as connection:
        for _ in range(400):  # more heads than are kept
            connection.sendall(bad)
            received = b""
            while b"\r\n\r\n" not in received or not received.rstrip().endswith(b"}"):
                received += connection.recv(65536)
    assert not any(request.path == "/nope" for request in market_chat.requests)
    assert any("'POST /nope'" in line for line in market_chat.violations())
