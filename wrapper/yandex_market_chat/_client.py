"""The synchronous client: a thin driver around the decision core."""

import threading
import time
from concurrent.futures import Future
from contextlib import closing
from typing import Self, cast

import httpx

from ._base_client import BaseClient, Progress
from ._delivery import Outcome, Pause, deliver, out_of_time
from ._exchange import Exchange
from ._file import File, FileLike
from ._options import Timeout
from ._places import Place
from ._send import Send, SentFile
from ._transport import make_transport


class ChatClient(BaseClient):
    """Sends files into chats with buyers. Thread-safe, and cheap to make; a forked child opens its own connections.

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

    def send_file(
        self,
        file: FileLike,
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
            file: a path of a regular file; bytes, a bytearray or a memoryview; or an open binary file, sent from its
                current position and left open. 1 byte to the client's `max_file_size`.
            business_id: the id of the business (the cabinet, `campaigns[].business.id` of `GET v2/campaigns`; not the
                id of a campaign), from 1 to 2^63-1.
            chat_id: the id of the chat, from 1 to 2^63-1.
            name: the file name that the buyer sees. Default: that of the file. Sent is its last path component, without
                control and direction-override characters, shortened to 255 bytes of UTF-8; a file without a name gets
                one that fits its type.
            content_type: for example "application/pdf". Default: what the extension of the name says.
            timeout: a `Timeout`, or the total in seconds. Default: the client's.
            on_progress: called with (bytes of the file written, its size), from 0 in each attempt. If it
                raises, that is logged once, and it is not called again.

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
            return self._deliver(send, self._look_at(send, file, name, content_type))

    def _deliver(self, send: Send, file: File) -> SentFile:
        places, place, content = self._places, Place(), b""
        try:
            places.ask(send.business_id, place)
            if place.turn is not None:
                _wait_for(place.turn, send)
            self._check_usable()
            content = file.read(self._max_file_size)
            send.size = len(content)
            transport = self._connections()
            steps = deliver(send, self._rules, send.deadline)
            outcome: Outcome | None = None
            while not isinstance(step := steps.send(outcome), SentFile):
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = self._attempt(transport, send, content)
            return step
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            places.give_back(send.business_id, place)
            self._close_if_done()

    def _attempt(self, transport: httpx.HTTPTransport, send: Send, content: bytes) -> Outcome:
        send.exchange = Exchange(self._credentials, send.timeout, send.deadline)
        with send.exchange as exchange:
            response = transport.handle_request(self._request(send, content))
            with closing(cast(httpx.SyncByteStream, response.stream)) as stream:
                exchange.answered(response)
                for chunk in stream:
                    if not exchange.wants_more(chunk):
                        break
        return exchange.outcome()

    def _forget_connections(self) -> None:
        self._lock = threading.Lock()
        self._transport: httpx.HTTPTransport | None = None

    def _connections(self) -> httpx.HTTPTransport:
        with self._lock:
            if self._transport is None:
                from ._network import Backend  # with httpcore, which httpx too imports when a client is made

                self._transport = make_transport(httpx.HTTPTransport, Backend(), self._route)
            return self._transport

    def close(self) -> None:
        """Close the client: what is in flight may end, what waits and what comes is refused. May be called twice."""
        self._closed = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._closed and self._places.idle:
            with self._lock:
                transport, self._transport = self._transport, None
            if transport is not None:
                transport.close()

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()


def _wait_for(turn: Future[None], send: Send) -> None:
    try:
        turn.result(send.left())
    except TimeoutError:
        raise out_of_time("while the send waited for others of this business to end (max_parallel)") from None
