"""One attempt: what was written, what came back, and what that amounts to."""

import math
import ssl
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple, Self

import httpx

from ._answer import KEPT_BODY, Answer, printable
from ._credentials import Credentials
from ._errors import ChatError, ConnectionFailedError, ConnectionLostError, ResponseTimeoutError
from ._headers import Headers
from ._options import Timeout

MARGIN = 64 * 1024
SMALL = 64 * 1024
"""How many bytes are rather copied than written by themselves."""


class Failure(NamedTuple):
    """An attempt that got no answer."""

    error: ChatError
    """A `ConnectionFailedError` if the request was not begun, else a `DeliveryUnknownError`."""
    final: bool = False
    """Whether the same would happen again: a refused certificate, a proxy that says no."""


class Exchange:
    """What the driver, and the network below httpx, tell of an attempt while it is under way.

    As a context manager: the attempt that this thread or task is making. What is raised in it becomes its outcome.
    """

    begun = False
    """Whether the request has begun to be written."""
    connecting = False
    """Whether what was written last is only a request to a proxy for a tunnel."""
    cut = False
    """Whether not all of the request could be written. httpcore goes on to look for an answer."""
    heard = False
    """Whether anything was read in this attempt."""
    _held = b""
    _status = 0
    _headers: Sequence[tuple[bytes, bytes]] = ()
    _failure: Failure | None = None
    _broken = False

    def __init__(self, credentials: Credentials, timeout: Timeout, deadline: float) -> None:
        self._credentials = credentials
        self.connect = timeout.connect
        self.deadline = deadline
        self._body = bytearray()

    def __enter__(self) -> Self:
        self._token = current.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        current.reset(self._token)
        if not isinstance(error, Exception):
            return False
        # A foreign error becomes a value here, class and text: its frames, and those of its causes, hold the key.
        self._broken = True
        # For a 2xx the body decides, for any other status the status line does, whatever became of the body.
        if not self._status or 200 <= self._status < 300:
            self._failure = self._failure_of(error)
        for link in _chain(error):  # from 3.12 on a frame of contextlib keeps the error, and its frames keep the file
            link.__traceback__ = None
        return True

    def within(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the seconds that an operation may take: its own timeout, or less if less is left of the send."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("the total time of the send is up")
        return min(left, left if timeout is None else timeout) if left < math.inf else timeout

    def due(self, data: bytes) -> tuple[bytes, ...]:
        """Return what is to be written now; nothing, if a head waits for the body: a small request is one write.

        Without data, as httpcore tells the end of the message: what waits is written.

        The class of an exception does not tell how far things went: a proxy that hangs up during CONNECT raises the
        same as a server that hangs up after the request.
        """
        held, self._held = self._held, b""
        if not held:
            if len(data) <= SMALL:
                self._held = data
                return ()
            pieces: tuple[bytes, ...] = (data,)
        else:
            pieces = (held + data,) if len(data) <= SMALL else (held, data)
        self.connecting = not self.begun and pieces[0].startswith(b"CONNECT ")
        self.begun = not self.connecting
        return pieces

    def answered(self, response: httpx.Response) -> None:
        """Take in status and headers."""
        if not self.heard:  # left over on a connection that is used again: it cannot be about this file
            raise ConnectionError("an answer was there before the request")
        self._status, self._headers = response.status_code, response.headers.raw

    def wants_more(self, chunk: bytes) -> bool:
        """Take in a piece of the body as it was on the wire; say whether the next one is wanted."""
        self._body += chunk
        # A little more than is kept, so that a secret across the cut is seen whole.
        return len(self._body) <= KEPT_BODY + MARGIN

    def outcome(self) -> Answer | Failure:
        """Return what the attempt amounts to."""
        if self.cut and self.begun and self._failure is None and 200 <= self._status < 300:
            self._failure = self._failure_of(ConnectionError("it was answered before the whole of it could be written"))
        if self._failure is not None:
            return self._failure
        # No header can hold a NUL.
        flat = self._credentials.redact(b"\0".join([part for header in self._headers for part in header]))
        parts = flat.decode("latin-1").split("\0")
        truncated = self._broken or len(self._body) > KEPT_BODY
        headers = Headers(zip(parts[::2], parts[1::2], strict=False))  # without headers: one empty part
        return Answer(self._status, headers, bytes(self._body), truncated, self._credentials)

    def _failure_of(self, error: Exception) -> Failure:
        chain = list(_chain(error))
        timed_out = isinstance(error, httpx.TimeoutException | TimeoutError)
        # Many of them have no text; the one they were made from often has. Of a timeout the class says it all.
        said = "" if timed_out else next((str(link) for link in chain if str(link)), "")
        kind = type(error).__name__
        text = printable(self._credentials.redact(f"{kind}: {said}" if said else kind))
        if not self.begun:
            refused = any(isinstance(link, httpx.ProxyError | ssl.SSLCertVerificationError) for link in chain)
            failed = ConnectionFailedError._because(f"No connection was made ({text}).")
            if refused:  # the usual advice, to send it again, would be wrong
                advice = "It would fail again: check the certificate (verify, SSL_CERT_FILE) or the proxy."
                failed = ConnectionFailedError(f"No connection was made ({text}). The file was not sent. {advice}")
            return Failure(failed, final=refused)
        if timed_out:
            bound = "the total time" if time.monotonic() >= self.deadline else "the time of one read or write"
            return Failure(ResponseTimeoutError._because(f"No complete answer came within {bound} ({text})."))
        return Failure(ConnectionLostError._because(f"The connection broke after the request had been begun ({text})."))


current: ContextVar[Exchange] = ContextVar("current")
"""The attempt that this thread or task is making."""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
