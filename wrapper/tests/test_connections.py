"""Connections: opened, lost, closed; with `keep_alive=True` used again, never by two at once."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpcore
import pytest
from yandex_market_chat._async_network import Backend
from yandex_market_chat._exchange import Exchange

from yandex_market_chat import AsyncChatClient, ConnectionLostError, SentFile, Timeout
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._network import Backend as SyncBackend
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat
from .test_arguments import KEY
from .test_parallel import at_once


def open_to(server: MockServer) -> int:
    """How many sockets of this process are connected to the server, whether or not it has closed its side."""
    address = urlsplit(server.base_url)
    return sum(_peer_of(each) == (address.hostname, address.port) for each in gc.get_objects())


def _peer_of(each: Any) -> object:
    if not issubclass(type(each), socket.socket):
        return None
    try:
        return each.getpeername()
    except OSError:  # it listens, or is closed
        return None


def test_with_keep_alive_a_connection_is_used_again_and_without_it_is_not(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    for keep_alive in (False, True):
        chat = connect(keep_alive=keep_alive)
        before = server.connections
        for _ in range(5):
            chat.send(b"x")
        assert server.connections - before == (1 if keep_alive else 5)


@pytest.mark.parametrize("scenario", ["close-without-notice", "reset-without-notice"])
def test_a_kept_connection_that_the_server_has_closed_is_not_used(
    connect: Callable[..., Chat], server: MockServer, scenario: str
) -> None:
    chat = connect(keep_alive=True)
    for number in range(1, 6):
        server.script(SCENARIOS[scenario])
        chat.send(b"first")
        time.sleep(0.05)  # so that it has arrived that the connection is closed
        sent = chat.send(b"second")
        assert (sent.attempts, sent.unknown_attempts) == (1, 0)
        assert len(server.received) == 2 * number


@pytest.mark.parametrize("scenario", ["close-without-notice", "reset-without-notice"])
def test_a_kept_connection_that_the_server_closes_meanwhile_loses_no_file_in_silence(
    connect: Callable[..., Chat], server: MockServer, scenario: str
) -> None:
    chat = connect(keep_alive=True)
    for number in range(20):
        server.script(SCENARIOS[scenario])
        chat.send(b"first")
        # The kernel decides whether the end of the connection comes before the request, or crosses it on the way.
        content = b"second %d" % number
        try:
            sent = chat.send(content)
        except ConnectionLostError:  # said, and not repeated
            assert [request.body.count(content) for request in server.requests].count(1) <= 1
        else:
            assert sent.attempts == 1
            assert [file.content for file in server.received].count(content) == 1


def burst(chat: Chat, server: MockServer, *sends: dict[str, object], fault: Fault) -> int:
    """How many connections sends at once were given; enough time for each to meet the others."""
    before = server.connections
    server.script(*[fault] * len(sends))
    assert {type(end) for end in at_once(chat, *sends)} == {SentFile}
    return server.connections - before


def test_at_once_each_has_a_connection_of_its_own_and_they_are_used_again(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(keep_alive=True)
    made = burst(chat, server, *[{}] * 20, fault=Fault(delay=0.1))
    assert 1 < made <= 4
    assert burst(chat, server, *[{}] * 20, fault=Fault(delay=0.001)) <= 4 - made
    assert len(server.received) == 40
    assert open_to(server) == server.connections


def test_after_a_burst_none_stays_open_that_the_server_has_closed(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(keep_alive=True)
    ended = Fault(cut="drop", at="after-answer", delay=0.1)
    server.script(*[ended] * 3, Fault(delay=0.3))  # the one that stands comes back last
    at_once(chat, *[{}] * 4)
    for _ in range(4):
        chat.send(b"x")
    assert server.connections == 4
    assert open_to(server) == 1


def test_the_connection_that_was_used_last_is_used_next(connect: Callable[..., Chat], server: MockServer) -> None:
    """Then the others end with the server's patience, and each send is as far from that as can be."""
    chat = connect(keep_alive=True)
    burst(chat, server, *[{}] * 4, fault=Fault(delay=0.1))
    first = chat.send(b"x") and server.requests[-1].connection
    assert {chat.send(b"x") and server.requests[-1].connection for _ in range(8)} == {first}


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_send_that_is_cancelled_at_any_turn_of_the_loop_leaves_no_connection(
    server: MockServer, keep_alive: bool
) -> None:
    async def main() -> None:
        client = AsyncChatClient(api_key=server.api_key, base_url=server.base_url, keep_alive=keep_alive)
        for turns in range(40):
            task = asyncio.create_task(client.send_file(b"x", business_id=1, chat_id=2))
            other = asyncio.create_task(client.send_file(b"x", business_id=1, chat_id=2))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, other, return_exceptions=True)
        await client.aclose()
        assert open_to(server) == 0

    asyncio.run(main())


def test_a_connection_that_the_answer_says_is_closed_is_not_kept(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(keep_alive=True)
    server.script(Answer(headers={"Connection": "close"}))
    chat.send(b"x")
    assert open_to(server) == 0
    assert chat.send(b"x").attempts == 1
    assert server.connections == 2


def test_idle_connections_are_closed_with_the_client(connect: Callable[..., Chat], server: MockServer) -> None:
    chat = connect(keep_alive=True)
    made = burst(chat, server, *[{}] * 4, fault=Fault(delay=0.1))
    assert open_to(server) == made > 1
    client = chat.client
    if chat.mode == "sync":
        client.close()
    else:
        chat._runner.run(client.aclose())
    assert open_to(server) == 0


def test_a_connection_is_used_again_where_there_is_no_poll(
    mode: str, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(select, "poll", raising=False)
    with Chat(mode, api_key=server.api_key, base_url=server.base_url, keep_alive=True) as chat:
        chat.send(b"x")
        chat.send(b"y")
    assert len(server.received) == 2


def test_nothing_is_written_to_a_connection_that_has_been_lost() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await Backend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)
            await stream.aclose()
            with Exchange(Credentials(KEY, None, None, {}), Timeout(), time.monotonic() + 5) as exchange:
                with pytest.raises(httpcore.WriteError):
                    await stream.write(bytes(100_000), timeout=1)
                assert exchange.cut

    asyncio.run(main())


def test_a_connection_whose_time_is_up_before_the_handshake_is_closed() -> None:
    """Else it is open until it is collected: httpcore does not know it yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Exchange(Credentials(KEY, None, None, {}), Timeout(), time.monotonic() + 5) as exchange:
            stream = SyncBackend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)
            exchange.deadline = time.monotonic() - 1
            with pytest.raises(httpcore.ConnectTimeout):
                stream.start_tls(ssl.create_default_context(), "localhost", 1)
        assert stream.get_extra_info("socket").fileno() == -1


def test_a_connection_that_ends_in_the_handshake_is_none() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await Backend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)

            async def ended(*_: object, **__: object) -> None:
                """What asyncio gives when the connection ended without an error; it cannot be had at will."""

            asyncio.get_running_loop().start_tls = ended  # type: ignore[method-assign]
            with pytest.raises(httpcore.ConnectError):
                await stream.start_tls(ssl.create_default_context(), "localhost", 1)
            await stream.aclose()

    asyncio.run(main())
