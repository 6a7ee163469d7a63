"""The asynchronous client: a thin driver around the decision core."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from concurrent.futures import Future
from contextlib import aclosing, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import httpx

from ._base_client import BaseClient, Progress
from ._claims import Claims, Kind
from ._delivery import PRECISION, RESTART, confirm, deliver, read_history
from ._errors import ChatError, DeliveryUnknownError
from ._file import CheckedFile, File, FileLike, checked_file, read_stream
from ._network import PATIENCE, AsyncConnection, AsyncTransport
from ._options import Options, Timeout, refuse
from ._quota import Quotas
from ._send import Send, SentFile
from ._slots import Slot
from ._steps import (
    SEND_FILE,
    AwaitLedger,
    AwaitTurn,
    MakeRequest,
    Outcome,
    Pause,
    Step,
    Steps,
    TakeSlot,
    advance,
    known_to_be_spent,
    open_chat,
    out_of_time,
)

if TYPE_CHECKING:
    from .shared._keeper import Turn

T = TypeVar("T")
AsyncFileLike = FileLike | AsyncIterable[bytes]

# What the synchronous client imports when first needed; here that would hold up the loop for 20 ms.
import_module("._api", __package__)
# httpcore's locks are anyio's, which makes its asyncio half when first used: that would hold up the loop for 80 ms.
with suppress(ImportError):
    import_module("anyio._backends._asyncio")


class AsyncChatClient(BaseClient):
    """Sends files into chats with buyers, on asyncio. Task-safe, cheap to make, usable in several event loops."""

    __module__ = "yandex_market_chat"

    async def send_file(
        self,
        file: AsyncFileLike,
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
        """Do what `ChatClient.send_file` does.

        `file` may also be an async iterator of bytes. `on_progress` is called on the event loop.
        """
        # This frame stays in the traceback of an error; those below it, which hold the content of the file, do not.
        with Send(time.monotonic) as send:
            target = {"chat_id": chat_id, "order_id": order_id}
            self._begin(send, business_id, timeout, **target, on_progress=on_progress, idempotency_key=idempotency_key)
            try:
                found = await self._looked_at(send, file, name, content_type)
                return await self._run(send, self._delivery(send), found)
            except Exception as error:  # the file may be gone, and be known as sent: the ledger is asked first
                if send.entry is None:
                    raise
                if (known := await self._run(send, send.entry.known(send, self._rules, send.deadline, error))) is None:
                    raise
                return known

    async def open_chat(self, *, business_id: int, order_id: int, timeout: Timeout | float | None = None) -> int:
        """Do what `ChatClient.open_chat` does."""
        with Send(time.monotonic, subject="chat") as send:
            self._begin(send, business_id, timeout, order_id=order_id)
            send.chat_id = await self._run(send, open_chat(send, self._rules, send.deadline))
            return send.chat_id

    async def confirm(self, error: DeliveryUnknownError, *, timeout: Timeout | float | None = None) -> SentFile | None:
        """Do what `ChatClient.confirm` does."""
        with Send(time.monotonic, subject="") as send:
            known = self._begin_confirming(send, error, timeout)
            return await self._run(send, confirm(send, known, self._rules, send.deadline))

    async def check_file(
        self, file: AsyncFileLike, *, name: str | None = None, content_type: str | None = None
    ) -> CheckedFile:
        """Do what `ChatClient.check_file` does."""
        with Send(time.monotonic, subject="") as send:
            content = await self._content(await self._looked_at(send, file, name, content_type))
            return checked_file(send.name, send.content_type, content)

    async def _looked_at(self, send: Send, file: AsyncFileLike, name: str | None, content_type: str | None) -> File:
        look = partial(self._look_at, send, file, name, content_type)
        if isinstance(file, str | os.PathLike):  # a look at a path may wait for a disk
            return await _in_time(send, _in_thread(look), "while the send looked at the file")
        return look()

    async def _run(self, send: Send, steps: Steps[T], file: File | None = None, given: Slot | None = None) -> T:
        if not self._route.ready:
            await _in_time(send, _in_thread(self._route.load), "before a request could begin")
        slots, slot, content = self._slots, given or Slot(), b""
        outcome: Outcome | None = None
        try:
            while isinstance(step := advance(steps, outcome), Step):
                outcome = None
                if isinstance(step, TakeSlot):
                    if given is None:
                        slots.ask(send.business_id, slot := Slot())
                    given = None
                    if slot.ready is not None:
                        with suppress(TimeoutError):
                            async with asyncio.timeout(send.left()):
                                await asyncio.wrap_future(slot.ready)
                    if file is not None and send.left() != 0:
                        self._check_usable()
                        content, file = await _in_time(send, self._content(file), "while the file was read"), None
                        send.size = len(content)
                        if send.entry is not None:
                            send.entry.content = content
                elif isinstance(step, AwaitTurn):
                    await step.turn.wait_async(step.seconds)
                elif isinstance(step, AwaitLedger):
                    await asyncio.wait((asyncio.wrap_future(step.future),), timeout=step.seconds)
                elif isinstance(step, Pause):
                    slots.release(send.business_id, slot)
                    await asyncio.sleep(step.seconds)
                else:
                    outcome = await self._attempt(send, step, content)
                    slots.release(send.business_id, slot)
            return step
        except Exception as error:
            send.clean(error)
            raise
        finally:
            content = b""  # a frame lives as long as an error that somebody keeps
            slots.release(send.business_id, slot)
            steps.close()

    async def _content(self, file: File) -> bytes:
        limit = self._options.max_file_size
        if file.stream is not None:
            return await read_stream(file.stream, limit)
        return file.read(limit) if file.in_memory else await _in_thread(file.read, limit)

    async def _attempt(self, send: Send, step: MakeRequest, content: bytes) -> Outcome:
        attempt, request = self._new_attempt(send, step, content)
        with attempt:
            async with (
                asyncio.timeout(attempt.left() + PATIENCE) as bound,
                aclosing(AsyncConnection(attempt, bound)) as way,
            ):
                response = await AsyncTransport(self._route, way).handle_async_request(request)
                attempt.answered(response)
                stream = cast(httpx.AsyncByteStream, response.stream)
                async with aclosing(cast(AsyncGenerator[bytes], aiter(stream))) as chunks:
                    async for chunk in chunks:
                        if not attempt.wants_more(chunk):
                            break
        return attempt.outcome()

    async def aclose(self) -> None:
        """Close the client: what has begun goes on, what waits for its first slot and what comes is refused.

        May be called twice.
        """
        self._closed = True
        if self._rules.limits is not None:
            await asyncio.to_thread(self._rules.limits.flush)

    async def __aenter__(self) -> Self:
        self._check_usable()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self.aclose()


class Place(NamedTuple):
    """The slot of a batch's send, and its turn among all who share limits."""

    business_id: int
    slot: Slot
    turn: "Turn"


