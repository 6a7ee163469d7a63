"""One send: what it is, what is known of it so far, and what is told of its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ._attempt import Attempt
from ._errors import ChatError, DeliveryUnknownError, LedgerError, NotSentError
from ._options import Timeout
from ._quota import Quota

if TYPE_CHECKING:
    from .shared._keeper import Turn
    from .shared._once import Entry

logger = logging.getLogger("yandex_market_chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file that has been sent: Market responded with the documented OK, or the chat's history holds the file."""

    business_id: int
    """The business (cabinet) of the send."""
    chat_id: int
    """The chat that the file is in."""
    order_id: int | None
    """The order whose chat it is, if the call named it."""
    name: str
    """The name as sent."""
    size: int
    """In bytes."""
    content_type: str
    """The type as sent."""
    attempts: int
    """Requests begun, the successful one included."""
    unknown_attempts: int
    """How many other attempts may have delivered the file too; 0 unless `resend_unknown` was chosen."""
    elapsed: float
    """Seconds from the call to the response."""
    trace_id: str | None
    """The `traceparent` of the response: the request id to quote to Market's support."""
    quota: Quota | None
    """The quota as this response told it; None if it told none."""
    confirmed_by: str = "response"
    """"response": Market said OK. "history": the response was lost, and the chat holds a file of this name and size,
    posted by the shop's side since the attempt began; it may hold more than one."""
    message_id: int | None = None
    """The message that holds the file; None unless the history told it: the response has no id."""
    from_ledger: bool = False
    """Whether an earlier call with the idempotency key has sent it: this one made no request. Then `elapsed` is of this
    call, and the rest of the earlier one."""


@dataclass(slots=True)
class Send:
    """What is known of a send so far. As a context manager: whatever ends it is completed with that, and logged."""

    clock: Callable[[], float] = field(repr=False)
    business_id: int = 0  # 0 and "": not known yet
    chat_id: int = 0
    order_id: int | None = None
    name: str = ""
    size: int = 0
    content_type: str = ""
    attempts: int = 0  # requests of what was asked
    unknown_attempts: int = 0
    timeout: Timeout = Timeout()  # noqa: RUF009  frozen
    deadline: float = math.inf
    on_sent: Callable[[int], None] | None = field(default=None, repr=False)
    # "chat", if one is only opened; "known", if the ledger knows it; "": nothing is sent, and its end is no news
    subject: str = "file"
    began: float = 0.0  # when the first unknown attempt began
    owner: str = field(default_factory=lambda: token_hex(8), repr=False)  # of a message that confirms it
    unreadable: bool = False  # the history cannot be read, now and later
    confirmed: bool = False  # Market has said that it is sent
    attempt: Attempt | None = field(default=None, repr=False)  # until what came of it is known
    turn: Turn | None = field(default=None, repr=False)  # among those who share limits
    entry: Entry | None = field(default=None, repr=False)  # in the ledger, if there is an idempotency key
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def left(self) -> float:
        """Return the seconds that are left of the total: infinitely many, if there is none."""
        return max(0.0, self.deadline - self.clock())

    @property
    def delivery(self) -> str:
        """What became of the file if nothing more happens: "sent", "unknown" or "not sent"."""
        if self.confirmed:
            return "sent"
        unknown = self.unknown_attempts or (self.attempt is not None and self.attempt.may_have_delivered)
        return "unknown" if unknown else "not sent"

    def facts(self) -> dict[str, Any]:
        """Return what the end of a send tells of it, as far as it is known."""
        known = {name: getattr(self, name) or None for name in ("business_id", "chat_id", "order_id", "name", "size")}
        return known | {"attempts": self.attempts, "elapsed": self.clock() - self.started}

    def describe(self, **more: object) -> dict[str, object]:
        """Return the fields of a log record, where `name` is the logger's own."""
        facts = self.facts()
        key = {} if self.entry is None else {"idempotency_key": self.entry.key}
        return {"file_name": facts.pop("name"), "file_size": facts.pop("size"), **facts, **key, **more}

    def __enter__(self) -> Send:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        delivery, requested = self.delivery, self.attempt is not None
        interrupted = error is not None and not isinstance(error, ChatError)  # or a defect
        # Of an earlier call with the key, too; without an entry and a name it is not known yet whether there is a key.
        in_doubt = self.entry.in_doubt if self.entry is not None else not self.name and self.subject == "file"
        if isinstance(error, DeliveryUnknownError | LedgerError) or (interrupted and in_doubt and delivery != "sent"):
            delivery = "unknown"
        self.end_turn(may_count=requested)
        self.attempt = None  # what it received is in it, and an error may keep the send
        if isinstance(error, ChatError):
            self._complete(error)
        if error is not None and (requested or isinstance(error, ChatError)):
            strip_traceback(error)
        if not self.subject or (error is None and not logger.isEnabledFor(logging.INFO)):
            return
        extra = self.describe(outcome=type(error).__name__ if error else "SentFile", delivery=delivery)
        target = f"{self.business_id or '?'}/{self.chat_id or (f'order {self.order_id}' if self.order_id else '?')}"
        what = target if self.subject == "chat" else f"{self.name!r} to {target}" if self.name else "nothing yet"
        done = "opened" if self.subject == "chat" else "sent"
        if error is None:
            before = " before, as the ledger says:" if self.subject == "known" else ""
            log_safely(logging.INFO, f"{done}{before} %s", what, extra=extra)
        elif not interrupted or delivery == "not sent":
            fate = "delivery unknown" if delivery == "unknown" else f"not {done}"
            said = type(error).__name__ if interrupted else error
            log_safely(logging.INFO, "%s: %s [%s]", fate, said, what, extra=extra)
        else:
            text = "sent, then interrupted by %s [%s]"
            if delivery == "unknown":
                text = "delivery unknown: interrupted by %s; check the chat before resending [%s]"
            log_safely(logging.WARNING, text, type(error).__name__, what, extra=extra)

    def end_turn(self, *, may_count: bool) -> None:
        """Give back the turn, if there is one. `may_count`: Market may have counted the request."""
        if self.turn is not None:
            self.turn.end(may_count=may_count)  # first: an interrupt between the two must not lose it
            self.turn = None

    def clean(self, error: Exception) -> None:
        """Take the secrets out of a defect."""
        if self.attempt is not None and not isinstance(error, ChatError):
            self.attempt.clean(error)

    def _complete(self, error: ChatError) -> None:
        """Tell an error, and the later one that it may hold, which send it belongs to; once."""
        if "elapsed" not in vars(error):
            error.idempotency_key = None if self.entry is None else self.entry.key
            vars(error).update({**self.facts(), "size": self.size or None if error.size is None else error.size})
        if self.subject == "chat":
            error.args = (str(error).replace(NotSentError._fate, "The chat was not opened."),)
        if isinstance(error, DeliveryUnknownError) and error.later is not None:
            self._complete(error.later)


def log_safely(level: int, text: str, *values: object, extra: dict[str, object]) -> None:
    """Write a record. What a filter, handler or record factory raises must not turn a sent file into an error."""
    try:
        logger.log(level, text, *values, extra=extra)
    except Exception:  # it is not ours
        with suppress(Exception):  # most often a field that the program has too: once more without them
            logger.log(level, text, *values)


def strip_traceback(error: BaseException) -> None:
    """Leave an error its topmost frame only.

    What lies below the call of `send_file` is nothing to its caller, and would keep the file in memory; the locals of
    httpx and httpcore hold the key.
    """
    error.__context__ = error.__cause__ = None
    if error.__traceback__ is not None:
        error.__traceback__.tb_next = None
