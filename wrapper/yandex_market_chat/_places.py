"""How many requests at once: a number of places per business, given in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future


class Places:
    """Places for threads and tasks alike: a place is a future that is done when it is one's turn."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._taken: dict[int, int] = {}
        self._waiting: dict[int, deque[Future[None]]] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody has a place."""
        return not self._taken

    def ask(self, business_id: int) -> Future[None]:
        """Return a place: done already if one is free. To be given back in any case, also when not waited for."""
        place: Future[None] = Future()
        with self._lock:
            taken = self._taken.get(business_id, 0)
            if taken >= self._each:
                self._waiting.setdefault(business_id, deque()).append(place)
                return place
            self._taken[business_id] = taken + 1
        place.set_running_or_notify_cancel()
        place.set_result(None)
        return place

    def give_back(self, business_id: int, place: Future[None]) -> None:
        """Leave a place, or the queue for it."""
        if place.cancel():
            with self._lock:
                waiting = self._waiting.get(business_id)
                if waiting and place in waiting:  # else the one who left a place has passed it over already
                    waiting.remove(place)
                self._forget_if_idle(business_id)
            return
        with self._lock:
            waiting = self._waiting.get(business_id) or deque()
            # Whoever has given up meanwhile is passed over.
            following = None
            while waiting and following is None:
                candidate = waiting.popleft()
                following = candidate if candidate.set_running_or_notify_cancel() else None
            if following is None:
                self._taken[business_id] -= 1
            self._forget_if_idle(business_id)
        if following is not None:
            following.set_result(None)

    def _forget_if_idle(self, business_id: int) -> None:
        if not self._waiting.get(business_id):
            self._waiting.pop(business_id, None)
            if not self._taken.get(business_id):
                self._taken.pop(business_id, None)
