"""How many requests at once: a number of slots per business, given in the order of asking."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Slot:
    """One's slot at a business, or the place in the line for one."""

    ready: Future[None] | None = None
    """To be waited for if there is one, by threads and tasks alike. Making one costs more than all the rest."""


class Slots:
    """A line for each business; those at its head, as many as there are slots, have one.

    Kept by identity, so that releasing is right at any moment, also when an interrupt came while asking.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._lines: dict[int, list[Slot]] = {}

    def ask(self, business_id: int, slot: Slot) -> None:
        """Give the slot at once if one is free, else when it is ready."""
        with self._lock:
            line = self._lines.setdefault(business_id, [])
            line.append(slot)
            if len(line) > self._each:
                slot.ready = Future()

    def release(self, business_id: int, slot: Slot) -> None:
        """Leave the slot, or the line for one. May be called for a slot that was never asked for."""
        if slot.ready is not None:
            slot.ready.cancel()
        with self._lock:
            line = self._lines.get(business_id, [])
            if slot in line:
                line.remove(slot)
            if not line:
                self._lines.pop(business_id, None)
            # At most one comes to the head by this. A waiter that gave up releases its own slot.
            for following in line[self._each - 1 : self._each]:
                ready = following.ready
                if ready is not None and not ready.done() and ready.set_running_or_notify_cancel():
                    ready.set_result(None)
