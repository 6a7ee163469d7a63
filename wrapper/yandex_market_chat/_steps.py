"""What a driver is told to do next, and when a request may begin. Plain code, no I/O, the same for sync and async.

The generators here and in `_delivery` yield a step and are told what came of it: an `Answer` or a `Failure` of a
request, nothing of the other steps.
"""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import _errors as errors
from ._answer import Answer, error_of
from ._attempt import Failure
from ._claims import Claims
from ._options import RetryPolicy
from ._quota import Quota, Quotas, read_quota
from ._send import Send, log_safely, logger

if TYPE_CHECKING:
    from .shared import Limits
    from .shared._keeper import Turn

FIRST_PAUSE = 0.5
"""Seconds at most before the first repeat; doubled for each further one."""
LONGEST_PAUSE = 8.0
"""Seconds at most before any repeat but that after a spent quota."""

MOST_CHATS = 10_000
SEND_FILE, OPEN_CHAT, READ_HISTORY = "sendFileToChat", "createChat", "getChatHistory"
_LATER = (errors.ServerError, errors.ConnectionLostError, errors.ResponseTimeoutError)
"""What an operation that is safe to repeat is repeated after, too."""

T = TypeVar("T")


class TakeSlot(NamedTuple):
    """Wait until a request may begin, or the total time has passed."""


class AwaitTurn(NamedTuple):
    """Wait for a turn among all who share limits, or until the total time has passed."""

    turn: "Turn"
    seconds: float


class AwaitLedger(NamedTuple):
    """Wait until the ledger has answered, or so long."""

    future: Future[Any]
    seconds: float


class Pause(NamedTuple):
    """Release the slot and wait."""

    seconds: float


class MakeRequest(NamedTuple):
    """Make a request now, then release the slot."""

    operation: str
    deadline: float
    reserve: float = 0.0
    """Seconds of what is left that reading the response should leave, if it can."""
    page_token: str | None = None

    @property
    def is_private(self) -> bool:
        """Whether the response holds a buyer's words."""
        return self.operation == READ_HISTORY

    @property
    def carries_file(self) -> bool:
        """Whether the file goes out with it."""
        return self.operation == SEND_FILE


Step = TakeSlot | AwaitTurn | AwaitLedger | Pause | MakeRequest
Outcome = Answer | Failure
Steps = Generator[Step, Outcome | None, T]


class Rules(NamedTuple):
    """What decides beside what happened. The clocks and the dice can be passed in."""

    retry: RetryPolicy
    quotas: Quotas
    claims: Claims
    chats: OrderedDict[tuple[int, int], int]
    """The chats that were opened, by business and order."""
    clock: Callable[[], float] = time.monotonic
    utcnow: Callable[[], datetime] = partial(datetime.now, UTC)
    jitter: Callable[[], float] = random.random
    waits_for_limits: bool = True
    """Whether a 420 is repeated, and a spent quota waited for. A batch does both for a business as a whole."""
    confirm_unknown: float = 0.0
    """For how many seconds after an unknown outcome the chat's history is read."""
    limits: "Limits | None" = None
    """Those that are shared with others."""

    def may_repeat(self, error: errors.ChatError) -> bool:
        """Whether what provably did nothing is tried again without asking."""
        limited = isinstance(error, errors.RateLimitError) and self.waits_for_limits
        return limited or isinstance(error, errors.ConnectionFailedError)

    def learn(self, business_id: int, operation: str, quota: Quota | None, seconds: float) -> None:
        """Take in what a response, or another process, has told of a quota, and for how many seconds that holds."""
        self.quotas.learn((operation, business_id), quota, seconds, self.clock())

    def resume(self, attempts: int) -> float:
        """Return when the next attempt may begin, on the clock, after the one that ended now."""
        return self.clock() + pause_after(attempts, self.jitter())


def advance(steps: Steps[T], outcome: Outcome | None) -> Step | T:
    """Return the next step, or what the generator returns."""
    try:
        return steps.send(outcome)
    except StopIteration as ended:
        result: T = ended.value
        return result


def when_allowed(send: Send, rules: Rules, step: MakeRequest, resume: float) -> Steps[errors.ChatError | None]:
    """Wait until a request may begin, not before `resume`; return why it may not, if its time is up or its quota spent.

    Others learn while this one waits, so what is known of the quota is asked again after each wait.
    """
    key = (step.operation, send.business_id)
    has_slot = False
    while True:
        now = rules.clock()
        spent = rules.quotas.spent_for(key, now)
        pause = max(resume - now, spent)
        if spent and (now + pause >= step.deadline or not rules.waits_for_limits):
            send.end_turn(may_count=False)
            return known_to_be_spent(step.operation, rules.quotas.of(key))
        if now + max(pause, 0.0) >= step.deadline:
            send.end_turn(may_count=False)
            return out_of_time("before a request could begin")
        if pause > 0:
            send.end_turn(may_count=False)
            log_debug(send, "pause of %.3f s", pause, pause=pause)
            yield Pause(pause)
        elif has_slot and (rules.limits is None or (send.turn is not None and send.turn.granted)):
            return None
        elif has_slot and rules.limits is not None:
            yield from await_turn(send, rules, rules.limits, step)
            if send.turn is None:  # spent, others say; if what is known here says otherwise, not at once again
                resume = rules.clock() + FIRST_PAUSE
        else:
            yield TakeSlot()
        has_slot = pause <= 0


