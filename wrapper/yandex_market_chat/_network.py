"""The connection of one attempt: the sockets below httpcore, and httpx's transports above it.

httpx bounds each read and write by itself, so a response that comes byte by byte outlives any of its time-outs, and it
does not tell whether a request had begun to be written. Both are known here, and the second is recorded in the attempt
before it happens. Nothing outlives an attempt: Market does not support keep-alive.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, cast

import httpcore
import httpx

from ._attempt import Attempt
from ._route import Route

# Each is written within one time-out; with TLS it is encrypted in one go.
PIECE, ASYNC_PIECE, TLS_PIECE = 64 * 1024, 1024 * 1024, 128 * 1024
SLICE = 4 * 1024
# Received and not yet read; the part of a response that is kept is not longer.
FULL = 1024 * 1024
PATIENCE = 1.0
"""Seconds that may pass in dependencies before they ask for a connection; from then on the total is exact."""


class Transport(httpx.HTTPTransport):
    """httpx's transport over one connection. What it inherits is what OpenTelemetry's instrumentation sees."""

    def __init__(self, route: Route, backend: httpcore.NetworkBackend) -> None:
        self._connection = route.connection(httpcore.ConnectionPool, backend)

    def __getattr__(self, name: str) -> Any:
        # httpx asks itself for what sends requests, its pool, by a name that is its own business.
        return self._connection


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The same for asyncio."""

    def __init__(self, route: Route, backend: httpcore.AsyncNetworkBackend) -> None:
        self._connection = route.connection(httpcore.AsyncConnectionPool, backend)

    def __getattr__(self, name: str) -> Any:
        return self._connection


@contextmanager
def _writing(attempt: Attempt, data: bytes) -> Iterator[None]:
    attempt.writing(data)
    try:
        yield
    except (OSError, httpcore.WriteError) as error:
        attempt.write_failed = True
        if isinstance(error, TimeoutError):
            raise
        # On this httpcore goes on to read: a server may have responded before it hung up.
        raise httpcore.WriteError(str(error)) from None


class Connection(httpcore.SyncBackend, httpcore.NetworkStream):
    """Makes a connection, and records what is done with it. The time-outs of all operations are the attempt's.

    Nobody gets the socket (`get_extra_info`): what is written past this could not be recorded.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._opened: list[httpcore.NetworkStream] = []  # with TLS one on the other

    def connect_tcp(self, host: str, port: int, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that takes it; name resolution is the one thing without a bound."""
        self._attempt.connecting()
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: Exception = OSError("the name has no address")
        for number, (*_, address) in enumerate(found):
            in_time = self._attempt.within(self._attempt.timeout.connect, share=len(found) - number)
            try:
                self._opened.append(super().connect_tcp(str(address[0]), port, **{**named, "timeout": in_time}))
                return self
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        in_time = self._attempt.within(self._attempt.reading())
        return self._attempt.received(self._opened[-1].read(max_bytes, in_time))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it, in pieces that the system takes at once."""
        with _writing(self._attempt, buffer):
            for start in range(0, len(buffer), PIECE):
                in_time = self._attempt.within(self._attempt.timeout.write)
                self._opened[-1].write(buffer[start : start + PIECE], in_time)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on it."""
        in_time = self._attempt.within(self._attempt.timeout.connect)
        self._opened.append(self._opened[-1].start_tls(ssl_context, server_hostname, in_time))
        return self

    def close(self) -> None:
        """Close what was opened, also what httpcore was given and let go of."""
        for stream in self._opened:
            stream.close()


