"""Who asks the engine: one thread a process, for its threads and its event loops.

It renews what is in flight, asks for those who wait, and gives back what has ended. If the engine fails, nobody waits
for it longer than `grace`: then the process goes on alone with one slot a business, and what is owed is told later.

Callers share nothing with that thread but a plain lock, which is held for moments, and a queue: an interrupt between
any two lines of theirs leaves neither behind. What calls foreign code (the log, an event loop) is done without it. A
turn that nobody has any more, since its event loop was closed, is given back by itself.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from secrets import token_hex
from typing import NamedTuple
from weakref import WeakSet, ref

from .._quota import Quota
from .._send import log_safely
from . import _rule as rule
from ._engine import PATIENCE, Engine, EngineError

POLL = 0.015, 0.045
"""Seconds between two questions for somebody who waits, at random between these, so that nobody comes always first."""
SLOWEST = 4.0
"""By how much these are stretched while nothing changes."""
LOOK = 1.0
"""Seconds after which it is looked whether the engine still knows who is in flight: it may have lost its state."""
RETRY = 0.25
"""Seconds between two tries of an engine that is away; a fifth of it before that is sure."""
DOUBT = 0.1
"""Seconds that an engine has which seems to be away: it may have been this process that stood still."""


class Turn:
    """One request's turn: asked for, waited for, had, and given back once."""

    def __init__(self, keeper: Keeper, key: str, operation: str) -> None:
        self.id = token_hex(8)
        self.key = key
        self.operation = operation
        self.asked = time.monotonic()
        self.quotas: dict[str, rule.Told] = {}
        """Of all operations of the business, as of the exchange that ended the waiting."""
        self._decision: bool | None = None
        self._keeper = keeper
        self._gate = threading.Lock()
        self._gate.acquire()
        self._waker: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    @property
    def granted(self) -> bool:
        """Whether the request may begin."""
        return self._decision is True

    @property
    def spent(self) -> bool:
        """Whether it may not, since the quota is spent."""
        return self._decision is False

    def ask(self) -> None:
        """Ask for it. Who asks has the turn in hand by then, so that it is given back whatever happens next."""
        self._keeper.ask(self)

    def decide(self, granted: bool) -> None:
        """End the waiting."""
        self._decision = granted
        self._gate.release()
        if self._waker is not None:
            loop, woken = self._waker
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_wake, woken)

    def wait(self, seconds: float) -> None:
        """Wait at most so long until it is granted, or the quota turns out to be spent."""
        until, pause = time.monotonic() + seconds, self._keeper.patience
        while self._decision is None and (left := until - time.monotonic()) > 0:
            self._gate.acquire(timeout=min(left, pause))
            pause = self._keeper.overdue(self)

    async def wait_async(self, seconds: float) -> None:
        """Do the same on an event loop."""
        until, pause = time.monotonic() + seconds, self._keeper.patience
        if self._waker is None:
            loop = asyncio.get_running_loop()
            self._waker = loop, loop.create_future()
        while self._decision is None and (left := until - time.monotonic()) > 0:
            await asyncio.wait((self._waker[1],), timeout=min(left, pause))
            pause = self._keeper.overdue(self)

    def tell(self, learn: Callable[[str, Quota, float], object]) -> None:
        """Hand on what was learned of the quotas."""
        for operation, told in self.quotas.items():
            until = datetime.fromtimestamp(told.until, UTC)
            learn(operation, Quota(told.limit, told.left, until), told.seconds)

    def answered(self, quota: Quota | None, seconds: float) -> None:
        """Give it back after a response, with what that told of the quota and for how long it holds."""
        told = None
        if quota is not None and quota.remaining is not None and quota.resets_at is not None and seconds > 0:
            told = rule.Told(quota.limit, quota.remaining, quota.resets_at.timestamp(), seconds)
        self._keeper.end(self, rule.ANSWERED, told)

    def end(self, *, may_count: bool) -> None:
        """Give it back without a response, or leave the line. `may_count`: Market may have counted the request."""
        self._keeper.end(self, rule.LOST if may_count else rule.UNUSED, None)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class _Entry(NamedTuple):
    """A turn as the keeper knows it: the turn itself is its owner's."""

    operation: str
    turn: ref[Turn]


class _Owed(NamedTuple):
    """An end that is to be told. What it tells of the quota gets old meanwhile."""

    end: rule.End
    at: float

    def aged(self, now: float) -> rule.End:
        told = self.end.told
        if told is not None:
            left = told.seconds - (now - self.at)
            told = told._replace(seconds=left) if left > 0 else None
        return self.end._replace(told=told)


