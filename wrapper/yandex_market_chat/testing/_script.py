"""The queue of scripted answers and faults."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from ._answer import Answer, prepare
from ._contract import Contract
from ._fault import NO_FAULT, Fault
from ._reply import Reply


@dataclass(frozen=True, slots=True)
class Step:
    """What is scripted for one request: `reply` None means the answer that the request deserves."""

    source: Answer | Fault
    reply: Reply | None
    fault: Fault


class Script:
    """Answers and faults, used in order, one per request; those for a chat before those for any."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._lock = threading.Lock()
        self._anyone: deque[Step] = deque()
        self._by_chat: dict[int, deque[Step]] = {}

    def add(self, steps: tuple[Answer | Fault, ...], chat_id: int | None = None) -> None:
        """Append all of them, or none if one is refused (ValueError)."""
        __tracebackhide__ = True
        # `map`, as before 3.12 a comprehension is a frame of its own in a traceback.
        prepared = list(map(self._prepare, steps))
        with self._lock:
            queue = self._anyone if chat_id is None else self._by_chat.setdefault(chat_id, deque())
            queue.extend(prepared)

    def take(self, chat_id: int | None) -> Step | None:
        """Return the next one for a request to this chat; None if there is nothing left for it."""
        with self._lock:
            queue = self._by_chat.get(chat_id) if chat_id is not None else None
            for steps in (queue, self._anyone):
                if steps:
                    return steps.popleft()
            return None

    @property
    def left(self) -> tuple[Answer | Fault, ...]:
        with self._lock:
            queues = [self._anyone, *self._by_chat.values()]
            return tuple(step.source for queue in queues for step in queue)

    def _prepare(self, step: Answer | Fault) -> Step:
        __tracebackhide__ = True
        if isinstance(step, Fault):
            if step.early:
                raise ValueError("an early fault needs an answer: Answer(401, fault=Fault(early=...))")
            return Step(step, None, step)
        if isinstance(step, Answer):
            return Step(step, prepare(step, self._contract), step.fault or NO_FAULT)
        raise TypeError(f"a script is made of Answer and Fault, not of {type(step).__name__}")
