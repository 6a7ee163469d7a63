"""A client's rules on a clock of the test's own, and a Market to play against. No network, no sleep."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, TypeVar

from yandex_market_chat import ConnectionFailedError, ConnectionLostError, RetryPolicy, SentFile
from yandex_market_chat._answer import Answer
from yandex_market_chat._attempt import Failure
from yandex_market_chat._claims import Claims
from yandex_market_chat._delivery import deliver
from yandex_market_chat._headers import Headers
from yandex_market_chat._quota import Quotas
from yandex_market_chat._send import Send
from yandex_market_chat._steps import SEND_FILE, MakeRequest, Pause, Rules, Step, Steps, TakeSlot, advance

DATE = datetime(2026, 7, 10, 12, 0, 0, tzinfo=UTC)
START = 5000.0
"""The monotonic clock at `DATE`."""

T = TypeVar("T")
Outcome = Answer | Failure
Play = Callable[[MakeRequest], Outcome]


def answer(status: int = 200, body: bytes = b"", *, date: datetime | None = DATE, **limits: object) -> Answer:
    """An answer; `remaining=0, until=600` are headers of the quota, the latter in seconds after its Date."""
    headers = [] if date is None else [("Date", format_datetime(date, usegmt=True))]
    for name, value in limits.items():
        if isinstance(value, int) and name == "until":
            value = format_datetime((date or DATE) + timedelta(seconds=value), usegmt=True)
        headers.append((f"X-RateLimit-Resource-{name.capitalize()}", str(value)))
    ok = b'{"status": "OK"}' if status == 200 else b""
    return Answer(status, Headers(headers), body or ok, False)


def parallel() -> Answer:
    return answer(420, b'{"status": "ERROR", "errors": [{"code": "X", "message": "4 parallel requests"}]}')


def untold() -> Answer:
    return answer(420, b'{"status": "ERROR"}')


def spent(seconds: int, **more: object) -> Answer:
    return answer(420, remaining=0, until=seconds, **more)  # type: ignore[arg-type]


def failed(final: bool = False) -> Failure:
    return Failure(ConnectionFailedError("no connection"), final)


def lost() -> Failure:
    return Failure(ConnectionLostError("lost"))


class World:
    """One client's rules and its clock; `send` plays one send, each attempt taking a second and ending as told."""

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        utcnow: datetime | None = None,
        jitter: float = 1.0,
        took: float = 1.0,
        confirm_unknown: float = 0.0,
    ) -> None:
        self.now = START
        self.took = took
        self.quotas = Quotas()
        self.rules = Rules(
            retry=retry or RetryPolicy(),
            quotas=self.quotas,
            claims=Claims(),
            chats={},
            clock=lambda: self.now,
            utcnow=lambda: utcnow or DATE + timedelta(seconds=self.now - START),
            jitter=lambda: jitter,
            confirm_unknown=confirm_unknown,
        )
        self.steps: list[type] = []
        self.pauses: list[float] = []
        self.requests: list[MakeRequest] = []
        self.attempts = 0

    def send(
        self,
        *outcomes: Outcome,
        total: float = math.inf,
        business_id: int = 1,
        play: Play | None = None,
        **of_send: Any,
    ) -> SentFile:
        left = iter(outcomes)
        facts: dict[str, Any] = {
            "business_id": business_id,
            "chat_id": 2,
            "name": "a",
            "size": 3,
            "content_type": "b/c",
        }
        with Send(lambda: self.now, **(facts | of_send)) as send:
            sent = self.run(deliver(send, self.rules, self.now + total), play or self._told(left))
        assert list(left) == []
        return sent

    def run(self, steps: Steps[T], play: Play) -> T:
        """Drive it to its end. `play` makes the requests, and moves the clock."""
        self.steps, self.pauses, self.requests, self.attempts = [], [], [], 0
        outcome: Outcome | None = None
        while isinstance(step := advance(steps, outcome), Step):
            outcome = None
            self.steps.append(type(step))
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds
            elif not isinstance(step, TakeSlot):
                self.requests.append(step)
                self.attempts += step.operation == SEND_FILE
                outcome = play(step)
        return step

    def _told(self, left: Iterator[Outcome]) -> Play:
        def play(step: MakeRequest) -> Outcome:
            self.now += self.took
            return next(left)

        return play
