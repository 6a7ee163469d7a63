"""A real HTTP proxy on loopback, for tests: CONNECT and forwarding, and everything that a proxy can do wrong."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ProxyRequest:
    """What a client asked of the proxy."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)

    @property
    def credentials(self) -> str | None:
        """The `user:password` that came with it."""
        scheme, _, encoded = self.headers.get("proxy-authorization", "").partition(" ")
        return base64.b64decode(encoded).decode() if scheme == "Basic" else None


class Proxy:
    """A proxy in a thread of its own, from `with` to its end.

    credentials:  the `user:password` that is demanded, else 407.
    tls:          makes it an https:// proxy.
    answer:       bytes that take the place of everything it would do, then the connection ends; b"": it ends at once.
    silent:       it takes the request and does nothing.
    cut_tunnel:   it ends the tunnel as soon as that stands.
    cut_when:     it ends the connection once this is true.
    drip:         seconds between two bytes on the way to the client, once the tunnel stands.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        tls: ssl.SSLContext | None = None,
        answer: bytes | None = None,
        silent: bool = False,
        cut_tunnel: bool = False,
        cut_when: Callable[[], object] | None = None,
        drip: float = 0.0,
    ) -> None:
        self._credentials = credentials
        self._tls = tls
        self._answer = answer
        self._silent = silent
        self._cut_tunnel = cut_tunnel
        self._cut_when = cut_when
        self._drip = drip
        self.requests: list[ProxyRequest] = []
        self.seen = bytearray()
        """Everything that it read, from both sides, as a spy in its place would."""

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "{}:{}".format(*listener.getsockname())
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listener, ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        # A handshake that fails is what some tests are about.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(self._accepted, sock=listener, ssl=self._tls)
        ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._ends:
            each.transport.abort()
        await asyncio.sleep(0.001)  # in which they are closed

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.seen += head
            first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
            method, url, _ = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            request = ProxyRequest(method, url, headers)
            self.requests.append(request)
            if self._silent:
                await self._stop.wait()
            answer = self._answer
            if answer is None and self._credentials not in (None, request.credentials):
                answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            if answer is not None:
                # A request that is to be forwarded is read to its end: what is unread makes a close a reset.
                self.seen += await reader.readexactly(int(headers.get("content-length", 0)))
                writer.write(answer)
                return
            address = urlsplit(f"//{url}" if method == "CONNECT" else url)
            try:
                from_target, target = await asyncio.open_connection(address.hostname, address.port)
                self._ends.append(target)
            except OSError:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                if self._cut_tunnel:
                    return
            else:
                own = [line for line in lines if not line.lower().startswith("proxy-")]
                path = f"{address.path}?{address.query}"
                target.write("\r\n".join([f"{method} {path} HTTP/1.1", *own, "", ""]).encode("latin-1"))
            await self._relay(reader, writer, from_target, target)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client's right
        finally:
            ends = [each for each in (writer, target) if each is not None]
            for each in ends:
                each.close()
            # TLS would wait for an answer to its farewell.
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(each.wait_closed() for each in ends)), 0.2)
            for each in ends:
                each.transport.abort()

    async def _relay(
        self,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        from_target: asyncio.StreamReader,
        to_target: asyncio.StreamWriter,
    ) -> None:
        up = asyncio.create_task(self._pump(from_client, to_target, 0.0))
        down = asyncio.create_task(self._pump(from_target, to_client, self._drip))
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({up, down, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not watch.done():
                # One side has said all; the other may still have something to say.
                await asyncio.wait({up, down}, timeout=1)
        finally:
            for task in (up, down, watch):
                task.cancel()
            await asyncio.gather(up, down, watch, return_exceptions=True)

    async def _watch(self) -> None:
        while self._cut_when is None or not self._cut_when():
            await asyncio.sleep(0.005)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, drip: float) -> None:
        while data := await source.read(64 * 1024):
            self.seen += data
            for piece in (data[i : i + 1] for i in range(len(data))) if drip else (data,):
                sink.write(piece)
                await sink.drain()
                if drip:
                    await asyncio.sleep(drip)
        if sink.can_write_eof():
            sink.write_eof()
