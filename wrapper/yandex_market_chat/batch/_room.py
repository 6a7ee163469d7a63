"""How much may be in memory and in flight at once, over all businesses."""

from __future__ import annotations

import asyncio
from collections import deque

MOST_BYTES = 32 * 1024 * 1024
"""Of files in memory at once."""
MOST_SENDS = 200
"""At once: each needs a file descriptor."""


class Room:
    """Room for so many sends and bytes, given in the order of asking. A file always has room when it is alone."""

    def __init__(self) -> None:
        self._sends = self._bytes = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Return when there is room for a file of that size."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        self._call()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            raise

    def give_back(self, size: int) -> None:
        """Make it free for others."""
        self._sends -= 1
        self._bytes -= size
        self._call()

    def _call(self) -> None:
        while self._line:
            size, turn = self._line[0]
            if not turn.cancelled():
                if self._sends and (self._sends >= MOST_SENDS or self._bytes + size > MOST_BYTES):
                    return
                self._sends += 1
                self._bytes += size
                turn.set_result(None)
            self._line.popleft()
