"""A send with an idempotency key: claimed in the ledger before its connection opens, ended there after.

The generators here are steps of the decision core, like those in `_delivery`. What asks the database runs in threads of
its own, so that a database that hangs holds up neither an event loop nor the total time of a send.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Any, TypeVar

from .. import _errors as errors
from .._claims import Others
from .._delivery import PRECISION, RESTART, deliver, read_history
from .._options import refuse
from .._send import Send, SentFile, log_safely
from .._steps import AwaitLedger, Pause, Rules, Steps, TakeSlot
from ._background import Renewals, in_background
from ._row import FORMAT, NOT_SENT, SENT, UNKNOWN, Claim, End, Row, RowError, Rows, TakenError

ASK = 10.0
"""Seconds that the ledger has for an answer before a send, if the total time leaves as much."""
WRITE = 5.0
"""Seconds for which an outcome is tried to be written."""
AFTER = 1.0
"""Seconds that the ledger has in any case, also when the total time has passed."""
_NOT_RENEWED = "The claim of this idempotency key could not be renewed, so it was not tried again."

T = TypeVar("T")


class Entry:
    """A send's entry in the ledger."""

    def __init__(self, rows: Rows, renewals: Renewals, send: Send, key: str, *, resend: bool) -> None:
        self.owner = token_hex(8)
        self.content = b""
        """What is to be sent, until its checksum is known."""
        self._rows = rows
        self._renewals = renewals
        self.key = key
        self._this = send.business_id, key
        self._resend = resend
        self._process = os.getpid()
        self._sha256 = ""
        self._asked = False
        self._ended = False
        self._claimed: float | None = None  # when, on the clock
        self._renewed = 0.0
        self._lost = False
        self._free = False  # no earlier call can have sent it
        self._attempts = 0  # of earlier calls
        self._size: int | None = None
        self._read_whole = False  # the history, without finding it
        send.owner = f"{send.business_id}/{key}"  # a message that confirms it confirms each call with the key

    @property
    def in_doubt(self) -> bool:
        """Whether another call with the key may have sent the file, if this one has not."""
        expired = self._claimed is not None and time.monotonic() - self._renewed >= self._renewals.lease
        return not self._free or self._lost or expired

    # The steps of a send

    def deliver(self, send: Send, rules: Rules, deadline: float) -> Steps[SentFile]:
        """Decide a send as `deliver` does, at most once for the key."""
        try:
            if send.order_id is not None and (send.business_id, send.order_id) not in rules.chats:
                # Opening the chat is a request; what is known needs none.
                row = yield from self._find(send)
                if row is not None and row.state != NOT_SENT and not (self._resend and row.state == UNKNOWN):
                    yield TakeSlot()  # reads the file, which may be another one
                    yield Pause(0.0)
                    self._take_content()
                    return (yield from self._known(send, rules, deadline, row))
            sent = yield from deliver(send, rules, deadline)
            yield from self.end(send, rules, sent)
            return sent
        except errors.ChatError as error:
            self._may_retry(error)
            yield from self.end(send, rules, error)
            raise
        finally:
            if not self._ended:  # an interrupt or a defect: there is no time to wait
                self._abandon(send, rules)

    def begin(self, send: Send, rules: Rules, deadline: float) -> Steps[SentFile | errors.ChatError | None]:
        """Claim the key before the first attempt, look whether it is still claimed before each other one.

        Return what came of an earlier call: sent; or unknown, to be sent again. A `LedgerError` is why no further
        attempt may begin, None that this one may.
        """
        if self._claimed is not None:
            if self._lost or rules.clock() - self._renewed >= 0.9 * self._renewals.lease:
                return _ledger_error(_NOT_RENEWED)
            if send.unknown_attempts:
                age = rules.clock() - send.began
                renew = partial(
                    self._rows.renew, *self._this, self.owner, self._renewals.lease, send.unknown_attempts, age
                )
                try:
                    renewed = yield from self._ask(send, renew)
                except errors.LedgerError as error:
                    return error
                return None if renewed else _ledger_error(_NOT_RENEWED)
            return None
        self._asked = True
        claim = Claim(
            *self._this, self.owner, self._renewals.lease, send.chat_id, send.order_id, send.name, send.size, "",
            send.content_type, self._resend,
        )  # fmt: skip
        mine, row = yield from self._ask(send, partial(self._claim_now, claim, rules.clock))
        self._attempts = max(row.attempts, row.unknown_attempts)
        if not mine:
            return (yield from self._known(send, rules, deadline, row))
        if not row.unknown_attempts:
            return None
        found = yield from self._history(send, rules, deadline, row)
        send.unknown_attempts = row.unknown_attempts
        return found or self._unknown(send, rules, row, "Check the chat before resending.")

    def known(self, send: Send, rules: Rules, deadline: float, error: Exception) -> Steps[SentFile | None]:
        """Return what came of an earlier call; None if nothing did: the error is the news.

        It has kept this call from asking the ledger.
        """
        self.content = b""  # the error may be kept, and this with it
        told = isinstance(error, errors.LedgerError | errors.DeliveryUnknownError)
        if self._asked or told or not send.name:
            return None
        row = yield from self._find(send)
        self._free = row is None or row.state == NOT_SENT
        if row is None or self._free:
            return None
        if isinstance(error, errors.InvalidFileError):
            self._size = error.size
        return (yield from self._known(send, rules, deadline, row))

    def others(self, send: Send, rules: Rules) -> Steps[Others | errors.ChatError]:
        """Return what accounts for such files in the chat, or why that cannot be told."""
        ask = partial(self._rows.others, send.business_id, send.chat_id, send.name, send.size, self.key)
        try:
            found = yield from self._ask(send, ask)
        except errors.LedgerError as error:
            return error
        # Times of the database: its clock may have been set since.
        now = rules.clock() + RESTART.total_seconds()
        ended = [now - each.age for each in found if each.age is not None]
        ended += [math.inf for each in found for _ in range(each.unknown)]
        owner = {each.key: f"{send.business_id}/{each.key}" for each in found}
        taken = {each.message_id: owner[each.key] for each in found if each.message_id is not None}
        return Others(set(owner.values()), taken, ended)

    # What an earlier call has left

    def _find(self, send: Send) -> Steps[Row | None]:
        return (yield from self._ask(send, partial(self._rows.find, *self._this)))

    def _known(self, send: Send, rules: Rules, deadline: float, row: Row) -> Steps[SentFile]:
        """Return what is known as sent; raise anything else."""
        self._check(send, row)
        self._attempts = max(row.attempts, row.unknown_attempts)
        send.chat_id, send.name, send.size, send.content_type = row.chat_id, row.name, row.size, row.content_type
        if row.state == SENT:
            return self._earlier(send, row)
        if row.state == UNKNOWN:
            found = yield from self._history(send, rules, deadline, row)
            if found is not None:
                yield from self.end(send, rules, found)
                return found
            advice = "This call sent nothing, and calling again with the key sends nothing either."
            raise self._unknown(send, rules, row, advice)
        since = rules.utcnow() - timedelta(seconds=row.age or 0.0)
        raise errors.InProgressError._because(
            "Another call is sending with this idempotency key.",
            advice=f"Try again later: if its process died, the key is unknown in {row.left or 0.0:.0f} s.",
            since=since,
            unknown_attempts=row.unknown_attempts,
        )

    def _check(self, send: Send, row: Row) -> None:
        if row.format != FORMAT:
            raise _ledger_error(f"The ledger's row was written by another version (format {row.format}, not {FORMAT}).")
        same = {
            f"the name {row.name!r}": row.name == send.name,
            "another content": self._sha256 in ("", row.sha256) and self._size in (None, row.size),
            f"order_id={row.order_id}": row.order_id is None or row.order_id == send.order_id,
            f"chat_id={row.chat_id}": row.order_id is not None or (row.chat_id, None) == (send.chat_id, send.order_id),
        }
        others = [what for what, is_same in same.items() if not is_same]
        if others:
            advice = "Another send needs a key of its own; a send that is to be repeated must be the same"
            refuse(f"The idempotency key was used with {' and '.join(others)}. {advice}.")

    def _earlier(self, send: Send, row: Row) -> SentFile:
        send.subject, send.confirmed = "known", True
        facts: dict[str, Any] = send.facts() | {"attempts": row.attempts, "unknown_attempts": row.unknown_attempts}
        return SentFile(
            **facts, content_type=row.content_type, trace_id=row.trace_id, quota=None,
            confirmed_by=row.confirmed_by or "response", message_id=row.message_id, from_ledger=True,
        )  # fmt: skip

    def _unknown(self, send: Send, rules: Rules, row: Row, advice: str) -> errors.DeliveryUnknownError:
        why = f"{row.error}{f', status {row.status_code}' if row.status_code else ''}"
        if row.error in (None, "Interrupted"):
            why = "interrupted, or its outcome could not be written"
        error = errors.DeliveryUnknownError._because(
            f"An earlier call with this idempotency key ended unknown ({why}).", advice=advice
        )
        error.since = rules.utcnow() - timedelta(seconds=row.age or 0.0)
        error.unknown_attempts, error.content_type, error._owner = row.unknown_attempts, row.content_type, send.owner
        error.history_read_at = rules.utcnow() if self._read_whole else None
        self._may_retry(error)
        return error

    def _may_retry(self, error: errors.ChatError) -> None:
        """Tell that calling again cannot deliver what is unknown once more, unless this client would."""
        if isinstance(error, errors.DeliveryUnknownError) and not self._resend:
            error.retryable = True

    def _history(self, send: Send, rules: Rules, deadline: float, row: Row) -> Steps[SentFile | None]:
        """Read the chat's history once for what an earlier call may have delivered."""
        if not rules.confirm_unknown or row.age is None:
            return None
        send.end_turn(may_count=False)
        yield Pause(0.0)  # releases the slot: reading takes one of its own
        send.began = rules.clock() - row.age
        until = min(deadline, rules.clock() + rules.confirm_unknown)
        found = yield from read_history(send, rules, until, rules.clock(), PRECISION)
        self._read_whole = found is None
        if found is None or isinstance(found, errors.ChatError):
            return None
        facts: dict[str, Any] = send.facts() | {"attempts": self._attempts}
        return SentFile(
            **facts, content_type=row.content_type, unknown_attempts=row.unknown_attempts - 1, trace_id=None,
            quota=None, confirmed_by="history", message_id=found,
        )  # fmt: skip

    # The end

    def end(self, send: Send, rules: Rules, outcome: SentFile | errors.ChatError) -> Steps[None]:
        """Write what came of it. The caller learns it, whatever becomes of that."""
        if self._ended:
            return
        if self._claimed is None and (not isinstance(outcome, SentFile) or outcome.from_ledger):
            self._ended = self._asked
            if self._claimed is not None:  # just now
                in_background(self._release)
            return
        if isinstance(outcome, errors.LedgerError):
            in_background(self._release)  # it has answered too late, or the claim was lost
            self._ended = True
            return
        end = _end_of(self._end_from(send, rules), outcome)
        written: bool | TakenError = True
        try:
            written = yield from self._ask(send, partial(self._end_now, end), WRITE, ends=True)
        except Exception as error:  # a defect, too, must not turn a sent file into an error
            text = (
                "the outcome (%s) of the idempotency key %r could not be written to the ledger, where it is in progress"
                " for %g s more and then unknown: %s"
            )
            reason = error._reason if isinstance(error, errors.LedgerError) else type(error).__name__
            values = end.state, self.key, self._renewals.lease, reason
            log_safely(logging.WARNING, text, *values, extra=send.describe())
        if isinstance(written, TakenError):  # another key was faster: the message is of its file
            unknown = errors.DeliveryUnknownError._because("The message in the chat confirms another idempotency key.")
            unknown.since = rules.utcnow() - timedelta(seconds=end.age or 0.0)
            unknown.content_type, unknown._owner = send.content_type, send.owner
            raise unknown
        if not written and end.state == NOT_SENT:
            raise _ledger_error("The claim of this idempotency key was lost to another call, which may have sent it.")

    def _abandon(self, send: Send, rules: Rules) -> None:
        """Write what is known of an interrupted send, in the background. A forked child has no say in it."""
        if self._process != os.getpid():
            return
        self.content = b""
        end = self._end_from(send, rules)._replace(state=send.delivery, error="Interrupted")
        self._ended = self._asked  # before it is looked whether it is claimed: `_claim_now` does it the other way round
        if self._claimed is None or end.state == NOT_SENT:
            if self._asked:
                in_background(self._release)
            return
        in_flight = send.attempt is not None and send.attempt.may_have_delivered and not send.confirmed
        end = end._replace(unknown_attempts=end.unknown_attempts + in_flight)
        in_background(partial(self._end_now, end), must=True)

    def _end_from(self, send: Send, rules: Rules) -> End:
        age = rules.clock() - (send.began or self._claimed or rules.clock())
        attempts = self._attempts + send.attempts
        return End(*self._this, self.owner, NOT_SENT, send.chat_id, attempts, send.unknown_attempts, age)

    # In threads of their own

    def _ask(self, send: Send, function: Callable[[], T], patience: float = ASK, *, ends: bool = False) -> Steps[T]:
        """Call it in the background; a `LedgerError` says that it could not be asked."""
        seconds = max(AFTER, min(send.left(), patience))
        future = in_background(function, must=ends)
        self._ended = self._ended or ends
        yield AwaitLedger(future, seconds)
        if not future.done():
            raise _ledger_error(f"The ledger did not answer within {seconds:.3g} s.")
        result, error = future.result()
        if isinstance(error, RowError):
            raise _ledger_error(f"{error}.")
        if error is not None:
            raise error
        return result

    def _take_content(self) -> None:
        content, self.content = self.content, b""
        if content:
            self._sha256, self._size = sha256(content).hexdigest(), len(content)

    def _claim_now(self, claim: Claim, clock: Callable[[], float]) -> tuple[bool, Row]:
        began = clock()
        self._take_content()
        if self._ended:  # nobody waits for it any more
            raise RowError("It was not asked in time")
        try:
            mine, row = self._rows.claim(claim._replace(sha256=self._sha256))
        except RowError as error:
            if error.answer_lost:
                in_background(self._release)
            raise
        if mine:
            self._free = not row.unknown_attempts
            self._renewed, self._claimed = began, clock()
            self._renewals.add(self)
            if self._ended:  # nobody waits for it any more
                self._release()
        return mine, row

    def _release(self) -> None:
        """Take a claim back under which nothing was sent; if that is impossible now, soon."""
        self._renewals.drop(self)
        try:
            self._rows.release(*self._this, self.owner)
        except RowError:
            self._renewals.owe(self)

    def _end_now(self, end: End) -> bool | TakenError:
        until = time.monotonic() + WRITE
        taken: TakenError | None = None
        try:
            while True:
                try:
                    written = self._rows.end(end)
                    return taken or written
                except TakenError as error:
                    taken = error
                    unknown = end.unknown_attempts + 1  # the one that the message was thought to confirm
                    end = end._replace(state=UNKNOWN, unknown_attempts=unknown, confirmed_by=None, message_id=None)
                except RowError:
                    if time.monotonic() >= until:
                        raise
                    time.sleep(0.1)
        finally:
            self._renewals.drop(self)

    def release_again(self) -> None:
        """Try to take the claim back once more."""
        self._rows.release(*self._this, self.owner)

    def renew(self) -> None:
        """Renew the claim, if that is due."""
        now = time.monotonic()
        if now - self._renewed >= self._renewals.lease / 3:
            with suppress(RowError):  # the next round tries again
                self._lost = not self._rows.renew(*self._this, self.owner, self._renewals.lease)
                self._renewed = now


def _end_of(end: End, outcome: SentFile | errors.ChatError) -> End:
    if isinstance(outcome, SentFile):
        facts = {name: getattr(outcome, name) for name in ("trace_id", "confirmed_by", "message_id")}
        return end._replace(state=SENT, unknown_attempts=outcome.unknown_attempts, **facts)
    unknown = isinstance(outcome, errors.DeliveryUnknownError)
    end = end._replace(state=UNKNOWN if unknown else NOT_SENT, error=type(outcome).__name__)
    if isinstance(outcome, errors.ApiError):
        end = end._replace(status_code=outcome.status_code, trace_id=outcome.trace_id)
    return end


def _ledger_error(reason: str) -> errors.LedgerError:
    return errors.LedgerError._because(reason)
