"""Who asks the engine: one thread a process, for its threads and its event loops.

It renews what is in flight, asks for those who wait, and gives back what has ended. If the engine fails, nobody waits
for it longer than `grace`: then the process goes on alone with one slot a business, and what is owed is told later.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from weakref import WeakSet

from .._quota import Quota
from .._send import log_safely
from . import _rule as rule
from ._engine import PATIENCE, Engine, EngineError

POLL = 0.015, 0.045
"""Seconds between two questions for somebody who waits, at random between these, so that nobody comes always first."""
SLOWEST = 4.0
"""By how much these are stretched while nothing changes."""
RETRY = 0.25
"""Seconds between two tries of an engine that fails."""


class Turn:
    """One request's turn: waited for, had, and given back once."""

    def __init__(self, keeper: Keeper, key: str, operation: str) -> None:
        self.id = token_hex(8)
        self.key = key
        self.operation = operation
        self.asked = time.monotonic()
        self.quotas: dict[str, rule.Told] = {}
        """Of all operations of the business, as of the exchange that ended the waiting."""
        self.ready: Future[bool] = Future()
        self._keeper = keeper

    @property
    def granted(self) -> bool:
        """Whether the request may begin. False: not yet, or the quota is spent."""
        return self.ready.done() and self.ready.result()

    def wait(self, seconds: float) -> None:
        """Wait at most so long until it is granted, or the quota turns out to be spent."""
        until = time.monotonic() + seconds
        while not self.ready.done() and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                self.ready.result(min(left, self._keeper.patience))
            self._keeper.overdue(self)

    async def wait_async(self, seconds: float) -> None:
        """Do the same on an event loop."""
        until, ready = time.monotonic() + seconds, asyncio.wrap_future(self.ready)
        while not self.ready.done() and (left := until - time.monotonic()) > 0:
            await asyncio.wait((ready,), timeout=min(left, self._keeper.patience))
            self._keeper.overdue(self)

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


