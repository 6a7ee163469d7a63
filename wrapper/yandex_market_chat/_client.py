"""The synchronous client: a thin driver around the decision core."""

import time
from contextlib import closing, suppress
from threading import TIMEOUT_MAX
from typing import Self, TypeVar, cast

import httpx

from ._base_client import BaseClient, Progress
from ._delivery import confirm
from ._errors import DeliveryUnknownError
from ._file import CheckedFile, File, FileLike, checked_file
from ._options import Timeout
from ._send import Send, SentFile
from ._slots import Slot
from ._steps import AwaitLedger, AwaitTurn, MakeRequest, Outcome, Pause, Step, Steps, TakeSlot, advance, open_chat

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
        idempotency_key: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        timeout: Timeout | float | None = None,
        on_progress: Progress | None = None,
    ) -> SentFile:
        """Send one file into the chat with a buyer, and return when Market has taken it.

        The content is read once, when a slot of the business is free; each attempt sends the same bytes from memory.
        Repeated without asking is only what provably did not reach the chat (see `RetryPolicy`). After an unknown
        outcome the chat's history is read: if it holds the file, the file was sent.

        Args:
            file: a path of a regular file; bytes, a bytearray or a memoryview; an open binary file, sent from its
                current position and left open; with `AsyncChatClient` also an async iterator of bytes. 1 byte to the
                client's `max_file_size`.
            business_id: the id of the business (the cabinet, `campaigns[].business.id` of `GET v2/campaigns`; not the
                id of a campaign), from 1 to 2^63-1.
            chat_id: the id of the chat, from 1 to 2^63-1. Either this or `order_id`.
            order_id: the id of the order whose chat it is, from 1 to 2^63-1. Its chat is opened first, once the file
                has been read. Chats of returns cannot be opened by this client.
            idempotency_key: your id of this send, 1 to 255 characters, unique per business, with a client that has a
                `ledger`. Call with it as often as you like, from any process: the file is sent at most once. What is
                known as sent comes back as the earlier `SentFile`, also if the file is gone. Other content, name, chat
                or order under a known key is refused. What is unknown is looked for in the chat's history first (not
                with `confirm_unknown=0`), then raised again, without a request, unless the client's `RetryPolicy` says
                `resend_unknown`.
            name: the file name that the buyer sees. Default: that of the file. Control and direction-override
                characters are left out, and it is shortened to 255 bytes of UTF-8; a file without a name gets one that
                fits its type.
            content_type: for example "application/pdf". Default: what the extension of the name says.
            timeout: a `Timeout`, or the total in seconds. Default: the client's.
            on_progress: called with (bytes of the file written, its size), from 0 in each attempt; with
                `AsyncChatClient` on the event loop. If it raises, that is logged once, and it is not called again.

        Returns:
            The file as sent: Market responded 200 with `"status": "OK"`, or the chat's history holds a file of this
            name and size, posted by the shop's side since the attempt began.

        Raises:
            InvalidRequestError: an argument was refused here (for the file: InvalidFileError, EmptyFileError,
                FileTooLargeError). Nothing went out.
            OSError: the path is missing or forbidden. Nothing went out. What the file's own reader raises passes
                through as well.
            NotSentError: the buyer did not receive the file: sending it again cannot deliver it twice.
            LedgerError: the ledger cannot be read or written. This call sent nothing, an earlier one with the key may
                have.
            InProgressError: another call is sending with the key right now; this one sent nothing.
            DeliveryUnknownError: nobody can know whether the buyer received the file, and the history does not show it:
                check the chat before resending, or call `confirm` later.

        Source: https://yandex.ru/dev/market/partner-api/doc/ru/reference/chats/sendFileToChat
        """
        # This frame stays in the traceback of an error; those below it, which hold the content of the file, do not.
        with Send(time.monotonic) as send:
            target = {"chat_id": chat_id, "order_id": order_id}
            self._begin(send, business_id, timeout, **target, on_progress=on_progress, idempotency_key=idempotency_key)
            try:
                found = self._look_at(send, file, name, content_type)
                return self._run(send, self._delivery(send), found)
            except Exception as error:  # the file may be gone, and be known as sent: the ledger is asked first
                if send.entry is None:
                    raise
                if (known := self._run(send, send.entry.known(send, self._rules, send.deadline, error))) is None:
                    raise
                return known

    def open_chat(self, *, business_id: int, order_id: int, timeout: Timeout | float | None = None) -> int:
        """Return the id of the chat of an order: Market opens it if there is none yet.

        Safe to repeat, so it is tried again after 5xx, lost connections and timeouts, too. The client remembers the
        last 10 000 chats. What a buyer sees of a chat that stays empty is not documented.

        Args:
            business_id: as for `send_file`.
            order_id: the id of the order, from 1 to 2^63-1.
            timeout: a `Timeout`, or the total in seconds. Default: the client's.

        Returns:
            The id of the chat, for `chat_id`.

        Raises:
            InvalidRequestError: an argument was refused here. No request was made.
            NotSentError: no chat was opened: Market refused (`NotFoundError`: it knows no such order), no connection
                was made, the total passed, or else a `ChatNotOpenedError`.

        Source: https://yandex.ru/dev/market/partner-api/doc/ru/reference/chats/createChat
        """
        with Send(time.monotonic, subject="chat") as send:
            self._begin(send, business_id, timeout, order_id=order_id)
            send.chat_id = self._run(send, open_chat(send, self._rules, send.deadline))
            return send.chat_id

    def confirm(self, error: DeliveryUnknownError, *, timeout: Timeout | float | None = None) -> SentFile | None:
        """Read the chat's history now, to settle a send that ended unknown.

        Args:
            error: what `send_file` raised, also one that was pickled. Its `business_id`, `chat_id`, `name`, `size` and
                `since` say what is looked for.
            timeout: a `Timeout`, or the total in seconds. Default: the client's.

        Returns:
            The file as sent, if the history holds a file of this name and size, posted by the shop's side since the
            attempt began (less 300 s, for clocks that were set). None: it is not seen there, which proves nothing: a
            message may lag or have been renamed. The history was read whole, and the error's `history_read_at` says
            when.

        Raises:
            InvalidRequestError: an argument was refused here.
            DeliveryUnknownError: the given error, if the history could not be read; its `later` says why.

        Source: https://yandex.ru/dev/market/partner-api/doc/ru/reference/chats/getChatHistory
        """
        with Send(time.monotonic, subject="") as send:
            known = self._begin_confirming(send, error, timeout)
            return self._run(send, confirm(send, known, self._rules, send.deadline))

    def check_file(self, file: FileLike, *, name: str | None = None, content_type: str | None = None) -> CheckedFile:
        """Return what would be sent, after every check of `send_file` that concerns the file. No request is made.

        Args:
            file: as for `send_file`. It is read whole: an open file or an iterator stands at its end afterwards.
            name: as for `send_file`.
            content_type: as for `send_file`.

        Returns:
            Name and type as they would be sent, the size in bytes, and the SHA-256 of the content.

        Raises:
            InvalidRequestError: it would be refused (for the file: InvalidFileError, EmptyFileError,
                FileTooLargeError).
            OSError: the path is missing or forbidden.
        """
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
                            slot.ready.result(min(send.left(), TIMEOUT_MAX))
                    if file is not None and send.left() != 0:
                        self._check_usable()
                        content, file = file.read(self._options.max_file_size), None
                        send.size = len(content)
                        if send.entry is not None:
                            send.entry.content = content
                elif isinstance(step, AwaitTurn):
                    step.turn.wait(step.seconds)
                elif isinstance(step, AwaitLedger):
                    with suppress(TimeoutError):
                        step.future.result(min(step.seconds, TIMEOUT_MAX))
                elif isinstance(step, Pause):
                    slots.release(send.business_id, slot)
                    time.sleep(step.seconds)
                else:
                    outcome = self._attempt(send, step, content)
                    slots.release(send.business_id, slot)
            return step
        except Exception as error:
            send.clean(error)
            raise
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            slots.release(send.business_id, slot)
            steps.close()

    def _attempt(self, send: Send, step: MakeRequest, content: bytes) -> Outcome:
        from ._network import Connection, Transport  # with httpcore, as httpx itself: when first needed

        attempt, request = self._new_attempt(send, step, content)
        with attempt, closing(Connection(attempt)) as connection:
            response = Transport(self._route, connection).handle_request(request)
            attempt.answered(response)
            for chunk in cast(httpx.SyncByteStream, response.stream):
                if not attempt.wants_more(chunk):
                    break
        return attempt.outcome()

    def close(self) -> None:
        """Close the client: what has begun goes on, what waits for its first slot and what comes is refused.

        May be called twice.
        """
        self._closed = True
        if self._rules.limits is not None:
            self._rules.limits.flush()

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()
