"""What the tests of the wrapper share: a server on a real socket, and one way to send in either mode."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

import pytest
import trustme

import yandex_market_chat
from yandex_market_chat import AsyncChatClient, ChatClient, CheckedFile, Quota, RetryPolicy, SentFile, _delivery, _steps
from yandex_market_chat.testing import MockServer

from .marked import assert_clean, assert_record_is_clean

#: In seconds: less than what is wrong would take where this is asked, and more than a busy machine needs.
SOON = 20.0


def pytest_report_header() -> str:
    """Say which package is tested: that of the tree, or that of an installed wheel."""
    return f"testing {yandex_market_chat.__file__}"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, server, proxy or certificate from the machine that the tests run on."""
    for name in list(os.environ):
        if name.startswith(("YANDEX_MARKET_", "SSL_CERT_", "SSLKEYLOG")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_exception_is_left() -> Iterator[None]:
    """One that a trace function raises can leave another as handled for ever: the context of all that come later."""
    yield
    assert sys.exc_info()[1] is None


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 0.02)


@pytest.fixture
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an unknown outcome the history is read once, soon, with all the time that a busy machine needs."""
    monkeypatch.setattr(_delivery, "LOOKS", (0.05,))


@pytest.fixture
def api_keys() -> list[str] | None:
    """The keys that the server takes; None: one that it makes itself."""
    return None


@pytest.fixture
def server(api_keys: list[str] | None) -> Iterator[MockServer]:
    with MockServer(api_keys=api_keys) as running:
        yield running


class Chat:
    """A client of either mode, called the same way."""

    def __init__(self, mode: str, **arguments: Any) -> None:
        # What a test sees at the server is what its send does: the history is left to those that are about it.
        arguments = {"confirm_unknown": 0.0} | arguments
        self.mode = mode
        self.client: Any
        if mode == "sync":
            self.client = ChatClient(**arguments)
        else:
            self.client = AsyncChatClient(**arguments)
            self._runner = asyncio.Runner()

    def send(self, file: Any, **arguments: Any) -> SentFile:
        arguments = ({"business_id": 1} if "order_id" in arguments else {"business_id": 1, "chat_id": 2}) | arguments
        if self.mode == "sync":
            sent: SentFile = self.client.send_file(file, **arguments)
        else:
            sent = self._runner.run(self.client.send_file(file, **arguments))
        return sent

    def open_chat(self, **arguments: Any) -> int:
        opened: int = self._run(self.client.open_chat, {"business_id": 1} | arguments)
        return opened

    def confirm(self, error: Any, **arguments: Any) -> SentFile | None:
        found: SentFile | None = self._run(lambda **more: self.client.confirm(error, **more), arguments)
        return found

    def check_file(self, file: Any, **arguments: Any) -> CheckedFile:
        checked: CheckedFile = self._run(lambda **more: self.client.check_file(file, **more), arguments)
        return checked

    def _run(self, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        called = call(**arguments)
        return called if self.mode == "sync" else self._runner.run(called)

    def quota(self, business_id: int = 1) -> Quota | None:
        quota: Quota | None = self.client.quota(business_id)
        return quota

    def close(self) -> None:
        if self.mode == "sync":
            self.client.close()
        else:
            self._runner.run(self.client.aclose())
            self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it, or for `connect` or `chat`, runs once with each client."""
    mode: str = request.param
    return mode


@pytest.fixture
def connect(mode: str, server: MockServer) -> Iterator[Callable[..., Chat]]:
    """Make a client of the server, with the arguments that the test wants to differ."""
    made: list[Chat] = []

    def make(**arguments: Any) -> Chat:
        defaults = {"api_key": server.api_key, "base_url": server.base_url, "timeout": 10.0}
        if "oauth_token" in arguments:
            del defaults["api_key"]
        made.append(Chat(mode, **(defaults | arguments)))
        return made[-1]

    yield make
    for chat in made:
        chat.close()


@pytest.fixture
def chat(connect: Callable[..., Chat]) -> Chat:
    """A client of the server."""
    return connect()


Handler = Callable[[socket.socket], None]


@pytest.fixture
def raw() -> Iterator[Callable[[Handler], str]]:
    """Make a server of raw sockets, and return its address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, handler: Handler) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                with suppress(OSError):
                    handler(connection)

    def make(handler: Handler) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, handler)))
        threads[-1].start()
        return "http://{}:{}".format(*listener.getsockname())

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


@pytest.fixture
def untidy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test leaves to the collector is not ours to close: nobody is told of it."""
    with pytest.MonkeyPatch.context() as hooks:
        hooks.setattr(sys, "unraisablehook", lambda _: None)
        yield
        monkeypatch.undo()  # what stands in the place of a dependency may hold a connection
        gc.collect()


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


def certified(ca: trustme.CA, *names: str, **terms: Any) -> ssl.SSLContext:
    """What a server needs that proves to be one of those names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, **terms).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def tls_server(ca: trustme.CA) -> Iterator[MockServer]:
    with MockServer(ssl_context=certified(ca, "127.0.0.1")) as running:
        yield running


@pytest.fixture
def connect_to(mode: str) -> Iterator[Callable[..., Chat]]:
    """Make a client of any server."""
    with ExitStack() as made:

        def make(server: MockServer, **arguments: Any) -> Chat:
            defaults = {"api_key": server.api_key, "base_url": server.base_url, "timeout": 5.0}
            defaults |= {"retry": RetryPolicy(attempts=2)}
            return made.enter_context(Chat(mode, **(defaults | arguments)))

        yield make


@pytest.fixture
def secure(connect_to: Callable[..., Chat], tls_server: MockServer, trusting: ssl.SSLContext) -> Callable[..., Chat]:
    """Make a client of the TLS server that trusts it."""
    return lambda **arguments: connect_to(tls_server, **({"verify": trusting} | arguments))


@pytest.fixture
def watched(
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Around a test: logs at DEBUG, warnings and what is printed; nothing of it tells a secret."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    for name in ("yandex_market_chat", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield
    for record in caplog.get_records("call"):
        assert_record_is_clean(record)
    for warning in recwarn:
        assert_clean(warning.message, "a warning")
    assert_clean(capfd.readouterr(), "what was printed")


@pytest.fixture(params=["key", "token"])
def credential(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs with either."""
    kind: str = request.param
    return kind
