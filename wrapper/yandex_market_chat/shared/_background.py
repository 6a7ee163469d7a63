"""What goes on in the background of sends with a key: threads that ask the database, and claims that are renewed."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ._row import RowError

if TYPE_CHECKING:
    from ._once import Entry

T = TypeVar("T")


class Renewals:
    """Renews the claims of a process in one database, while they are being sent."""

    def __init__(self, lease: float) -> None:
        self.lease = lease
        self.begin_as_child()
        _renewals.add(self)

    def begin_as_child(self) -> None:
        """Begin, or let go of what belongs to the parent of a forked process."""
        self._lock = threading.Lock()
        self._owed: dict[Entry, float] = {}
        self._entries: WeakSet[Entry] = WeakSet()  # what nobody has any more is unknown after its lease
        self._thread: threading.Thread | None = None

    def add(self, entry: Entry) -> None:
        """Renew its claim from now on."""
        with self._lock:
            self._entries.add(entry)
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="yandex-market-chat ledger", daemon=True)
            with suppress(RuntimeError):  # no memory for it: then no attempt begins after the lease
                thread.start()
                self._thread = thread

    def drop(self, entry: Entry) -> None:
        """Renew it no longer."""
        with self._lock:
            self._entries.discard(entry)

    def owe(self, entry: Entry) -> None:
        """Take its claim back as soon as the database can be used; by the end of its lease it is unknown anyway."""
        with self._lock:
            self._owed[entry] = time.monotonic() + self.lease
            self._start()

    def _work(self) -> None:
        while True:
            time.sleep(min(self.lease / 12, 0.5) if self._owed else self.lease / 12)
            with self._lock:
                entries = list(self._entries)
                self._owed = {entry: until for entry, until in self._owed.items() if until > time.monotonic()}
                owed = list(self._owed)
                if not entries and not owed:
                    self._thread = None
                    return
            for entry in entries:
                entry.renew()
            with suppress(RowError):
                for entry in owed:
                    entry.release_again()
                    self._owed.pop(entry, None)


_pending: set[Future[Any]] = set()
_renewals: WeakSet[Renewals] = WeakSet()


def in_background(function: Callable[[], T], *, must: bool = False) -> Future[tuple[T, Exception | None]]:
    """Call it in a thread. The future holds what it returned or raised; waiting for it never raises.

    `must`: if no thread can be started, call it here.
    """
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result((function(), None))
        except Exception as error:  # whatever it is: who waits is told
            error.__context__ = error.__cause__ = None  # the locals of psycopg hold the password
            future.set_result((None, error.with_traceback(None)))
        _pending.discard(future)

    try:
        _pending.add(future)
        threading.Thread(target=call, name="yandex-market-chat ledger", daemon=True).start()
    except RuntimeError:  # no memory for it, or the interpreter ends
        if must:
            call()
        else:
            future.set_result((None, RowError("No thread can be started")))
            _pending.discard(future)
    except BaseException:  # an interrupt, with the thread or without it
        _pending.discard(future)
        raise
    return future


@atexit.register
def _wait_for_outcomes() -> None:
    wait(list(_pending), timeout=2.0)


def _begin_as_child() -> None:
    _pending.clear()
    for each in list(_renewals):
        each.begin_as_child()


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_as_child)
