"""How a batch is shown while it runs: live on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from yandex_market_chat.batch import BatchProgress

from ._output import count, local_time, say

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 10.0
"""Seconds between two lines."""
MOST_BUSINESSES = 15
"""Shown at once: those that are at work or pause before those that are done."""

OnProgress = Callable[[BatchProgress], None]


@contextmanager
def display(stream: TextIO, *, live: bool) -> Iterator[OnProgress]:
    """Give a function that is told how things are."""
    if live and stream.isatty() and os.environ.get("TERM") != "dumb":
        with _live() as on_progress:
            yield on_progress
    else:
        yield _Lines().on_progress


class _Rate:
    """How fast it goes, and how long it will still take."""

    def __init__(self, progress: BatchProgress) -> None:
        self._progress = progress
        self._began = time.monotonic()

    def __str__(self) -> str:
        left = self._progress.to_go()
        if left is None:
            return ""
        rate = self._progress.done / (time.monotonic() - self._began) * 60
        return f"{rate:.0f} a minute, {timedelta(seconds=round(left.total_seconds()))} to go"


def _summary(progress: BatchProgress) -> str:
    return f"{progress.sent} of {progress.total} sent, {progress.not_sent} not sent, {progress.unknown} unknown"


class _Lines:
    """A line at the start, for each pause, and every ten seconds."""

    def __init__(self) -> None:
        self._rate: _Rate | None = None
        self._next = self._look = 0.0
        self._pausing: set[int] = set()
        self._trouble: str | None = None

    def on_progress(self, progress: BatchProgress) -> None:
        """Write a line if it is time for one."""
        if self._rate is None:
            self._rate = _Rate(progress)
            if progress.due:
                who = f"{len(progress.businesses)} business{'es' if len(progress.businesses) > 1 else ''}"
                say(f"Sending {progress.due} of {count(progress.total, 'file')} for {who}.")
            self._next = time.monotonic() + EVERY
        if time.monotonic() >= self._look:
            # There may be thousands of them, and as many changes in a second.
            self._look = time.monotonic() + (0.1 if len(progress.businesses) > 100 else 0.0)
            self._say_pauses(progress)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            say("; ".join(filter(None, (_summary(progress), str(self._rate)))))

    def _say_pauses(self, progress: BatchProgress) -> None:
        if progress.trouble != self._trouble:
            self._trouble = progress.trouble
            say(f"Trying again: {progress.trouble}" if progress.trouble else "There is a connection again.")
        if progress.trouble:
            return
        begun = []
        for business in progress.businesses.values():
            if business.paused_until is None:
                self._pausing.discard(business.business_id)
            elif business.business_id not in self._pausing:
                self._pausing.add(business.business_id)
                begun.append(business)
        for business in begun[:MOST_BUSINESSES]:
            if business.paused_until is not None:
                say(f"Business {business.business_id} pauses until {local_time(business.paused_until)}.")
        if len(begun) > MOST_BUSINESSES:
            say(f"{len(begun) - MOST_BUSINESSES} more businesses pause.")


@contextmanager
def _live() -> Iterator[OnProgress]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    state: list[tuple[BatchProgress, _Rate]] = []

    def render() -> RenderableType:
        if not state:
            return Text("Checking the manifest")
        ((progress, rate),) = state
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=max(1, progress.due), completed=progress.done, width=40), str(rate))
        table = Table.grid(padding=(0, 2))
        at_work = sorted(progress.businesses.values(), key=lambda business: not business.left)
        for business in at_work[:MOST_BUSINESSES]:
            until = business.paused_until
            what = f"paused until {local_time(until)}" if until else f"{business.in_flight} in flight"
            told = (f"{business.sent} sent", f"{business.left} left", what if business.left else "done")
            table.add_row(f"business {business.business_id}", *told)
        more = len(at_work) - MOST_BUSINESSES
        rest = [Text(f"and {more} businesses more")] if more > 0 else []
        trouble = [Text(f"Trying again: {progress.trouble}")] if progress.trouble else []
        return Group(head, Text(_summary(progress)), *trouble, table, *rest)

    live = Live(console=Console(stderr=True), get_renderable=render, transient=True, refresh_per_second=4)
    with suppress(OSError):
        live.start()
    try:
        yield lambda progress: state.append((progress, _Rate(progress))) if not state else None
    finally:
        with suppress(OSError):  # the terminal may be gone; the batch is not to end with it
            live.stop()
