"""What a changed dependency does to a send: at most one copy, and "not sent" only when it is proven.

A dependency may rename, ignore or replace what this package relies on: the declared versions allow that. It is
simulated here, against a real server; `test_defects` has the defects.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import httpcore
import httpx
import pytest

from yandex_market_chat import ConnectionFailedError, DeliveryUnknownError, RetryPolicy, SentFile
from yandex_market_chat._network import AsyncConnection, Connection
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat, Handler
from .marked import KEY, assert_error_is_clean
from .test_connections import recorded
from .test_hostile import OK, request_of
from .test_parallel import MIB, until

# The caller's choice to repeat what is unknown is no leave to repeat what nobody knows anything of.
RESEND = RetryPolicy(attempts=4, resend_unknown=True)


@pytest.fixture
def api_keys() -> list[str]:
    """The marked key."""
    return [KEY]


@pytest.fixture
def chat(connect: Callable[..., Chat]) -> Chat:
    """A client of the server that repeats whatever it may."""
    return connect(retry=RESEND)


def ended(call: Callable[[], Any]) -> Any:
    """What a call ends with. The traceback of an error begins here."""
    try:
        return call()
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:
        return error


def outcome(chat: Chat, **arguments: Any) -> Any:
    """What a send ends with."""
    return ended(lambda: chat.send(**({"file": b"content"} | arguments)))


def warned(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the log says, as a warning, that a file may have been delivered."""
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return any(text.startswith(("delivery unknown: ", "sent, then interrupted")) for text in texts)


# A dependency that goes around our network


def another_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let httpx use a pool of its own."""
    plain, awaited = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request
    one, other = httpx.HTTPTransport(), httpx.AsyncHTTPTransport()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: plain(one, request))
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda _, request: awaited(other, request))


def each_pool(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the arguments of httpcore's pools."""
    for pool in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool):

        def made(self: Any, real: Any = pool.__init__, **named: Any) -> None:
            change(named)
            real(self, **named)

        monkeypatch.setattr(pool, "__init__", made)


def ignored_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let httpcore take `network_backend` and use its own."""
    each_pool(monkeypatch, lambda named: named.pop("network_backend", None))


@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize("bypass", [another_pool, ignored_backend])
@pytest.mark.parametrize("status", [200, 400, 401, 420, 302, 503])
def test_a_response_around_our_network_is_unknown(
    chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch, bypass: Callable[..., None], status: int
) -> None:
    bypass(monkeypatch)
    server.script(Answer(status, off_contract=status in (302, 503)))
    error = outcome(chat)
    assert type(error) is DeliveryUnknownError
    assert f"httpx {version('httpx')} and httpcore {version('httpcore')} cannot be used" in str(error)
    assert (error.attempts, error.retryable, len(server.requests)) == (1, False, 1)
    assert_error_is_clean(error)


@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize("bypass", [another_pool, ignored_backend])
@pytest.mark.parametrize("scenario", ["drop-after-body", "reset-after-body", "drop-in-answer", "not-http"])
def test_a_connection_lost_around_our_network_is_unknown(
    chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch, bypass: Callable[..., None], scenario: str
) -> None:
    bypass(monkeypatch)
    server.script(SCENARIOS[scenario])
    error = outcome(chat)
    assert isinstance(error, DeliveryUnknownError)
    assert (error.attempts, len(server.requests)) == (1, 1)


@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize("bypass", [another_pool, ignored_backend])
def test_no_connection_around_our_network_proves_nothing(
    mode: str, monkeypatch: pytest.MonkeyPatch, bypass: Callable[..., None]
) -> None:
    with Chat(mode, api_key=KEY, base_url="http://127.0.0.1:9", retry=RESEND) as chat:
        assert isinstance(outcome(chat, timeout=0.1), ConnectionFailedError)
        bypass(monkeypatch)
        error = outcome(chat)
        assert isinstance(error, DeliveryUnknownError)
        assert error.attempts == 1


def renamed_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let httpcore know no `network_backend`."""
    each_pool(monkeypatch, lambda named: {}["network_backend"] if "network_backend" in named else None)


def renamed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let httpcore's pools have no `create_connection`."""
    monkeypatch.delattr(httpcore.ConnectionPool, "create_connection")
    monkeypatch.delattr(httpcore.AsyncConnectionPool, "create_connection")


def renamed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let httpx ask its pool by another name."""

    def plain(self: Any, request: httpx.Request) -> Any:
        return self._pool.send(request)

    async def awaited(self: Any, request: httpx.Request) -> Any:
        return await self._pool.send(request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", plain)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", awaited)


@pytest.mark.parametrize(
    ("change", "kind"),
    [(renamed_argument, KeyError), (renamed_connection, AttributeError), (renamed_call, AttributeError)],
)
def test_a_dependency_that_cannot_be_used_sends_nothing_and_says_so(
    chat: Chat,
    server: MockServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[..., None],
    kind: type[Exception],
) -> None:
    change(monkeypatch)
    error = outcome(chat)
    assert type(error) is kind
    assert any(note.startswith("raised at ") for note in getattr(error, "__notes__", ()))
    assert warned(caplog)
    assert server.connections == 0


class Repeating:
    """A connection of a dependency that sends once more, on a second one, what did not end well."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def handle_request(self, request: Any) -> Any:
        try:
            response = self._make().handle_request(request)
            response.read()
            if response.status == 200:
                return response
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError):
            pass
        return self._make().handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        try:
            response = await self._make().handle_async_request(request)
            await response.aread()
            if response.status == 200:
                return response
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError):
            pass
        return await self._make().handle_async_request(request)


