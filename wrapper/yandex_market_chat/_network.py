"""The network below httpcore, for the synchronous client.

httpx bounds each read and write by itself, so an answer that comes byte by byte outlives any of its timeouts, and it
does not tell whether a request had begun to be written. Both are known here.
"""

import socket
import ssl
from typing import Any

import httpcore

from ._exchange import current

PIECE = 64 * 1024


class Stream(httpcore.NetworkStream):
    """A connection whose operations end when the time of the send is up."""

    def __init__(self, stream: httpcore.NetworkStream, *, tls_in_tls: bool = False) -> None:
        self._stream = stream
        # With TLS in TLS the socket is the outer TLS; httpcore's stream speaks the inner one.
        self._socket: socket.socket | None = None if tls_in_tls else stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most `max_bytes`."""
        exchange = current.get()
        if exchange.connecting:  # the proxy's answer to CONNECT belongs to making the connection
            timeout = exchange.connect
        exchange.heard = True
        in_time = exchange.within(timeout, httpcore.ReadTimeout)
        if self._socket is None:
            return self._stream.read(max_bytes, in_time)
        try:
            return _bounded(self._socket, in_time).recv(max_bytes)
        except OSError as error:
            kind = httpcore.ReadTimeout if isinstance(error, TimeoutError) else httpcore.ReadError
            raise kind(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all that is due."""
        exchange = current.get()
        try:
            for piece in exchange.due(buffer):
                self._send(memoryview(piece), timeout)
        except OSError as error:
            exchange.cut = True
            kind = httpcore.WriteTimeout if isinstance(error, TimeoutError) else httpcore.WriteError
            raise kind(str(error)) from error

    def _send(self, left: memoryview, timeout: float | None) -> None:
        while left:
            in_time = current.get().within(timeout, httpcore.WriteTimeout)
            if self._socket is None:
                self._stream.write(bytes(left[:PIECE]), in_time)
                left = left[PIECE:]
            else:
                # TLS sends all or nothing, and the time is for one write.
                due = left[:PIECE] if isinstance(self._socket, ssl.SSLSocket) else left
                left = left[_bounded(self._socket, in_time).send(due) :]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on it."""
        tls_in_tls = self.get_extra_info("ssl_object") is not None
        try:
            in_time = current.get().within(timeout, httpcore.ConnectTimeout)
            return Stream(self._stream.start_tls(ssl_context, server_hostname, in_time), tls_in_tls=tls_in_tls)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection."""
        return self._stream.get_extra_info(info)


def _bounded(sock: socket.socket, timeout: float | None) -> socket.socket:
    if sock.gettimeout() != timeout:  # to set it is a system call
        sock.settimeout(timeout)
    return sock


class Backend(httpcore.SyncBackend):
    """Makes such connections."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **named: Any
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
                return Stream(super().connect_tcp(str(address[0]), port, in_time, *arguments, **named))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
