"""The queue of scripted answers and faults."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from ._answer import Answer, prepare
from ._contract import Contract, Operation
from ._fault import NO_FAULT, Fault
from ._reply import Reply


@dataclass(frozen=True, slots=True)
class Step:
    """What is scripted for one request: `reply` None means the answer that the request deserves."""

    source: Answer | Fault
    operation: str
    reply: Reply | None
    fault: Fault
    taken: bool


class Script:
    """Answers and faults, used in order, one per request.

    An operation has a queue of its own. That of the operation that takes files has two more: those for a chat come
    before all others, and those for no operation by name last; the latter also serve what is no operation at all.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._lock = threading.Lock()
        self._anyone: deque[Step] = deque()
        self._by_chat: dict[int, deque[Step]] = {}
        self._by_operation: dict[str, deque[Step]] = {}

    def add(self, steps: Iterable[Answer | Fault], *, chat_id: int | None = None, operation: str | None = None) -> None:
        """Append all of them, or none if one is refused (ValueError)."""
        __tracebackhide__ = True
        asked = self._contract.send if operation is None else self._contract.operation(operation)
        # `map`, as before 3.12 a comprehension is a frame of its own in a traceback.
        prepared = list(map(partial(self._prepare, operation=asked), steps))
        with self._lock:
            if operation is not None:
                queue = self._by_operation.setdefault(operation, deque())
            else:
                queue = self._anyone if chat_id is None else self._by_chat.setdefault(chat_id, deque())
            queue.extend(prepared)

    def take(self, operation: Operation | None, chat_id: int | None) -> Step | None:
        """Return the next one for a request of this operation to this chat; None if there is nothing left for it."""
        sends = operation is None or operation == self._contract.send
        with self._lock:
            for steps in (
                self._by_chat.get(chat_id) if sends and chat_id is not None else None,
                self._by_operation.get(operation.id) if operation is not None else None,
                self._anyone if sends else None,
            ):
                if steps:
                    return steps.popleft()
            return None

    @property
    def left(self) -> tuple[Step, ...]:
        with self._lock:
            queues = [self._anyone, *self._by_chat.values(), *self._by_operation.values()]
            return tuple(step for queue in queues for step in queue)

    def _prepare(self, step: Answer | Fault, operation: Operation) -> Step:
        __tracebackhide__ = True
        if isinstance(step, Fault):
            if step.early:
                raise ValueError("an early fault needs an answer: Answer(401, fault=Fault(early=...))")
            return Step(step, operation.id, None, step, step.taken)
        if isinstance(step, Answer):
            reply, fault = prepare(step, operation, self._contract), step.fault or NO_FAULT
            return Step(step, operation.id, reply, fault, step.taken or fault.taken)
        raise TypeError(f"a script is made of Answer and Fault, not of {type(step).__name__}")
