"""The synchronous client: a thin driver around the decision core."""

import time
from contextlib import closing, suppress
from typing import Self, TypeVar, cast

import httpx

from ._base_client import BaseClient, Progress
from ._delivery import confirm, deliver
from ._errors import DeliveryUnknownError
from ._file import CheckedFile, File, FileLike, checked_file
from ._options import Timeout
from ._send import Send, SentFile
from ._slots import Slot
from ._steps import MakeRequest, Outcome, Pause, Step, Steps, TakeSlot, advance, open_chat

T = TypeVar("T")


class ChatClient(BaseClient):
    """Sends files into chats with buyers. Thread-safe, and cheap to make; a forked child opens its own connections."""

    def send_file(
        self,
        file: FileLike,
        *,
        business_id: int,
        chat_id: int | None = None,
        order_id: int | None = None,
        name: str | None = None,
        content_type: str | None = None,
        timeout: Timeout | float | None = None,
        on_progress: Progress | None = None,
    ) -> SentFile:
        # This frame stays in the traceback of an error; those below it, which hold the content of the file, do not.
        with Send(time.monotonic) as send:
            self._begin(send, business_id, timeout, chat_id=chat_id, order_id=order_id, on_progress=on_progress)
            found = self._look_at(send, file, name, content_type)
            return self._run(send, deliver(send, self._rules, send.deadline), found)

    def open_chat(self, *, business_id: int, order_id: int, timeout: Timeout | float | None = None) -> int:
        with Send(time.monotonic, subject="chat") as send:
            self._begin(send, business_id, timeout, order_id=order_id)
            send.chat_id = self._run(send, open_chat(send, self._rules, send.deadline))
            return send.chat_id

    def confirm(self, error: DeliveryUnknownError, *, timeout: Timeout | float | None = None) -> SentFile | None:
        with Send(time.monotonic, subject="") as send:
            known = self._begin_confirming(send, error, timeout)
            return self._run(send, confirm(send, known, self._rules, send.deadline))

    def check_file(self, file: FileLike, *, name: str | None = None, content_type: str | None = None) -> CheckedFile:
        with Send(time.monotonic, subject="") as send:
            content = self._look_at(send, file, name, content_type).read(self._options.max_file_size)
            return checked_file(send.name, send.content_type, content)

    def _run(self, send: Send, steps: Steps[T], file: File | None = None) -> T:
        self._route.load()
        slots, slot, content = self._slots, Slot(), b""
        outcome: Outcome | None = None
        try:
            while isinstance(step := advance(steps, outcome), Step):
                outcome = None
                if isinstance(step, TakeSlot):
                    slots.ask(send.business_id, slot := Slot())
                    if slot.ready is not None:
                        with suppress(TimeoutError):
                            slot.ready.result(send.left())
                    if file is not None and send.left() != 0:
                        self._check_usable()
                        content, file = file.read(self._options.max_file_size), None
                        send.size = len(content)
                elif isinstance(step, Pause):
                    slots.release(send.business_id, slot)
                    time.sleep(step.seconds)
                else:
                    outcome = self._attempt(send, step, content)
                    slots.release(send.business_id, slot)
            return step
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            slots.release(send.business_id, slot)
            steps.close()

    def _attempt(self, send: Send, step: MakeRequest, content: bytes) -> Outcome:
        from ._network import Backend, Transport  # with httpcore, as httpx itself: when first needed

        attempt, request = self._new_attempt(send, step, content)
        with attempt, closing(Backend(attempt)) as backend:
            response = Transport(self._route, backend).handle_request(request)
            attempt.answered(response)
            for chunk in cast(httpx.SyncByteStream, response.stream):
                if not attempt.wants_more(chunk):
                    break
        return attempt.outcome()

    def close(self) -> None:
        """Close the client: what is in flight may end, what waits and what comes is refused. May be called twice."""
        self._closed = True

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()
