"""What is unknown is looked up in the chats' histories: at the end of a run, and at the start of the next."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from yandex_market_chat.batch import BatchProgress, send_batch
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Mailing, chats

HISTORY, SEND = "getChatHistory", "sendFileToChat"
WORDS = "S3cr3t words of the buyer"
TAKEN = Answer(500, taken=True)


def asked(server: MockServer, operation: str = HISTORY) -> int:
    return sum(request.operation == operation for request in server.requests)


def test_found_at_the_end(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.server.script_for(2, Fault(cut="reset", at="after-body", taken=True))
    mailing.server.script_for(3, Answer(500))
    mailing.write(*chats(4))
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.confirmed, result.unknown, result.stopped) == (3, 2, 1, None)
    rows = mailing.report()
    assert [row["confirmed_by"] for row in rows] == ["history", "history", "", "response"]
    for chat, row in enumerate(rows[:2], 1):
        (message,) = mailing.server.chats.messages(1, chat)
        assert (row["outcome"], row["message_id"], row["reason"], row["error"], row["unknown_attempts"]) == (
            "sent", str(message.message_id), "", "", "0",
        )  # fmt: skip
    assert (rows[2]["outcome"], rows[2]["message_id"]) == ("unknown", "")
    assert datetime.fromisoformat(rows[2]["since"]).tzinfo is not None
    assert (asked(mailing.server), asked(mailing.server, SEND)) == (3, 4)


def test_found_at_the_next_start_and_not_resent(mailing: Mailing) -> None:
    for chat in (1, 2):
        mailing.server.script_for(chat, TAKEN)
    mailing.server.script_for(3, Answer(500))
    mailing.write(*chats(3))
    assert mailing.run(confirm=False).unknown == 3
    assert asked(mailing.server) == 0
    result = mailing.run(resend_unknown=True)
    assert (result.sent, result.confirmed, result.due) == (3, 2, 1)
    assert mailing.arrived() == {(1, 1): 1, (1, 2): 1, (1, 3): 1}


def test_of_a_run_that_was_killed(mailing: Mailing) -> None:
    mailing.write(*chats(2))
    mailing.run()
    mailing.sql("UPDATE item SET state = 'sending', confirmed_by = NULL WHERE chat_id = 2")
    result = mailing.run()
    assert (result.interrupted, result.sent, result.confirmed, result.unknown) == (1, 2, 1, 0)


def test_the_attempt_of_a_run_that_was_killed_may_have_arrived(mailing: Mailing) -> None:
    mailing.write(*chats(1))
    mailing.run()
    mailing.sql("UPDATE item SET state = 'sending', confirmed_by = NULL")
    mailing.server.script_for(1, Answer(400))
    result = mailing.run(resend_unknown=True, confirm=False)
    assert (result.interrupted, result.due, result.unknown, result.not_sent) == (1, 1, 1, 0)


@pytest.mark.parametrize("how", ["confirm=False", "confirm_unknown=0", "dry_run"])
def test_the_history_is_left_alone(mailing: Mailing, how: str) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.write(*chats(1))
    client = {"confirm_unknown": 0.0} if how == "confirm_unknown=0" else {}
    assert mailing.run(client, confirm=False).unknown == 1
    result = mailing.run(client, confirm=how != "confirm=False", dry_run=how == "dry_run")
    assert (result.unknown, asked(mailing.server)) == (1, 0)


def test_what_was_unknown_and_is_so_again_is_found_by_its_last_attempt(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500), TAKEN)
    mailing.write(*chats(1))
    assert mailing.run(confirm=False).unknown == 1
    result = mailing.run(resend_unknown=True, report=mailing.folder / "report.csv")
    assert (result.confirmed, result.unknown, asked(mailing.server)) == (1, 0, 2)
    assert mailing.report()[0]["unknown_attempts"] == "1"


def test_a_look_that_took_long_stands_for_the_one_that_was_due_meanwhile(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500))
    mailing.server.script_on(HISTORY, Fault(delay=8.0))
    mailing.write(*chats(1))
    assert mailing.run({"confirm_unknown": 12.0, "timeout": 60.0}).unknown == 1
    assert asked(mailing.server) == 2  # 1 and 9 s after it, not after 3 s as well


def test_a_client_that_is_closed_before_the_history_is_read(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.write(*chats(1))

    async def run() -> None:
        async with mailing.client(confirm_unknown=4.0) as chat:
            closing: list[asyncio.Task[None]] = []

            def watch(progress: BatchProgress) -> None:
                if progress.unknown and not closing:
                    closing.append(asyncio.create_task(chat.aclose()))

            result = await send_batch(chat, mailing.manifest, journal=mailing.journal, on_progress=watch)
            assert (result.unknown, asked(mailing.server)) == (1, 0)

    asyncio.run(run())
    assert mailing.run().confirmed == 1


def test_a_late_message_is_waited_for(mailing: Mailing) -> None:
    mailing.server.chats.lag = 1.5
    mailing.server.script_for(1, TAKEN)
    mailing.write(*chats(2))
    result = mailing.run({"confirm_unknown": 10.0})
    assert (result.sent, result.confirmed, asked(mailing.server)) == (2, 1, 2)


def test_a_stop_ends_the_waiting_at_once(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500))
    mailing.write(*chats(1))

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(mailing.send({"confirm_unknown": 300.0}, stop=stop))
        while asked(mailing.server) < 1:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        stop.set()
        result = await task
        assert time.monotonic() - began < 60
        assert (result.unknown, result.stopped) == (1, None)

    asyncio.run(run())


def test_a_silent_history_ends_in_time(mailing: Mailing) -> None:
    mailing.server.script_for(1, Answer(500))
    mailing.server.script_on(HISTORY, *[Fault(cut="silence", at="after-body")] * 9)
    mailing.write(*chats(1))
    assert mailing.run({"confirm_unknown": 1.0, "timeout": 60.0}).unknown == 1


@pytest.mark.parametrize(
    "answer", [Answer(401), Answer(403), Answer(404), Answer(200, {"status": "OK"}, off_contract=True)]
)
def test_a_refusal_stops_the_confirming_for_that_business(mailing: Mailing, answer: Answer) -> None:
    for chat in range(1, 5):
        mailing.server.script_for(chat, *[TAKEN] * 2)
    mailing.write(*chats(4), *chats(4, business=2))
    assert mailing.run(confirm=False).unknown == 8
    mailing.server.script_on(HISTORY, answer)
    result = mailing.run({"max_parallel": 1})
    assert (result.confirmed, result.unknown, asked(mailing.server)) == (4, 4, 5)
    assert mailing.run().confirmed == 8


def test_a_refusal_is_not_asked_for_again(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.server.script_on(HISTORY, Answer(403))
    mailing.write(*chats(1))
    assert mailing.run({"confirm_unknown": 4.0}).unknown == 1
    assert asked(mailing.server) == 1


def test_what_passes_stops_nothing(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.server.script_on(HISTORY, Answer(500), Answer(420))
    mailing.write(*chats(1))
    assert mailing.run({"confirm_unknown": 10.0}).confirmed == 1


def keyed(count: int, chat: int = 1) -> list[str]:
    return [f"1,{chat},a.pdf,key {number}" for number in range(count)]


@pytest.mark.parametrize("restart", [False, True])
def test_one_message_confirms_one_row(mailing: Mailing, restart: bool) -> None:
    mailing.server.script_for(1, Answer(500), TAKEN, Answer(500), Fault())
    mailing.write(*keyed(4), header="business_id,chat_id,file,key")
    result = mailing.run(confirm=not restart)
    for _ in range(3 * restart):
        result = mailing.run()
    assert (result.sent, result.confirmed, result.unknown) == (2, 1, 2)
    (row,) = mailing.sql("SELECT message_id FROM item WHERE confirmed_by = 'history'")
    assert row[0] in {message.message_id for message in mailing.server.chats.messages(1, 1)}


def test_what_an_earlier_run_has_sent_accounts_for_its_message(mailing: Mailing) -> None:
    mailing.server.script_for(1, Fault(), Answer(500))
    mailing.write(*keyed(1), header="business_id,chat_id,file,key")
    mailing.run()
    mailing.write(*keyed(2), header="business_id,chat_id,file,key")
    for _ in range(3):
        result = mailing.run()
        assert (result.sent, result.confirmed, result.unknown) == (1, 0, 1)
    mailing.server.chats.post(1, 1, files=[("a.pdf", 6)], sender="PARTNER")
    assert mailing.run().confirmed == 1


def test_nobody_reads_before_it_is_known_what_earlier_runs_sent(mailing: Mailing) -> None:
    """The first reader of a chat asks the journal, which has much to tell; the others wait for that."""
    mailing.server.script_for(1, Fault(), *[Answer(500)] * 3)
    mailing.write(*keyed(4), header="business_id,chat_id,file,key")
    assert mailing.run(confirm=False).sent == 1
    mailing.sql(
        "WITH RECURSIVE old (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < 30000)"
        " INSERT INTO item (key, keyed, business_id, chat_id, file, sha256, state, sent_name, sent_size, changed_at)"
        " SELECT 'old ' || n, 1, 1, 1, file, sha256, state, sent_name, sent_size, '2026-01-01T00:00:00+00:00'"
        " FROM item, old WHERE state = 'sent'"
    )
    result = mailing.run()
    assert (result.confirmed, result.unknown) == (0, 3)


@pytest.mark.parametrize("kind", ["older", "renamed", "other size", "by the customer"])
def test_others_confirm_nothing(mailing: Mailing, kind: str) -> None:
    at = mailing.server.clock.now() - timedelta(seconds=60)
    name, size = "b.pdf" if kind == "renamed" else "a.pdf", 7 if kind == "other size" else 6
    mailing.server.script_for(1, Answer(500))
    mailing.server.chats.post(
        1, 1, files=[(name, size)], sender="CUSTOMER" if kind == "by the customer" else "PARTNER",
        at=at if kind == "older" else mailing.server.clock.now() + timedelta(seconds=30),
    )  # fmt: skip
    mailing.write(*chats(1))
    assert mailing.run().unknown == 1


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_server_whose_clock_is_wrong(mailing: Mailing, hours: int) -> None:
    mailing.server.clock.move(timedelta(hours=hours))
    mailing.server.script_for(1, TAKEN)
    mailing.write(*chats(1))
    assert mailing.run(confirm=False).unknown == 1
    assert mailing.run().confirmed == 1


def test_a_row_of_an_order(mailing: Mailing) -> None:
    mailing.server.script(TAKEN)
    mailing.write("1,77,a.pdf", header="business_id,order_id,file")
    assert mailing.run(report=mailing.folder / "report.csv").confirmed == 1
    assert mailing.report()[0]["confirmed_by"] == "history"


def test_the_name_as_sent(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.write('1,1,a.pdf,"Счёт ""7""/й.pdf"', header="business_id,chat_id,file,name")
    assert mailing.run(confirm=False).unknown == 1
    assert mailing.run().confirmed == 1


def test_nothing_of_a_buyer_is_kept(mailing: Mailing, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for chat in range(1, 5):
        mailing.server.script_for(chat, TAKEN)
        mailing.server.chats.post(1, chat, WORDS)
        mailing.server.chats.post(1, chat, files=[(WORDS, 6)])
    mailing.write(*chats(4))
    mailing.run(confirm=False)
    body = {"status": "ERROR", "errors": [{"code": WORDS, "message": WORDS}]}
    for answer in (Answer(403, body), Answer(200, body | {"result": WORDS}, off_contract=True), Answer(500, body)):
        mailing.server.script_on(HISTORY, *[answer] * (4 if answer.status == 500 else 1))
        assert mailing.run({"max_parallel": 1}, report=mailing.folder / "report.csv").unknown == 4
    assert mailing.run(report=mailing.folder / "report.csv").confirmed == 4
    for name in ("journal.sqlite", "report.csv"):
        content = Path(mailing.folder / name).read_bytes()
        assert WORDS.encode() not in content
        assert "Мария".encode() not in content
    assert not [record for record in caplog.records if WORDS in str(vars(record))]


def test_progress_counts_what_is_found(mailing: Mailing) -> None:
    mailing.server.script_for(1, TAKEN)
    mailing.write(*chats(2))
    seen = []
    mailing.run(on_progress=lambda progress: seen.append((progress.sent, progress.unknown)))
    assert (seen[0], seen[-1]) == ((0, 0), (2, 0))
    assert (1, 1) in seen


def test_what_a_row_remembers(mailing: Mailing) -> None:
    mailing.write(*chats(1))
    mailing.run()
    (row,) = mailing.sql("SELECT since, sent_name, sent_size FROM item")
    since = datetime.fromisoformat(row[0])
    assert since.utcoffset() == timedelta(0)
    assert abs(since - datetime.now(UTC)) < timedelta(minutes=10)
    assert row[1:] == ("a.pdf", 6)
