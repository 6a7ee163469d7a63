"""Start, stop, threads and sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import pytest
import trustme

from yandex_market_chat.testing import SCENARIOS, MockServer


def test_100_in_a_row(wire_to: Any) -> None:
    threads = threading.active_count()
    gc.collect()
    sockets = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    begin = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(100):
            with MockServer() as server:
                wire = wire_to(server)
                if number % 10 == 0:
                    server.script(SCENARIOS["silence-after-body"])
                    wire.connect().sendall(wire.request())
                assert wire.send(wire.request()).status in (200, 401) if number % 10 else True
                wire.close()
        gc.collect()
    assert time.monotonic() - begin < 10
    assert threading.active_count() == threads
    if sockets:
        assert len(os.listdir("/proc/self/fd")) == sockets
    assert [str(warning) for warning in caught] == []


@pytest.mark.parametrize(
    "name", ["silence-before-body", "silence-in-body", "silence-after-body", "silence-in-answer", "slow-reader"]
)
def test_stop_is_immediate_whatever_hangs(wire_to: Any, until: Any, name: str) -> None:
    times = []
    for _ in range(3):
        server = MockServer().start()
        wire = wire_to(server)
        server.script(*[SCENARIOS[name]] * 5)
        for _ in range(5):
            wire.connect().sendall(wire.request(body=wire.form(b"x" * 200_000)))
        wire.connect()
        until(lambda server=server: server.most_in_flight == 5)
        begin = time.monotonic()
        server.stop()
        times.append(time.monotonic() - begin)
        assert server.in_flight == 0
    assert min(times) < 2.0  # what hangs does so for minutes


def test_idle_and_half_open_connections(server: MockServer, wire: Any) -> None:
    for number in range(200):
        wire.connect().sendall(wire.request()[:number])
    assert wire.send(wire.request()).status == 200


def test_once_only() -> None:
    server = MockServer()
    with pytest.raises(RuntimeError, match="has not been started"):
        server.base_url  # noqa: B018
    with server:
        with pytest.raises(RuntimeError, match="once only"):
            server.start()
        address = server.base_url
    with pytest.raises(RuntimeError, match="once only"):
        server.start()
    server.stop()
    assert server.base_url == address
    never = MockServer()
    never.stop()
    with pytest.raises(RuntimeError, match="once only"):
        never.start()


def test_stopped_server_refuses(wire_to: Any) -> None:
    with MockServer() as server:
        wire = wire_to(server)
    with pytest.raises(ConnectionRefusedError):
        wire.connect()


def test_port_in_use(server: MockServer) -> None:
    port = int(server.base_url.rpartition(":")[2])
    other = MockServer(port=port)
    with pytest.raises(OSError, match="in use"):
        other.start()
    assert server.base_url in repr(server)


def test_given_port_at_once_again(wire_to: Any) -> None:
    port = 0
    for _ in range(3):
        with MockServer(port=port) as server:
            wire = wire_to(server)
            assert wire.send(wire.request()).status == 200
            port = int(server.base_url.rpartition(":")[2])


def test_hosts(wire_to: Any) -> None:
    with MockServer("localhost") as server:
        wire = wire_to(server)
        assert wire.send(wire.request()).status == 200
    if socket.has_dualstack_ipv6():
        with MockServer("::1") as server:
            assert server.base_url.startswith("http://[::1]:")
            wire = wire_to(server)
            assert wire.send(wire.request()).status == 200


def test_async_with(wire_to: Any) -> None:
    async def use() -> None:
        async with MockServer() as server:
            wire = wire_to(server)
            answer = await asyncio.to_thread(wire.send, wire.request())
            assert answer.status == 200

    asyncio.run(use())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of server and client."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    return ours, theirs


def test_tls(
    wire_to: Any, tls: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    with MockServer(ssl_context=tls[0]) as server:
        assert server.base_url.startswith("https://")
        wire = wire_to(server)
        connection = wire.connect(tls[1])
        for size in (10, 3_000_000):
            connection.sendall(wire.request(body=wire.form(b"x" * size)))
            assert wire.read(connection).status == 200
        connection.sendall(wire.request(Connection="close"))
        assert wire.rest(connection).endswith(b'{"status": "OK"}')
        leaving = wire.connect(tls[1])
        leaving.sendall(wire.request()[:-1])
        until(lambda: server.in_flight == 1)
        leaving.unwrap()
        until(lambda: server.in_flight == 0)
        assert not [record for record in caplog.records if record.name == "asyncio"]
        # Plain HTTP, nothing at all, and a hello half done: none of them may hold up the stop.
        wire.connect().sendall(wire.request())
        wire.connect()
        wire.connect().sendall(b"\x16\x03\x01")
        begin = time.monotonic()
    assert time.monotonic() - begin < 20.0  # what holds it up does so for minutes


@pytest.mark.parametrize("name", ["reset-after-body", "reset-in-answer", "reset-before-body"])
def test_reset_over_tls(wire_to: Any, tls: tuple[ssl.SSLContext, ssl.SSLContext], name: str) -> None:
    with MockServer(ssl_context=tls[0]) as server:
        server.script(SCENARIOS[name])
        wire = wire_to(server)
        connection = wire.connect(tls[1])
        connection.sendall(wire.request())
        # Before 3.13 Python's TLS hides the reset from `recv`; the socket does not.
        with suppress(ConnectionResetError):
            wire.rest(connection)
        with pytest.raises(OSError, match="not connected"):
            connection.getpeername()


@pytest.mark.parametrize("name", ["drop-after-body", "drop-in-answer", "drop-before-body"])
def test_drop_over_tls(wire_to: Any, tls: tuple[ssl.SSLContext, ssl.SSLContext], name: str) -> None:
    with MockServer(ssl_context=tls[0]) as server:
        server.script(SCENARIOS[name])
        wire = wire_to(server)
        connection = wire.connect(tls[1])
        connection.sendall(wire.request())
        assert len(wire.rest(connection)) == (30 if name == "drop-in-answer" else 0)
        assert connection.getpeername()
