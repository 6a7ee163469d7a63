"""Keeps the answer of every exchange as it came off the socket, below whichever client is at work.

The generated client reports no header list and the wrapper no successful answer, but schemathesis is to validate both.
Both send through the transports of httpx, so that is where the answers are copied; requests are taken from the server's
journal instead, since what arrived counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from unittest.mock import patch

import httpx


@dataclass
class RecordedAnswer:
    """An answer as it arrived, as far as the client read it."""

    method: str
    url: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)

    def for_schemathesis(self, request_headers: list[tuple[str, str]], request_body: bytes) -> httpx.Response:
        request = httpx.Request(self.method, self.url, headers=request_headers, content=request_body)
        request.read()  # without, the validation of every form raises RequestNotRead
        response = httpx.Response(self.status, headers=self.headers, content=bytes(self.body), request=request)
        response.elapsed = timedelta(0)  # asked for, and not there unless a client of httpx has set it
        return response


class _Copying(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, copy: bytearray) -> None:
        self._stream, self._copy = stream, copy

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:  # type: ignore[union-attr]  # a stream is of the mode of its client
            self._copy += piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:  # type: ignore[union-attr]  # see above
            self._copy += piece
            yield piece

    def close(self) -> None:
        self._stream.close()  # type: ignore[union-attr]  # see above

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[union-attr]  # see above


@contextmanager
def recording() -> Iterator[list[RecordedAnswer]]:
    """Collect the answers of this process in the list."""
    answers: list[RecordedAnswer] = []
    handle, handle_async = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request

    def record(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        answer = RecordedAnswer(request.method, str(request.url), response.status_code, response.headers.raw)
        answers.append(answer)
        response.stream = _Copying(response.stream, answer.body)
        return response

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        return record(request, handle(self, request))

    async def handle_async_request(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return record(request, await handle_async(self, request))

    with (
        patch.object(httpx.HTTPTransport, "handle_request", handle_request),
        patch.object(httpx.AsyncHTTPTransport, "handle_async_request", handle_async_request),
    ):
        yield answers
