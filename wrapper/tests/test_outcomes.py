"""docs/outcomes.md and the client say the same: every way to become unknown, times what the history shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

import yandex_market_chat
from yandex_market_chat import (
    ChatError,
    ConnectionLostError,
    DeliveryUnknownError,
    NotSentError,
    ResponseTimeoutError,
    SentFile,
    _steps,
)
from yandex_market_chat._attempt import Failure
from yandex_market_chat._steps import READ_HISTORY, MakeRequest

from .test_errors import ABSTRACT, TREE
from .world import DATE, Market, Outcome, World, answer, failed, lost, parallel

DOCUMENT = Path(__file__).parents[2] / "docs" / "outcomes.md"


def table(heading: str) -> list[list[str]]:
    """Return the rows of the one table below a heading."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# All outcomes


def test_the_document_names_every_outcome() -> None:
    names = [row[0].strip("`") for row in table("All outcomes")]
    assert len(set(names)) == len(names)
    keyed = {"LedgerError", "InProgressError"}  # of calls with an idempotency key, below the table
    assert set(names) == {"SentFile", *TREE} - ABSTRACT - keyed
    assert all(f"`{name}`" in DOCUMENT.read_text(encoding="utf-8") for name in keyed)


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in table("All outcomes")])
def test_the_document_says_what_the_classes_say(row: list[str]) -> None:
    kind = getattr(yandex_market_chat, row[0].strip("`"))
    if kind is SentFile:
        assert row[2] == "sent"
        return
    assert row[2] == ("not sent" if issubclass(kind, NotSentError) else "unknown")
    assert issubclass(kind, NotSentError) is not issubclass(kind, DeliveryUnknownError)
    assert row[3].startswith("yes") is kind.retryable
    assert not (kind.retryable and issubclass(kind, DeliveryUnknownError))


# How a send becomes unknown


def after(seconds: float, outcome: Callable[[], Outcome]) -> Callable[[World], Outcome]:
    def end(world: World) -> Outcome:
        world.now += seconds
        return outcome()

    return end


WAYS: dict[str, Callable[[World], Outcome]] = {
    "a response of 500": after(1, lambda: answer(500)),
    "a response of 502 from a gateway": after(1, lambda: answer(502, b"<html>Bad gateway</html>", date=None)),
    "a response of 499": after(1, lambda: answer(499)),
    "a redirect, 302": after(1, lambda: answer(302)),
    "200 with the status ERROR": after(1, lambda: answer(200, b'{"status": "ERROR"}')),
    "200 with a body that is not the documented one": after(1, lambda: answer(200, b"OK")),
    "200 with a body that is longer than what is kept": after(1, lambda: answer()._replace(body_truncated=True)),
    "204": after(1, lambda: answer(204)),
    "a status from 600 on": after(1, lambda: answer(999)),
    "the connection broke before the response": after(0.5, lost),
    "the connection broke in the response": after(2, lambda: Failure(ConnectionLostError("in the response"))),
    "no response in time": after(30, lambda: Failure(ResponseTimeoutError("none"))),
}

# What the history shows

Setup = Callable[[Market, float], object]
"""Put into the chat what was posted by an attempt that began at that moment and has failed now."""


def late(seconds: float) -> Setup:
    return lambda market, began: market.post(at=began, shown=market.world.now + seconds)


def answers(*script: Callable[[], Outcome], repeated: bool = False) -> Setup:
    """The file is there, and the first requests for it are answered otherwise."""

    def setup(market: Market, began: float) -> None:
        market.post(at=began)
        market.script = [lambda _, each=each: each() for each in script]  # type: ignore[misc]
        market.repeats = repeated

    return setup


def by_clock(hours: int, age: float = 0.0) -> Setup:
    def setup(market: Market, began: float) -> None:
        market.ahead = hours * 3600.0
        market.post(at=began - age)

    return setup


def on_page(number: int) -> Setup:
    def setup(market: Market, began: float) -> None:
        for _ in range(market.limit * (number - 1)):
            market.post("another", at=began)
        market.post(at=began)

    return setup


def in_zone(market: Market, began: float) -> None:
    market.zone = timezone(timedelta(hours=-9, minutes=-30))
    market.post(at=began)


def silent(market: Market, began: float) -> None:
    def wait(step: MakeRequest) -> Outcome:
        market.world.now = min(market.world.now + 30, step.deadline)
        return Failure(ResponseTimeoutError("none"))

    market.script, market.repeats = [wait], True


