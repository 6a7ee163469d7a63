"""The network below httpcore, for the synchronous client: each operation ends when the time of the send is up.

httpx bounds each read and write by itself, so an answer that comes byte by byte outlives any of its timeouts.
(The asynchronous client needs none of this: `asyncio.timeout` bounds all of an attempt.)
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import httpcore

_PIECE = 64 * 1024

deadline: ContextVar[float] = ContextVar("deadline")
"""The moment (`time.monotonic`) at which the send on this thread must end."""


def _within(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """Return the seconds that an operation may take: its own timeout, or what is left of the send if that is less."""
    left = deadline.get() - time.monotonic()
    if left <= 0:
        raise error("the total time of the send is up")
    return left if timeout is None else min(timeout, left)


class BoundedStream(httpcore.NetworkStream):
    """A connection whose operations end in time."""

    def __init__(self, stream: httpcore.NetworkStream, *, tls_in_tls: bool = False) -> None:
        self._stream = stream
        self._tls_in_tls = tls_in_tls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        return self._stream.read(max_bytes, _within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it. httpcore's own loop gives each piece the whole timeout, and copies what is left."""
        left = memoryview(buffer)
        if self._tls_in_tls:  # the socket is that of the outer TLS: only httpcore's stream encrypts for the inner one
            while left:
                self._stream.write(bytes(left[:_PIECE]), _within(timeout, httpcore.WriteTimeout))
                left = left[_PIECE:]
            return
        sock = self._stream.get_extra_info("socket")
        try:
            while left:
                sock.settimeout(_within(timeout, httpcore.WriteTimeout))
                left = left[sock.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on it."""
        in_time = _within(timeout, httpcore.ConnectTimeout)
        tls_in_tls = self._stream.get_extra_info("ssl_object") is not None
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, in_time), tls_in_tls=tls_in_tls)

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection."""
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.SyncBackend):
    """Makes such connections."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that takes it; name resolution is the one thing without a bound."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("the name has no address")
        for *_, address in found:
            in_time = _within(timeout, httpcore.ConnectTimeout)
            try:
                stream = super().connect_tcp(str(address[0]), port, in_time, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return BoundedStream(stream)
        raise failure
