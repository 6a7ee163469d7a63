"""One attempt: the record of what happened on the wire, and what that amounts to.

`_network` writes the record: it is asked to connect, to write and to read, and says so here first. "Not sent" follows
from this record alone. Whatever else is true, a dependency that goes around our network or a defect of ours included,
ends as unknown.
"""

import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from traceback import walk_tb
from typing import TYPE_CHECKING, NamedTuple, Self

import httpx

from ._answer import KEPT_BODY, Answer, printable
from ._credentials import Credentials
from ._errors import ChatError, ConnectionFailedError, ConnectionLostError, DeliveryUnknownError, ResponseTimeoutError
from ._headers import Headers
from ._options import Timeout

if TYPE_CHECKING:
    from ._steps import MakeRequest

MARGIN = 64 * 1024
_TRANSPORT_ERRORS = (httpx.TransportError, OSError)  # TLS and time-outs of Python among the latter
_BYPASSED = (
    "The response did not come through the connection that this client opens: either something replaces httpx's "
    "transports (pytest_httpx, respx, a cassette; use yandex_market_chat.testing instead), or the installed {versions} "
    "cannot be used."
)


class Failure(NamedTuple):
    """An attempt without a response that decides."""

    error: ChatError
    """A `ConnectionFailedError` if it is proven that the request had not begun, else a `DeliveryUnknownError`."""
    final: bool = False
    """Whether the same would happen again: a refused certificate, a proxy that says no, a bypassed network."""


