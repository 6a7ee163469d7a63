"""The journal as the event loop sees it: a thread of its own, and one sync for all that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ._journal import Change, Journal

T = TypeVar("T")


class UnwrittenError(Exception):
    """The journal did not take a change: what was to be said is the text."""


class Writer:
    """Runs what is to be done with the journal, in order, in the thread that may touch it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "journal")
        self._queue: list[tuple[Change, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self.journal: Journal
        self.broken = ""
        """Why nothing new may begin."""

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call it in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def write(self, change: Change) -> None:
        """Return when the change is durable, perhaps with others; UnwrittenError if it is not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((change, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            failures: Sequence[Exception | None]
            try:
                failures = await self.do(self.journal.write, [change for change, _ in batch])
            except Exception as error:  # a defect of ours, and still nobody may wait for ever
                failures = [error] * len(batch)
            for (_, done), failure in zip(batch, failures, strict=True):
                if failure is not None:
                    self.broken = str(failure)
                if done.done():  # its task was cancelled
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(UnwrittenError(str(failure)))
        self._writing = None

    async def close(self) -> None:
        """End with the journal, after all that was asked for."""
        if self._writing is not None:
            await self._writing
        await self.do(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
