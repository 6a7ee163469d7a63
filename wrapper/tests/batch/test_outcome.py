"""What is written of an item that has ended, and what its end says of the key."""

from __future__ import annotations

from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    ApiErrorItem,
    AuthenticationError,
    BadRequestError,
    ChatNotOpenedError,
    ConnectionFailedError,
    NotFoundError,
    ResponseTimeoutError,
    SentFile,
    ServerError,
)
from yandex_market_chat._headers import Headers
from yandex_market_chat.batch._journal import Item
from yandex_market_chat.batch._outcome import FileChangedError, Opened, Outcome, change_of, shows_access

NOTHING = {
    "error": None,
    "reason": None,
    "status_code": None,
    "error_code": None,
    "trace_id": None,
    "attempts": 0,
    "unknown_attempts": 0,
    "retryable": False,
    "confirmed_by": None,
    "message_id": None,
}
SENT = SentFile(
    business_id=1, chat_id=2, order_id=None, name="a.pdf", size=6, content_type="application/pdf", attempts=3,
    unknown_attempts=1, elapsed=0.1, trace_id="00-1", quota=None,
)  # fmt: skip
REFUSED = BadRequestError._because(
    "Market answered 400.",
    status_code=400,
    errors=(ApiErrorItem(None, "?"), ApiErrorItem("BAD", None), ApiErrorItem("WORSE", None)),
    trace_id="00-2",
    attempts=2,
)
FOREIGN = NotFoundError._because("Market answered 404.", status_code=404, body=b"<html>", headers=Headers())
UNREACHED = ConnectionFailedError._because("Nobody is there.")
FAILED = ServerError._because("Market answered 500.", status_code=500, attempts=4)


def an_item(unknown_attempts: int = 0) -> Item:
    return Item(7, 2, "k", 1, 2, None, False, "a.pdf", None, None, "", 6, "pending", unknown_attempts, None)


@pytest.mark.parametrize(
    ("outcome", "before", "state", "facts"),
    [
        (SENT, 0, "sent", {"trace_id": "00-1", "attempts": 3, "unknown_attempts": 1, "confirmed_by": "response"}),
        (SENT, 2, "sent", {"trace_id": "00-1", "attempts": 3, "unknown_attempts": 3, "confirmed_by": "response"}),
        (
            REFUSED,
            0,
            "not sent",
            {"error": "BadRequestError", "reason": str(REFUSED), "status_code": 400, "error_code": "BAD"}
            | {"trace_id": "00-2", "attempts": 2},
        ),
        (
            FAILED,
            1,
            "unknown",
            {"error": "ServerError", "reason": str(FAILED), "status_code": 500, "attempts": 4, "unknown_attempts": 2},
        ),
        (
            UNREACHED,
            1,
            "unknown",
            {"error": "ConnectionFailedError", "retryable": True, "unknown_attempts": 1}
            | {"reason": f"An earlier attempt may have arrived. Then: {UNREACHED}"},
        ),
        (FileChangedError("?"), 0, "not sent", {"error": "FileChangedError", "reason": "?", "retryable": True}),
        (OSError("gone"), 0, "not sent", {"error": "OSError", "reason": "gone"}),
    ],
)  # fmt: skip
def test_all_of_a_row_is_written(outcome: SentFile | Exception, before: int, state: str, facts: dict[str, Any]) -> None:
    """What an earlier run has written of it must not stay."""
    change = change_of(an_item(before), outcome)
    assert (change.id, change.state, change.facts) == (7, state, NOTHING | facts)


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (SENT, True),
        (Opened(2), True),
        (REFUSED, True),
        (FOREIGN, False),
        (FAILED, False),
        (ResponseTimeoutError._because("None came."), False),
        (AuthenticationError._because("No.", status_code=401, errors=REFUSED.errors), False),
        (AccessDeniedError._because("No.", status_code=403, errors=REFUSED.errors), False),
        (ChatNotOpenedError._because("No."), False),
        (UNREACHED, False),
        (FileChangedError("?"), False),
    ],
)
def test_what_shows_that_market_took_the_key(outcome: Outcome, shown: bool) -> None:
    assert shows_access(outcome) is shown
