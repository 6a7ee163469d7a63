"""The connections of a client, in the place of httpcore's pool.

A pool decides how many there are at once. Here the places have decided that already, and to decide it again costs a
seventh of a small send, of an asynchronous one a third. What is left to do is to keep what can be used again.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpcore


class Connections:
    """Of a client, of an asynchronous one in one event loop. Thread-safe: who has taken a connection has it alone."""

    # So that `vars` does not go through it to the headers that a proxy is sent.
    __slots__ = ("_idle", "_make")

    def __init__(self, pool: Any) -> None:
        self._make = pool.create_connection  # with TLS and proxies, as httpx has told it
        self._idle: deque[Any] = deque()

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send it on an idle connection that still stands, else on a new one."""
        while (connection := self._last()) and connection.has_expired():
            connection.close()
        connection = connection or self._make(request.url.origin)
        try:
            while ended := self._ended():
                ended.close()
            response: httpcore.Response = connection.handle_request(request)
        except BaseException:  # httpcore leaves open what is not yet a tunnel
            connection.close()
            raise
        response.stream = _Body(response.stream, connection, self._idle)
        return response

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Do the same."""
        while (connection := self._last()) and connection.has_expired():
            await connection.aclose()
        connection = connection or self._make(request.url.origin)
        try:
            while ended := self._ended():
                await ended.aclose()
            response: httpcore.Response = await connection.handle_async_request(request)
        except BaseException:  # also when it waited for a lock of httpcore's
            await connection.aclose()
            raise
        response.stream = _Body(response.stream, connection, self._idle)
        return response

    def _last(self) -> Any:
        """Take the one that was used last: of all it is the least likely to be closed by the server just now."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _ended(self) -> Any:
        """Take the one that has been idle for longest, if it has ended: nobody else would look at it again."""
        with suppress(IndexError, ValueError):  # none is idle, or another thread has taken it
            first = self._idle[0]
            if first.has_expired():
                self._idle.remove(first)
                return first
        return None

    def close(self) -> None:
        """Close those that are idle."""
        while connection := self._last():
            connection.close()

    async def aclose(self) -> None:
        """Do the same."""
        while connection := self._last():
            await connection.aclose()


class _Body:
    """The body of an answer. Once it is closed, its connection is idle, unless one of both sides does not keep it."""

    def __init__(self, stream: Any, connection: Any, idle: deque[Any]) -> None:
        self._stream, self._connection, self._idle = stream, connection, idle

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            if self._connection.is_idle():
                self._idle.append(self._connection)
            else:
                self._connection.close()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:  # also when it is cancelled while it waits for a lock of httpcore's
            if self._connection.is_idle():
                self._idle.append(self._connection)
            else:
                await self._connection.aclose()
