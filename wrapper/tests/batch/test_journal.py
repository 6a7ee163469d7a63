"""The journal as a file: whose it is, what it survives, and what it is not."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from yandex_market_chat.batch import BatchProgress, JournalError, JournalInUseError, ManifestError, _journal
from yandex_market_chat.batch._writer import Writer
from yandex_market_chat.testing import Fault

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
    result = mailing.run()
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
    result = mailing.run()
    assert (result.sent, result.unknown, result.interrupted) == (10, 3, 3)
    assert set(mailing.arrived().values()) == {1}


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


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_full_disk(mailing: Mailing) -> None:
    """The system refuses every write to a file from the moment on in which four are in flight."""
    for chat in range(1, 21):
        mailing.server.script_for(chat, Fault(delay=0.7))
    mailing.write(*chats(20))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "yandex_market_chat_command",
            "send-batch",
            mailing.manifest,
            "--journal",
            mailing.journal,
        ],
        env=os.environ
        | {"YANDEX_MARKET_API_KEY": mailing.server.api_key, "YANDEX_MARKET_BASE_URL": mailing.server.base_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while mailing.server.in_flight < 4 and time.monotonic() < end:
        time.sleep(0.005)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5, said
    assert "Stopped before the end: the journal cannot be written: " in said
    states = list(mailing.states().values())
    assert (states.count("sent"), states.count("sending"), states.count("pending")) == (1, 4, 15)
    # What the journal could not take has been said.
    assert said.count(": sent\n") == 4
    # With room again: nothing is sent twice.
    result = mailing.run()
    assert (result.sent, result.unknown, result.left) == (16, 4, 0)
    assert set(mailing.arrived().values()) == {1}
