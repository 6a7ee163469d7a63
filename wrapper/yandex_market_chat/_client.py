"""The synchronous client: a thin driver around the decision core."""

import time
from contextlib import closing, suppress
from typing import Self, cast

import httpx

from ._base_client import BaseClient, Progress
from ._delivery import Outcome, Pause, Step, TakeSlot, advance, deliver
from ._file import CheckedFile, File, FileLike, checked_file
from ._options import Timeout
from ._send import Send, SentFile
from ._slots import Slot


class ChatClient(BaseClient):
    """Sends files into chats with buyers. Thread-safe, and cheap to make; a forked child opens its own connections."""

    def send_file(
        self,
        file: FileLike,
        *,
        business_id: int,
        chat_id: int,
        name: str | None = None,
        content_type: str | None = None,
        timeout: Timeout | float | None = None,
        on_progress: Progress | None = None,
    ) -> SentFile:
        # This frame stays in the traceback of an error; those below it, which hold the content of the file, do not.
        with Send(time.monotonic) as send:
            self._begin(send, business_id, chat_id, timeout, on_progress)
            return self._deliver(send, self._look_at(send, file, name, content_type))

    def check_file(self, file: FileLike, *, name: str | None = None, content_type: str | None = None) -> CheckedFile:
        with Send(time.monotonic, silent=True) as send:
            content = self._look_at(send, file, name, content_type).read(self._options.max_file_size)
            return checked_file(send.name, send.content_type, content)

    def _deliver(self, send: Send, file: File) -> SentFile:
        self._route.load()
        slots, slot, content = self._slots, Slot(), b""
        steps = deliver(send, self._rules, send.deadline)
        outcome: Outcome | None = None
        try:
            while isinstance(step := advance(steps, outcome), Step):
                outcome = None
                if isinstance(step, TakeSlot):
                    slots.ask(send.business_id, slot := Slot())
                    if slot.ready is not None:
                        with suppress(TimeoutError):
                            slot.ready.result(send.left())
                    if not content and send.left() != 0:
                        self._check_usable()
                        content = file.read(self._options.max_file_size)
                        send.size = len(content)
                    continue
                if not isinstance(step, Pause):
                    outcome = self._attempt(send, content)
                slots.release(send.business_id, slot)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
            return step
        except Exception as error:
            if send.attempt is not None:
                send.attempt.clean(error)
            raise
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            slots.release(send.business_id, slot)

    def _attempt(self, send: Send, content: bytes) -> Outcome:
        from ._network import Backend, Transport  # with httpcore, as httpx itself: when first needed

        attempt, request = self._new_attempt(send, content)
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