def await_turn(send: Send, rules: Rules, limits: "Limits", step: MakeRequest) -> Steps[None]:
    """Wait for a turn, and learn what others know of the quotas: this one may be spent."""
    send.turn = limits.turn(send.business_id, step.operation)
    send.turn.ask()
    yield AwaitTurn(send.turn, max(0.0, step.deadline - rules.clock()))
    send.turn.tell(partial(rules.learn, send.business_id))
    if not send.turn.granted:
        send.end_turn(may_count=False)


def make_request(
    send: Send, rules: Rules, step: MakeRequest, read: Callable[[Answer], T | None]
) -> Steps[tuple[T, Answer, Quota | None] | Failure]:
    """Make one request, now; return what `read` makes of a response, with it and the quota that it tells."""
    send.attempts += step.carries_file or send.subject == "chat"
    outcome = yield step
    what = f"attempt {send.attempts}" if step.carries_file else step.operation
    if isinstance(outcome, Answer):
        found = read(outcome) if outcome.status_code == 200 and not outcome.body_truncated else None
        send.confirmed = step.carries_file and found is not None
        quota, seconds = read_quota(outcome.headers, rules.utcnow)
        rules.learn(send.business_id, step.operation, quota, seconds)
        if send.turn is not None:
            send.turn.answered(quota, seconds)
            send.turn = None
        log_debug(send, "%s: status %d", what, outcome.status_code, status_code=outcome.status_code)
        if found is not None:
            return found, outcome, quota
        # What a history holds is the buyer's: nothing of it stays in an error.
        error = error_of(outcome._replace(body=b"") if step.is_private else outcome, quota)
        if isinstance(error, errors.QuotaExceededError):
            error.operation = step.operation
        return Failure(error)
    assert isinstance(outcome, Failure)  # noqa: S101  the driver's part of the bargain
    send.end_turn(may_count=not isinstance(outcome.error, errors.ConnectionFailedError))
    log_debug(send, "%s: %s", what, outcome.error)
    return outcome


def ask(
    send: Send, rules: Rules, step: MakeRequest, read: Callable[[Answer], T | None], resume: float | None = None
) -> Steps[T | errors.ChatError]:
    """Make a request that is safe to repeat; return what `read` makes of the response, or the error."""
    last: errors.ChatError | None = None
    resume = rules.clock() if resume is None else resume
    for attempts in range(1, rules.retry.attempts + 1):
        stopped = yield from when_allowed(send, rules, step, resume)
        if stopped is not None:
            return last or stopped
        outcome = yield from make_request(send, rules, step, read)
        if not isinstance(outcome, Failure):
            return outcome[0]
        last = outcome.error
        if outcome.final or not (isinstance(last, _LATER) or rules.may_repeat(last)):
            break
        resume = rules.resume(attempts)
    assert last is not None  # noqa: S101  there is at least one attempt
    return last


def open_chat(send: Send, rules: Rules, deadline: float) -> Steps[int]:
    """Return the id of the chat of `send.order_id`: the remembered one, else Market's."""
    from ._api import chat_id_of  # when first needed: as long as all else of the import takes

    assert send.order_id is not None  # noqa: S101  who calls this has one
    order = (send.business_id, send.order_id)
    found = rules.chats.get(order) or (yield from ask(send, rules, MakeRequest(OPEN_CHAT, deadline), chat_id_of))
    if not isinstance(found, errors.ChatError):
        rules.chats[order] = found
        if len(rules.chats) > MOST_CHATS:
            rules.chats.popitem(last=False)
        return found
    if isinstance(found, errors.NotSentError) and not isinstance(found, errors.UnexpectedResponseError):
        raise found
    reason = f"The chat of order {send.order_id} could not be opened. {found._reason}"
    raise errors.ChatNotOpenedError._because(reason, retryable=found.retryable or isinstance(found, _LATER))


def pause_after(attempts: int, chance: float) -> float:
    """Return the seconds before the next attempt."""
    # Half of it fixed, half of it by chance, so that those who were refused together do not come back together.
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 30))
    return longest * (0.5 + 0.5 * chance)


def out_of_time(when: str) -> errors.ChatError:
    """Return the error of a send whose time ran out before anything was in flight."""
    return errors.WaitTimeoutError._because(f"The total time passed {when}.")


def known_to_be_spent(operation: str, quota: Quota | None) -> errors.ChatError:
    """Return the error of a request that was not made, since its quota is known to be spent."""
    reason = f"The hourly quota of {operation} is spent, as an earlier response told; Market was not asked."
    return errors.QuotaExceededError._because(reason, status_code=420, quota=quota, operation=operation)


def log_debug(send: Send, message: str, *values: object, **fields: object) -> None:
    """Write a record of what happens in a send."""
    if logger.isEnabledFor(logging.DEBUG):
        log_safely(logging.DEBUG, message, *values, extra=send.describe(**fields))
