"""Connections: one for each attempt, closed in every case, and nothing written to one that is lost."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager, nullcontext, suppress
from urllib.parse import urlsplit

import httpcore
import pytest

from yandex_market_chat import AsyncChatClient, ChatError, RetryPolicy, SentFile, Timeout
from yandex_market_chat._attempt import Attempt
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._network import AsyncConnection, Connection
from yandex_market_chat._steps import SEND_FILE, MakeRequest
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat
from .test_arguments import KEY
from .test_life import unanswering
from .test_parallel import MIB, at_once


def open_to(server: MockServer) -> int:
    """How many sockets of this process are connected to the server, whether or not it has closed its side."""
    address = urlsplit(server.base_url)
    kinds = {socket.socket, *_below(socket.socket)}  # a look at the class of each of a million objects takes its time
    found = [each for each in gc.get_objects() if type(each) in kinds]
    return sum(_peer_of(each) == (address.hostname, address.port) for each in found)


def _below(kind: type) -> list[type]:
    return [each for below in kind.__subclasses__() for each in (below, *_below(below))]


def _peer_of(each: socket.socket) -> object:
    try:
        return each.getpeername()
    except OSError:  # it listens, or is closed
        return None


@contextmanager
def uncollected() -> Iterator[None]:
    """A connection that is only closed when it is collected counts as open here."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_each_attempt_has_a_connection_of_its_own(chat: Chat, server: MockServer) -> None:
    server.script(Answer(420), Answer(200, headers={"Connection": "keep-alive", "Keep-Alive": "timeout=60"}))
    chat.send(b"x")
    for _ in range(3):
        chat.send(b"x")
    assert server.connections == len({request.connection for request in server.requests}) == 5
    assert {value for request in server.requests for value in request.headers.values("Connection")} == {"close"}


ENDS: dict[str, Answer | Fault] = {
    "an OK": Answer(200),
    "an OK that offers more": Answer(200, headers={"Connection": "keep-alive"}),
    "a refusal": Answer(400),
    "a refusal before the file": Answer(400, fault=Fault(early="lingering")),
    "an OK before the file": Answer(200, fault=Fault(early="lingering")),
    "an endless answer": Answer(500, "x" * 3 * MIB, off_contract=True),
    "no HTTP": Answer.raw(b"SSH-2.0-OpenSSH\r\n"),
} | {name: SCENARIOS[name] for name in SCENARIOS if name.startswith(("drop", "reset", "silence", "dripped", "slow"))}


@pytest.mark.parametrize("end", ENDS)
def test_however_an_attempt_ends_its_connection_is_closed(
    connect: Callable[..., Chat], server: MockServer, end: str
) -> None:
    chat = connect(retry=RetryPolicy(attempts=1))
    server.script(ENDS[end])
    with uncollected():
        with suppress(ChatError):
            chat.send(bytes(5 * MIB), timeout=0.5)
        assert server.connections == 1
        assert open_to(server) == 0


def test_at_once_each_send_has_a_connection_of_its_own(connect: Callable[..., Chat], server: MockServer) -> None:
    chat = connect()
    server.script(*[Fault(delay=0.02)] * 20)
    assert {type(end) for end in at_once(chat, *[{}] * 20)} == {SentFile}
    assert server.connections == len(server.received) == 20
    assert open_to(server) == 0


def test_a_send_that_is_cancelled_at_any_turn_of_the_loop_leaves_no_connection(server: MockServer) -> None:
    async def main() -> None:
        client = AsyncChatClient(api_key=server.api_key, base_url=server.base_url)
        for turns in range(40):
            task = asyncio.create_task(client.send_file(b"x", business_id=1, chat_id=2))
            other = asyncio.create_task(client.send_file(b"x", business_id=1, chat_id=2))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, other, return_exceptions=True)
        await client.aclose()
        assert open_to(server) == 0

    with uncollected():
        asyncio.run(main())


def recorded(total: float = 5.0) -> Attempt:
    step = MakeRequest(SEND_FILE, time.monotonic() + total)
    return Attempt(Credentials(KEY, None, None, {}), "a server", Timeout(), step)


def test_nothing_is_written_to_a_connection_that_has_been_lost() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            attempt = recorded()
            async with asyncio.timeout(5) as bound, aclosing(AsyncConnection(attempt, bound)) as backend:
                stream = await backend.connect_tcp("127.0.0.1", listener.getsockname()[1])
                await stream.aclose()
                with pytest.raises(httpcore.WriteError):
                    await stream.write(bytes(100_000))
            assert attempt.write_failed
            with listener.accept()[0] as accepted, suppress(ConnectionError):
                accepted.settimeout(5)
                assert accepted.recv(1) == b""

    asyncio.run(main())


def test_a_connection_whose_time_is_up_before_the_handshake_is_closed() -> None:
    """Else it is open until it is collected: httpcore does not know it yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener, uncollected():
        attempt = recorded()
        with closing(Connection(attempt)) as backend:
            stream = backend.connect_tcp("127.0.0.1", listener.getsockname()[1])
            attempt._step = MakeRequest(SEND_FILE, time.monotonic() - 1)
            with pytest.raises(TimeoutError):
                stream.start_tls(ssl.create_default_context(), "localhost")
        with listener.accept()[0] as accepted:
            accepted.settimeout(5)
            assert accepted.recv(1) == b""


def test_a_connection_that_ends_in_the_handshake_is_none() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with asyncio.timeout(5) as bound, aclosing(AsyncConnection(recorded(), bound)) as backend:
                stream = await backend.connect_tcp("127.0.0.1", listener.getsockname()[1])

                async def ended(*_: object, **__: object) -> None:
                    """What asyncio gives when the connection ended without an error; it cannot be had at will."""

                asyncio.get_running_loop().start_tls = ended  # type: ignore[method-assign]
                with pytest.raises(ConnectionError):
                    await stream.start_tls(ssl.create_default_context(), "localhost")

    asyncio.run(main())


@pytest.mark.parametrize("first", ["refuses", "never answers"])
def test_the_next_address_of_a_name_is_tried(
    mode: str, server: MockServer, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    port = urlsplit(server.base_url).port or 0
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **named: found if host == "market.test" else resolve(host, *more, **named),
    )
    silent = unanswering(at=("127.0.0.2", port)) if first == "never answers" else nullcontext()
    with (
        silent,
        Chat(
            mode,
            api_key=server.api_key,
            base_url=f"http://market.test:{port}",
            timeout=Timeout(total=60.0, connect=2.0),
            retry=RetryPolicy(attempts=1),
        ) as chat,
    ):
        assert chat.send(b"x").attempts == 1
