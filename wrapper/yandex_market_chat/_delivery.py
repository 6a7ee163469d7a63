"""The decision core: what follows from what happened. Plain code, no I/O, the same for sync and async.

`deliver` is a generator. It yields what is to be done next and is told what came of it: a `Response` or a `Failure` of
an attempt, nothing of the other steps. It returns the `SentFile`, or raises the error.
"""

import logging
import random
from collections.abc import Callable, Generator
from datetime import datetime
from typing import NamedTuple, TypeVar

from . import _errors as errors
from ._answer import Answer, error_of, is_sent
from ._attempt import Failure
from ._options import RetryPolicy
from ._quota import Quota, Quotas, read_quota
from ._send import Send, SentFile, log_safely, logger

FIRST_PAUSE = 0.5
"""Seconds at most before the first repeat; doubled for each further one."""
LONGEST_PAUSE = 8.0
"""Seconds at most before any repeat but that after a spent quota."""

T = TypeVar("T")


class TakeSlot(NamedTuple):
    """Wait until a request may begin, or the total time has passed."""


class MakeAttempt(NamedTuple):
    """Send the request now, then release the slot."""


class Pause(NamedTuple):
    """Release the slot and wait."""

    seconds: float


Step = TakeSlot | MakeAttempt | Pause
Outcome = Answer | Failure
Steps = Generator[Step, Outcome | None, T]


class Rules(NamedTuple):
    """What decides beside what happened. The clocks and the dice are passed in."""

    retry: RetryPolicy
    quotas: Quotas
    clock: Callable[[], float]
    utcnow: Callable[[], datetime]
    jitter: Callable[[], float] = random.random
    waits_for_limits: bool = True
    """Whether a 420 is repeated, and a spent quota waited for. A batch does both for a business as a whole."""


def advance(steps: Steps[T], outcome: Outcome | None) -> Step | T:
    """Return the next step, or what the generator returns."""
    try:
        return steps.send(outcome)
    except StopIteration as ended:
        result: T = ended.value
        return result


def deliver(send: Send, rules: Rules, deadline: float) -> Steps[SentFile]:
    """Decide a send.

    The outcome is over all attempts: once one may have reached the buyer, a later refusal cannot undo that.
    """
    unknown: errors.DeliveryUnknownError | None = None  # the first
    last: errors.ChatError | None = None
    resume = rules.clock()
    while True:
        has_slot = False
        while True:  # others learn while this one waits, so what is known of the quota is asked again after each wait
            now = rules.clock()
            spent = rules.quotas.spent_for(send.business_id, now)
            pause = max(resume - now, spent)
            if (pause > 0 and now + pause >= deadline) or (spent and not rules.waits_for_limits):
                raise _final(unknown, last or _known_to_be_spent(rules.quotas.of(send.business_id)))
            if now >= deadline:
                raise _final(unknown, last or out_of_time("before a request could begin"))
            if pause > 0:
                _log(send, "pause of %.3f s", pause, pause=pause)
                yield Pause(pause)
            elif has_slot:
                break
            else:
                yield TakeSlot()
            has_slot = pause <= 0

        send.attempts += 1
        outcome = yield MakeAttempt()
        if isinstance(outcome, Answer):
            send.confirmed = is_sent(outcome)
            quota, seconds = read_quota(outcome.headers, rules.utcnow)
            rules.quotas.learn(send.business_id, quota, seconds, rules.clock())
            _log(send, "attempt %d: status %d", send.attempts, outcome.status_code, status_code=outcome.status_code)
            if send.confirmed:
                return _sent(send, outcome, quota)
            last, final = error_of(outcome, quota), False
        else:
            assert isinstance(outcome, Failure)  # noqa: S101  the driver's part of the bargain
            _log(send, "attempt %d: %s", send.attempts, outcome.error)
            last, final = outcome.error, outcome.final

        if isinstance(last, errors.DeliveryUnknownError):
            send.unknown_attempts += 1
            unknown = unknown or last
        send.attempt = None
        if final or send.attempts >= rules.retry.attempts or not _may_repeat(last, rules):
            raise _final(unknown, last)
        resume = rules.clock() + _pause_after(send.attempts, rules.jitter())


def out_of_time(when: str) -> errors.ChatError:
    """Return the error of a send whose time ran out before anything was in flight."""
    return errors.WaitTimeoutError._because(f"The total time passed {when}.")


def _may_repeat(error: errors.ChatError, rules: Rules) -> bool:
    if isinstance(error, errors.DeliveryUnknownError):
        return rules.retry.resend_unknown
    if isinstance(error, errors.RateLimitError):
        return rules.waits_for_limits
    return isinstance(error, errors.ConnectionFailedError)


def _pause_after(attempts: int, chance: float) -> float:
    # Half of it fixed, half of it by chance, so that those who were refused together do not come back together.
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 30))
    return longest * (0.5 + 0.5 * chance)


def _final(unknown: errors.DeliveryUnknownError | None, last: errors.ChatError) -> errors.ChatError:
    if unknown is None:
        return last
    if last is not unknown:
        unknown.later = last
    return unknown


def _known_to_be_spent(quota: Quota | None) -> errors.ChatError:
    reason = "The hourly quota is spent, as an earlier response told; Market was not asked."
    return errors.QuotaExceededError._because(reason, status_code=420, quota=quota)


def _sent(send: Send, answer: Answer, quota: Quota | None) -> SentFile:
    return SentFile(
        **send.facts(),
        content_type=send.content_type,
        unknown_attempts=send.unknown_attempts,
        trace_id=answer.headers.get("traceparent"),
        quota=quota,
    )


def _log(send: Send, message: str, *values: object, **fields: object) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        log_safely(logging.DEBUG, message, *values, extra=send.describe(**fields))
