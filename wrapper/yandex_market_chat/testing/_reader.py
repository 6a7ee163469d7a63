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
    """What Content-Length says; 0 without one."""


class RequestReader:
    """Reads the requests of one connection, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
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
        return Head(
            event.method.decode("latin-1"),
            event.target.decode("latin-1"),
            headers,
            keep_alive=event.http_version >= b"1.1" and "close" not in tokens,
            # h11 has seen to it that this is a number, and that several are the same.
            announced=int((headers.get("Content-Length") or "0").split(",")[0]),
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
        except h11.RemoteProtocolError as error:
            raise MalformedRequestError(f"not HTTP/1.1: {_QUOTE.sub('', str(error)) or 'a broken line'}") from None
        return event  # type: ignore[return-value] # h11 types NEED_DATA as a class, which `is` does not exclude