FIRST: dict[str, Answer | Fault] = {
    "dropped": SCENARIOS["drop-after-body"],
    "reset": SCENARIOS["reset-after-body"],
    "too many": Answer(420),
    "redirected": Answer(302, headers={"Location": "/"}, off_contract=True),
    "redirected with the body": Answer(307, headers={"Location": "/"}, off_contract=True),
    "failed": Answer(500),
}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.usefixtures("untidy")
def test_a_dependency_that_repeats_by_itself_sends_one_copy(
    mode: str, server: MockServer, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    for pool in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool):
        real: Any = pool.create_connection
        monkeypatch.setattr(pool, "create_connection", lambda *all, real=real: Repeating(lambda: real(*all)))
    server.script(FIRST[first])
    with Chat(mode, api_key=KEY, base_url=server.base_url, timeout=10.0) as chat:
        error = outcome(chat)
    assert isinstance(error, DeliveryUnknownError)
    assert len(server.requests) == 1


def test_a_connection_carries_one_request_and_an_attempt_has_one_connection(
    mode: str, raw: Callable[[Handler], str]
) -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        received.append(connection.recv(100))
        connection.sendall(b"OK")
        received.append(connection.recv(100))

    async def main(port: int) -> None:
        async with asyncio.timeout(5) as bound:
            backend: Any = Connection(recorded()) if mode == "sync" else AsyncConnection(recorded(), bound)
            stream: Any = await done(backend.connect_tcp("127.0.0.1", port))
            await done(stream.write(b"POST 1"))
            with pytest.raises(ConnectionError, match="one connection"):
                await done(backend.connect_tcp("127.0.0.1", port))
            await done(stream.write(b""))
            assert await done(stream.read(100)) == b"OK"
            with pytest.raises(ConnectionError, match="one request"):
                await done(stream.write(b"POST 2"))
            await done(stream.close() if mode == "sync" else stream.aclose())

    asyncio.run(main(int(raw(serve).rpartition(":")[2])))
    until(lambda: received)
    assert b"".join(received) == b"POST 1"


def test_a_read_withdraws_the_proof_that_nothing_was_sent(mode: str, raw: Callable[[Handler], str]) -> None:
    """Who reads a response may have written past this connection what it is a response to."""

    async def main(port: int) -> None:
        attempt = recorded()
        async with asyncio.timeout(5) as bound:
            backend: Any = Connection(attempt) if mode == "sync" else AsyncConnection(attempt, bound)
            stream: Any = await done(backend.connect_tcp("127.0.0.1", port))
            assert (attempt.connect_asked, attempt.request_started) == (True, False)
            assert await done(stream.read(100)) == b"OK"
            assert attempt.request_started
            assert stream.get_extra_info("socket") is None
            await done(stream.close() if mode == "sync" else stream.aclose())

    asyncio.run(main(int(raw(lambda connection: connection.sendall(b"OK")).rpartition(":")[2])))


async def done(what: Any) -> Any:
    """Return what a function of either mode returns."""
    return await what if inspect.isawaitable(what) else what


# Something in the place of httpx's transports, as tools for tests put it there


def at_httpx(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> None:
    """Replace what pytest_httpx replaces."""

    async def awaited(*_: Any) -> httpx.Response:
        return plain()

    def plain(*_: Any) -> httpx.Response:
        status: int = answer()
        return httpx.Response(status, json={"status": "OK"})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", plain)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", awaited)


def at_httpcore(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> None:
    """Replace what respx replaces."""

    async def awaited(*_: Any) -> httpcore.Response:
        return plain()

    def plain(*_: Any) -> httpcore.Response:
        return httpcore.Response(answer(), content=b'{"status": "OK"}')

    monkeypatch.setattr(httpcore.HTTPConnection, "handle_request", plain)
    monkeypatch.setattr(httpcore.AsyncHTTPConnection, "handle_async_request", awaited)


@pytest.mark.parametrize("replace", [at_httpx, at_httpcore])
@pytest.mark.parametrize("status", [200, 401, 420, 302, 500])
def test_a_response_that_something_else_gives_is_unknown(
    chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch, replace: Callable[..., None], status: int
) -> None:
    replace(monkeypatch, lambda: status)
    error = outcome(chat)
    assert type(error) is DeliveryUnknownError
    assert "use yandex_market_chat.testing instead" in str(error)
    assert (error.attempts, server.connections) == (1, 0)


@pytest.mark.parametrize("replace", [at_httpx, at_httpcore])
@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, ConnectionRefusedError])
def test_an_error_that_something_else_raises_proves_nothing(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, replace: Callable[..., None], kind: type[Exception]
) -> None:
    def refuse() -> int:
        raise kind("refused")

    replace(monkeypatch, refuse)
    error = outcome(chat)
    assert isinstance(error, DeliveryUnknownError)
    assert error.attempts == 1


# A server that does not wait for the request


def test_an_ok_that_comes_instead_of_the_reading_of_the_file_is_unknown(
    mode: str, raw: Callable[[Handler], str]
) -> None:
    with Chat(mode, api_key=KEY, base_url=raw(lambda connection: connection.sendall(OK)), timeout=5.0) as chat:
        assert isinstance(outcome(chat, file=bytes(5 * MIB)), DeliveryUnknownError)


def test_an_ok_that_comes_before_the_request_never_says_not_sent(mode: str, raw: Callable[[Handler], str]) -> None:
    requests: list[bytes] = []

    def hasty(connection: socket.socket) -> None:
        connection.sendall(OK)
        requests.append(request_of(connection))

    with Chat(mode, api_key=KEY, base_url=raw(hasty), timeout=5.0, retry=RESEND) as chat:
        assert isinstance(outcome(chat), SentFile | DeliveryUnknownError)
    until(lambda: requests)
    assert len(requests) == 1