class AsyncConnection(asyncio.Protocol, httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """The same on asyncio, without another layer. `bound` is the total, which begins to count when it is asked for.

    Before that nothing would be proven: a total that is over in the middle of httpcore would end as unknown. What the
    server said before it broke the connection is not lost: asyncio's own protocol puts the error before it.
    """

    def __init__(self, attempt: Attempt, bound: asyncio.Timeout) -> None:
        self._attempt = attempt
        self._bound = bound
        self._transports: list[asyncio.Transport] = []  # with TLS one on the other
        self._reader = asyncio.StreamReader(FULL)
        self._may_write = asyncio.Event()
        self._error = ""
        self._piece = ASYNC_PIECE

    async def connect_tcp(self, host: str, port: int, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that takes it."""
        self._attempt.connecting()
        loop = asyncio.get_running_loop()
        self._bound.reschedule(loop.time() + self._attempt.left())
        connect = self._attempt.timeout.connect
        async with asyncio.timeout(connect):
            addresses = await _resolve(host, port)
        failure: Exception = OSError("the name has no address")
        for number, address in enumerate(addresses):
            try:
                async with asyncio.timeout(self._attempt.within(connect, share=len(addresses) - number)):
                    await loop.create_connection(lambda: self, address, port)
                return self
            except OSError as error:
                failure = error
        raise failure

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what writes. asyncio calls this and the five below."""
        self._transports.append(cast(asyncio.Transport, transport))  # by what it does: uvloop's has another ancestor
        self._reader.set_transport(transport)
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Keep what came in, also when the connection breaks afterwards."""
        self._reader.feed_data(data)

    def eof_received(self) -> None:
        """Read no more. asyncio closes the connection: with half of one nothing more is done."""
        self._reader.feed_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the error as text: its frames hold the file."""
        self._error = str(exc or "")
        self._reader.feed_eof()
        self._may_write.set()

    def pause_writing(self) -> None:
        """Wait."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        in_time = self._attempt.reading()
        # What is there already would be read without the loop having its turn: a long response in small pieces must not
        # hold up others, nor outlive the total.
        await asyncio.sleep(0)
        async with asyncio.timeout(in_time):
            received = await self._reader.read(min(max_bytes, SLICE))
        if not received and self._error:
            raise ConnectionError(self._error)
        return self._attempt.received(received)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        with _writing(self._attempt, buffer):
            for start in range(0, len(buffer), self._piece):
                await self._send(memoryview(buffer)[start : start + self._piece])

    async def _send(self, data: memoryview) -> None:
        """Return when the system, or a small buffer, has taken it. The time is for any of it to be taken."""
        transport = self._transports[-1]
        if not transport.is_closing():
            transport.write(data)
            if len(data) == self._piece:
                await asyncio.sleep(0)  # a large file is not to hold up others on the loop, least of all with TLS
            while not self._may_write.is_set():
                left = transport.get_write_buffer_size()
                try:
                    async with asyncio.timeout(self._attempt.timeout.write):
                        await self._may_write.wait()
                except TimeoutError:
                    if transport.get_write_buffer_size() >= left:
                        raise
        if transport.is_closing():
            raise ConnectionError(self._error or "the connection was closed by the other side")

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS on it."""
        if not isinstance(ssl_context, ssl.SSLContext):  # truststore put another class in its place
            stand_in = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asyncio asks for the class, and uses wrap_bio alone
            stand_in.wrap_bio = ssl_context.wrap_bio
            ssl_context = stand_in
        try:
            async with asyncio.timeout(self._attempt.timeout.connect):
                secured = await asyncio.get_running_loop().start_tls(
                    self._transports[-1], self, ssl_context, server_hostname=server_hostname
                )
        except TypeError as error:  # Python 3.11: TLS in TLS that ends in the handshake (SSLProtocol._abort)
            if len(self._transports) == 1:
                raise
            raise ConnectionError(str(error)) from None
        if secured is None:
            raise ConnectionError("the connection was closed during the TLS handshake")
        secured.set_write_buffer_limits(TLS_PIECE // 2)  # or half a megabyte more counts as written
        self._transports.append(secured)
        self._piece = TLS_PIECE
        return self

    async def aclose(self) -> None:
        """Close it at once: all that matters has been said."""
        for transport in reversed(self._transports):
            # TLS that has ended, and on Python 3.11 TLS in TLS, has nothing left to abort.
            with suppress(AttributeError):
                transport.abort()
        await asyncio.sleep(0)  # asyncio closes the socket in the next turn of the loop


async def _resolve(host: str, port: int) -> list[str]:
    with suppress(ValueError):  # an address needs no resolver, which asyncio runs in a thread
        return [str(ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
