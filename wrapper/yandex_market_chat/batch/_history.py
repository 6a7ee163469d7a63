"""What the chats' histories tell of the rows of which nobody knows. Found means sent; nothing else follows."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from .. import _errors as errors
from .._async_client import BatchDoor
from .._claims import Kind
from ._journal import SENT, Change, Item
from ._writer import UnwrittenError, Writer


class _Doubt(NamedTuple):
    """A row of which nobody knows, as its chat would show it."""

    id: int
    kind: Kind
    ago: Callable[[], float]
    """Seconds since the first attempt began that may have arrived."""
    restarted: bool
    """Whether these are by the clock on the wall."""
    unknown_attempts: int


class Histories:
    """Reads them: once before a run for what earlier ones have left, and after it for its own."""

    def __init__(self, door: BatchDoor, writer: Writer, stop: asyncio.Event) -> None:
        self._door = door
        self._writer = writer
        self._stop = stop
        self._began = datetime.now(UTC)
        self._last = 0.0
        self._doubts: dict[int, _Doubt] = {}
        self._known: set[Kind] = set()
        self._learning = asyncio.Lock()
        self._unreadable: set[int] = set()
        self._on_found: Callable[[int], object] = lambda business: None

    def doubt(self, item: Item, kind: Kind, began: float) -> None:
        """Note a send that has just ended unknown; it began at that moment of the monotonic clock."""
        self._last = time.monotonic()
        if item.unknown_attempts and item.since is not None:
            self._doubts[item.id] = _earlier(item.id, kind, item.since, item.unknown_attempts + 1)
        else:
            self._doubts[item.id] = _Doubt(item.id, kind, lambda: time.monotonic() - began, False, 1)

    async def read_once(self) -> None:
        """Read for all that earlier runs have left unknown."""
        found = await self._writer.do(self._writer.journal.doubts)
        self._doubts = {each.id: _earlier(each.id, each.kind, each.since, each.unknown_attempts) for each in found}
        await self._unless_stopped(self._read())
        self._doubts.clear()

    async def settle(self, on_found: Callable[[int], object]) -> None:
        """Read 1, 3, 7, 15 … s after the last unknown outcome, for as long as the client does; tell what is found."""
        self._on_found = on_found
        await self._unless_stopped(self._settle())

    async def _settle(self) -> None:
        patience, offset, read = self._door.confirm_unknown, 1.0, False
        while self._readable() and not self._writer.broken:
            due, offset = min(offset, patience / 2) if not read else offset, offset * 2 + 1
            passed = time.monotonic() - self._last
            if read and due >= patience:
                return
            if passed > offset and offset < patience:
                continue  # the next one is past as well
            await asyncio.sleep(due - passed)
            await self._read()
            read = True

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        task, stop = asyncio.ensure_future(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each in (task, stop):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each

    def _readable(self) -> list[_Doubt]:
        return [each for each in self._doubts.values() if each.kind.business_id not in self._unreadable]

    async def _read(self) -> None:
        """Read for each once: the businesses side by side, each with as many at once as it has slots."""
        lines: defaultdict[int, list[_Doubt]] = defaultdict(list)
        for each in reversed(self._readable()):
            lines[each.kind.business_id].append(each)
        async with asyncio.TaskGroup() as readers:
            for line in lines.values():
                for _ in range(min(len(line), self._door.options.max_parallel)):
                    readers.create_task(self._read_line(line))

    async def _read_line(self, line: list[_Doubt]) -> None:
        while line and not self._writer.broken:
            doubt = line.pop()
            await self._learn(doubt.kind)
            try:
                found = await self._door.find(doubt.kind, doubt.ago(), restarted=doubt.restarted)
            except errors.ChatError as error:
                found = error
            if isinstance(found, errors.ChatError):
                line.clear()  # the next would fare no better
                passes = isinstance(found, errors.ServerError | errors.ParallelLimitError)
                if isinstance(found, errors.ApiError) and not passes:
                    self._unreadable.add(doubt.kind.business_id)
            elif found is not None:
                await self._book(doubt, found)

    async def _learn(self, kind: Kind) -> None:
        """Tell the client once which messages earlier runs account for; nobody reads before it is told."""
        async with self._learning:
            if kind in self._known:
                return
            for message, at in await self._writer.do(self._writer.journal.accounted, kind, self._began):
                if message is not None:
                    self._door.claims.took(kind, message)
                else:
                    ended = time.monotonic() - (datetime.now(UTC) - at).total_seconds()
                    self._door.claims.end(self._door.claims.begin(kind), ended, confirmed=True)
            self._known.add(kind)

    async def _book(self, doubt: _Doubt, message_id: int) -> None:
        facts = dict.fromkeys(("error", "reason", "status_code", "error_code", "trace_id"))
        known = {"confirmed_by": "history", "message_id": message_id, "unknown_attempts": doubt.unknown_attempts - 1}
        with suppress(UnwrittenError):  # the next run finds it again
            await self._writer.write(Change(doubt.id, SENT, {**facts, **known}))
            del self._doubts[doubt.id]
            self._on_found(doubt.kind.business_id)


def _earlier(number: int, kind: Kind, since: datetime | str, unknown_attempts: int) -> _Doubt:
    moment = since if isinstance(since, datetime) else datetime.fromisoformat(since)
    return _Doubt(number, kind, lambda: (datetime.now(UTC) - moment).total_seconds(), True, unknown_attempts)
