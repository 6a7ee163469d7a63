"""The journal as a file: whose it is, what it survives, and what it is not."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from yandex_market_chat.batch import BatchProgress, JournalError, JournalInUseError, ManifestError, _journal
from yandex_market_chat.batch._writer import UnwrittenError, Writer
from yandex_market_chat.testing import Answer, Fault

from .conftest import Mailing, chats


def test_a_second_one_is_told_at_once(mailing: Mailing) -> None:
    mailing.server.script_for(1, Fault(delay=0.5))
    mailing.write(*chats(2))

    async def run() -> None:
        first = asyncio.create_task(mailing.send())
        while not mailing.server.in_flight:
            assert not first.done()
            await asyncio.sleep(0.01)
        with pytest.raises(JournalInUseError, match="in use by another process"):
            await mailing.send()
        with pytest.raises(JournalInUseError):
            await mailing.send(dry_run=True)
        assert (await first).sent == 2

    asyncio.run(run())
    assert len(mailing.server.requests) == 2


def make_folder(path: Path) -> None:
    path.mkdir()


def make_text(path: Path) -> None:
    path.write_text("business_id,chat_id,file\n" * 100)


def make_other(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE item (id)")
    other.close()


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA application_id = {_journal.APPLICATION}")
        other.execute(f"PRAGMA user_version = {_journal.VERSION + 1}")
    other.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_folder, "it is a folder"),
        (make_text, "it is no SQLite file"),
        (make_other, "it is a SQLite file of something else"),
        (make_newer, "it was made by another version of this package"),
        (lambda path: None, "its folder does not exist"),
    ],
)
def test_what_is_no_journal(mailing: Mailing, make: object, said: str) -> None:
    mailing.journal = mailing.folder / ("missing/j" if "does not" in said else "j")
    make(mailing.journal)  # type: ignore[operator]
    before = mailing.journal.read_bytes() if mailing.journal.is_file() else None
    mailing.write(*chats(1))
    with pytest.raises(JournalError, match=said) as caught:
        mailing.run()
    assert "Nothing was sent" in str(caught.value)
    assert not mailing.server.requests
    assert before is None or mailing.journal.read_bytes() == before


def test_a_journal_that_is_read_only(mailing: Mailing) -> None:
    mailing.write(*chats(1))
    mailing.run()
    with tempfile.TemporaryDirectory() as folder:  # those of pytest are for their owner alone
        os.chmod(folder, 0o755)
        path = Path(folder, "journal.sqlite")
        path.write_bytes(mailing.journal.read_bytes())
        path.chmod(0o444)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may write anything
        try:
            with pytest.raises(JournalError, match="readonly"):
                _journal.Journal(path)
        finally:
            os.seteuid(user)


def test_a_change_that_nobody_can_write_keeps_nobody_waiting(mailing: Mailing) -> None:
    async def run() -> None:
        writer = Writer()
        writer.journal = await writer.do(_journal.Journal, mailing.journal)
        await writer.do(writer.journal.keep)
        with pytest.raises(UnwrittenError, match="mapping"):
            await writer.write(_journal.Change(1, "sent", facts=7))  # type: ignore[arg-type]
        assert "mapping" in writer.broken
        await writer.close()

    asyncio.run(run())


def test_an_empty_file_is_a_new_journal(mailing: Mailing) -> None:
    """It is what a kill in the first moment leaves."""
    mailing.journal.touch()
    mailing.write("1,2,missing.pdf")
    with pytest.raises(ManifestError):
        mailing.run()
    assert mailing.journal.exists()
    mailing.write(*chats(1))
    assert mailing.run().sent == 1


def test_what_is_left_sending_is_unknown(mailing: Mailing) -> None:
    mailing.write(*chats(3))
    mailing.run()
    mailing.sql("UPDATE item SET state = 'sending' WHERE chat_id = 2")
    mailing.sql("UPDATE item SET state = 'pending' WHERE chat_id = 3")
    result = mailing.run(confirm=False)
    assert (result.sent, result.unknown, result.interrupted) == (2, 1, 1)
    assert mailing.run().interrupted == 0
    assert mailing.arrived() == {(1, 1): 1, (1, 2): 1, (1, 3): 2}


@contextmanager
def no_room(size: int) -> Iterator[Callable[[], None]]:
    """Give a function from whose call on no file of this process grows beyond that size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_becomes_full_while_files_are_in_flight(mailing: Mailing) -> None:
    for chat in (2, 3, 4):
        mailing.server.script_for(chat, Fault(delay=1.0))
    mailing.server.script_for(21, Fault(delay=0.3))
    mailing.write(*chats(4), *(f"2,{chat},a.pdf" for chat in range(21, 30)))
    with no_room(0) as begin:

        def watch(progress: BatchProgress) -> None:
            if progress.businesses[2].sent == 1:
                begin()

        result = mailing.run(on_progress=watch)
    assert result.stopped
    assert result.stopped.startswith("the journal cannot be written: ")
    # What was to begin did not; what was in flight ended, and the journal could not take it.
    assert (result.sent, result.unknown, result.left) == (2, 3, 8)
    assert [sentence.endswith(": sent") for sentence in result.unwritten] == [True] * 3
    assert len(mailing.server.received) == 5
    result = mailing.run(confirm=False)
    assert (result.sent, result.unknown, result.interrupted) == (10, 3, 3)
    assert set(mailing.arrived().values()) == {1}


