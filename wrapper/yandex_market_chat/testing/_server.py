"""The mock server: a thread with an event loop that listens, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Self

from ._answer import Answer
from ._channel import Channel, make_buffer
from ._chats import Chats
from ._check import Policy
from ._clock import Clock, real_monotonic
from ._connection import Connection
from ._credentials import FAKE_API_KEY, FAKE_OAUTH_TOKEN, check_api_key, check_oauth_token
from ._fault import Fault
from ._inspection import PREFIX
from ._journal import ReceivedFile, ReceivedRequest
from ._limits import Limits
from ._scenarios import load_scenario
from ._service import Service

_BACKLOG: Final = 1024


class _Loop(asyncio.SelectorEventLoop):
    """Goes by a clock that a test cannot freeze: faults take real seconds, whatever `time` is made to say."""

    def time(self) -> float:
        return real_monotonic()


class MockServer:
    """A server on a real socket that answers as the contract of the API says.

    Every request is checked against the contract; a valid one gets the documented 200, any other the documented
    refusal. Scripted answers and faults take the place of that. What arrived is kept in a journal.

    Args:
        host, port: where to listen; port 0 is any free one. OSError from `start` if that cannot be had.
        api_keys: the keys that are taken, each `ACMA:<40 characters>:<8 characters>`; None: one made-up key. A mapping
            gives each its scopes, such as `{key: ["all-methods"]}`; otherwise they have all.
        oauth_tokens: the bearer tokens that are taken, with or without scopes; None: one made-up token.
        businesses: ids that exist, any other is refused with 403; None: every one exists.
        chats: ids that exist from the start, any other is refused with 404 until it is opened (by createChat, or by
            `server.chats`); None: every one exists.
        orders: ids of orders and returns that exist, createChat refuses any other with 404; None: every one exists.
        ssl_context: makes it an HTTPS server.
        scenario: a JSON file with the script to begin with; ValueError with the number of the entry that is wrong.
        limits: whether Market's limits hold from the start (see `Limits`).
        strict: whether a form also breaks the contract by what a sender must not write and every receiver ignores:
            `filename*` (RFC 7578, 4.2), further headers of a part (4.8), a Content-Transfer-Encoding that changes
            nothing (4.7), a semicolon without a parameter (RFC 2183).
        keep_bytes: of the bodies of requests, the latest so many bytes are kept, in at most twice as much memory; of
            older files there is only the record, with the sha256. Records: the latest 5 000 of files, and of requests;
            fewer if their heads have more than 4 MiB.

    Used with `with` or `async with`, or by `start` and `stop`; once only.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        api_keys: Collection[str] | Mapping[str, Collection[str]] | None = None,
        oauth_tokens: Collection[str] | Mapping[str, Collection[str]] | None = None,
        businesses: Collection[int] | None = None,
        chats: Collection[int] | None = None,
        orders: Collection[int] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        scenario: str | os.PathLike[str] | None = None,
        limits: bool = False,
        strict: bool = False,
        keep_bytes: int = 128 * 1024 * 1024,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        if keep_bytes < 0:
            raise ValueError(f"keep_bytes is 0 or more, not {keep_bytes}")
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._service = Service(
            Policy(
                _with_scopes((FAKE_API_KEY,) if api_keys is None else api_keys, check_api_key),
                _with_scopes((FAKE_OAUTH_TOKEN,) if oauth_tokens is None else oauth_tokens, check_oauth_token),
                businesses,
                chats,
                orders,
                strict=strict,
            ),
            limits=limits,
            keep_bytes=keep_bytes,
        )
        if scenario is not None:
            load_scenario(scenario, self._add)
        self._thread: threading.Thread | None = None
        self._buffer = make_buffer()
        self._stopping: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._stopped = False
        self._base_url: str | None = None

    # Life

    def start(self) -> Self:
        """Begin to listen; connections are accepted when it returns. RuntimeError if it was started before."""
        if self._thread is not None or self._stopped:
            raise RuntimeError("a mock server is started once only; make another MockServer")
        listener = _listen(self._host, self._port)
        host, port = listener.getsockname()[:2]
        scheme = "http" if self._ssl_context is None else "https"
        self._base_url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        self._service.base_url = self._base_url
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._live, args=(listener, ready), name=f"MockServer {port}", daemon=True
        )
        self._thread.start()
        ready.result()
        return self

    def stop(self) -> None:
        """End at once, with every connection; the journal stays readable. More than once is harmless."""
        self._stopped = True
        if self._stopping is not None and self._thread is not None:
            loop, event = self._stopping
            self._stopping = None
            loop.call_soon_threadsafe(event.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        # Both block for a few milliseconds, less than a thread to do it in would cost.
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Where and how to reach it

    @property
    def base_url(self) -> str:
        """Scheme, host and port, such as `http://127.0.0.1:49152`. RuntimeError before the start."""
        if self._base_url is None:
            raise RuntimeError("the mock server has not been started")
        return self._base_url

    @property
    def api_key(self) -> str:
        """A key that is taken: the first of `api_keys`. ValueError if there is none."""
        return _first(self._service.policy.api_keys, "API keys")

    @property
    def oauth_token(self) -> str:
        """A bearer token that is taken: the first of `oauth_tokens`. ValueError if there is none."""
        return _first(self._service.policy.oauth_tokens, "OAuth tokens")

    def revoke(self, credential: str) -> None:
        """Refuse a key or token from now on, as one that its owner has revoked; ValueError if it never was taken.

        Such a refusal is no violation: the request breaks nothing but what the test itself has decided.
        """
        if credential not in {*self._service.policy.api_keys, *self._service.policy.oauth_tokens}:
            raise ValueError("this is no key or token that the server takes")
        self._service.policy.revoked.add(credential)

    @property
    def inspection_url(self) -> str:
        """Where a browser shows the files that were taken; with `received.json` behind it, all requests too, as JSON.

        Looking at it is no request to the API: nothing of it is noted.
        """
        return self.base_url + PREFIX

    # Limits

    @property
    def limits(self) -> Limits:
        """Market's limits, on if `limits.enabled`."""
        return self._service.limits

    @property
    def clock(self) -> Clock:
        """The server's clock, which tests can set and move."""
        return self._service.clock

    @property
    def chats(self) -> Chats:
        """The chats: what was opened and sent, and what the test puts in; how soon and how the history shows it."""
        return self._service.chats

    # Script

    def script(self, *steps: Answer | Fault) -> None:
        """Append answers and faults for the next files that are sent, one each; then all is normal again.

        They serve the next requests of sendFileToChat, be they valid or not, and requests that are of no operation.
        What a client does around a send, such as reading the history, uses none of them up: see `script_on`.

        ValueError with a sentence if an answer breaks the contract without `off_contract=True`; then none is appended.
        """
        __tracebackhide__ = True  # pytest shows a refusal where the test wrote the script
        self._service.script.add(steps)

    def script_for(self, chat_id: int, *steps: Answer | Fault) -> None:
        """Append those for the next files that are sent to one chat; they come before those of `script`."""
        __tracebackhide__ = True
        self._service.script.add(steps, chat_id=chat_id)

    def script_on(self, operation: str, *steps: Answer | Fault) -> None:
        """Append those for the next requests of one operation, by its id: `script_on("getChatHistory", Answer(500))`.

        ValueError for an operation that the contract does not have, too.
        """
        __tracebackhide__ = True
        self._service.script.add(steps, operation=operation)

    def _add(self, step: Answer | Fault, operation: str | None) -> None:
        self._service.script.add((step,), operation=operation)

    @property
    def script_left(self) -> tuple[Answer | Fault, ...]:
        """What has not been used up yet."""
        return tuple(step.source for step in self._service.script.left)

    # Journal

    @property
    def received(self) -> tuple[ReceivedFile, ...]:
        """The files that were taken, in order: a tuple, made again each time; only the latest, see `keep_bytes`.

        Taken is what is answered with 200 and the status OK, also if the answer is late, or cut on its way; and what
        was scripted with `taken=True`.
        """
        return self._service.journal.received

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request, valid or not, in order of arrival: a tuple, as `received`; the latest, see `keep_bytes`."""
        return self._service.journal.requests

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return self._service.journal.connections

    @property
    def in_flight(self) -> int:
        """How many requests are being served: their head has arrived, the end of their answer has not been sent."""
        return self._service.journal.in_flight()

    @property
    def most_in_flight(self) -> int:
        """How many requests were ever being served at once."""
        return self._service.journal.most_in_flight()

    def in_flight_of(self, business_id: int) -> int:
        """Count the requests of one business that are being served."""
        return self._service.journal.in_flight(business_id)

    def most_in_flight_of(self, business_id: int) -> int:
        """Tell how many requests of one business were ever being served at once."""
        return self._service.journal.most_in_flight(business_id)

    def __repr__(self) -> str:
        life = "stopped" if self._stopped else "running" if self._thread else "not started"
        return f"<MockServer {self._base_url or self._host} {life}, {len(self.requests)} requests>"

    # In the thread

    def _live(self, listener: socket.socket, ready: Future[None]) -> None:
        # The one loop that can watch a socket of ours on every system.
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._run(listener, ready))

    async def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept() -> None:
            try:
                accepted, _ = listener.accept()
            except OSError:
                # The client is gone again, or this process has too many files open; either passes.
                return
            accepted.setblocking(False)
            task = loop.create_task(self._serve(accepted))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        # Neither asyncio's own server nor `sock_accept`: stopped in the moment of accepting, the one reports an error
        # and the other loses a socket (3.11); and which connections are in their TLS handshake neither would tell.
        with listener:
            listener.setblocking(False)
            loop.add_reader(listener, accept)
            self._stopping = (loop, stop)
            ready.set_result(None)
            await stop.wait()
            loop.remove_reader(listener)
        # A task that is cancelled before its first step would leave its socket open.
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, accepted: socket.socket) -> None:
        number = self._service.journal.connected()
        loop = asyncio.get_running_loop()
        try:
            _, channel = await loop.connect_accepted_socket(
                lambda: Channel(self._buffer), accepted, ssl=self._ssl_context
            )
        except OSError:
            # No TLS: a client that speaks plain HTTP, or does not trust the certificate.
            return
        try:
            await Connection(channel, self._service, number).serve()
        finally:
            channel.abort()
            await channel.lost.wait()


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)


def _with_scopes(
    credentials: Collection[str] | Mapping[str, Collection[str]], check: Callable[[str], str]
) -> dict[str, Collection[str] | None]:
    if isinstance(credentials, Mapping):
        return {check(credential): frozenset(scopes) for credential, scopes in credentials.items()}
    return {check(credential): None for credential in credentials}


def _first(values: Iterable[str], what: str) -> str:
    first = next(iter(values), None)
    if first is None:
        raise ValueError(f"this server takes no {what}")
    return first
