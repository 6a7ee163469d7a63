"""How many requests at once: a number of places per business, given in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

Place = Future[None]
"""Done when it is one's turn; for threads and tasks alike."""


class Places:
    """Who has a place, and who waits for one.

    Kept by identity, so that giving back is right at any moment, also when an interrupt came while asking.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._taken: dict[int, set[Place]] = {}
        self._waiting: dict[int, deque[Place]] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody has a place."""
        return not self._taken

    def ask(self, business_id: int, place: Place) -> None:
        """Give the place at once if one is free, else when its turn comes."""
        with self._lock:
            taken = self._taken.setdefault(business_id, set())
            if len(taken) >= self._each:
                self._waiting.setdefault(business_id, deque()).append(place)
                return
            taken.add(place)
        place.set_running_or_notify_cancel()
        place.set_result(None)

    def give_back(self, business_id: int, place: Place) -> None:
        """Leave the place, or the queue for one."""
        place.cancel()
        following: Place | None = None
        with self._lock:
            taken = self._taken.get(business_id, set())
            waiting = self._waiting.get(business_id, deque())
            if place in taken:
                taken.remove(place)
                # Whoever has given up meanwhile is passed over.
                while waiting and following is None:
                    candidate = waiting.popleft()
                    if candidate.set_running_or_notify_cancel():
                        taken.add(candidate)
                        following = candidate
            elif place in waiting:
                waiting.remove(place)
            if not waiting:
                self._waiting.pop(business_id, None)
            if not taken:
                self._taken.pop(business_id, None)
        if following is not None:
            following.set_result(None)
