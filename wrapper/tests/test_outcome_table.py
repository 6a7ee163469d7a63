"""Every outcome ends against a server as the first table of docs/outcomes.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import yandex_market_chat
from yandex_market_chat import ChatError, DeliveryUnknownError, NotSentError, RetryPolicy, SentFile
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat

ROW = re.compile(r"^\| `(\w+)` \| .+ \| (sent|not sent|unknown) \| (.*?) ?\|$", re.MULTILINE)
OUTCOMES = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text(encoding="utf-8")
ROWS = {name: (fate, retryable) for name, fate, retryable in ROW.findall(OUTCOMES)}
REPEATED = {"ConnectionFailedError", "ParallelLimitError", "RateLimitError"}
"""Without asking. A QuotaExceededError too, but its quota resets after the total here."""

SPENT = {
    "X-RateLimit-Resource-Limit": "1000",
    "X-RateLimit-Resource-Remaining": "0",
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2018 00:42:42 GMT",
    "Date": "Tue, 10 Jul 2018 00:12:42 GMT",
}

Provoke = Callable[[MockServer], dict[str, Any]]


def answer(status: int, **arguments: Any) -> Provoke:
    def script(server: MockServer) -> dict[str, Any]:
        for _ in range(2):
            server.script(Answer(status=status, **arguments))
        return {}

    return script


def fault(name: str) -> Provoke:
    def script(server: MockServer) -> dict[str, Any]:
        server.script(SCENARIOS[name], SCENARIOS[name])
        return {}

    return script


HOW: dict[str, Provoke] = {
    "SentFile": lambda server: {},
    "InvalidRequestError": lambda server: {"business_id": 0},
    "InvalidFileError": lambda server: {"file": Path(__file__).parent},
    "EmptyFileError": lambda server: {"file": b""},
    "FileTooLargeError": lambda server: {"file": bytes(5 * 1024 * 1024 + 1)},
    "ConnectionFailedError": lambda server: {"base_url": "http://127.0.0.1:1"},
    "WaitTimeoutError": lambda server: {"timeout": 1e-9},
    "ChatNotOpenedError": lambda server: (
        server.script_on("createChat", *[Answer(500)] * 2) or {"order_id": 7, "chat_id": None}
    ),
    "BadRequestError": answer(400),
    "AuthenticationError": answer(401),
    "AccessDeniedError": answer(403),
    "NotFoundError": answer(404),
    "ParallelLimitError": answer(420, example="parallel"),
    "QuotaExceededError": answer(420, example="resource", headers=SPENT),
    "RateLimitError": answer(420, body={"status": "ERROR"}),
    "UnexpectedRefusalError": answer(405, off_contract=True),
    "ConnectionLostError": fault("drop-after-body"),
    "ResponseTimeoutError": lambda server: (
        server.script(*[Fault(cut="silence", at="after-body")] * 2) or {"timeout": yandex_market_chat.Timeout(read=0.1)}
    ),
    "ServerError": answer(500),
    "UnclearResponseError": answer(200, body={"status": "ERROR"}),
}


def test_every_outcome_is_tried() -> None:
    assert set(ROWS) == set(HOW)


@pytest.mark.parametrize("name", HOW)
def test_an_outcome_is_as_the_table_says(mode: str, server: MockServer, name: str) -> None:
    fate, retryable = ROWS[name]
    given = {"base_url": server.base_url, "file": b"x"} | HOW[name](server)
    arguments: dict[str, Any] = {"retry": RetryPolicy(attempts=2), "confirm_unknown": 0}
    with Chat(mode, api_key=server.api_key, base_url=given.pop("base_url"), **arguments) as chat:
        if fate == "sent":
            assert isinstance(chat.send(**given), SentFile)
            return
        with pytest.raises(ChatError) as caught:
            chat.send(**given)
    error = caught.value
    assert type(error).__name__ == name
    assert isinstance(error, NotSentError) == (fate == "not sent")
    assert isinstance(error, DeliveryUnknownError) == (fate == "unknown")
    assert error.retryable == retryable.startswith(("yes", "after 5xx"))
    if error.attempts:
        assert error.attempts == (2 if name in REPEATED else 1)
    else:
        # For a chat that is not opened, no request carries a file.
        opening = ["createChat"] * 2 if name == "ChatNotOpenedError" else []
        assert [request.operation for request in server.requests] == opening
