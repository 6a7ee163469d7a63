"""A client's rules on a clock of the test's own, and a Market to play against. No network, no sleep."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, TypeVar

from yandex_market_chat import ConnectionFailedError, ConnectionLostError, RetryPolicy, SentFile
from yandex_market_chat._answer import Answer
from yandex_market_chat._attempt import Failure
from yandex_market_chat._claims import Claims, Kind
from yandex_market_chat._delivery import deliver
from yandex_market_chat._headers import Headers
from yandex_market_chat._quota import Quotas
from yandex_market_chat._send import Send
from yandex_market_chat._steps import SEND_FILE, MakeRequest, Pause, Rules, Step, Steps, advance

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
            chats=OrderedDict(),
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

    def kind(self, name: str = "a", size: int = 3) -> Kind:
        """Return what the files of `send` have in common."""
        return Kind(1, 2, name, size)

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
            elif isinstance(step, MakeRequest):
                self.requests.append(step)
                self.attempts += step.operation == SEND_FILE
                outcome = play(step)
        return step

    def _told(self, left: Iterator[Outcome]) -> Play:
        def play(step: MakeRequest) -> Outcome:
            self.now += self.took
            return next(left)

        return play


class Market:
    """A chat as Market has it: what was posted, when the history shows it, and how its requests are answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead = 0.0
        """Seconds by which Market's clock is ahead of ours."""
        self.zone = timezone(timedelta(hours=3))
        self.limit = 50
        self.name = "a"
        """Of a file that is posted without one."""
        self.script: list[Play] = []
        """How the next requests for a page are answered; the last one is for all that follow."""
        self.repeats = False
        self.posted: list[tuple[float, dict[str, Any]]] = []
        self.reads: list[float] = []
        """When a page was asked for."""

    def at(self, moment: float) -> datetime:
        """Return what Market's clock says at a moment of the world's."""
        return DATE + timedelta(seconds=moment - START + self.ahead)

    def post(
        self, name: str | None = None, size: int = 3, *, at: float, shown: float = 0.0, sender: str = "PARTNER"
    ) -> int:
        """Put a file into the chat; return the message's id."""
        number = 3001 + len(self.posted)
        message = {
            "messageId": number,
            "createdAt": self.at(at).astimezone(self.zone).isoformat(timespec="seconds"),
            "sender": sender,
            "payload": [{"name": name or self.name, "url": "https://market.invalid/file", "size": size}],
        }
        self.posted.append((shown, message))
        return number

    def page(self, step: MakeRequest) -> Answer:
        """Answer a request for a page of the history."""
        listed = [message for shown, message in self.posted if self.world.now >= shown]
        first = int(step.page_token or 0)
        rest = listed[first + self.limit :]
        paging = {"nextPageToken": str(first + self.limit)} if rest else {}
        return self.answer({"context": {"type": "ORDER"}, "messages": listed[first:][: self.limit], "paging": paging})

    def answer(self, result: object, status: int = 200) -> Answer:
        """Return an answer that is dated now."""
        body = json.dumps({"status": "OK", "result": result}).encode()
        return answer(status, body, date=self.at(self.world.now))

    def play(self, step: MakeRequest) -> Outcome:
        """Play what is asked about the history; all of it takes no time."""
        self.reads.append(self.world.now)
        if not self.script:
            return self.page(step)
        return self.script[0](step) if len(self.script) == 1 and self.repeats else self.script.pop(0)(step)
