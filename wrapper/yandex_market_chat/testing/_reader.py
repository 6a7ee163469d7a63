"""Requests out of the bytes of a connection, by h11."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import h11

from ._channel import Channel
from ._credentials import Headers

_MAX_HEAD: Final = 32 * 1024
# h11 quotes what it does not like, which may be a credential: only the words before the quote are passed on.
_QUOTE = re.compile(r"[:,]?\s*(?:\bb|bytearray\()?['\"{(:].*", re.DOTALL)


_LENGTH = re.compile(rb"(?im)^content-length:(.*)$")


class MalformedRequestError(Exception):
    """What arrived is not HTTP/1.1; the text is a sentence, without anything of what arrived."""


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers."""

    method: str
    target: str
    headers: Headers
    keep_alive: bool
    announced: int
    """What Content-Length says; 0 without one that counts."""
    misframed: str | None
    """What is wrong with how the end of the body is told, though it can be read; None if nothing is."""


class RequestReader:
    """Reads the requests of one connection, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        # What h11 has been given for the head: it makes one of several Content-Length.
        self._raw = bytearray()
        self.began = False
        """Whether anything of a request has arrived."""

    async def head(self) -> Head | None:
        """Return the head of the next request; None if the client ended the connection instead."""
        self._begin()
        event = await self._next()
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in (b"1.0", b"1.1"):
            # h11 takes any digits.
            raise MalformedRequestError("not HTTP/1.1: unknown version")
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items()]
        headers = Headers(pairs)
        tokens = {token.strip().lower() for value in headers.values("Connection") for token in value.split(",")}
        announced, chunked = headers.get("Content-Length"), bool(headers.values("Transfer-Encoding"))
        misframed = _misframed(event.http_version, bytes(self._raw), chunked=chunked)
        return Head(
            event.method.decode("latin-1"),
            event.target.decode("latin-1"),
            headers,
            # Whoever frames a body in two ways may not mean the one that was read (RFC 9112, 6.1).
            keep_alive=event.http_version >= b"1.1" and "close" not in tokens and misframed is None,
            # h11 has seen to it that this is a number, and has made one of several that are the same.
            announced=0 if chunked or not announced else int(announced),
            misframed=misframed,
        )

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. MalformedRequestError if it ends before its end."""
        if self._http.they_are_waiting_for_100_continue:
            await self._channel.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def _begin(self) -> None:
        # h11 will only turn to the next request when it has written the answer to this one. It does not write ours,
        # which may break every rule of HTTP on purpose: so each request has a connection object of its own.
        rest, ended = self._http.trailing_data
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self.began = bool(rest)
        self._raw[:] = rest
        if rest:
            self._http.receive_data(rest)
        if ended:
            self._http.receive_data(b"")

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._channel.receive()
                self.began = self.began or bool(data)
                self._http.receive_data(data)
                if self._http.their_state is h11.IDLE:
                    self._raw += data
        except h11.RemoteProtocolError as error:
            raise MalformedRequestError(f"not HTTP/1.1: {_QUOTE.sub('', str(error)) or 'a broken line'}") from None
        return event  # type: ignore[return-value] # h11 types NEED_DATA as a class, which `is` does not exclude


def _misframed(version: bytes, raw: bytes, *, chunked: bool) -> str | None:
    head, _, _ = raw.lstrip(b"\r\n").replace(b"\r\n", b"\n").partition(b"\n\n")
    lengths = _LENGTH.findall(head)
    if chunked and lengths:
        return "the request has both Transfer-Encoding and Content-Length (RFC 9112 6.2)"
    if chunked and version < b"1.1":
        return "the request has Transfer-Encoding, which HTTP/1.0 does not know (RFC 9112 6.1)"
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        return "the request has more than one Content-Length (RFC 9110 8.6)"
    return None
