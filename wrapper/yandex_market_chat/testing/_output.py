"""Standard output as the command writes to it: never waited for, and never the end of the server."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from contextlib import suppress
from typing import Final

# Lines that wait for a reader; what does not fit is left out, and told.
_MOST_WAITING: Final = 10_000
# For how long the end of the command waits for a reader, in seconds.
_PATIENCE: Final = 2.0


class Output:
    """A text stream whose `write` returns at once: a thread hands the text on.

    A pipe that nobody reads fills up, and a write to it would block the server; on a full disk it would raise.
    """

    def __init__(self) -> None:
        self._texts: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._left_out = 0
        # Not by way of `sys.stdout`, whose lock a thread that is blocked would hold at the end of the process.
        stream = sys.stdout
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            self._descriptor: int | None = stream.fileno()
        except (AttributeError, OSError, ValueError):
            self._descriptor = None
        self._thread = threading.Thread(target=self._hand_on, name="MockServer output", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take in a text; it is left out if too much is waiting already."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            self._left_out += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Do nothing: everything is on its way already."""

    def drain(self) -> None:
        """Wait until everything has been written, but only so long as somebody seems to read it."""
        with suppress(queue.Full):
            self._texts.put(None, timeout=_PATIENCE)
            self._thread.join(_PATIENCE)

    def _hand_on(self) -> None:
        broken = False
        while (text := self._texts.get()) is not None:
            left_out, self._left_out = self._left_out, 0
            note = f"({left_out} lines were left out: nobody read them)\n" if left_out else ""
            try:
                # A name that the terminal cannot show must not cost the line.
                if not broken:
                    self._write((text + note).encode(self._encoding, "backslashreplace"))
            except OSError:
                broken = True

    def _write(self, data: bytes) -> None:
        while data and self._descriptor is not None:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # A descriptor that was made not to block, by whoever else has it.
                time.sleep(0.05)
