"""How many requests at once: a number of places per business, given in the order of asking."""

import threading
from concurrent.futures import Future


class Place:
    """One's place at a business, or in the line for one."""

    __slots__ = ("turn",)

    def __init__(self) -> None:
        self.turn: Future[None] | None = None
        """To be waited for if there is one, by threads and tasks alike. Making one costs more than all the rest."""


class Places:
    """A line for each business; those at its head, as many as there are places, have their turn.

    Kept by identity, so that giving back is right at any moment, also when an interrupt came while asking.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._lines: dict[int, list[Place]] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody has a place."""
        return not self._lines

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(max(0, len(line) - self._each) for line in self._lines.values())

    def ask(self, business_id: int, place: Place) -> None:
        """Give the place at once if one is free, else when its turn comes."""
        with self._lock:
            line = self._lines.setdefault(business_id, [])
            line.append(place)
            if len(line) > self._each:
                place.turn = Future()

    def give_back(self, business_id: int, place: Place) -> None:
        """Leave the place, or the line for one."""
        if place.turn is not None:
            place.turn.cancel()
        with self._lock:
            line = self._lines.get(business_id, [])
            if place in line:
                line.remove(place)
            if not line:
                self._lines.pop(business_id, None)
            # At most one comes to the head by this. Whoever has given up meanwhile gives back in its turn.
            for following in line[self._each - 1 : self._each]:
                turn = following.turn
                if turn is not None and not turn.done() and turn.set_running_or_notify_cancel():
                    turn.set_result(None)
