"""When a business may start another request: its slots, its quota, and what Market has said lately."""

from __future__ import annotations

import math
import random

from .. import _errors as errors
from .._quota import Quotas
from .._send import SentFile
from .._steps import SEND_FILE, pause_after
from ._outcome import Opened, is_doubtful

LONGEST_PAUSE = 60.0
"""Seconds at most that are waited without a known end of the window."""
REFUSALS = 5
"""So many sends in a row refused for the key (401, 403), and the business is skipped for the rest of the run."""
UNKNOWN = 10
"""So many in a row of which nobody can know whether they arrived, and it is too."""
PATIENT = 3
"""From so many in a row on there are pauses between them."""
RESTING = 3600.0
"""Seconds for which a business is limited to one request fewer after a 420 for too many at once."""
TRIES = 8
"""Requests for one item that may be refused with 420 before it is given up, a spent quota not counted."""
LIMITED = 3 * RESTING
"""So many seconds with nothing but 420, whatever it tells of the quota, and the business is skipped, too."""


class Pace:
    """The pace of one operation of a business; `beside` is that of another, which has the same slots.

    The quota is told by responses. So the first request of a window goes alone, and from then on those in flight count
    as used, as do those whose response was lost: nothing is started that the quota may not cover.
    """

    def __init__(
        self, business_id: int, quotas: Quotas, slots: int, operation: str = SEND_FILE, beside: Pace | None = None
    ) -> None:
        self.business_id = business_id
        self.key = (operation, business_id)
        self._beside = beside
        if beside is not None:
            beside._beside = self
        self.in_flight = 0
        self.given_up = ""
        """Why nothing more is sent for this business."""
        self._quotas = quotas
        self._slots = slots
        self._fewer: list[float] = beside._fewer if beside is not None else []
        self._resume = 0.0
        self._told = True
        self._lost = self._accounted = 0
        self._refused = self._unknown = self._limited = 0
        self._limited_since = 0.0

    @property
    def busy(self) -> int:
        """How many slots are taken."""
        return self.in_flight + (self._beside.in_flight if self._beside is not None else 0)

    def wait(self, now: float) -> float:
        """Return the seconds until one more may start: 0 now, infinite when only a response can tell."""
        left, seconds = self._quotas.left(self.key, now)
        if now < self._resume:
            return max(self._resume - now, seconds if left == 0 else 0.0)
        self._fewer[:] = [until for until in self._fewer if now < until]
        if self.busy >= max(1, self._slots - len(self._fewer)):
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
        if not isinstance(outcome, SentFile | Opened | errors.ChatError) or isinstance(
            outcome, errors.ConnectionFailedError
        ):
            return
        if isinstance(outcome, SentFile | Opened | errors.ApiError):
            # What it tells of the quota includes all that was lost before it began.
            self._accounted = max(self._accounted, mark)
            left, _ = self._quotas.left(self.key, now)
            self._told = left is not None
        elif isinstance(outcome, errors.DeliveryUnknownError):
            self._lost += 1
        self._limited = self._limited + 1 if isinstance(outcome, errors.RateLimitError) else 0
        if self._limited == 1:
            self._limited_since = now
        self._refused = self._refused + 1 if is_doubtful(outcome) else 0
        self._unknown = self._unknown + 1 if isinstance(outcome, errors.DeliveryUnknownError) else 0
        if isinstance(outcome, errors.QuotaExceededError):
            self._pause(now, min(LONGEST_PAUSE, 2.0 ** (self._limited - 1)))  # the end of the window counts beside it
        elif isinstance(outcome, errors.RateLimitError):
            self._fewer.append(now + RESTING)
            untold = self._limited >= PATIENT and not isinstance(outcome, errors.ParallelLimitError)
            # Told by nothing which of the limits it is: it may be the hour's.
            self._pause(now, RESTING if untold else pause_after(self._limited, random.random()))  # noqa: S311
        if self._refused >= REFUSALS:
            self.give_up(f"{REFUSALS} sends in a row were refused", outcome)
        elif self._unknown >= UNKNOWN:
            self.give_up(f"{UNKNOWN} sends in a row ended unknown", outcome)
        elif self._limited and now - self._limited_since >= LIMITED:
            self.give_up(f"nothing but 420 for {LIMITED / 3600:g} hours", outcome)

    def give_up(self, what: str, outcome: object) -> None:
        """Skip the business for the rest of the run."""
        self.given_up = f"{what} ({type(outcome).__name__}). {outcome}"

    def _pause(self, now: float, seconds: float) -> None:
        self._resume = max(self._resume, now + seconds)
