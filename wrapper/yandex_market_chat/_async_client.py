"""The asynchronous client: a thin driver around the decision core."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from contextlib import aclosing, suppress
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import httpx

from ._async_network import Backend
from ._base_client import BaseClient, Progress
from ._delivery import Outcome, Pause, deliver, out_of_time
from ._exchange import Exchange
from ._file import File, FileLike, read_stream
from ._options import Timeout
from ._places import Place
from ._send import Send, SentFile
from ._transport import make_transport

T = TypeVar("T")

# What the synchronous client imports when first needed; here that would hold up the loop for 20 ms.
import_module("._api", __package__)
# httpcore's locks are anyio's, which makes its asyncio half when first used: that would hold up the loop for 80 ms.
with suppress(ImportError):
    import_module("anyio._backends._asyncio")


class AsyncChatClient(BaseClient):
    """Sends files into chats with buyers, on asyncio. Task-safe, cheap to make, usable in one event loop after another.

    Args:
        api_key: the key of the cabinet, "ACMA:…", with the scope `communication` or `all-methods`. Default: the
            environment variable YANDEX_MARKET_API_KEY.
        oauth_token: an OAuth token instead (outdated, still accepted by Market). At most one of the two.
        base_url: scheme, host, perhaps port and path. Default: the environment variable YANDEX_MARKET_BASE_URL, else
            https://api.partner.market.yandex.ru. Sellers of Market Yandex Go use
            https://api.partner.market.yandex.net.
        timeout: a `Timeout`, or the total in seconds.
        retry: what is repeated without asking.
        max_file_size: in bytes. The documentation says "5 MB", and does not say which.
        max_parallel: requests at once per business (Market allows 4, over all clients of the cabinet). Businesses do
            not wait for each other.
        integration: "name/version" of the calling software, for the seller's log at Market (X-Market-Integration).
        keep_alive: reuse connections. Off: the documentation says that it is not supported, and a reused connection
            that dies is a delivery nobody can know about.
        verify: True (certificates of SSL_CERT_FILE, SSL_CERT_DIR or certifi), a CA file, an `ssl.SSLContext`, or False
            to trust anyone.
        proxy: an http:// or https:// URL; "" for none. Default: what HTTPS_PROXY, ALL_PROXY and NO_PROXY say when the
            client is made.

    Raises:
        InvalidRequestError: an argument, or what the environment says in its place, cannot be used.
    """

    async def send_file(
        self,
        file: FileLike | AsyncIterable[bytes],
        *,
        business_id: int,
        chat_id: int,
        name: str | None = None,
        content_type: str | None = None,
        timeout: Timeout | float | None = None,
        on_progress: Progress | None = None,
    ) -> SentFile:
        """Send one file into the chat with a buyer, and return when Market has taken it.

        The content is read once, when the send's turn has come; each attempt sends the same bytes from memory. Repeated
        without asking is only what provably did not reach the chat (see `RetryPolicy`).

        Args:
            file: a path of a regular file; bytes, a bytearray or a memoryview; an open binary file, sent from its
                current position and left open; or an async iterator of bytes. 1 byte to the client's `max_file_size`.
            business_id: the id of the business (the cabinet, `campaigns[].business.id` of `GET v2/campaigns`; not the
                id of a campaign), from 1 to 2^63-1.
            chat_id: the id of the chat, from 1 to 2^63-1.
            name: the file name that the buyer sees. Default: that of the file. Sent is its last path component, without
                control and direction-override characters, shortened to 255 bytes of UTF-8; a file without a name gets
                one that fits its type.
            content_type: for example "application/pdf". Default: what the extension of the name says.
            timeout: a `Timeout`, or the total in seconds. Default: the client's.
            on_progress: called on the event loop with (bytes of the file written, its size), from 0 in each attempt. If
                it raises, that is logged once, and it is not called again.

        Returns:
            The file as sent: Market answered 200 with `"status": "OK"`.

        Raises:
            InvalidRequestError: an argument was refused here (for the file: InvalidFileError, EmptyFileError,
                FileTooLargeError). Nothing went out.
            OSError: the path is missing or forbidden. Nothing went out. What the file's own reader raises passes
                through as well.
            NotSentError: the buyer has not got the file: sending it again cannot send it twice.
            DeliveryUnknownError: nobody can know whether the buyer has the file: look into the chat before sending it
                again.

        Source: https://yandex.ru/dev/market/partner-api/doc/ru/reference/chats/sendFileToChat
        """
        # This frame stays in the traceback of an error; those below it, which hold the content of the file, do not.
        with Send(time.monotonic) as send:
            self._begin(send, business_id, chat_id, timeout, on_progress)
            look = partial(self._look_at, send, file, name, content_type)
            if isinstance(file, str | os.PathLike):  # a look at a path may wait for a disk
                found = await _in_time(send, _in_thread(look), "while the send looked at the file")
            else:
                found = look()
            return await self._deliver(send, found)

    async def _deliver(self, send: Send, file: File) -> SentFile:
        places, place, content = self._places, Place(), b""
        try:
            places.ask(send.business_id, place)
            if place.turn is not None:
                turn = asyncio.wrap_future(place.turn)
                await _in_time(send, turn, "while the send waited for others of this business")
            self._check_usable()
            content = await _in_time(send, self._content(file), "while the file was read")
            send.size = len(content)
            transport = await _in_time(send, self._connections(), "before the request could be begun")
            steps = deliver(send, self._rules, send.deadline)
            outcome: Outcome | None = None
            while not isinstance(step := steps.send(outcome), SentFile):
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._attempt(transport, send, content)
            return step
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            places.give_back(send.business_id, place)
            await self._close_if_done()

    async def _content(self, file: File) -> bytes:
        if file.stream is not None:
            return await read_stream(file.stream, self._max_file_size)
        return file.read(self._max_file_size) if file.in_memory else await _in_thread(file.read, self._max_file_size)

    async def _attempt(self, transport: httpx.AsyncHTTPTransport, send: Send, content: bytes) -> Outcome:
        send.exchange = Exchange(self._credentials, send.timeout, send.deadline)
        with send.exchange as exchange:
            async with asyncio.timeout(send.left()):
                response = await transport.handle_async_request(self._request(send, content))
                async with aclosing(cast(httpx.AsyncByteStream, response.stream)) as stream:
                    exchange.answered(response)
                    async with aclosing(cast(AsyncGenerator[bytes], aiter(stream))) as chunks:
                        async for chunk in chunks:
                            if not exchange.wants_more(chunk):
                                break
        return exchange.outcome()

    def _forget_connections(self) -> None:
        # A connection belongs to the loop that it was opened in.
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Open] = WeakKeyDictionary()

    async def _connections(self) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            # With TLS certificates may have to be read, for some 20 to 50 ms.
            make = partial(make_transport, httpx.AsyncHTTPTransport, Backend(), self._route)
            made = await _in_thread(make) if self._route.uses_tls else make()
            if loop not in self._open:  # another task may have been as quick
                guard = _closed_with_the_loop(made, self._open)
                self._open[loop] = _Open(made, guard)
                await anext(guard)
        return self._open[loop].transport

    async def aclose(self) -> None:
        """Close the client: what is in flight may end, what waits and what comes is refused. May be called twice."""
        self._closed = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._closed and self._places.idle:
            found = self._open.pop(asyncio.get_running_loop(), None)
            if found is not None:
                await found.guard.aclose()

    async def __aenter__(self) -> Self:
        self._check_usable()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self.aclose()


class _Open(NamedTuple):
    transport: httpx.AsyncHTTPTransport
    guard: AsyncGenerator[None]


async def _closed_with_the_loop(
    transport: httpx.AsyncHTTPTransport, transports: MutableMapping[asyncio.AbstractEventLoop, Any]
) -> AsyncGenerator[None]:
    """Close the connections with the loop: before it ends it closes the generators that have been begun in it."""
    try:
        yield
    finally:
        transports.pop(asyncio.get_running_loop(), None)
        await transport.aclose()


async def _in_time(send: Send, work: Awaitable[T], doing: str) -> T:
    """Await it, at most until the total time of the send has passed."""
    until = asyncio.timeout(send.left())
    try:
        async with until:
            return await work
    except TimeoutError:
        if not until.expired():  # the reader's own
            raise
        raise out_of_time(doing) from None


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call it in a thread. What it raises is handed over as it is.

    asyncio would make another TimeoutError of it, and wait for ever after a StopIteration.
    """
    outcome: Future[T] = Future()

    def call() -> None:
        try:
            outcome.set_result(function(*arguments))
        except BaseException as error:
            outcome.set_exception(error)

    await asyncio.to_thread(call)
    return outcome.result()