@dataclass
class _Business:
    """All turns of one business, and how its engine does."""

    waiting: dict[str, _Entry] = field(default_factory=dict)
    held: dict[str, _Entry] = field(default_factory=dict)
    owed: list[_Owed] = field(default_factory=list)
    visited: bool = False
    """Whether it is asked for now."""
    renewed: float = 0.0
    looked: float = 0.0
    unanswered: float | None = None
    """Since when the engine has answered nothing."""
    doubted: float | None = None
    """Since when that has lasted for `grace`."""
    retry_at: float = 0.0
    reason: str = "it does not answer"
    alone: bool = False


class Keeper:
    """Keeps the turns of a process with one engine."""

    def __init__(self, engine: Engine, slots: int, lease: float, grace: float) -> None:
        self._engine = engine
        self._slots = slots
        self._lease = lease
        self.patience = max(grace - DOUBT, DOUBT / 2)
        """Seconds after which one who waits looks whether to go alone."""
        self.begin_as_child()
        _keepers.add(self)

    def begin_as_child(self) -> None:
        """Begin, or let go of what belongs to the parent of a forked process."""
        self._who = token_hex(8)
        self._lock = threading.Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._businesses: dict[str, _Business] = {}
        self._dropped: deque[tuple[str, str]] = deque()
        self._decided: deque[tuple[Turn, bool]] = deque()
        self._messages: deque[tuple[str, tuple[str, ...]]] = deque()
        self._away = False

    def ask(self, turn: Turn) -> None:
        """Ask for a turn."""
        with self._lock:
            business = self._businesses.setdefault(turn.key, _Business())
            business.waiting[turn.id] = _Entry(turn.operation, ref(turn, partial(self._drop, turn.key, turn.id)))
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, name="yandex-market-chat limits", daemon=True)
                try:
                    thread.start()
                    self._thread = thread
                except RuntimeError:  # no memory for it, or the interpreter ends
                    business.reason = "no thread can be started"
                    self._go_alone(business)
            self._grant_alone(business)
        self._bell.put(None)
        self._call_others()

    def overdue(self, turn: Turn) -> float:
        """Go on alone if the engine has answered nothing for `grace` seconds; return when to look again."""
        with self._lock:
            business, now = self._businesses.get(turn.key), time.monotonic()
            if business is None or turn.id not in business.waiting:
                return self.patience
            gone = self._thread is None or not self._thread.is_alive()  # by a defect
            unanswered = turn.asked if gone else business.unanswered
            if unanswered is None:
                return self.patience
            left = self.patience - (now - max(unanswered, turn.asked))
            if left > 0:
                return left
            if business.doubted is None:
                business.doubted = now
            if now - business.doubted < DOUBT:
                return DOUBT - (now - business.doubted)
            self._go_alone(business)
        self._call_others()
        return self.patience

    def end(self, turn: Turn, fate: str, told: rule.Told | None) -> None:
        """Take it back, or out of the line; only the first time."""
        with self._lock:
            ended = self._end(turn.key, turn.id, fate, told)
        if ended:
            self._bell.put(None)
            self._call_others()

    def _end(self, key: str, name: str, fate: str, told: rule.Told | None = None) -> bool:
        business = self._businesses.get(key)
        if business is None:
            return False
        if (entry := business.waiting.pop(name, None)) is not None:
            fate, told = rule.UNUSED, None  # the question may be under way, and be answered with a slot
        elif (entry := business.held.pop(name, None)) is None:
            return False
        business.owed.append(_Owed(rule.End(name, entry.operation, fate, told), time.monotonic()))
        self._grant_alone(business)
        return True

    def _drop(self, key: str, name: str, _: object) -> None:
        """Note that nobody has the turn any more. Called by the garbage collector, between any two lines."""
        self._dropped.append((key, name))
        self._bell.put(None)

    def _grant(self, business: _Business, name: str, granted: bool) -> None:
        entry = business.waiting[name]
        turn = entry.turn()
        if turn is None:
            return  # it has been dropped, which is seen to next
        del business.waiting[name]
        if granted:
            business.held[name] = entry
        self._decided.append((turn, granted))

    def _grant_alone(self, business: _Business) -> None:
        """Let one request go, whatever the engine would say."""
        for name in list(business.waiting) if business.alone else ():
            if not business.held:
                self._grant(business, name, True)

    def _go_alone(self, business: _Business) -> None:
        business.alone = True
        if not self._away:
            self._away = True
            text = "the shared limits are away (%s): this process goes on alone, with one request at once per business"
            self._messages.append((text, (business.reason,)))
        self._grant_alone(business)

    def _call_others(self) -> None:
        """Wake those who wait, and write to the log: neither may happen under the lock."""
        with suppress(IndexError):
            while True:
                turn, granted = self._decided.popleft()
                turn.decide(granted)
        with suppress(IndexError):
            while True:
                text, values = self._messages.popleft()
                log_safely(logging.WARNING, text, *values, extra={})

    # The thread

    def _work(self) -> None:
        stretched = 1.0
        while True:
            with self._lock:
                pause = min((self._pause(each, stretched) for each in self._businesses.values()), default=3600.0)
            stretched = min(stretched * 1.1, SLOWEST)
            with suppress(Empty):
                self._bell.get(timeout=max(pause, 0.0))
                stretched = 1.0
                while True:
                    self._bell.get_nowait()
            with self._lock:
                while self._dropped:
                    self._end(*self._dropped.popleft(), rule.LOST)
                keys = list(self._businesses)
            for key in keys:
                self._visit(key, self._businesses[key])
                self._call_others()

    def _pause(self, business: _Business, stretched: float) -> float:
        """Return the seconds until there is something to do."""
        now = time.monotonic()
        if business.alone or business.retry_at > now:
            return business.retry_at - now
        if business.owed:
            return 0.0
        pause = random.uniform(*POLL) * stretched if business.waiting else 3600.0  # noqa: S311
        return min(pause, business.looked + LOOK - now) if business.held else pause

    def _visit(self, key: str, business: _Business) -> None:
        """Tell and ask the engine for one business, if there is anything."""
        with self._lock:
            now = time.monotonic()
            look = business.held and now >= business.looked + LOOK
            if not (business.owed or business.waiting or look or business.alone):
                if not business.held:
                    del self._businesses[key]
                return
            if now < business.retry_at:
                return
            business.visited = True
            if business.unanswered is None:
                business.unanswered = now
            owed, business.owed = business.owed, []
            due = business.alone or now >= business.renewed + self._lease / 3
            trip = rule.Trip(
                [each.aged(now) for each in owed],
                [rule.Ask(name, entry.operation) for name, entry in business.held.items()],
                [rule.Ask(name, entry.operation) for name, entry in business.waiting.items()],
                self._who,
                due,
                business.alone,
            )
        decide = partial(rule.exchange, trip=trip, slots=self._slots, length=self._lease)
        try:
            reply = self._engine.update(key, decide)
        except Exception as error:  # whatever an engine raises: limits lose no send
            with self._lock:
                business.visited, business.owed = False, [*owed, *business.owed]
                business.reason = str(error) if isinstance(error, EngineError) else type(error).__name__
                business.retry_at = time.monotonic() + (RETRY if business.alone else RETRY / 5)
            return
        with self._lock:
            business.visited = business.alone = False
            business.looked, business.retry_at = now, 0.0
            business.unanswered = business.doubted = None
            business.renewed = now if due else business.renewed
            if self._away and not any(each.alone for each in self._businesses.values()):
                self._away = False
                self._messages.append(("the shared limits are back", ()))
            for name in [ask.id for ask in trip.asks]:
                if name in business.waiting and name in reply.granted | reply.spent:
                    if (turn := business.waiting[name].turn()) is not None:
                        turn.quotas = reply.quotas
                    self._grant(business, name, name in reply.granted)

    # The end

    def give_back(self) -> None:
        """Tell that all has ended before the process does: nobody is to wait for a lease that it left behind."""
        with self._lock:
            for key, business in self._businesses.items():
                for name in [*business.held, *business.waiting]:
                    self._end(key, name, rule.LOST)
        self.flush()

    def flush(self) -> None:
        """Wait until what has ended is told, unless the engine is away."""
        until = time.monotonic() + 2 * PATIENCE
        self._bell.put(None)
        while time.monotonic() < until and self._thread is not None and self._thread.is_alive():
            with self._lock:
                now = time.monotonic()
                well = [each for each in self._businesses.values() if each.retry_at <= now]
                if not any(each.owed or each.visited for each in well):
                    return
            time.sleep(0.0005)


_keepers: WeakSet[Keeper] = WeakSet()


def _begin_as_child() -> None:
    for keeper in list(_keepers):
        keeper.begin_as_child()


@atexit.register
def _give_back() -> None:
    for keeper in list(_keepers):
        keeper.give_back()


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_as_child)
