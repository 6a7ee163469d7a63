"""The network below httpcore, for the asynchronous client: asyncio without another layer.

It knows whether a request had begun to be written; what the server said before it broke the connection is not lost; a
connection that is given up during the TLS handshake is closed; and a send costs less than through httpcore's backend.
`asyncio.timeout` bounds the whole of an attempt.
"""

import asyncio
import select
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, cast

import httpcore

from ._exchange import current

# Each piece is a system call and a turn of the loop; with TLS it is encrypted in one go, and kept twice.
PIECE, TLS_PIECE = 1024 * 1024, 128 * 1024
SLICE = 4 * 1024
# Received and not yet read; the answer that is kept is not longer.
FULL = 1024 * 1024


class _Protocol(asyncio.Protocol):
    """Keeps what has come in also when the connection breaks afterwards: asyncio's own puts the error before it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.reader = asyncio.StreamReader(FULL)
        self.unread = 0
        self.may_write = asyncio.Event()
        self.error = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # by what it does: uvloop's has another ancestor
        self.reader.set_transport(self.transport)
        self.may_write.set()

    def data_received(self, data: bytes) -> None:
        self.unread += len(data)
        self.reader.feed_data(data)

    def eof_received(self) -> None:  # and asyncio closes the connection: with half of one nothing more is done
        self.reader.feed_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = str(exc or "")  # as text: its frames hold the file
        self.reader.feed_eof()
        self.may_write.set()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()


class Stream(httpcore.AsyncNetworkStream):
    """A connection."""

    def __init__(self, protocol: _Protocol, piece: int = PIECE) -> None:
        self._protocol = protocol
        self._piece = piece

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        exchange = current.get()
        if exchange.connecting:  # the proxy's answer to CONNECT belongs to making the connection
            timeout = exchange.connect
        # What is there already would be read without the loop having its turn: a long answer in small pieces must not
        # hold up others, nor outlive the total.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(timeout):
                received = await self._protocol.reader.read(min(max_bytes, SLICE))
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        self._protocol.unread -= len(received)
        exchange.heard = True
        if not received and self._protocol.error:
            raise httpcore.ReadError(self._protocol.error)
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all that is due."""
        exchange = current.get()
        try:
            for piece in exchange.due(buffer):
                for start in range(0, len(piece), self._piece):
                    await self._send(memoryview(piece)[start : start + self._piece], timeout)
        except OSError as error:
            exchange.cut = True
            kind = httpcore.WriteTimeout if isinstance(error, TimeoutError) else httpcore.WriteError
            raise kind(str(error)) from error

    async def _send(self, data: memoryview, timeout: float | None) -> None:
        """Return when the system, or a small buffer, has taken it. The time is for any of it to be taken."""
        transport, may_write = self._protocol.transport, self._protocol.may_write
        if not transport.is_closing():
            transport.write(data)
            if len(data) == self._piece:
                await asyncio.sleep(0)  # a large file is not to hold up others on the loop, least of all with TLS
            while not may_write.is_set():
                left = transport.get_write_buffer_size()
                try:
                    async with asyncio.timeout(timeout):
                        await may_write.wait()
                except TimeoutError:
                    if transport.get_write_buffer_size() >= left:
                        raise
        if transport.is_closing():
            raise ConnectionError(self._protocol.error or "the connection was closed by the other side")

    async def aclose(self) -> None:
        """Close it at once: all that matters has been said."""
        self._protocol.transport.abort()
        await asyncio.sleep(0)  # asyncio closes the socket in the next turn of the loop

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS on it."""
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    self._protocol.transport, self._protocol, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if secured is None:
            raise httpcore.ConnectError("the connection was closed during the TLS handshake")
        secured.set_write_buffer_limits(TLS_PIECE // 2)  # or half a megabyte more counts as written
        self._protocol.transport = secured
        return Stream(self._protocol, TLS_PIECE)

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection."""
        transport = self._protocol.transport
        if info == "is_readable":
            # An idle one is not to be: the other side has closed it, or said what nobody asked for.
            gone = transport.is_closing() or self._protocol.unread > 0
            return gone or _is_readable(transport.get_extra_info("socket").fileno())  # what the loop has not seen yet
        return transport.get_extra_info(info)


async def _resolve(host: str, port: int) -> list[str]:
    with suppress(ValueError):  # an address needs no resolver, which asyncio runs in a thread
        return [str(ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class Backend(httpcore.AsyncNetworkBackend):
    """Makes such connections."""

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **named: Any
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that takes it."""
        loop = asyncio.get_running_loop()
        failure: Exception = httpcore.ConnectError("the name has no address")
        try:
            async with asyncio.timeout(timeout):
                addresses = await _resolve(host, port)
            for address in addresses:
                try:
                    async with asyncio.timeout(timeout):
                        _, protocol = await loop.create_connection(_Protocol, address, port)
                    return Stream(protocol)
                except OSError as error:
                    failure = error
        except OSError as error:
            failure = error
        kind = httpcore.ConnectTimeout if isinstance(failure, TimeoutError) else httpcore.ConnectError
        raise kind(str(failure)) from failure