class Keeper:
    """Keeps the turns of a process with one engine."""

    def __init__(self, engine: Engine, slots: int, lease: float, grace: float) -> None:
        self._engine = engine
        self._slots = slots
        self._lease = lease
        self._grace = grace
        self.patience = max(grace, 0.05)
        """Seconds after which one who waits looks whether to go alone."""
        self._begin()
        _keepers.add(self)

    def _begin(self) -> None:
        self._who = token_hex(8)
        self._changed = threading.Condition()
        self._exchange = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: dict[str, Turn] = {}
        self._held: dict[str, Turn] = {}
        self._owed: dict[str, list[rule.End]] = {}
        self._renewed: dict[str, float] = {}
        self._answered = time.monotonic()
        self._reason = "they do not answer"
        self._alone = False
        self._failing = False
        self._news = False

    def begin_as_child(self) -> None:
        """Let go of what belongs to the parent of a forked process."""
        self._engine.reset()
        self._begin()

    def ask(self, key: str, operation: str) -> Turn:
        """Ask for a turn."""
        turn = Turn(self, key, operation)
        with self._changed:
            self._waiting[turn.id] = turn
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="yandex-market-chat limits", daemon=True)
                self._thread.start()
            self._note_news()
        return turn

    def overdue(self, turn: Turn) -> None:
        """Go on alone if somebody has waited for the engine for `grace` seconds."""
        with self._changed:
            if turn.id in self._waiting and time.monotonic() - max(self._answered, turn.asked) >= self._grace:
                self._go_alone()

    def end(self, turn: Turn, fate: str, told: rule.Told | None) -> None:
        """Take it back, or out of the line; only the first time."""
        with self._changed:
            if self._waiting.pop(turn.id, None) is not None:
                fate, told = rule.UNUSED, None  # the question may be under way, and be answered with a slot
            elif self._held.pop(turn.id, None) is None:
                return
            self._owed.setdefault(turn.key, []).append(rule.End(turn.id, turn.operation, fate, told))
            self._note_news()

    def _note_news(self) -> None:
        self._news = True
        self._grant_alone()
        self._changed.notify()

    def _grant(self, turn: Turn, granted: bool) -> None:
        del self._waiting[turn.id]
        if granted:
            self._held[turn.id] = turn
        turn.ready.set_result(granted)

    def _grant_alone(self) -> None:
        """Let one request a business go, whatever the engine would say."""
        for turn in list(self._waiting.values()) if self._alone else ():
            if not any(other.key == turn.key for other in self._held.values()):
                self._grant(turn, True)

    def _go_alone(self) -> None:
        if not self._alone:
            self._alone = True
            text = "the shared limits are away (%s): this process goes on alone, with one request at once per business"
            log_safely(logging.WARNING, text, self._reason, extra={})
        self._grant_alone()

    def _work(self) -> None:
        stretched = 1.0
        while True:
            with self._changed:
                pause = self._pause(stretched)
                notified = pause > 0 and self._changed.wait(pause)
                stretched = 1.0 if notified or self._news else min(stretched * 1.1, SLOWEST)
                self._news = False
                keys = self._keys()
            for key in keys:
                if not self._visit(key):
                    break

    def _pause(self, stretched: float) -> float:
        """Return the seconds until there is something to do."""
        if self._alone or self._failing:
            return RETRY if self._alone else RETRY / 5
        if self._news:
            return 0.0
        now, third = time.monotonic(), self._lease / 3
        due = min((self._renewed.get(turn.key, now) + third - now for turn in self._held.values()), default=3600.0)
        return min(due, random.uniform(*POLL) * stretched) if self._waiting else due  # noqa: S311

    def _keys(self) -> list[str]:
        turns = [*self._waiting.values(), *self._held.values()]
        return list(dict.fromkeys([*self._owed, *(turn.key for turn in turns)]))

    def _visit(self, key: str) -> bool:
        """Tell and ask the engine for one business; False if that was impossible."""
        with self._exchange:  # what is under way is told before `give_back` looks at what is left
            with self._changed:
                owed = self._owed.pop(key, [])
                held = [turn for turn in self._held.values() if turn.key == key]
                asks = [turn for turn in self._waiting.values() if turn.key == key]
                due = self._alone or time.monotonic() >= self._renewed.get(key, 0.0) + self._lease / 3
            renew = held if due else []
            if not (owed or renew or asks):
                return True
            trip = rule.Trip(
                owed,
                [rule.Ask(turn.id, turn.operation) for turn in renew],
                [rule.Ask(turn.id, turn.operation) for turn in asks],
                self._who,
            )
            decide = partial(rule.exchange, trip=trip, slots=self._slots, length=self._lease)
            try:
                reply = self._engine.update(key, decide)
            except Exception as error:  # whatever an engine raises: limits lose no send
                self._failed(key, owed, str(error) if isinstance(error, EngineError) else type(error).__name__)
                return False
            self._succeeded(key, reply, asks, due)
            return True

    def _failed(self, key: str, owed: list[rule.End], reason: str) -> None:
        with self._changed:
            self._reason = reason
            if owed:
                self._owed[key] = [*owed, *self._owed.get(key, [])]
            now = time.monotonic()
            if any(now - max(self._answered, turn.asked) >= self._grace for turn in self._waiting.values()):
                self._go_alone()
            self._failing = True

    def _succeeded(self, key: str, reply: rule.Reply, asks: list[Turn], renewed: bool) -> None:
        with self._changed:
            self._answered, self._failing = time.monotonic(), False
            if self._alone:
                self._alone, self._reason = False, "they do not answer"
                self._renewed.clear()
                self._news = True
                log_safely(logging.WARNING, "the shared limits are back", extra={})
            if renewed:
                self._renewed[key] = self._answered
            for turn in asks:
                if turn.id in self._waiting and turn.id in reply.granted | reply.spent:
                    turn.quotas = reply.quotas
                    self._grant(turn, turn.id in reply.granted)

    def give_back(self) -> None:
        """Tell what is owed before the process ends: nobody is to wait for a lease that it left behind."""
        with self._changed:
            for turn in self._held.values():
                self._owed.setdefault(turn.key, []).append(rule.End(turn.id, turn.operation, rule.LOST))
            self._held.clear()
            self._waiting.clear()
        self.flush()

    def flush(self) -> None:
        """Tell what is owed, in the thread that calls, unless the engine is away."""
        if not self._exchange.acquire(timeout=2 * PATIENCE):
            return  # its thread hangs in the engine
        self._exchange.release()
        with self._changed:
            keys = [] if self._alone or self._failing else list(self._owed)
        for key in keys:
            if not self._visit(key):
                return


_keepers: WeakSet[Keeper] = WeakSet()


def _begin_as_child() -> None:
    for keeper in list(_keepers):
        keeper.begin_as_child()


@atexit.register
def _give_back() -> None:
    for keeper in list(_keepers):
        keeper.give_back()


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_as_child)
