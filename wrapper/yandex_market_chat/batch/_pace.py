"""When a business may start another request: its places, its allowance, and what Market has said lately."""

from __future__ import annotations

import math
import random

from .. import _errors as errors
from .._delivery import _pause_after
from .._quota import Quotas
from .._send import SentFile

LONGEST_PAUSE = 60.0
"""Seconds at most that are waited without a known end of the window."""
REFUSALS = 5
"""So many sends in a row refused for the credentials (401, 403), and the business is left alone."""
UNREACHED = 10
"""So many in a row without a connection, and it is too."""
PATIENT = 3
"""From so many in a row on there are pauses between them."""
RESTING = 3600.0
"""Seconds for which a business has a place less after a 420 for too many at once."""
TRIES = 8
"""Requests for one item that may be refused with 420 before it is given up, the spent allowance not counted."""


class Pace:
    """The pace of one business.

    The allowance is told by answers. So the first request of a window goes alone, and from then on those in flight
    count as used, as do those whose answer was lost: nothing is started that the allowance may not cover.
    """

    def __init__(self, business_id: int, quotas: Quotas, places: int) -> None:
        self.business_id = business_id
        self.in_flight = 0
        self.given_up = ""
        """Why nothing more is sent for this business."""
        self._quotas = quotas
        self._places = places
        self._fewer: list[float] = []
        self._resume = 0.0
        self._told = True
        self._lost = self._accounted = 0
        self._refused = self._unreached = self._limited = 0

    def wait(self, now: float) -> float:
        """Return the seconds until one more may start: 0 now, infinite when only an answer can tell."""
        left, seconds = self._quotas.left(self.business_id, now)
        if now < self._resume:
            return max(self._resume - now, seconds if left == 0 else 0.0)
        self._fewer = [until for until in self._fewer if now < until]
        if self.in_flight >= max(1, self._places - len(self._fewer)):
            return math.inf
        if left == 0:
            return seconds
        if self.in_flight == 0:
            return 0.0
        covered = not self._told if left is None else left > self.in_flight + self._lost - self._accounted
        return 0.0 if covered else math.inf

    def started(self) -> int:
        """Note a start; the number is for `ended`."""
        self.in_flight += 1
        return self._lost

    def ended(self, mark: int, outcome: object, now: float) -> None:
        """Note what a send ended with; what is neither sent nor an error of the client never went out."""
        self.in_flight -= 1
        if not isinstance(outcome, SentFile | errors.ChatError):
            return
        if isinstance(outcome, SentFile | errors.ApiError):
            # What it tells of the allowance includes all that was lost before it began.
            self._accounted = max(self._accounted, mark)
            left, _ = self._quotas.left(self.business_id, now)
            self._told = left is not None
        elif isinstance(outcome, errors.DeliveryUnknownError):
            self._lost += 1
        self._limited = self._limited + 1 if isinstance(outcome, errors.RateLimitError) else 0
        refused = isinstance(outcome, errors.AuthenticationError | errors.AccessDeniedError)
        self._refused = self._refused + 1 if refused else 0
        self._unreached = self._unreached + 1 if isinstance(outcome, errors.ConnectionFailedError) else 0
        if isinstance(outcome, errors.QuotaExceededError):
            self._pause(now, min(LONGEST_PAUSE, 2.0 ** (self._limited - 1)))  # the end of the window counts beside it
        elif isinstance(outcome, errors.RateLimitError):
            self._fewer.append(now + RESTING)
            untold = self._limited >= PATIENT and not isinstance(outcome, errors.ParallelLimitError)
            # Told by nothing which of the limits it is: it may be the hour's.
            self._pause(now, RESTING if untold else _pause_after(self._limited, random.random()))  # noqa: S311
        elif self._unreached > PATIENT:
            self._pause(now, min(LONGEST_PAUSE, 2.0 ** (self._unreached - PATIENT - 1)))
        if self._refused >= REFUSALS:
            self.given_up = f"{REFUSALS} sends in a row were refused ({type(outcome).__name__})"
        elif self._unreached >= UNREACHED:
            self.given_up = f"{UNREACHED} sends in a row got no connection"

    def _pause(self, now: float, seconds: float) -> None:
        self._resume = max(self._resume, now + seconds)
