"""The network below httpcore, for the asynchronous client: asyncio without another layer.

It knows whether a request had begun to be written; what the server said before it broke the connection is not lost; a
connection that is given up during the TLS handshake is closed; and a send costs less than through httpcore's backend.
`asyncio.timeout` bounds the whole of an attempt.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore

from ._exchange import current

SMALL = 64 * 1024
PIECE = 256 * 1024
# Received and not yet read; the answer that is kept is not longer.
FULL = 1024 * 1024


class _Receiver(asyncio.Protocol):
    """What has come in, kept also when the connection breaks afterwards."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.ended = False
        self.error = ""
        self._changed = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  as asyncio's documentation says of TCP and TLS
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) > FULL:
            self.transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        # As text: its frames hold the file.
        self.ended, self.error = True, str(exc or "")
        self._changed.set()
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    async def take(self, most: int) -> bytes:
        """Return what has come in, nothing at the end."""
        while not self.received and not self.ended:
            self._changed.clear()
            await self._changed.wait()
        if not self.received and self.error:
            raise httpcore.ReadError(self.error)
        taken = bytes(self.received[:most])
        del self.received[:most]
        if not self.ended:
            self.transport.resume_reading()
        return taken

    async def send(self, data: memoryview) -> None:
        """Return when the system, or a small buffer, has taken it."""
        if not self.ended:
            self.transport.write(data)
            if len(data) == PIECE:
                await asyncio.sleep(0)  # a large file is not to hold up others on the loop, least of all with TLS
            await self._may_write.wait()
        if self.ended:
            raise httpcore.WriteError(self.error or "the connection was closed by the other side")


class Stream(httpcore.AsyncNetworkStream):
    """A connection."""

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._held = b""
        self._connecting = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        await self._send(b"", timeout)
        if self._connecting:  # the proxy's answer to CONNECT belongs to making the connection
            timeout = current.get().connect
        try:
            async with asyncio.timeout(timeout):
                return await self._receiver.take(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it; but a head waits for the body, so that a small request is one write."""
        if not self._held and len(buffer) <= SMALL:
            self._held = buffer
        else:
            await self._send(buffer, timeout)

    async def _send(self, buffer: bytes, timeout: float | None) -> None:
        held, self._held = self._held, b""
        if not held and not buffer:
            return
        exchange = current.get()
        self._connecting = exchange.about_to_write(held or buffer)
        pieces = (held + buffer,) if len(buffer) <= SMALL else (held, buffer)
        try:
            for piece in pieces:
                for start in range(0, len(piece), PIECE):
                    async with asyncio.timeout(timeout):
                        await self._receiver.send(memoryview(piece)[start : start + PIECE])
        except TimeoutError as error:
            exchange.write_failed()
            raise httpcore.WriteTimeout from error
        except httpcore.WriteError:
            exchange.write_failed()
            raise

    async def aclose(self) -> None:
        """Close it at once: all that matters has been said."""
        self._receiver.transport.abort()
        self._receiver.transport.close()  # frees what only the garbage collector would otherwise
        await asyncio.sleep(0)  # asyncio closes the socket in the next turn of the loop

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS on it."""
        receiver = self._receiver
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    receiver.transport, receiver, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if secured is None:
            raise httpcore.ConnectError("the connection was closed during the TLS handshake")
        receiver.transport = secured
        return Stream(receiver)

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection."""
        if info == "is_readable":  # an idle one is, if the other side has closed it; the loop may not have seen it yet
            return self._receiver.ended or _is_readable(self._receiver.transport.get_extra_info("socket").fileno())
        return self._receiver.transport.get_extra_info(info)


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
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
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
                        _, receiver = await loop.create_connection(_Receiver, address, port)
                    return Stream(receiver)
                except OSError as error:
                    failure = error
        except OSError as error:
            failure = error
        kind = httpcore.ConnectTimeout if isinstance(failure, TimeoutError) else httpcore.ConnectError
        raise kind(str(failure)) from failure