def test_a_chat_that_cannot_be_noted_is_not_sent_to(mailing: Mailing) -> None:
    header = "business_id,order_id,file"
    stop = asyncio.Event()
    stop.set()
    mailing.write("1,77,a.pdf", "1,78,b.pdf", header=header)
    assert mailing.run(stop=stop).left == 2
    mailing.sql("CREATE TRIGGER full BEFORE INSERT ON chat BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    result = mailing.run()
    assert (result.left, result.sent, result.stopped) == (2, 0, "the journal cannot be written: the disk is full")
    assert mailing.server.received == ()
    mailing.sql("DROP TRIGGER full")
    assert mailing.run().sent == 2


def test_a_disk_that_is_full_before_anything_is_planned(mailing: Mailing) -> None:
    mailing.write(*chats(100))
    with no_room(8192) as begin:
        begin()
        with pytest.raises(JournalError, match="Nothing was sent"):
            mailing.run()
    assert not mailing.server.requests
    assert not mailing.journal.exists()


def test_a_change_that_nobody_waits_for_any_more(mailing: Mailing) -> None:
    mailing.write(*chats(2))
    mailing.run()

    async def run() -> None:
        writer = Writer()
        writer.journal = await writer.do(_journal.Journal, mailing.journal)
        await writer.do(writer.journal.keep)
        tasks = [asyncio.create_task(writer.write(_journal.Change(row, "unknown"))) for row in (1, 2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await writer.close()
        await tasks[1]

    asyncio.run(run())
    assert set(mailing.states().values()) == {"unknown"}


def test_where_one_change_fails_outcomes_are_kept(mailing: Mailing) -> None:
    mailing.write(*chats(3))
    mailing.run()
    journal = _journal.Journal(mailing.journal)
    journal.keep()
    states = ("unknown", "no state", "sending")
    failures = journal.write([_journal.Change(row, state) for row, state in enumerate(states, 1)])
    journal.close()
    assert [failure is None for failure in failures] == [True, False, False]
    assert list(mailing.states().values()) == ["unknown", "sent", "sent"]


def test_a_report_that_cannot_be_written_costs_no_outcome(mailing: Mailing) -> None:
    mailing.server.script_for(2, Fault(delay=1.0))
    mailing.write(*chats(3))
    with no_room(0) as begin:

        def watch(progress: BatchProgress) -> None:
            if progress.sent == 2:
                begin()

        result = mailing.run(on_progress=watch, report=mailing.folder / "report.csv")
    assert result.unreported
    assert [sentence.endswith(": sent") for sentence in result.unwritten] == [True]
    assert not (mailing.folder / "report.csv").exists()


def test_the_journal_is_no_file_to_send(mailing: Mailing) -> None:
    mailing.write(*chats(1))
    mailing.run()
    mailing.write(*chats(1), "1,9,journal.sqlite")
    with pytest.raises(ManifestError, match="is the journal"):
        mailing.run()


def test_a_journal_with_the_name_of_a_temporary_one_is_kept(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mailing.folder)
    mailing.write(*chats(1))
    for _ in range(2):
        assert mailing.run(journal=":memory:").sent == 1
    assert len(mailing.server.received) == 1


def test_half_a_character_in_an_answer_is_written_down(mailing: Mailing) -> None:
    mailing.server.script(
        Answer(400, b'{"status": "ERROR", "errors": [{"code": "BAD\\ud800", "message": "\\udfff"}]}', off_contract=True)
    )
    mailing.write(*chats(2))
    result = mailing.run(client={"max_parallel": 1})
    assert (result.not_sent, result.sent) == (1, 1)
    assert mailing.sql("SELECT error_code FROM item WHERE state = 'not sent'") == [("BAD?",)]


def linked(mailing: Mailing) -> Path:
    """Make the journal's path a link to a file that is not there yet, as a container's volume has it."""
    (mailing.folder / "app").mkdir()
    (mailing.folder / "vol").mkdir()
    mailing.journal = mailing.folder / "app" / "j.sqlite"
    mailing.journal.symlink_to("../vol/j.sqlite")
    return mailing.folder / "vol" / "j.sqlite"


def test_a_faulty_manifest_leaves_a_link_and_nothing_behind_it(mailing: Mailing) -> None:
    target = linked(mailing)
    mailing.write("1,2,missing.pdf")
    with pytest.raises(ManifestError):
        mailing.run()
    assert mailing.journal.is_symlink()
    assert [*target.parent.iterdir()] == []
    mailing.write(*chats(2))
    assert mailing.run().sent == 2
    assert mailing.journal.is_symlink()
    assert not target.is_symlink()
    # A new container has the link again.
    mailing.journal.unlink()
    mailing.journal.symlink_to(target)
    assert mailing.run().due == 0
    assert len(mailing.server.received) == 2


def test_a_faulty_manifest_leaves_a_journal_that_is_there(mailing: Mailing) -> None:
    target = linked(mailing)
    mailing.write(*chats(2))
    mailing.run()
    before = target.read_bytes()
    mailing.write("1,2,missing.pdf")
    with pytest.raises(ManifestError):
        mailing.run()
    assert (mailing.journal.is_symlink(), target.read_bytes()) == (True, before)


def test_what_was_put_in_the_place_of_what_was_made_stays(mailing: Mailing) -> None:
    journal = _journal.Journal(mailing.journal)
    mailing.journal.rename(mailing.folder / "moved.sqlite")
    mailing.journal.write_bytes(b"other")
    journal.close()
    assert mailing.journal.read_bytes() == b"other"


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("target", "said"),
    [("missing/j.sqlite", "folder does not exist"), ("folder", "it is a folder"), ("link", "cannot be used")],
)
def test_a_link_that_leads_nowhere(mailing: Mailing, target: str, said: str, dry_run: bool) -> None:
    (mailing.folder / "folder").mkdir()
    mailing.journal = mailing.folder / "link"
    mailing.journal.symlink_to(target)  # one of them to itself
    mailing.write(*chats(1))
    with pytest.raises(JournalError, match=said):
        mailing.run(dry_run=dry_run)
    assert mailing.journal.is_symlink()


@pytest.mark.parametrize("path", ["missing/j.sqlite", "nul\0", "a.pdf/j.sqlite"])
def test_a_dry_run_says_what_is_wrong_with_the_journal(mailing: Mailing, path: str) -> None:
    mailing.journal = mailing.folder / path
    mailing.write(*chats(1))
    for dry_run in (True, False):
        with pytest.raises(JournalError, match="Nothing was sent"):
            mailing.run(dry_run=dry_run)


def test_a_dry_run_in_a_folder_that_is_not_ours(mailing: Mailing) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may write anything
        try:
            for dry_run in (True, False):
                with pytest.raises(JournalError, match=r"cannot be written to|Permission denied"):
                    _journal.Journal(Path(folder, "j.sqlite"), dry_run=dry_run)
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o755)


def test_a_dry_run_leaves_a_journal_in_wal_mode(mailing: Mailing) -> None:
    """Programs that show SQLite files switch it."""
    mailing.write(*chats(1))
    mailing.run()
    mailing.sql("PRAGMA journal_mode = WAL")
    before = mailing.journal.read_bytes()
    assert mailing.run(dry_run=True).due == 0
    assert mailing.journal.read_bytes() == before
    mailing.write(*chats(2))
    assert mailing.run().due == 1
    assert not [*mailing.folder.glob("journal.sqlite-[ws]*")]
