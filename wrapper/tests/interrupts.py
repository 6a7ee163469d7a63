"""An interrupt as Ctrl+C makes one, in the main thread, when the test says so."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="Windows cannot interrupt a thread by a signal"
)
_MOMENT = 0.002


@contextmanager
def interrupted_when(ready: Callable[[], object], after: float = 0.0) -> Iterator[None]:
    """Raise a KeyboardInterrupt so many seconds after that is so.

    Never within logging: a lock that it left taken there would stop all tests that come later.
    """
    main = threading.main_thread().ident or 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _is_logging(frame):
            threading.Timer(_MOMENT, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            raise KeyboardInterrupt

    def watch() -> None:
        while not ready():
            time.sleep(_MOMENT)
        time.sleep(after)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupt)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        watcher.join()
        signal.signal(signal.SIGINT, before)


def _is_logging(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "logging":
            return True
        frame = frame.f_back
    return False