class BatchDoor:
    """What a batch uses of a client, beside what everybody may: its slots, quotas, chats and options are the client's.

    It waits for limits itself, so a 420 is raised at once, and it reads histories when it sees fit.
    """

    def __init__(self, chat: AsyncChatClient) -> None:
        if chat._ledger is not None:
            refuse(
                'A batch uses its journal, no ledger (given, or YANDEX_MARKET_LEDGER): make its client with ledger="".'
            )
        self._chat = chat
        self._rules = chat._rules._replace(waits_for_limits=False, confirm_unknown=0.0)
        self.options: Options = chat._options
        self.quotas: Quotas = chat._rules.quotas
        self.claims: Claims = chat._rules.claims
        self.confirm_unknown = self.options.confirm_unknown

    def check_usable(self) -> None:
        """Raise an `InvalidRequestError` if the client is closed."""
        self._chat._check_usable()

    def load_certificates(self) -> None:
        """Load what TLS trusts, which takes a moment; raise an `InvalidRequestError` if that is impossible."""
        self._chat._route.load()

    async def take_place(self, business_id: int, ends: Callable[[], bool]) -> Place | None:
        """Wait for a slot, then for a turn among all who share limits; None: nobody shares, or it `ends` before.

        Raises:
            QuotaExceededError: the others know that the quota is spent.
        """
        if self._rules.limits is None:
            return None
        place = Place(business_id, Slot(), self._rules.limits.turn(business_id, SEND_FILE))
        try:
            self._chat._slots.ask(business_id, place.slot)
            if place.slot.ready is not None:
                ready = asyncio.wrap_future(place.slot.ready)
                while not (ready.done() or ends()):
                    await asyncio.wait((ready,), timeout=0.25)
            place.turn.ask()
            while not (place.turn.granted or place.turn.spent or ends()):
                await place.turn.wait_async(0.25)
            place.turn.tell(partial(self._rules.learn, business_id))
            if place.turn.spent:
                raise known_to_be_spent(SEND_FILE, self.quotas.of((SEND_FILE, business_id)))
        finally:
            if not place.turn.granted:
                self.give_back(place)
        return place if place.turn.granted else None

    def give_back(self, place: Place) -> None:
        """Give back what was not used; harmless after it was."""
        place.turn.end(may_count=False)
        self._chat._slots.release(place.business_id, place.slot)

    async def send_file(
        self,
        content: bytes,
        *,
        business_id: int,
        chat_id: int,
        name: str,
        content_type: str | None,
        place: Place | None = None,
    ) -> SentFile:
        """Send as the client does."""
        with Send(time.monotonic) as send:
            send.turn = place and place.turn
            self._chat._begin(send, business_id, None, chat_id=chat_id)
            file = self._chat._look_at(send, content, name, content_type)
            return await self._chat._run(send, deliver(send, self._rules, send.deadline), file, place and place.slot)

    async def open_chat(self, business_id: int, order_id: int) -> int:
        """Open the chat of an order as the client does."""
        with Send(time.monotonic, subject="chat") as send:
            self._chat._begin(send, business_id, None, order_id=order_id)
            send.chat_id = await self._chat._run(send, open_chat(send, self._rules, send.deadline))
            return send.chat_id

    def forget_chat(self, business_id: int, order_id: int) -> None:
        """Ask for the chat of an order again the next time."""
        self._rules.chats.pop((business_id, order_id), None)

    async def find(self, kind: Kind, ago: float, *, restarted: bool) -> int | ChatError | None:
        """Read the chat's history for a file that may have been sent so many seconds ago.

        Return the message that holds it, None if none does, or why the history was not read. `restarted`: that time is
        by the clock on the wall, which may have been set since.
        """
        with Send(time.monotonic, subject="") as send:
            self._chat._begin(send, kind.business_id, None, chat_id=kind.chat_id)
            send.name, send.size, send.began = kind.name, kind.size, send.started - ago
            until = min(send.deadline, send.started + self.confirm_unknown)
            margin = RESTART if restarted else PRECISION
            return await self._chat._run(send, read_history(send, self._chat._rules, until, send.started, margin))


async def _in_time(send: Send, work: Awaitable[T], doing: str) -> T:
    """Await it, at most until the total time of the send has passed."""
    until = asyncio.timeout(send.left())
    try:
        async with until:
            return await work
    except TimeoutError:
        if not until.expired():  # the reader's own
            raise
        raise out_of_time(doing) from None


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call it in a thread. What it raises is handed over as it is.

    asyncio would make another TimeoutError of it, and wait for ever after a StopIteration.
    """
    came: Future[T] = Future()

    def call() -> None:
        try:
            came.set_result(function(*arguments))
        except BaseException as error:
            came.set_exception(error)

    await asyncio.to_thread(call)
    return came.result()
