"""What a batch tells while it runs, and at its end."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from .._quota import Quota


class Duplicate(NamedTuple):
    """A line of the manifest that is not sent: the same content goes, or went, to the same chat."""

    line: int
    """Its number in the manifest."""
    first: int | None
    """The line that is sent in its place; None: the journal has it already, from another path or key."""


@dataclass(slots=True)
class BusinessProgress:
    """How far one business is."""

    business_id: int
    """The business (cabinet)."""
    left: int
    """Items that this run is still to send, those in flight included."""
    sent: int
    """Items sent, in earlier runs too."""
    in_flight: int = 0
    """Items that are being sent right now."""
    done: int = 0
    """Items that have ended in this run, however they did."""
    paused_until: datetime | None = None
    """When it goes on (aware, UTC); None if it does not pause."""
    quota: Quota | None = None
    """Its hourly quota, as the last response told it."""


@dataclass(slots=True)
class BatchProgress:
    """How far a batch is. One object for the whole run, which changes with it."""

    total: int
    """Items of the manifest, without duplicates."""
    sent: int
    """Items that Market has confirmed, in earlier runs too."""
    not_sent: int
    """Items that the buyer did not receive."""
    unknown: int
    """Items of which nobody can know."""
    due: int
    """Items that this run set out to send."""
    done: int = 0
    """How many of these have ended, however they did."""
    businesses: dict[int, BusinessProgress] = field(default_factory=dict)
    """By business id, in order of the manifest; those that this run sends something for."""
    trouble: str | None = None
    """Why all of them pause: there is no connection. A sentence; None: they do not."""
    _estimate: Callable[[Collection[BusinessProgress]], timedelta | None] | None = field(default=None, repr=False)

    def to_go(self) -> timedelta | None:
        """Return how long it will still take, as far as it can be told: None before anything has ended.

        At the rate of this run, each business with its quota and its pauses; they run side by side.
        """
        return self._estimate(self.businesses.values()) if self._estimate is not None else None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch: `total` is the sum of `sent`, `not_sent`, `unknown` and `left`."""

    total: int
    """Items of the manifest, without duplicates."""
    sent: int
    """Items that Market has confirmed, in earlier runs too."""
    confirmed: int
    """How many of these by the chat's history: their response was lost, and the chat holds the file."""
    not_sent: int
    """Items that the buyer did not receive; `retry_not_sent=True` sends them again."""
    needs_fix: int
    """How many of these would be refused again as they are."""
    unknown: int
    """Items of which nobody can know; `resend_unknown=True` sends them again, duplicates accepted."""
    left: int
    """Items that have not been tried: started again with the same journal, the batch goes on with them."""
    due: int
    """Items that this run set out to send."""
    interrupted: int
    """How many of the unknown ones were found in flight when this run began: an earlier process had been killed."""
    changed_files: int
    """Files whose content is another than when they were planned; sent is what they were when this run began."""
    duplicates: tuple[Duplicate, ...]
    """Lines of the manifest that were not sent, because another one sends the same."""
    stopped: str | None
    """Why the run ended before the end; None: it did not."""
    unwritten: tuple[str, ...]
    """Outcomes that the journal could not take (a full disk): a sentence each. It will call them unknown."""
    unreported: str | None
    """Why the report could not be written; None: it was, or none was asked for."""
