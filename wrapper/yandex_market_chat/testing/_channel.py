"""One accepted connection, as the server wants it: read only when asked, and ended in every way that TCP knows.

asyncio's own streams read ahead, up to 128 KiB, which would hide from a client that nobody is reading.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Final, cast

_READ_SIZE: Final = 64 * 1024


def make_buffer() -> memoryview:
    """Return what channels read into: a view, since asyncio's TLS fills slices of it."""
    return memoryview(bytearray(_READ_SIZE))


class Channel(asyncio.BufferedProtocol):
    """The bytes of a connection, plain or TLS.

    The buffer is that of all connections of a loop: between `get_buffer` and `buffer_updated` nothing else runs.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._received = bytearray()
        self._ended = asyncio.Event()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._buffer = buffer
        self.lost = asyncio.Event()

    async def receive(self) -> bytes:
        """Return at least one byte, at most 64 KiB; nothing at the client's end of it. ConnectionError if broken."""
        if not self._received and not self._ended.is_set():
            self._readable.clear()
            self._transport.resume_reading()
            await self._readable.wait()
        if not self._received and self.lost.is_set():
            raise ConnectionResetError("the client broke the connection")
        data = bytes(self._received)
        self._received.clear()
        return data

    async def ended_within(self, seconds: float) -> bool:
        """Wait so long, but no longer than the client keeps its side of the connection open; True if it ended it."""
        if not self._received and not self._ended.is_set():
            self._transport.resume_reading()
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def send(self, data: bytes) -> None:
        """Give it to the kernel, all of it. ConnectionError if the connection is broken."""
        if self.lost.is_set():
            raise ConnectionResetError("the client broke the connection")
        self._transport.write(data)
        await self._writable.wait()
        if self.lost.is_set():
            raise ConnectionResetError("the client broke the connection")

    async def drop(self, seconds: float) -> None:
        """Send FIN, then read into nothing until the client ends too, for at most so long.

        A plain close with unread data would be a reset (RFC 2525, 2.17), and could take the answer with it.
        """
        try:
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(seconds):
                while await self.receive():
                    pass
        except (OSError, TimeoutError):
            pass
        self._transport.abort()

    def reset(self) -> None:
        """Send RST, now."""
        if not self.lost.is_set():
            # The documented way to get one: no lingering on close, with time 0.
            layout = "HH" if sys.platform == "win32" else "ii"
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
            self._transport.abort()

    async def finish(self, seconds: float) -> None:
        """End the connection in order, for at most so long."""
        if self._transport.can_write_eof():
            await self.drop(seconds)
        else:
            # TLS has an end of its own, which must come before that of TCP, or the answer looks cut short.
            self._transport.close()

    def abort(self) -> None:
        """End the connection without waiting for anything."""
        self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        # So `send` waits until the kernel has everything: a cut then comes behind the bytes, not among them.
        # Under TLS, asyncio takes nothing left to write for too much if the limit is 0.
        self._transport.set_write_buffer_limits(high=0 if self._transport.can_write_eof() else 1, low=0)
        self._socket = cast("socket.socket", transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += self._buffer[:nbytes]
        self._transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        self._ended.set()
        self._readable.set()
        # A client may end its side and still wait for the answer; over TLS that is not for asyncio to grant.
        return self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._ended.set()
        self._readable.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
