"""What becomes of items, and how a batch is stopped and watched."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

import pytest

from yandex_market_chat import InvalidRequestError, RetryPolicy, Timeout
from yandex_market_chat.batch import BatchError, BatchProgress, _engine, _room, _run
from yandex_market_chat.testing import SCENARIOS, Answer, Fault

from .conftest import Mailing, chats

SPENT = {
    "X-RateLimit-Resource-Limit": "1000",
    "X-RateLimit-Resource-Remaining": "0",
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2018 00:42:43 GMT",
    "Date": "Tue, 10 Jul 2018 00:42:42 GMT",
}


def test_every_outcome(mailing: Mailing) -> None:
    script = mailing.server.script_for
    script(2, Answer(400))
    script(3, SCENARIOS["drop-after-body"])
    script(4, Answer(500))
    script(5, Answer(420))
    script(6, Answer(420, example="resource", headers=SPENT))
    mailing.write(*chats(6))
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.total, result.sent, result.not_sent, result.unknown, result.left) == (6, 3, 1, 2, 0)
    assert (result.stopped, result.due) == (None, 6)
    rows = {int(row["chat_id"]): row for row in mailing.report()}
    told = {chat: (row["outcome"], row["error"], row["status_code"]) for chat, row in rows.items()}
    assert told == {
        1: ("sent", "", ""),
        2: ("not sent", "BadRequestError", "400"),
        3: ("unknown", "ConnectionLostError", ""),
        4: ("unknown", "ServerError", "500"),
        5: ("sent", "", ""),
        6: ("sent", "", ""),
    }
    assert rows[2]["error_code"]
    assert all(rows[chat]["trace_id"].startswith("00-") for chat in (1, 2, 4, 5, 6))
    assert (rows[1]["line"], rows[1]["key"], rows[1]["attempts"]) == ("2", "1/1/a.pdf", "1")
    # As it is, nothing more is done.
    assert mailing.run().due == 0
    assert mailing.run(retry_not_sent=True).sent == 4
    last = mailing.run(resend_unknown=True, report=mailing.folder / "report.csv")
    assert (last.sent, last.due) == (6, 2)
    assert mailing.report()[2]["unknown_attempts"] == "1"
    assert sum(request.operation == "sendFileToChat" for request in mailing.server.requests) == 6 + 2 + 1 + 2


def test_the_outcome_is_over_all_runs(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500), Answer(400))
    mailing.write(*chats(1))
    assert mailing.run().unknown == 1
    assert mailing.run(resend_unknown=True, report=mailing.folder / "report.csv").unknown == 1
    (row,) = mailing.report()
    assert (row["outcome"], row["error"]) == ("unknown", "BadRequestError")
    assert row["reason"].startswith("An earlier attempt may have arrived.")
    assert mailing.run(resend_unknown=True).sent == 1


def test_a_client_that_resends_by_itself(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500))
    mailing.write(*chats(1))
    policy = RetryPolicy(resend_unknown=True)
    assert mailing.run({"retry": policy}, report=mailing.folder / "report.csv").sent == 1
    assert mailing.report()[0]["unknown_attempts"] == "1"


def test_businesses_side_by_side_and_each_within_its_places(mailing: Mailing) -> None:
    mailing.server.limits.enabled = True
    for chat in range(1, 13):
        mailing.server.script_for(chat, *[Fault(delay=0.1)] * 3)
    mailing.write(*(line for business in (1, 2, 3) for line in chats(12, business)))
    assert mailing.run().sent == 36
    assert [mailing.server.most_in_flight_of(business) for business in (1, 2, 3)] == [4, 4, 4]
    assert mailing.server.most_in_flight > 8
    assert not [request for request in mailing.server.requests if request.status == 420]
    # In order of the manifest, and the first alone: it tells what is left.
    assert next(file.chat_id for file in mailing.server.received if file.business_id == 1) == 1


def test_large_files_of_many_businesses_do_not_fill_the_memory(
    mailing: Mailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_room, "MOST_BYTES", 15)
    for chat in range(1, 4):
        mailing.server.script_for(chat, *[Fault(delay=0.05)] * 6)
    mailing.write(*(line for business in range(1, 7) for line in chats(3, business)))
    assert mailing.run().sent == 18
    assert mailing.server.most_in_flight == 2  # 6 bytes each


def test_stopped(mailing: Mailing) -> None:
    for chat in range(1, 21):
        mailing.server.script_for(chat, Fault(delay=0.2))
    mailing.write(*chats(20))

    async def run() -> Any:
        stop = asyncio.Event()

        def watch(progress: BatchProgress) -> None:
            if progress.sent >= 2:
                stop.set()

        return await mailing.send(stop=stop, on_progress=watch)

    result = asyncio.run(run())
    assert result.stopped == "it was told to stop"
    assert result.sent == len(mailing.server.received) < 20
    assert result.left == 20 - result.sent
    assert mailing.run().sent == 20
    assert set(mailing.arrived().values()) == {1}


@pytest.mark.timeout(30)  # without room, nothing ends
def test_stopped_while_others_wait_for_room(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_room, "MOST_BYTES", 1)
    mailing.write(*(line for business in range(1, 7) for line in chats(3, business)))

    async def run() -> Any:
        stop = asyncio.Event()
        return await mailing.send(stop=stop, on_progress=lambda progress: progress.sent > 1 and stop.set())

    result = asyncio.run(run())
    assert 2 <= result.sent < 18
    assert result.left == 18 - result.sent
    assert len(mailing.server.requests) == result.sent


def test_stopped_while_a_file_is_read(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    mailing.write(*chats(3))
    read = _run._read

    async def run() -> Any:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def slow_read(*arguments: Any) -> bytes:
            asyncio.run_coroutine_threadsafe(set_it(), loop).result()
            return read(*arguments)

        async def set_it() -> None:
            stop.set()

        monkeypatch.setattr(_run, "_read", slow_read)
        return await mailing.send(stop=stop)

    result = asyncio.run(run())
    assert (result.left, result.stopped) == (3, "it was told to stop")
    assert not mailing.server.requests


def test_room_is_given_in_order_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_room, "MOST_BYTES", 10)

    async def run() -> None:
        room = _room.Room()
        await room.take(100)  # alone
        waiting = [asyncio.create_task(room.take(size)) for size in (6, 3, 6, 1)]
        await asyncio.sleep(0)
        waiting[1].cancel()  # gives up in the line
        await asyncio.sleep(0)
        room.give_back(100)
        waiting[0].cancel()  # in the moment in which it would have had its turn
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, True, False, False]
        late = asyncio.create_task(room.take(4))
        await asyncio.sleep(0)
        assert not late.done()
        room.give_back(1)
        await late

    asyncio.run(run())


def test_room_is_for_so_many_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_room, "MOST_SENDS", 2)

    async def main() -> None:
        room = _room.Room()
        asked = [asyncio.create_task(room.take(1)) for _ in range(4)]
        for given in (2, 3, 4):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert [each.done() for each in asked] == [number < given for number in range(4)]
            room.give_back(1)
        await asyncio.gather(*asked)

    asyncio.run(main())


def test_cancelled(mailing: Mailing) -> None:
    mailing.server.script_for(2, Fault(cut="silence", at="after-body"))
    mailing.write(*chats(2))

    async def run() -> None:
        task = asyncio.create_task(mailing.send())
        while not (mailing.server.in_flight and len(mailing.server.received) == 1):
            assert not task.done()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert sorted(mailing.states().values()) == ["sending", "sent"]
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.unknown, result.interrupted) == (1, 1, 1)
    assert "in flight" in mailing.report()[1]["reason"]
    assert mailing.run(resend_unknown=True).sent == 2


def test_progress(mailing: Mailing) -> None:
    seen: list[tuple[int, int]] = []
    mailing.server.script_for(2, Answer(400))
    mailing.write(*chats(3), "2,1,a.pdf")
    kept: list[BatchProgress] = []

    def watch(progress: BatchProgress) -> None:
        kept.append(progress)
        seen.append((progress.done, progress.due))

    mailing.run(on_progress=watch)
    assert seen[0] == (0, 4)
    assert seen[-1] == (4, 4)
    (progress,) = {id(progress): progress for progress in kept}.values()
    assert (progress.total, progress.sent, progress.not_sent, progress.unknown) == (4, 3, 1, 0)
    assert [(each.business_id, each.sent, each.left) for each in progress.businesses.values()] == [(1, 2, 0), (2, 1, 0)]


def test_progress_that_raises(mailing: Mailing, caplog: pytest.LogCaptureFixture) -> None:
    mailing.write(*chats(3))

    def watch(_: BatchProgress) -> None:
        raise RuntimeError

    with caplog.at_level(logging.ERROR):
        assert mailing.run(on_progress=watch).sent == 3
    assert [record.getMessage() for record in caplog.records] == [
        "on_progress raised RuntimeError and is not called again for this batch"
    ]


def test_a_dry_run(mailing: Mailing) -> None:
    mailing.write(*chats(3), "1,1,a.pdf")
    result = mailing.run(dry_run=True)
    assert (result.due, result.left, result.duplicates) == (3, 3, ((5, 2),))
    assert not mailing.journal.exists()
    mailing.server.script_for(2, Answer(400))
    mailing.run()
    before = mailing.journal.read_bytes()
    mailing.write(*chats(4))
    assert mailing.run(dry_run=True).due == 1
    assert mailing.run(dry_run=True, retry_not_sent=True).due == 2
    assert mailing.journal.read_bytes() == before
    assert len(mailing.server.requests) == 3


def test_the_clients_bounds_hold(mailing: Mailing) -> None:
    mailing.server.script_for(1, Fault(cut="silence", at="after-body"))
    mailing.write(*chats(2))
    began = time.monotonic()
    assert mailing.run({"timeout": Timeout(total=0.3)}).unknown == 1
    assert time.monotonic() - began < 5
    with pytest.raises(BatchError, match="more than the 3 that are the limit"):
        mailing.run({"max_file_size": 3}, journal=mailing.folder / "other.sqlite")


def test_a_closed_client(mailing: Mailing) -> None:
    mailing.write(*chats(1))

    async def run() -> None:
        chat = mailing.client()
        await chat.aclose()
        await _engine.send_batch(chat, mailing.manifest, journal=mailing.journal)

    with pytest.raises(InvalidRequestError, match="closed"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["missing/report.csv", "folder", "nul\0", "pipe", "manifest.csv", "folder/../journal.sqlite"]
)
def test_a_report_that_cannot_be(mailing: Mailing, name: str) -> None:
    (mailing.folder / "folder").mkdir()
    os.mkfifo(mailing.folder / "pipe")
    mailing.write(*chats(1))
    with pytest.raises(BatchError, match="report"):
        mailing.run(report=mailing.folder / name)
    assert not mailing.server.requests
    assert not mailing.journal.exists()
    assert not list(mailing.folder.glob(".*"))
