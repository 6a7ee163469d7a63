"""What an outcome means: for its item, for the business, for the run."""

from __future__ import annotations

import errno
import json
from typing import NamedTuple

from .. import _errors as errors
from .._send import SentFile
from ._journal import NOT_SENT, SENT, UNKNOWN, Change, Item


class Opened(NamedTuple):
    """The chat of an order, which may be sent to now."""

    chat_id: int


Outcome = SentFile | Opened | Exception

# Too many open files, no memory, a disk or share that has gone: the next file would fare no better.
_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOMEM", "EIO", "ESTALE", "ENOTCONN", "ENODEV", "EHOSTDOWN")
    if hasattr(errno, name)
}


class FileChangedError(Exception):
    """The file is not what it was when it was checked."""


def is_of_the_run(outcome: object) -> bool:
    """Whether it says nothing about the item: any other would have met the same."""
    if isinstance(outcome, OSError):
        return outcome.errno in _OF_THE_MACHINE
    return isinstance(outcome, errors.ConnectionFailedError | errors.InvalidRequestError)


def is_foreign(outcome: object) -> bool:
    """Whether something between here and Market responded: a captive portal, a gateway, another server."""
    if not isinstance(outcome, errors.ApiError) or isinstance(outcome, errors.RateLimitError):
        return False
    if isinstance(outcome, errors.ServerError) and outcome.status_code != 511:  # 511: log in to the network first
        return False
    if outcome.errors:
        return False
    if not outcome.body:
        return outcome.quota is None and outcome.trace_id is None
    try:
        body = json.loads(outcome.body)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(body, dict) and isinstance(body.get("status"), str))


def is_doubtful(outcome: object) -> bool:
    """Whether it may be the key or the way to Market that was refused, and not the item."""
    if isinstance(outcome, errors.AuthenticationError | errors.AccessDeniedError | errors.ChatNotOpenedError):
        return True
    return isinstance(outcome, errors.NotSentError) and is_foreign(outcome)


def shows_access(outcome: object) -> bool:
    """Whether Market took the key for this business."""
    if isinstance(outcome, SentFile | Opened):
        return True
    return (
        isinstance(outcome, errors.ApiError) and isinstance(outcome, errors.NotSentError) and not is_doubtful(outcome)
    )


def change_of(item: Item, outcome: SentFile | Exception) -> Change:
    """Return what is written of an item that has ended. The outcome is over all attempts, in whichever run."""
    facts: dict[str, object] = {"error": None, "reason": None, "status_code": None, "error_code": None}
    facts |= {"trace_id": None, "attempts": 0, "unknown_attempts": item.unknown_attempts, "retryable": False}
    facts |= {"confirmed_by": None, "message_id": None}
    if isinstance(outcome, SentFile):
        unknown_attempts = item.unknown_attempts + outcome.unknown_attempts
        known = {"trace_id": outcome.trace_id, "attempts": outcome.attempts, "unknown_attempts": unknown_attempts}
        return Change(item.id, SENT, facts | known | {"confirmed_by": outcome.confirmed_by})
    facts |= {"error": type(outcome).__name__, "reason": str(outcome)}
    facts["retryable"] = isinstance(outcome, FileChangedError)  # the next run checks it again
    if isinstance(outcome, errors.ChatError):
        facts |= {"attempts": outcome.attempts, "retryable": outcome.retryable}
    if isinstance(outcome, errors.ApiError):
        codes = [each.code for each in outcome.errors if each.code]
        known = {"status_code": outcome.status_code, "error_code": codes[0] if codes else None}
        facts |= known | {"trace_id": outcome.trace_id}
    if isinstance(outcome, errors.DeliveryUnknownError):
        return Change(item.id, UNKNOWN, facts | {"unknown_attempts": item.unknown_attempts + 1})
    if item.unknown_attempts:
        return Change(item.id, UNKNOWN, facts | {"reason": f"An earlier attempt may have arrived. Then: {outcome}"})
    return Change(item.id, NOT_SENT, facts)