NAME = "счёт №7.pdf"
DECOMPOSED = unicodedata.normalize("NFD", NAME)

HISTORIES: dict[str, Setup] = {
    "the file, at once": late(0),
    **{f"the file, {seconds} s late": late(seconds) for seconds in (2, 5, 14, 16)},
    "nothing": lambda market, began: None,
    "the file under another name": lambda market, began: market.post("scan.pdf", at=began),
    "the file under its name in another normal form": lambda market, began: market.post(DECOMPOSED, at=began),
    "the file with another size": lambda market, began: market.post(size=4, at=began),
    "an equal file, posted 10 s before the attempt": lambda market, began: market.post(at=began - 10),
    "an equal file from the customer": lambda market, began: market.post(at=began, sender="CUSTOMER"),
    "an equal file from Market's support": lambda market, began: market.post(at=began, sender="SUPPORT"),
    "the file, on page 3": on_page(3),
    "the file, on page 21": on_page(21),
    "the file, with its time in another time zone": in_zone,
    "the file, by a clock two hours fast": by_clock(2),
    "the file, by a clock two hours slow": by_clock(-2),
    "an equal older file, by a clock two hours fast": by_clock(2, age=10),
    "an equal older file, by a clock two hours slow": by_clock(-2, age=10),
    **{str(status): answers(lambda status=status: answer(status), repeated=True) for status in (400, 401, 403, 404)},  # type: ignore[misc]
    "200, but no history": answers(answer, repeated=True),
    "a page that is longer than what is kept": lambda market, began: setattr(
        market, "script", [lambda step: market.page(step)._replace(body_truncated=True)]
    ),
    "420, the hourly quota of reading is used up": answers(lambda: answer(420, remaining=0, until=1800)),
    "420 once, then the file": answers(parallel),
    "500 once, then the file": answers(lambda: answer(500)),
    "500 each time": answers(lambda: answer(500), repeated=True),
    "a lost connection each time": answers(lost, repeated=True),
    "no connection each time": answers(failed, repeated=True),
    "no response": silent,
}


@pytest.fixture(autouse=True)
def _real_pauses(_short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 0.5)


def test_the_document_has_every_way_and_every_history() -> None:
    assert [row[0] for row in table("How a send becomes unknown")] == [*WAYS]
    assert [row[0] for row in table("How the history settles it")] == [*HISTORIES]


def played(way: str, history: str) -> tuple[SentFile | ChatError, Market, float]:
    """Send once; return what came of it, the chat and the moment of the failure."""
    world = World(confirm_unknown=20.0)
    market = Market(world)
    failures: list[float] = []

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        began = world.now
        outcome = WAYS[way](world)
        failures.append(world.now)
        HISTORIES[history](market, began + 0.2)
        return outcome

    market.name = NAME
    try:
        ended: SentFile | ChatError = world.send(total=120.0, play=play, name=NAME)
    except ChatError as error:
        ended = error
    (failure,) = failures
    assert world.attempts == 1
    assert [step.operation for step in world.requests].count(READ_HISTORY) == len(market.reads)
    return ended, market, failure


@pytest.mark.parametrize("way", [pytest.param(row, id=row[0]) for row in table("How a send becomes unknown")])
@pytest.mark.parametrize("history", [pytest.param(row, id=row[0]) for row in table("How the history settles it")])
def test_the_history_settles_it_as_documented(way: list[str], history: list[str]) -> None:
    ended, market, failure = played(way[0], history[0])
    _, outcome, requests, seconds, whole = history
    kind = getattr(yandex_market_chat, way[1].strip("`"))
    assert (len(market.reads), market.world.now - failure) == (int(requests), pytest.approx(float(seconds)))
    if outcome == "sent":
        assert isinstance(ended, SentFile)
        assert (ended.confirmed_by, ended.message_id) == ("history", 3000 + len(market.posted))
        assert (ended.attempts, ended.unknown_attempts, ended.trace_id, ended.name) == (1, 0, None, NAME)
    else:
        assert type(ended) is kind
        assert ended.since == DATE
        assert (ended.history_read_at is not None) == (whole == "yes")
        assert ended.history_read_at is None or ended.history_read_at.tzinfo is UTC
        assert (ended.later, ended.retryable, ended.attempts) == (None, False, 1)
