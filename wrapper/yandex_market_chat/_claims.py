"""Which message of a chat belongs to which send, so that one message confirms one send."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

MOST = 10_000
"""How many sends and messages are remembered; then the oldest are forgotten."""
MARGIN = 5.0
"""Seconds by which a send may have ended before the oldest message that counts, and still be what that shows."""


class Kind(NamedTuple):
    """What files must have in common to be taken for each other."""

    business_id: int
    chat_id: int
    name: str
    size: int


class Others(NamedTuple):
    """What a ledger knows of other sends of such files to the chat."""

    owners: set[str]
    taken: dict[int, str]
    """The messages that confirm one of them, and which."""
    ended: list[float]
    """When those ended that account for a message each, known or not; infinity: it is in flight."""


class Claim:
    """A send that is in flight, or that Market has confirmed: it accounts for one message."""

    def __init__(self, kind: Kind, owner: str) -> None:
        self.kind = kind
        self.owner = owner
        self.ended: float | None = None


class Claims:
    """What is known of the sends of a client."""

    def __init__(self) -> None:
        self.renew_lock()
        self._claims: OrderedDict[Claim, None] = OrderedDict()
        self._taken: OrderedDict[tuple[int, int, int], str] = OrderedDict()

    def renew_lock(self) -> None:
        """Forget the lock, in a forked child: it may be held by a thread that only the parent has."""
        self._lock = threading.Lock()

    def begin(self, kind: Kind, owner: str = "") -> Claim:
        """Note a send that is in flight."""
        claim = Claim(kind, owner)
        with self._lock:
            self._claims[claim] = None
        return claim

    def end(self, claim: Claim, now: float, *, confirmed: bool) -> None:
        """Note its end. One that was refused, or of which nobody knows, accounts for nothing any more."""
        with self._lock:
            claim.ended = now
            if not confirmed:
                self._claims.pop(claim, None)
            elif len(self._claims) > MOST:
                self._claims.popitem(last=False)

    def take(
        self, kind: Kind, since: float, messages: Iterable[int], owner: str, known: Others | None = None
    ) -> int | None:
        """Return the message that confirms an attempt, and give it to no other: the same to the same owner again.

        `messages` are those of such a file since that moment, the oldest first. None: others account for all of them.
        """
        known = Others(set(), {}, []) if known is None else known
        with self._lock:
            owners = {
                each: known.taken.get(each) or self._taken.get((kind.business_id, kind.chat_id, each))
                for each in messages
            }
            for each, its in owners.items():
                if its == owner:
                    return each
            free = [each for each, its in owners.items() if its is None]
            here = [claim for claim in self._claims if claim.kind == kind and claim.owner not in known.owners]
            ended = [*known.ended, *(math.inf if claim.ended is None else claim.ended for claim in here)]
            others = sum(each >= since - MARGIN for each in ended)
            if len(free) <= others:
                return None
            self._taken[kind.business_id, kind.chat_id, free[others]] = owner
            if len(self._taken) > MOST:
                self._taken.popitem(last=False)
            return free[others]

    def took(self, kind: Kind, message_id: int) -> None:
        """Note a message that confirmed a send of an earlier run."""
        with self._lock:
            self._taken[kind.business_id, kind.chat_id, message_id] = ""
