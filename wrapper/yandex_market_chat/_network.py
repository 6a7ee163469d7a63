"""The network below httpcore, for the synchronous client.

httpx bounds each read and write by itself, so an answer that comes byte by byte outlives any of its timeouts, and it
does not tell whether a request had begun to be written. Both are known here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from ._exchange import current

PIECE = 64 * 1024


class Stream(httpcore.NetworkStream):
    """A connection whose operations end when the time of the send is up."""

    def __init__(self, stream: httpcore.NetworkStream, *, tls_in_tls: bool = False) -> None:
        self._stream = stream
        self._tls_in_tls = tls_in_tls
        self._held = b""
        self._connecting = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        self._send(b"", timeout)
        exchange = current.get()
        if self._connecting:  # the proxy's answer to CONNECT belongs to making the connection
            timeout = exchange.connect
        return self._stream.read(max_bytes, exchange.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it; but a head waits for the body, so that a small request is one write."""
        if not self._held and len(buffer) <= PIECE:
            self._held = buffer
        else:
            self._send(buffer, timeout)

    def _send(self, buffer: bytes, timeout: float | None) -> None:
        held, self._held = self._held, b""
        if not held and not buffer:
            return
        exchange = current.get()
        self._connecting = exchange.about_to_write(held or buffer)
        pieces = (held + buffer,) if len(buffer) <= PIECE else (held, buffer)
        try:
            for piece in pieces:
                self._send_all(memoryview(piece), timeout)
        except OSError as error:
            kind = httpcore.WriteTimeout if isinstance(error, TimeoutError) else httpcore.WriteError
            exchange.write_failed()
            raise kind(str(error)) from error

    def _send_all(self, left: memoryview, timeout: float | None) -> None:
        exchange = current.get()
        sock = self._stream.get_extra_info("socket")
        while left:
            in_time = exchange.within(timeout, httpcore.WriteTimeout)
            if self._tls_in_tls:  # the socket is the outer TLS; httpcore's stream encrypts for the inner one
                self._stream.write(bytes(left[:PIECE]), in_time)
                left = left[PIECE:]
            else:
                sock.settimeout(in_time)
                left = left[sock.send(left) :]

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on it."""
        in_time = current.get().within(timeout, httpcore.ConnectTimeout)
        tls_in_tls = self._stream.get_extra_info("ssl_object") is not None
        return Stream(self._stream.start_tls(ssl_context, server_hostname, in_time), tls_in_tls=tls_in_tls)

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection."""
        return self._stream.get_extra_info(info)


class Backend(httpcore.SyncBackend):
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
            in_time = current.get().within(timeout, httpcore.ConnectTimeout)
            try:
                return Stream(super().connect_tcp(str(address[0]), port, in_time, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
