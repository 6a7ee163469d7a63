"""Whether Market can be reached: what concerns every business alike, and ends the run."""

from __future__ import annotations

import math

from .. import _errors as errors
from .._send import SentFile
from ._outcome import Opened, is_foreign, is_of_the_run

UNREACHED = 6
"""So many rounds in a row without a connection, and the run ends."""
FOREIGN = 3
"""So many responses in a row that are not Market's, and it does too; before Market's first one, a single one."""
UNKNOWN = 10
"""So many in a row of which nobody can know whether they arrived, and it does too."""
LONGEST_PAUSE = 60.0
"""Seconds at most between two rounds without a connection."""


class Reach:
    """The way to Market. Until Market has responded once, one request at a time asks whether it does."""

    def __init__(self, due: int) -> None:
        self.over = ""
        """Why nothing more is sent."""
        self.trouble: str | None = None
        """Why everything waits."""
        self._in_flight = 0
        self._responded = False
        self._resume = 0.0
        self._patience = max(1, min(UNREACHED, due))
        self._unreached = self._foreign = self._unknown = 0

    def wait(self, now: float) -> float:
        """Return the seconds until one more may start: 0 now, infinite when only a response can tell."""
        if now < self._resume:
            return self._resume - now
        return math.inf if self._in_flight and not self._responded else 0.0

    def started(self) -> int:
        """Note a start; the number is for `ended`."""
        self._in_flight += 1
        return self._unreached

    def ended(self, mark: int, outcome: object, now: float) -> bool:
        """Note what a send ended with; return whether that matters to those that wait."""
        waited, self._in_flight = not self._responded, self._in_flight - 1
        if isinstance(outcome, SentFile | Opened | errors.ChatError):
            self.trouble = str(outcome) if isinstance(outcome, errors.ConnectionFailedError) else None
        if isinstance(outcome, errors.ConnectionFailedError):
            if mark == self._unreached:  # those in flight together count once
                self._unreached += 1
                self._resume = now + min(LONGEST_PAUSE, 2.0 ** (self._unreached - 1))
            if self._unreached >= self._patience or not outcome.retryable:
                self.over = str(outcome)
        elif is_of_the_run(outcome):
            self.over = str(outcome)
        elif isinstance(outcome, SentFile | Opened | errors.ChatError):
            self._unreached, self._resume = 0, 0.0
            unknown = isinstance(outcome, errors.DeliveryUnknownError)
            self._unknown = self._unknown + 1 if unknown else 0
            if is_foreign(outcome):
                self._foreign += 1
                if self._foreign >= FOREIGN or not self._responded:
                    self.over = f"the response was not Market's. {outcome}"
            elif isinstance(outcome, SentFile | Opened | errors.ApiError):
                self._foreign, self._responded = 0, True
            if self._unknown >= UNKNOWN and not self.over:
                self.over = f"{UNKNOWN} sends in a row ended unknown. {outcome}"
        return waited or bool(self.over)
