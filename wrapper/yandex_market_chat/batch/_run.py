"""The run of a batch: a line of items for each business, side by side, each at its own pace."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import sqlite3
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from .. import _errors as errors
from .._async_client import BatchDoor, Place
from .._claims import Kind
from .._file import name_and_type, read_path
from .._history import comparable
from .._send import SentFile, logger
from .._steps import OPEN_CHAT
from ._estimate import Estimate
from ._history import Histories
from ._journal import NOT_SENT, SENDING, SENT, UNKNOWN, Change, Item
from ._lookup import find
from ._outcome import FileChangedError, Opened, Outcome, change_of, is_doubtful, is_of_the_run, shows_access
from ._pace import TRIES, Pace
from ._reach import Reach
from ._result import BatchProgress, BusinessProgress
from ._room import Room
from ._writer import UnwrittenError, Writer

ITEMS = 5_000
"""About so many are fetched at once, for all businesses together."""

_ACROSS = {SENT: "sent", NOT_SENT: "not_sent", UNKNOWN: "unknown"}

Progress = Callable[[BatchProgress], object]


class Run:
    """One run: what is due, who is in flight, and why it ends."""

    def __init__(
        self,
        door: BatchDoor,
        writer: Writer,
        folder: Path,
        states: list[str],
        stop: asyncio.Event,
        on_progress: Progress | None,
        histories: Histories | None,
    ) -> None:
        self._door = door
        self._writer = writer
        self._folder = folder
        self._states = states
        self._stop = stop
        self._on_progress = on_progress
        self._histories = histories
        self._paces: dict[int, Pace] = {}
        self._opens: dict[int, Pace] = {}
        self._chats: dict[tuple[int, int | None], int] = {}  # that were opened in this run, by order
        self._openings: dict[tuple[int, int | None], list[Item]] = {}  # those that wait for a chat that is opened
        self.recognised: list[int] = []
        """Lines whose chat, when it was known, had their content already."""
        self._news: dict[int, asyncio.Event] = {}
        self._room = Room()
        self._refusals: Counter[int] = Counter()
        self._held: defaultdict[int, list[tuple[Item, Change, Exception]]] = defaultdict(list)
        self._has_access: set[int] = set()
        self._reach: Reach
        self._estimate = Estimate()
        self.unwritten: list[str] = []
        self.progress: BatchProgress

    def stopped(self) -> str | None:
        """Return why the run ended before the end, if it did."""
        if self._writer.broken:
            return f"the journal cannot be written: {self._writer.broken}"
        left = any(business.left for business in self.progress.businesses.values())
        if self._reach.over and left:
            return self._reach.over
        paces = [*self._paces.values(), *self._opens.values()]
        given_up = [f"business {pace.business_id}: {pace.given_up}" for pace in paces if pace.given_up]
        if given_up and left:
            return "; ".join(given_up[:5]) + ("; and others" if len(given_up) > 5 else "")
        return "it was told to stop" if self._stop.is_set() and self.progress.done < self.progress.due else None

    async def begin(self) -> None:
        """Look at what is due."""
        counts = await self._writer.do(self._writer.journal.counts)
        businesses = await self._writer.do(self._writer.journal.businesses, self._states)
        self.progress = BatchProgress(
            total=sum(counts.values()),
            sent=counts[SENT],
            not_sent=counts[NOT_SENT],
            unknown=counts[UNKNOWN],
            due=sum(due for _, due, _ in businesses),
            businesses={business: BusinessProgress(business, due, sent) for business, due, sent in businesses},
            _estimate=self._estimate.to_go,
        )
        self._reach = Reach(self.progress.due)
        self._page = max(2, min(200, ITEMS // max(1, len(businesses))))
        for business in self.progress.businesses:
            slots, quotas = self._door.options.max_parallel, self._door.quotas
            self._paces[business] = Pace(business, quotas, slots)
            self._opens[business] = Pace(business, quotas, slots, OPEN_CHAT, self._paces[business])
            self._news[business] = asyncio.Event()
        self._tell()

    async def run(self) -> None:
        """Send what is due, until all of it has been tried or the run is stopped."""
        watch = asyncio.create_task(self._wake_when_stopped())
        try:
            async with asyncio.TaskGroup() as group:
                for business in self._paces:
                    group.create_task(self._serve(business))
        finally:
            watch.cancel()
        if self._histories is not None:
            await self._histories.settle(self._note_found)

    def _note_found(self, business: int) -> None:
        self.progress.unknown -= 1
        self.progress.sent += 1
        self.progress.businesses[business].sent += 1
        self._tell()

    async def _wake_when_stopped(self) -> None:
        await self._stop.wait()
        self._wake()

    def _wake(self) -> None:
        for news in self._news.values():
            news.set()

    @property
    def _ends(self) -> bool:
        return self._stop.is_set() or bool(self._writer.broken or self._reach.over)

    async def _serve(self, business: int) -> None:
        """Send the items of one business, in order, as its pace allows."""
        sending, opening = self._paces[business], self._opens[business]
        news, shown = self._news[business], self.progress.businesses[business]
        items: deque[Item] = deque()
        last, more = 0, True
        async with asyncio.TaskGroup() as sends:
            while not (self._ends or sending.given_up or opening.given_up):
                if not items and more:
                    page = await self._writer.do(self._writer.journal.due, business, last, self._states, self._page)
                    items += page  # meanwhile others may have come back, from any line: these do not say where to go on
                    more = bool(page)
                    last = page[-1].line if page else last
                    continue
                news.clear()
                now = time.monotonic()
                if not items:
                    if not sending.busy:
                        await self._end(business)
                        return
                    await news.wait()  # what is in flight may come back
                    continue
                order = business, items[0].order_id
                pace, work = sending, self._send_in_turn
                if items[0].chat_id is None:
                    if order in self._chats:
                        await self._take_chat(items.popleft(), self._chats[order], items)
                        self._tell()
                        continue
                    if order in self._openings:
                        self._openings[order].append(items.popleft())
                        continue
                    pace, work = opening, self._open_in_turn
                if seconds := max(pace.wait(now), self._reach.wait(now)):
                    if ends := seconds < math.inf:
                        shown.paused_until = datetime.now(UTC) + timedelta(seconds=seconds)
                        self._tell()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds if ends else None):
                            await news.wait()
                    shown.paused_until = None
                    self._estimate.paused(business, (time.monotonic() - now) * ends)
                else:
                    item = items.popleft()
                    if pace is opening:
                        self._openings[order] = [item]
                    await self._room.take(item.size)
                    now = time.monotonic()  # it may have taken long
                    if self._ends or pace.wait(now) or self._reach.wait(now):
                        items.appendleft(item)
                        if pace is opening:
                            del self._openings[order]
                        self._room.give_back(item.size)
                        continue
                    marks = pace.started(), self._reach.started()
                    shown.in_flight += 1
                    sends.create_task(work(item, pace, marks, items))

    async def _end(self, business: int) -> None:
        """Decide what was refused and may have been refused to any other item: no more will show which it was."""
        pace, held = self._paces[business], self._held[business]
        if business in self._has_access:
            await self._book_held(business)
        elif held:
            pace.give_up(f"{len(held)} of its sends were refused and none was taken", held[-1][2])

    async def _send_in_turn(self, item: Item, pace: Pace, marks: tuple[int, int], items: deque[Item]) -> None:
        """Send an item; put it back if it was only not its time."""
        outcome = None
        try:
            outcome = await self._send(item)
            if outcome is not None and not await self._settle(item, outcome):
                items.appendleft(item)
        finally:
            self._ended(item, pace, marks, outcome)
        self._tell()

    async def _open_in_turn(self, item: Item, pace: Pace, marks: tuple[int, int], items: deque[Item]) -> None:
        """Open the chat of an item's order, and put back all items that wait for it."""
        outcome: Outcome | None = None
        order = item.business_id, cast(int, item.order_id)
        try:
            try:
                outcome = Opened(await self._door.open_chat(*order))
            except errors.ChatError as error:
                outcome = error
            if isinstance(outcome, Opened):
                self._chats[order] = outcome.chat_id
                await self._show_access(item.business_id)
            waiting = self._openings.pop(order)
            if not isinstance(outcome, Opened) and await self._settle(item, outcome):
                waiting.remove(item)
            items.extendleft(reversed(waiting))
        finally:
            self._ended(item, pace, marks, outcome)
        self._tell()

    async def _take_chat(self, item: Item, chat_id: int, items: deque[Item]) -> None:
        """Put back an item with its chat, unless another has, or had, its content for it."""
        try:
            double = await self._writer.do(self._writer.journal.take_chat, item, chat_id)
        except sqlite3.Error as error:
            self._writer.broken = str(error)
            self._wake()
            return
        if double is None:
            items.appendleft(item._replace(chat_id=chat_id))
            return
        line, state = double
        progress, business = self.progress, self.progress.businesses[item.business_id]
        progress.due -= 1
        business.left -= 1
        self._count(item.state, -1)
        if line is None:
            self._count(state, 1)
            self.recognised.append(item.line)
        else:
            progress.total -= 1

    def _count(self, state: str, number: int) -> None:
        if state in _ACROSS:
            setattr(self.progress, _ACROSS[state], getattr(self.progress, _ACROSS[state]) + number)

    def _ended(self, item: Item, pace: Pace, marks: tuple[int, int], outcome: Outcome | None) -> None:
        """Note the end of a request, after all else: whoever sees nobody in flight is to find all that is left."""
        now = time.monotonic()
        pace.ended(marks[0], outcome, now)
        self._room.give_back(item.size)
        shown = self.progress.businesses[item.business_id]
        shown.in_flight -= 1
        key = self._paces[item.business_id].key
        shown.quota = self._door.quotas.of(key)
        self._estimate.learned(item.business_id, self._door.quotas.left(key, now)[1])
        if self._reach.ended(marks[1], outcome, now):
            self._wake()
        self.progress.trouble = self._reach.trouble
        self._news[item.business_id].set()

    async def _send(self, item: Item) -> SentFile | Exception | None:
        """Send it, with a row that says so; None: it was not begun."""
        try:
            content = await asyncio.to_thread(_read, self._folder, item)
        except (OSError, ValueError, FileChangedError) as error:
            return error
        try:
            place = await self._door.take_place(item.business_id, lambda: self._ends)  # before the row says "sending"
        except errors.QuotaExceededError as error:
            return error
        try:
            return None if self._ends else await self._send_now(item, content, place)
        finally:
            if place is not None:
                self._door.give_back(place)

    async def _send_now(self, item: Item, content: bytes, place: Place | None) -> SentFile | Exception | None:
        name = name_and_type(b"", item.name or Path(item.file).name, item.content_type)[0]
        known = {"sent_name": name, "sent_size": len(content)}
        if not item.unknown_attempts:
            known["since"] = datetime.now(UTC).isoformat()
        began = time.monotonic()
        try:
            await self._writer.write(Change(item.id, SENDING, known))
        except UnwrittenError:
            self._wake()
            return None
        chat_id = cast(int, item.chat_id)
        try:
            return await self._door.send_file(
                content,
                business_id=item.business_id,
                chat_id=chat_id,
                name=name,
                content_type=item.content_type,
                place=place,
            )
        except errors.DeliveryUnknownError as error:
            if self._histories is not None:
                self._histories.doubt(item, Kind(item.business_id, chat_id, comparable(name), len(content)), began)
            return error
        except errors.NotFoundError as error:
            if item.order_id is not None:
                await self._forget_chat(item.business_id, item.order_id)
            return error
        except errors.ChatError as error:
            return error

    async def _forget_chat(self, business: int, order: int) -> None:
        self._chats.pop((business, order), None)
        self._door.forget_chat(business, order)
        with suppress(sqlite3.Error):  # what follows is written, too, and tells it
            await self._writer.do(self._writer.journal.forget_chat, business, order)

    async def _settle(self, item: Item, outcome: SentFile | Exception) -> bool:
        """Write down what became of it; False if it is to be sent again."""
        put_back = is_of_the_run(outcome)
        if isinstance(outcome, errors.RateLimitError):
            self._refusals[item.id] += not isinstance(outcome, errors.QuotaExceededError)
            put_back = self._refusals[item.id] < TRIES
        if put_back or is_doubtful(outcome):
            await self._write(Change(item.id, item.state), item, "not sent yet")
            if put_back:
                return False
            self._held[item.business_id].append((item, change_of(item, outcome), cast(Exception, outcome)))
            return True
        if shows_access(outcome):
            await self._show_access(item.business_id)
        await self._book(item, change_of(item, outcome))
        return True

    async def _show_access(self, business: int) -> None:
        self._has_access.add(business)
        await self._book_held(business)  # it was the items

    async def _book_held(self, business: int) -> None:
        held, self._held[business] = self._held[business], []
        for item, change, _ in held:
            await self._book(item, change)

    async def _book(self, item: Item, change: Change) -> None:
        await self._write(change, item, change.state)
        progress = self.progress
        self._count(item.state, -1)
        self._count(change.state, 1)
        progress.done += 1
        business = progress.businesses[item.business_id]
        business.left -= 1
        business.done += 1
        business.sent += change.state == SENT

    async def _write(self, change: Change, item: Item, what: str) -> None:
        try:
            await self._writer.write(change)
        except UnwrittenError:
            self.unwritten.append(f"line {item.line} ({item.key}): {what}")
            self._wake()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(self.progress)
        except Exception as error:  # the caller's own code: whatever it raises must not end a batch
            self._on_progress = None
            logger.error("on_progress raised %s and is not called again for this batch", type(error).__name__)


def _read(folder: Path, item: Item) -> bytes:
    """Return the content that was planned."""
    try:
        content = read_path(os.fspath(find(folder, item.file)), item.size)
    except errors.InvalidFileError:
        content = b""
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise FileChangedError("The file has changed since it was checked. It was not sent.")
    return content
