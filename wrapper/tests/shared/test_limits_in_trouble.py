"""A file of shared limits that cannot be used, for a while or at all: no send is lost or held up."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yandex_market_chat import ChatError, SharedLimits
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat
from .programs import WITHOUT_ROOM, WITHOUT_THREADS, another, client, in_flight, needs_posix, send, wait_for


@pytest.fixture
def broken(limits: Path, kind: str) -> Iterator[None]:
    limits.parent.mkdir(exist_ok=True)
    if kind == "a folder":
        limits.mkdir()
    elif kind == "no folder":
        limits.parent.joinpath("limits.sqlite").symlink_to(limits.parent / "gone" / "limits")
    elif kind == "of something else":
        db = sqlite3.connect(limits)
        db.execute("CREATE TABLE orders (id)")
        db.close()
    elif kind == "a text":
        limits.write_bytes(b"somebody may want this" * 100)
    yield
    if kind == "a text":
        assert limits.read_bytes() == b"somebody may want this" * 100
    if kind == "of something else":
        db = sqlite3.connect(limits)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
        db.close()


@pytest.mark.parametrize("kind", ["a folder", "no folder", "of something else", "a text"])
@pytest.mark.usefixtures("broken")
def test_a_file_that_cannot_be_used_loses_nothing(
    connect: Callable[..., Chat], busy: MockServer, limits: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat = connect(shared_limits=SharedLimits.file(limits, grace=0.2))
    for _ in range(3):
        assert chat.send(b"x", timeout=30).attempts == 1
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "the shared limits are away" in told[0]
    assert os.path.realpath(limits) in told[0]


@needs_posix
def test_a_disk_that_is_full_loses_nothing(busy: MockServer, limits: Path) -> None:
    for before in (0, 1):  # the file is there the second time
        arguments = (busy.base_url, busy.api_key, str(limits), "")
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_ROOM, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stderr.count("the shared limits are away") == 1, done.stderr
        assert len(busy.received) == 4 * before + 3
        send(client(busy, limits))


@needs_posix
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(("mode", "folder"), [(0o444, 0o777), (0o666, 0o555), (0o000, 0o777)])
def test_a_file_that_is_read_only_loses_nothing(busy: MockServer, mode: int, folder: int) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to other users
        limits = Path(place, "limits.sqlite")
        send(client(busy, limits))
        for each in Path(place).iterdir():
            each.unlink() if each != limits else each.chmod(mode)
        os.chmod(place, folder)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setegid(65534)
                    os.seteuid(65534)  # root may write everything
                chat = client(busy, SharedLimits.file(limits, grace=0.2))
                status = 0 if all(send(chat).attempts == 1 for _ in range(3)) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        os.chmod(place, 0o700)
    assert len(busy.received) == 4


def test_a_file_that_is_broken_within_is_set_aside(server: MockServer, limits: Path) -> None:
    assert another(server, limits, 1).wait(60) == 0  # nobody has it open any more
    with sqlite3.connect(limits) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    for name in limits.parent.glob("limits.sqlite-*"):
        name.unlink()
    content = bytearray(limits.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    limits.write_bytes(content)
    assert send(client(server, SharedLimits.file(limits))).attempts == 1
    assert Path(f"{limits}.broken").read_bytes() == content


def test_a_file_that_others_keep_from_being_written_holds_up_nobody(server: MockServer, limits: Path) -> None:
    """It can be read all the time, and what is read says that one is in flight."""
    server.script(Fault(delay=1.5))
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, client(server, SharedLimits.file(limits)))
        wait_for(lambda: len(server.requests) == 1)
        db = sqlite3.connect(limits, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        assert another(server, limits, 1).wait(25) == 0  # a lease lasts 30 s
        db.execute("COMMIT")
        db.close()
        long.result()


def test_without_threads_it_goes_on_alone(server: MockServer, limits: Path) -> None:
    arguments = (server.base_url, server.api_key, str(limits), "")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.count("no thread can be started") == 1
    assert len(server.received) == 2
    assert in_flight(limits) == 0


def test_who_writes_the_log_may_send(server: MockServer, limits: Path) -> None:
    limits.mkdir()
    chat = client(server, SharedLimits.file(limits, grace=0))

    class Alarm(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            chat.send_file(b"x", business_id=3, chat_id=4)

    alarm = Alarm(logging.WARNING)
    logging.getLogger("yandex_market_chat").addHandler(alarm)
    try:
        send(chat, timeout=30)
    finally:
        logging.getLogger("yandex_market_chat").removeHandler(alarm)
    assert len(server.received) == 2


def test_alone_it_makes_one_request_at_once(server: MockServer, limits: Path) -> None:
    limits.mkdir()
    chat = client(server, SharedLimits.file(limits, grace=0))
    server.script(*[Fault(delay=0.2)] * 4)
    most = 0

    def look() -> None:
        nonlocal most
        while any(not end.done() for end in ends):
            most = max(most, sum(request.status is None for request in server.requests))
            time.sleep(0.005)

    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(send, chat) for _ in range(4)]
        began = time.monotonic()
        look()
    assert time.monotonic() - began >= 0.8
    assert most <= 1


@pytest.mark.parametrize("begins", [b"SQLite format 3\0", b"\0" * 16])
def test_a_broken_file_is_set_aside(
    server: MockServer, limits: Path, caplog: pytest.LogCaptureFixture, begins: bytes
) -> None:
    limits.write_bytes(begins + b"broken" * 1000)
    assert send(client(server, limits)).attempts == 1
    assert Path(f"{limits}.broken").read_bytes().startswith(begins + b"broken")
    assert [record.levelname for record in caplog.records if "set aside" in record.getMessage()] == ["WARNING"]


def test_another_holds_the_file_for_long_and_lets_go(
    server: MockServer, limits: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedLimits.file(limits, grace=0.3)
    chat = client(server, shared)
    send(chat)
    wait_for(lambda: in_flight(limits) == 0)
    db = sqlite3.connect(limits, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    assert send(chat, timeout=30).attempts == 1
    db.execute("COMMIT")
    db.close()
    wait_for(lambda: any("are back" in record.getMessage() for record in caplog.records))
    assert send(chat).attempts == 1
    told = [record.getMessage()[:24] for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["the shared limits are aw", "the shared limits are ba"]


def test_a_file_that_is_replaced_is_the_one_that_is_used(server: MockServer, limits: Path) -> None:
    chat = client(server, SharedLimits.file(limits))
    send(chat)
    for name in limits.parent.glob("limits.sqlite*"):
        name.unlink()
    send(chat)
    assert limits.exists()


def test_an_error_while_it_is_alone_is_still_an_outcome(server: MockServer, limits: Path) -> None:
    limits.mkdir()
    server.script(Answer(500))
    with pytest.raises(ChatError) as raised:
        send(client(server, SharedLimits.file(limits, grace=0), confirm_unknown=0))
    assert raised.value.attempts == 1
