"""What is read of a chat's history: each page leniently, all of them within bounds."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat import DeliveryUnknownError, ResponseTimeoutError, ServerError
from yandex_market_chat._answer import KEPT_BODY
from yandex_market_chat._headers import Headers
from yandex_market_chat._history import PAGES, Posted, read_page
from yandex_market_chat._steps import READ_HISTORY, MakeRequest
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .world import DATE, Market, Outcome, World, answer

GOOD: dict[str, Any] = {
    "messageId": 3001,
    "createdAt": "2026-07-10T15:00:00+03:00",
    "sender": "PARTNER",
    "payload": [{"name": "a", "url": "https://market.invalid/file", "size": 3}],
}
FOUND = Posted(DATE, 3001, "a", 3)


def page(*messages: object, raw: bytes | None = None, **more: object) -> Any:
    body = {"status": "OK", "result": {"context": {"type": "ORDER"}, "messages": [*messages]} | more}
    return read_page(answer(200, json.dumps(body).encode() if raw is None else raw))


# One malformed message does not cost the page

MALFORMED: dict[str, Any] = {
    "null": None,
    "a text": "message",
    "a number": 7,
    "a list": [GOOD],
    "empty": {},
    "no sender": {key: value for key, value in GOOD.items() if key != "sender"},
    "an unknown sender": GOOD | {"sender": "ROBOT"},
    "a sender in a list": GOOD | {"sender": ["PARTNER"]},
    "no id": {key: value for key, value in GOOD.items() if key != "messageId"},
    "an id in quotes": GOOD | {"messageId": "3001"},
    "an id that is true": GOOD | {"messageId": True},
    "an id with a point": GOOD | {"messageId": 3001.0},
    "an id of 30 digits": GOOD | {"messageId": 10**30},
    "an id of 20 digits": GOOD | {"messageId": 10**19},
    "no time": {key: value for key, value in GOOD.items() if key != "createdAt"},
    "a time that is none": GOOD | {"createdAt": "yesterday"},
    "a time without a zone": GOOD | {"createdAt": "2026-07-10T15:00:00"},
    "a time that is a number": GOOD | {"createdAt": 1783674000},
    "a day": GOOD | {"createdAt": "2026-07-10"},
    "an impossible time": GOOD | {"createdAt": "2026-02-31T15:00:00+03:00"},
    "no payload": {key: value for key, value in GOOD.items() if key != "payload"},
    "a null payload": GOOD | {"payload": None},
    "an empty payload": GOOD | {"payload": []},
    "a payload that is an object": GOOD | {"payload": GOOD["payload"][0]},
    "a payload that is a text": GOOD | {"payload": "a"},
    "a null item": GOOD | {"payload": [None]},
    "an item that is a list": GOOD | {"payload": [["a", 3]]},
    "an item without a size": GOOD | {"payload": [{"name": "a"}]},
    "an item without a name": GOOD | {"payload": [{"size": 3}]},
    "a size in quotes": GOOD | {"payload": [{"name": "a", "size": "3"}]},
    "a size that is true": GOOD | {"payload": [{"name": "a", "size": True}]},
    "a name that is a number": GOOD | {"payload": [{"name": 7, "size": 3}]},
    "a text that is an object": GOOD | {"message": {"deep": [{}]}, "payload": None},
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("first", [True, False])
def test_a_malformed_message_costs_itself_only(kind: str, first: bool) -> None:
    bad = MALFORMED[kind]
    read = page(*((bad, GOOD) if first else (GOOD, bad)))
    assert read is not None
    assert read.posted == [FOUND]


@pytest.mark.parametrize("beside", [None, {}, {"name": "a"}, {"size": 3}, {"name": None, "size": 3}, 7])
def test_a_malformed_item_costs_itself_only(beside: object) -> None:
    read = page(GOOD | {"payload": [beside, *GOOD["payload"]]})
    assert read is not None
    assert read.posted == [FOUND]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"messageId": 3001', '"more": %s, "messageId": 3001' % ("9" * 5000)),
        ('"messageId": 3001', '"more": 1e999, "messageId": 3001'),
        ('"messageId": 3001', '"more": NaN, "messageId": 3001'),
        ('"messageId": 3001', '"message": "\\ud800", "messageId": 3001'),
        ('"messageId": 3001', '"message": "\udcff", "messageId": 3001'),
        ('"messageId": 3001', '"messageId": 5, "messageId": 3001'),
        ('{"status"', '\ufeff{"status"'),
    ],
    ids=["5000 digits", "infinite", "NaN", "lone surrogate", "bytes that are no UTF-8", "twice", "byte order mark"],
)
def test_what_other_parsers_stumble_over_is_read(before: str, after: str) -> None:
    body = json.dumps({"status": "OK", "result": {"messages": [GOOD]}}).replace(before, after, 1)
    read = page(raw=body.encode("utf-8", "surrogateescape"))
    assert read is not None
    assert read.posted == [FOUND]


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-10T15:00:00+03:00",
        "2026-07-10T12:00:00Z",
        "2026-07-10T12:00:00.000Z",
        "2026-07-10T15:00:00.000000+0300",
        "2026-07-10 12:00:00+00:00",
        "20260710T120000Z",
        "2026-07-10T00:00:00-12:00",
    ],
)
def test_times_are_read_in_every_form_of_iso_8601(text: str) -> None:
    read = page(GOOD | {"createdAt": text})
    assert read is not None
    assert read.posted == [FOUND]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b'"OK"',
        b"{}",
        b'{"status": "OK"}',
        b'{"status": "OK", "result": null}',
        b'{"status": "OK", "result": []}',
        b'{"status": "OK", "result": {}}',
        b'{"status": "OK", "result": {"messages": null}}',
        b'{"status": "OK", "result": {"messages": {}}}',
        b'{"status": "OK", "result": {"messages": "none"}}',
        b'{"status": "ERROR", "result": {"messages": []}}',
        b'{"result": {"messages": []}}',
        b'{"status": "OK", "result": {"messages": [], "paging": "next"}}',
        b'{"status": "OK", "result": {"messages": [], "paging": {"nextPageToken": 7}}}',
        b'{"status": "OK", "result": {"messages": []',
        b'{"status": "OK", "result": {"messages": %s}}' % (b"[" * 200_000),
        b'{"status": "OK", "a": %s}' % (b'{"a":' * 100_000),
    ],
)
def test_what_is_no_page_is_none(body: bytes) -> None:
    assert page(raw=body) is None


@pytest.mark.parametrize(
    ("paging", "token"),
    [
        *(
            (None, None),
            ({}, None),
            ({"nextPageToken": None}, None),
            ({"nextPageToken": "b"}, "b"),
            ({"other": 1}, None),
        ),
        ({"nextPageToken": "x" * 2000}, "x" * 2000),
    ],
)
def test_where_the_next_page_is(paging: object, token: str | None) -> None:
    read = page(GOOD, paging=paging)
    assert read is not None
    assert read.next_token == token


# Odd times never end in another error


@pytest.mark.parametrize("created_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("date", [None, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
def test_the_ends_of_the_calendar(created_at: str, date: datetime | None) -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)

    def play(step: MakeRequest) -> Outcome:
        if step.operation != READ_HISTORY:
            return answer(500)
        read = market.answer({"messages": [GOOD | {"createdAt": created_at}]})
        return read._replace(headers=answer(date=date).headers if date is None or date.year > 1 else YEAR_1)

    with pytest.raises(ServerError):  # too old, or from the future: which is a wrong clock, and proves nothing
        world.send(total=120.0, play=play)


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(seconds=6)])
def test_a_message_from_the_future_proves_nothing(ahead: timedelta) -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    date = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def play(step: MakeRequest) -> Outcome:
        if step.operation != READ_HISTORY:
            return answer(500)
        read = market.answer({"messages": [GOOD | {"createdAt": (date + ahead).isoformat()}]})
        return read._replace(headers=answer(date=date).headers)

    with pytest.raises(ServerError):
        world.send(total=120.0, play=play)


@pytest.mark.parametrize("token", ["x" * 70_000, "\ud800"])
def test_a_token_that_no_url_can_hold_makes_no_page(token: str) -> None:
    assert page(GOOD, paging={"nextPageToken": token}) is None


YEAR_1 = Headers([("Date", "Mon, 01 Jan 0001 00:00:00 GMT")])


# Against a server that means no good

BAD_PAGES: dict[str, Callable[[], Answer]] = {
    "deep JSON": lambda: Answer(200, b'{"status": "OK", "result": ' + b"[" * 100_000, off_contract=True),
    "a page over 1 MiB": lambda: Answer(200, {"status": "OK", "result": big(KEPT_BODY)}, off_contract=True),
    "a page of 64 MiB": lambda: Answer(200, b" " * 64 * 1024 * 1024, off_contract=True),
    "a page that breaks off": lambda: Answer(200, fault=Fault(cut="drop", at="in-answer", after=250)),
    "a page that never ends": lambda: Answer.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n" + b" " * 100_000,
        fault=Fault(drip=0.001),
    ),
    "no page": lambda: Answer(200, fault=Fault(cut="silence", at="after-body")),
}


def big(least: int) -> dict[str, Any]:
    message = GOOD | {"sender": "CUSTOMER", "message": "ы" * 10_000}
    return {"context": {"type": "ORDER"}, "messages": [message] * (least // 10_000)}


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("kind", BAD_PAGES)
def test_a_bad_page_is_bounded_and_leaves_the_send_unknown(
    connect: Callable[..., Chat], server: MockServer, kind: str
) -> None:
    server.script(Answer(500, taken=True))
    server.script_on("getChatHistory", *[BAD_PAGES[kind]() for _ in range(5)])
    chat = connect(confirm_unknown=2.0, timeout=30.0)
    began = time.monotonic()
    with pytest.raises(ServerError) as caught:
        chat.send(b"abc", name="a")
    assert time.monotonic() - began < 20  # of 2, on a machine that has other things to do
    assert caught.value.history_read_at is None
    assert len(server.requests) >= 2


@pytest.mark.usefixtures("one_look")
def test_pages_without_end_are_given_up(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    again = {"status": "OK", "result": {"context": {"type": "ORDER"}, "messages": [], "paging": {"nextPageToken": "x"}}}
    server.script_on("getChatHistory", *[Answer(200, again)] * (2 * PAGES + 5))
    chat = connect(confirm_unknown=60.0, timeout=100.0)
    with pytest.raises(ServerError) as caught:
        chat.send(b"abc", name="a")
    reads = [request for request in server.requests if request.operation == "getChatHistory"]
    assert len(reads) == PAGES
    assert [request.query for request in reads[1:3]] == ["chatId=2&pageToken=x&limit=50"] * 2
    assert caught.value.history_read_at is None
    with pytest.raises(ServerError) as unread:
        chat.confirm(caught.value)
    assert str(unread.value.later).startswith(f"The history has more than {PAGES} pages.")


def test_a_hundred_thousand_messages_are_bounded_in_memory() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    filler = [GOOD | {"messageId": number, "message": "ы" * 4000} for number in range(100)]
    body = {"context": {"type": "ORDER"}, "messages": filler, "paging": {"nextPageToken": "more"}}
    whole = market.answer(body)

    def play(step: MakeRequest) -> Outcome:
        return market.play(step) if step.operation == READ_HISTORY else answer(500)

    market.script, market.repeats = [lambda step: whole], True
    tracemalloc.start()
    try:
        with pytest.raises(ServerError):
            world.send(total=120.0, play=play, name="b")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(market.reads) == PAGES
    assert most < 8 * 1024 * 1024


def test_many_equal_files_in_one_chat_are_counted_in_time() -> None:
    """What is remembered grows with the files of this name and size only, 1 000 at most."""
    world = World(confirm_unknown=20.0)
    market = Market(world)
    others = [world.rules.claims.begin(world.kind()) for _ in range(1000)]

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        for _ in range(market.limit * PAGES):
            market.post(at=world.now)
        return answer(500)

    with pytest.raises(ServerError):
        world.send(total=120.0, play=play)
    assert len(others) == 1000
    for claim in others:
        world.rules.claims.end(claim, world.now, confirmed=False)


def test_a_silent_history_ends_with_the_total(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(500, taken=True))
    server.script_on("getChatHistory", *[Fault(cut="silence", at="after-body")] * 3)
    with pytest.raises(DeliveryUnknownError) as caught:
        connect(confirm_unknown=100.0, timeout=2.0).send(b"abc")
    assert type(caught.value) is ServerError
    assert not isinstance(caught.value, ResponseTimeoutError)
    assert caught.value.elapsed >= 1.9
    assert timedelta(0) <= datetime.now(UTC) - caught.value.since  # type: ignore[operator]
