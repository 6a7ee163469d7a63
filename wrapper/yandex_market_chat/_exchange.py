"""One attempt: what was written, what came back, and what that amounts to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx

from ._answer import KEPT_BODY, Answer, printable
from ._credentials import Credentials
from ._errors import ChatError, ConnectionFailedError, ConnectionLostError, DeliveryUnknownError, ResponseTimeoutError
from ._headers import Headers


class Failure:
    """An attempt that got no answer."""

    __slots__ = ("error", "final")

    def __init__(self, error: ChatError, final: bool = False) -> None:
        self.error = error
        """A `ConnectionFailedError` if the request was not begun, else a `DeliveryUnknownError`."""
        self.final = final
        """Whether the same would happen again: a refused certificate, a proxy that says no."""


class Exchange:
    """What the driver tells of an attempt while it is under way."""

    __slots__ = ("_body", "_credentials", "_failure", "_headers", "_status", "_truncated", "begun")

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.begun = True
        """Whether the request may have begun to be written. True until the opposite is seen, to be on the safe side."""
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._truncated = False
        self._failure: Failure | None = None

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow httpcore's `trace` extension, which names each step as it starts and ends.

        The class of an exception does not tell how far things went: a proxy that hangs up during CONNECT raises the
        same as a server that hangs up after the request.
        """
        if event == "connection.connect_tcp.started":
            self.begun = False
        elif event.startswith("http") and not self.begun:
            request = info.get("request")
            if request is not None and request.method != b"CONNECT":
                self.begun = True

    async def atrace(self, event: str, info: dict[str, Any]) -> None:
        """Do the same where httpcore wants to await it."""
        self.trace(event, info)

    def answered(self, response: httpx.Response) -> None:
        """Take in status and headers."""
        self._status, self._headers = response.status_code, response.headers.raw

    def wants_more(self, chunk: bytes) -> bool:
        """Take in a piece of the body as it was on the wire; say whether the next one is wanted."""
        self._body += chunk
        self._truncated = len(self._body) > KEPT_BODY
        return not self._truncated

    def failed(self, error: Exception) -> None:
        """Take in what was raised instead of an answer, or in the middle of one.

        A foreign error becomes a value here, class and text: its frames, and those of its causes, hold the key.
        """
        self._truncated = True
        # For a 2xx the body decides, for any other status the status line does, whatever became of the body.
        if not self._status or 200 <= self._status < 300:
            self._failure = self._failure_of(error)

    def outcome(self) -> Answer | Failure:
        """Return what the attempt amounts to."""
        if self._failure is not None:
            return self._failure
        redact = self._credentials.redact
        headers = Headers((name.decode("latin-1"), redact(value).decode("latin-1")) for name, value in self._headers)
        return Answer(self._status, headers, bytes(self._body[:KEPT_BODY]), self._truncated, redact)

    def _failure_of(self, error: Exception) -> Failure:
        text = printable(self._credentials.redact(_describe(error)))
        if not self.begun:
            refused = isinstance(error, httpx.ProxyError) or _is_certificate_error(error)
            return Failure(ConnectionFailedError._because(f"No connection was made ({text})."), final=refused)
        kind: type[DeliveryUnknownError] = ConnectionLostError
        reason = f"The connection broke after the request had been begun ({text})."
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            kind, reason = ResponseTimeoutError, f"No complete answer came in time ({text})."
        return Failure(kind._because(reason))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_certificate_error(error: Exception) -> bool:
    return any(isinstance(link, ssl.SSLCertVerificationError) for link in _chain(error))


def _describe(error: Exception) -> str:
    # Many of them have no text; the one they were made from often has.
    text = next((str(link) for link in _chain(error) if str(link)), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