class Attempt:
    """What is known of an attempt. As a context manager: what the transport raises in it becomes its outcome."""

    handed_over = False
    """Whether the request was given to the transport."""
    connect_asked = False
    """Whether our network was asked to connect."""
    request_started = False
    """Whether a byte of the request may have been written. A request to a proxy for a tunnel is none."""
    tunnelling = False
    """Whether what was written last was such a CONNECT."""
    response_asked = False
    """Whether a response to the request was read, or was to be read."""
    write_failed = False
    """Whether not all of the request could be written. httpcore goes on to read a response."""
    tunnel_response = b""
    """How the proxy's response to CONNECT begins."""
    _status = 0
    _headers: Sequence[tuple[bytes, bytes]] = ()
    _failure: Failure | None = None
    _broken = False

    def __init__(self, credentials: Credentials, peer: str, timeout: Timeout, step: "MakeRequest") -> None:
        self._credentials = credentials
        self._peer = peer
        self.timeout = timeout
        self._step = step
        self._body = bytearray()

    @property
    def may_have_started(self) -> bool:
        """Whether the request may be on its way: true unless the opposite is proven."""
        return self.handed_over and not (self.connect_asked and not self.request_started)

    @property
    def may_have_delivered(self) -> bool:
        """Whether the file may be on its way."""
        return self._step.carries_file and self.may_have_started

    def __enter__(self) -> Self:
        self.handed_over = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, _TRANSPORT_ERRORS):
            return False
        # A foreign error becomes a value here, class and text: its frames, and those of its causes, hold the key.
        self._broken = True
        # For a 2xx the body decides, for any other status the status line does, whatever became of the body.
        if not self._status or 200 <= self._status < 300:
            self._failure = self._failure_of(error)
        _strip(error)
        return True

    def clean(self, error: Exception) -> None:
        """Note where a defect, of ours or a dependency, was raised. If it shows a secret, raise one that does not."""
        *_, (frame, line) = walk_tb(error.__traceback__)
        file = PurePath(frame.f_code.co_filename)
        del frame
        _strip(error)
        text, clean = str(error), error
        if isinstance(error, AttributeError):
            error.obj = None  # it may be what holds the key
        # What it carries, a request for example, shows more than its text; and the text may be a buyer's words.
        private = self._step.is_private
        if private or vars(error) or any(self._credentials.redact(shown) != shown for shown in (text, repr(error))):
            clean = RuntimeError(type(error).__name__ + ("" if private else f": {self._credentials.redact(text)}"))
        clean.add_note(f"raised at {file.parent.name}/{file.name}:{line}")
        if clean is not error:
            raise clean from None

    # What the network tells.

    def connecting(self) -> None:
        """Record that our network is asked to connect: the base of every "not sent"."""
        if self.connect_asked:  # a dependency that repeats by itself would send a second copy
            raise ConnectionError("an attempt has one connection, and a second one was asked for")
        self.connect_asked = True

    def within(self, timeout: float, *, share: int = 1) -> float:
        """Return the seconds that an operation may take: its own time-out, or a share of what is left of the total."""
        left = self.left()
        if left <= 0:
            raise TimeoutError("the total time of the send is up")
        return min(timeout, left / share)

    def left(self) -> float:
        """Return the seconds that are left of the total: infinitely many, if there is none."""
        return self._step.deadline - time.monotonic()

    def writing(self, data: bytes) -> None:
        """Record a write, before it begins."""
        if data:  # httpcore tells the end of a message by a write of nothing
            if self.response_asked:  # a dependency that repeats by itself would send a second copy
                raise ConnectionError("an attempt sends one request, and a second one was about to be written")
            self.tunnelling = not self.request_started and data.startswith(b"CONNECT ")
            self.request_started = not self.tunnelling

    def reading(self) -> float:
        """Record a read; return its time-out. The proxy's response to CONNECT belongs to making the connection."""
        self.request_started = self.response_asked = not self.tunnelling
        if self.tunnelling:
            return self.timeout.connect
        left = self.left()
        # What reading the response takes should leave time to look for the file, but half of the time is its own.
        return min(self.timeout.read, max(left - self._step.reserve, left / 2))

    def received(self, data: bytes) -> bytes:
        """Take in what was read, and hand it on."""
        if self.tunnelling:
            self.tunnel_response = (self.tunnel_response + data)[:12]
        return data

    # What the driver tells.

    def answered(self, response: httpx.Response) -> None:
        """Take in status and headers."""
        self._status, self._headers = response.status_code, response.headers.raw

    def wants_more(self, chunk: bytes) -> bool:
        """Take in a piece of the body as it was on the wire; say whether the next one is wanted."""
        self._body += chunk
        # A little more than is kept, so that a secret across the cut is seen whole.
        return len(self._body) <= KEPT_BODY + MARGIN

    def outcome(self) -> Answer | Failure:
        """Return what the attempt amounts to."""
        if self._status and not self.request_started:
            from importlib.metadata import version

            versions = " and ".join(f"{name} {version(name)}" for name in ("httpx", "httpcore"))
            self._failure = Failure(DeliveryUnknownError._because(_BYPASSED.format(versions=versions)), final=True)
        elif self.write_failed and self._failure is None and 200 <= self._status < 300:
            self._failure = self._failure_of(ConnectionError("it was answered before the whole of it could be written"))
        if self._failure is not None:
            return self._failure
        parts = [self._credentials.redact(part).decode("latin-1") for header in self._headers for part in header]
        headers = Headers(zip(parts[::2], parts[1::2], strict=True))
        truncated = self._broken or len(self._body) > KEPT_BODY
        return Answer(self._status, headers, bytes(self._body), truncated, self._credentials)

    def _failure_of(self, error: Exception) -> Failure:
        chain = list(_chain(error))
        timed_out = isinstance(error, httpx.TimeoutException | TimeoutError)
        # Many of them have no text; the one they were made from often has. Of a timeout the class says it all.
        quiet = timed_out or (self._step.is_private and self.request_started)  # h11 quotes what it cannot read
        said = "" if quiet else next((str(link) for link in chain if str(link)), "")
        kind = type(error).__name__
        text = printable(self._credentials.redact(f"{kind}: {said}" if said else kind))
        if not self.may_have_started:
            reason = f"No connection to {self._peer} was made ({text})."
            refused = any(isinstance(link, ssl.SSLCertVerificationError) for link in chain)
            # A proxy whose own way is broken (5xx) may have a better one in a moment, as a refused connection.
            status = self.tunnel_response[9:]
            refused |= status[:1] in (b"3", b"4") and status not in (b"408", b"429")
            if not refused:
                return Failure(ConnectionFailedError._because(reason))
            advice = "It would fail again: check the certificate or the proxy first."
            return Failure(ConnectionFailedError._because(reason, advice=advice, retryable=False), final=True)
        if timed_out:
            bound = "the total time" if self.left() <= 0 else "the time of one read or write"
            reason = f"No complete response came within {bound} ({text})."
            lost: DeliveryUnknownError = ResponseTimeoutError._because(reason)
        else:
            if "certificate required" in said:
                text += "; the server asks for a client certificate"
            lost = ConnectionLostError._because(f"The connection broke after the request had started ({text}).")
        # Without a record of ours nobody knows what a repeat would do, not even by choice.
        return Failure(lost, final=not self.connect_asked)


def _strip(error: BaseException) -> None:
    for link in list(_chain(error)):  # from 3.12 on a frame of contextlib keeps the error, and its frames keep the file
        link.__traceback__ = None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
