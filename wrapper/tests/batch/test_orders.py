"""A column order_id: chats are opened as they are needed, remembered, and known for what they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat.batch import _room, _run
from yandex_market_chat.batch._journal import Item, Journal
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Mailing

HEADER = "business_id,chat_id,order_id,file,key"
SEND, OPEN = "sendFileToChat", "createChat"


def asked(server: MockServer, operation: str) -> int:
    return sum(request.operation == operation for request in server.requests)


def test_either_per_line(mailing: Mailing) -> None:
    mailing.write("1,5,,a.pdf,", "1,,77,a.pdf,", "1,,78,b.pdf,", "1,,77,b.pdf,", "2,,77,a.pdf,", header=HEADER)
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.total, result.stopped) == (5, 5, None)
    chats = {order: mailing.server.chats.open(*order[:1], order_id=order[1]) for order in ((1, 77), (1, 78), (2, 77))}
    assert mailing.arrived() == {(1, 5): 1, (1, chats[1, 77]): 2, (1, chats[1, 78]): 1, (2, chats[2, 77]): 1}
    assert asked(mailing.server, OPEN) == 3
    assert list(mailing.states()) == [
        "1/5/a.pdf", "1/order 77/a.pdf", "1/order 78/b.pdf", "1/order 77/b.pdf", "2/order 77/a.pdf",
    ]  # fmt: skip
    rows = mailing.report()
    assert [row["chat_id"] for row in rows] == ["5", "", "", "", ""]
    assert [row["order_id"] for row in rows] == ["", "77", "78", "77", "77"]
    assert rows[1]["opened_chat_id"] == str(chats[1, 77])
    # The report is the next manifest, and nothing is left to do.
    mailing.manifest = mailing.folder / "report.csv"
    assert (mailing.run().due, asked(mailing.server, SEND)) == (0, 5)


def test_a_chat_is_opened_once(mailing: Mailing) -> None:
    mailing.server.script_on(OPEN, Fault(), Fault(delay=0.3))
    mailing.write("1,,76,a.pdf,", *(f"1,,77,{name}.pdf," for name in "abc"), header=HEADER)
    assert mailing.run().sent == 4
    assert asked(mailing.server, OPEN) == 2


def test_json_lines(mailing: Mailing) -> None:
    mailing.write('{"business_id": 1, "order_id": "77", "file": "a.pdf"}', header=None)
    assert mailing.run().sent == 1


def test_both_or_none_is_a_fault(mailing: Mailing) -> None:
    mailing.write("1,5,6,a.pdf,", "1,,,a.pdf,", "1,,0,a.pdf,", "1,,x,b.pdf,", header=HEADER)
    faults = mailing.faults()
    assert [line for line, _ in faults] == [2, 3, 4, 5]
    for part, (_, reason) in zip(("both", "missing", "order_id is", "order_id is"), faults, strict=True):
        assert part in reason
    mailing.write("1,a.pdf", header="business_id,file")
    assert mailing.faults() == [(1, "the header lacks chat_id or order_id")]


def test_a_restart_does_not_ask_again(mailing: Mailing) -> None:
    mailing.server.script(Answer(400))
    mailing.write("1,,77,a.pdf,", header=HEADER)
    assert mailing.run().not_sent == 1
    mailing.write("1,,77,a.pdf,", "1,,77,b.pdf,", header=HEADER)
    assert mailing.run(retry_not_sent=True).sent == 2
    assert asked(mailing.server, OPEN) == 1


def test_a_chat_that_is_gone_is_asked_for_again(mailing: Mailing) -> None:
    mailing.server.script(Answer(404))
    mailing.write("1,,77,a.pdf,", header=HEADER)

    async def run() -> None:  # one client: it remembers chats, too
        from yandex_market_chat.batch import send_batch

        async with mailing.client() as chat:
            first = await send_batch(chat, mailing.manifest, journal=mailing.journal)
            assert (first.not_sent, first.needs_fix) == (1, 1)
            second = await send_batch(chat, mailing.manifest, journal=mailing.journal, retry_not_sent=True)
            assert second.sent == 1

    asyncio.run(run())
    assert asked(mailing.server, OPEN) == 2


@pytest.mark.parametrize("status", [400, 404])
def test_a_documented_refusal_is_not_sent(mailing: Mailing, status: int) -> None:
    mailing.server.script_on(OPEN, Answer(status))
    mailing.write("1,,77,a.pdf,", "1,,78,a.pdf,", header=HEADER)
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.not_sent, result.needs_fix, result.stopped) == (1, 1, 1, None)
    assert mailing.report()[0]["status_code"] == str(status)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_what_may_stop_any_other_is_not_booked(mailing: Mailing, status: int) -> None:
    mailing.server.script_on(OPEN, *[Answer(status)] * 50)
    mailing.write(*(f"1,,{order},a.pdf," for order in range(70, 80)), "2,5,,a.pdf,", header=HEADER)
    result = mailing.run()
    assert (result.sent, result.not_sent, result.left) == (1, 0, 10)
    assert result.stopped
    assert "business 1: 5 sends in a row were refused" in result.stopped
    assert asked(mailing.server, SEND) == 1


def test_what_passes_is_waited_for(mailing: Mailing) -> None:
    mailing.server.script_on(OPEN, Answer(420), Answer(500), Answer(420))
    mailing.write("1,,77,a.pdf,", "1,,78,a.pdf,", header=HEADER)
    assert mailing.run().sent == 2


def test_without_a_connection_all_stay_pending(mailing: Mailing) -> None:
    mailing.write("1,,77,a.pdf,", header=HEADER)
    result = mailing.run({"base_url": "http://127.0.0.1:1", "timeout": 2.0})
    assert (result.left, result.not_sent) == (1, 0)
    assert mailing.run().sent == 1


def test_the_quota_of_opening_is_its_own(mailing: Mailing) -> None:
    mailing.server.clock.set(datetime(2026, 1, 1, 12, 59, 57, tzinfo=UTC))
    mailing.server.limits.enabled = True
    mailing.server.limits.spend(1, 998, operation=OPEN)
    mailing.write(
        *(f"1,,{order},a.pdf," for order in range(70, 75)),
        *(f"1,{chat},,b.pdf," for chat in range(1, 5)),
        header=HEADER,
    )
    assert mailing.run().sent == 9
    assert not [request for request in mailing.server.requests if request.status == 420]
    assert mailing.server.most_in_flight <= 4


DOUBLES: dict[str, tuple[list[str], list[tuple[int, int]]]] = {
    "two of one order": (["1,,77,a.pdf,", "1,,77,c.pdf,"], [(3, 2)]),
    "an order and its chat": (["1,,77,a.pdf,", "1,{chat},,c.pdf,"], [(2, 3)]),
    "a chat and its order": (["1,{chat},,c.pdf,", "1,,77,a.pdf,"], [(3, 2)]),
    "two orders of one chat": (["1,,77,a.pdf,", "1,,78,c.pdf,"], [(3, 2)]),
    "a double of a double": (["1,,77,a.pdf,", "1,,77,c.pdf,", "1,{chat},,./a.pdf,"], [(2, 4), (3, 4)]),
    "a key for one": (["1,,77,a.pdf,k", "1,{chat},,c.pdf,"], [(2, 3)]),
    "keys for both": (["1,,77,a.pdf,k", "1,{chat},,c.pdf,l"], []),
    "other content": (["1,,77,a.pdf,", "1,{chat},,b.pdf,"], []),
}


@pytest.mark.parametrize("kind", DOUBLES)
def test_doubles(mailing: Mailing, kind: str) -> None:
    lines, doubles = DOUBLES[kind]
    (mailing.folder / "c.pdf").write_bytes((mailing.folder / "a.pdf").read_bytes())
    chat = mailing.server.chats.open(1, order_id=77)
    if "78" in lines[1]:
        result: dict[str, Any] = {"chatId": chat}
        mailing.server.script_on(OPEN, *[Answer(200, {"status": "OK", "result": result})] * 2)
    mailing.write(*(line.format(chat=chat) for line in lines), header=HEADER)
    result = mailing.run(report=mailing.folder / "report.csv")
    assert [tuple(each) for each in result.duplicates] == doubles
    sent = len(lines) - len(doubles)
    assert (result.sent, result.total, result.left) == (sent, sent, 0)
    assert asked(mailing.server, SEND) == sent
    assert [row["outcome"] for row in mailing.report()].count("duplicate") == len(doubles)
    again = mailing.run()
    assert (again.due, again.sent, asked(mailing.server, SEND)) == (0, sent, sent)


@pytest.mark.parametrize("known", [False, True])
def test_a_double_of_what_an_earlier_run_has_sent(mailing: Mailing, known: bool) -> None:
    chat = mailing.server.chats.open(1, order_id=77)
    first, second = f"1,{chat},,a.pdf,", "1,,77,./a.pdf,"
    mailing.write(*([second.replace("a.pdf", "b.pdf")] if known else []), first, header=HEADER)
    assert mailing.run().stopped is None
    mailing.write(second, header=HEADER)
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.total, [tuple(each) for each in result.duplicates]) == (1, 1, [(2, None)])
    assert mailing.report()[0]["outcome"] == "sent"
    # And the other way round.
    mailing.write(first, header=HEADER)
    assert mailing.run().sent == 1
    mailing.write(second, header=HEADER)
    assert mailing.run().sent == 1
    assert mailing.arrived()[1, chat] == 1 + known


def test_a_double_of_what_an_earlier_run_may_have_sent(mailing: Mailing) -> None:
    chat = mailing.server.chats.open(1, order_id=77)
    mailing.server.script_for(chat, Answer(500))
    mailing.write(f"1,{chat},,a.pdf,", header=HEADER)
    assert mailing.run(confirm=False).unknown == 1
    mailing.write("1,,77,./a.pdf,", header=HEADER)
    result = mailing.run(confirm=False)
    assert (result.unknown, result.sent, asked(mailing.server, SEND)) == (1, 0, 1)


def test_what_was_planned_before_its_chat_was_known(mailing: Mailing) -> None:
    chat = mailing.server.chats.open(1, order_id=77)
    stop = asyncio.Event()
    stop.set()
    mailing.write("1,,77,a.pdf,", header=HEADER)
    assert mailing.run(stop=stop).left == 1
    mailing.write(f"1,{chat},,./a.pdf,", "1,,77,b.pdf,", header=HEADER)
    assert mailing.run().sent == 2
    mailing.write("1,,77,a.pdf,", header=HEADER)
    assert mailing.run().due == 0
    assert mailing.arrived() == {(1, chat): 2}


def test_a_stop_while_chats_are_opened(mailing: Mailing) -> None:
    mailing.server.script_on(OPEN, Fault(delay=0.3))
    mailing.write("1,,77,a.pdf,", "1,,77,b.pdf,", "1,,78,a.pdf,", header=HEADER)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(mailing.send(stop=stop))
        while not mailing.server.in_flight:
            await asyncio.sleep(0.01)
        stop.set()
        result = await task
        assert (result.left, result.sent, result.stopped) == (3, 0, "it was told to stop")

    asyncio.run(run())
    assert mailing.run().sent == 3


def test_a_stop_while_an_opening_waits_for_room(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_room, "MOST_BYTES", 1)  # one request at a time
    mailing.server.script_on(OPEN, Fault(delay=1.0))
    mailing.write("1,5,,a.pdf,", "1,,76,a.pdf,", "2,,77,b.pdf,", header=HEADER)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(mailing.send(stop=stop))
        while not (asked(mailing.server, OPEN) and mailing.server.in_flight):
            await asyncio.sleep(0.01)
        stop.set()
        result = await task
        assert (result.sent, result.left, result.stopped) == (1, 2, "it was told to stop")

    asyncio.run(run())
    assert asked(mailing.server, OPEN) == 1
    assert mailing.run().sent == 3


def test_what_comes_back_while_more_is_looked_for_is_sent_once(
    mailing: Mailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow journal says that there is no more, when a line has come back before one whose file is being read."""
    due, read = Journal.due, _run._read

    def slow_read(folder: Path, item: Item) -> bytes:
        time.sleep(1.0)
        return read(folder, item)

    def slow(journal: Journal, business_id: int, after: int, states: Sequence[str], most: int) -> list[Item]:
        found = due(journal, business_id, after, states, most)
        time.sleep(0 if found else 0.4)
        return found

    monkeypatch.setattr(Journal, "due", slow)
    monkeypatch.setattr(_run, "_read", slow_read)
    mailing.server.script_on(OPEN, Fault(delay=0.4), Fault(delay=0.2))
    mailing.write("1,5,,a.pdf,", "1,,77,a.pdf,", "1,,78,b.pdf,", "1,,77,b.pdf,", header=HEADER)
    assert mailing.run().sent == 4
    assert sorted(mailing.arrived().values()) == [1, 1, 2]
