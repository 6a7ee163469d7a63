"""Shared limits by a file, as clients use them: threads, tasks, processes, and a file that cannot be used."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from yandex_market_chat import (
    AsyncChatClient,
    ChatClient,
    ChatError,
    InvalidRequestError,
    QuotaExceededError,
    SentFile,
    SharedLimits,
    WaitTimeoutError,
)
from yandex_market_chat.batch import send_batch
from yandex_market_chat.shared._file import FileEngine
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat

ANOTHER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from yandex_market_chat import ChatClient
url, key, limits, count = sys.argv[1:]
with ChatClient(api_key=key, base_url=url, shared_limits=limits) as chat, ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda _: chat.send_file(b"x", business_id=1, chat_id=2), range(int(count))))
"""


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    return tmp_path / "limits.sqlite"


@pytest.fixture
def busy(server: MockServer) -> MockServer:
    """A server that holds Market's limits, half an hour before they are renewed."""
    server.clock.set(datetime.now(UTC).replace(minute=30))
    server.limits.enabled = True
    return server


EXITS = """
import sys, threading, time
from yandex_market_chat import ChatClient
url, key, limits, _ = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, shared_limits=limits)
for _ in range(6):
    threading.Thread(target=chat.send_file, args=(b"x",), kwargs={"business_id": 1, "chat_id": 2}, daemon=True).start()
sys.stdin.read()
"""
IN_AN_UPDATE = """
import os, signal, sys
from yandex_market_chat.shared._file import FileEngine
engine = FileEngine.at(sys.argv[1])
other = FileEngine(sys.argv[1])  # as of another process
def decide(text, now):
    if text == "before":  # it is decided anew, with the transaction open
        os.kill(os.getpid(), signal.SIGKILL)
    other.update("key", lambda text, now: ("before", None))
    return "after", None
engine.update("key", decide)
"""
FORKS = """
import os, sys
from yandex_market_chat import ChatClient, SharedLimits
url, key, limits, _ = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, shared_limits=SharedLimits.file(limits, lease=1))
chat.send_file(b"x", business_id=1, chat_id=2)
if os.fork():
    os._exit(0)
chat.send_file(b"x", business_id=1, chat_id=2)
print("sent", flush=True)
sys.stdin.read()
"""
WITHOUT_THREADS = """
import sys, threading
from yandex_market_chat import ChatClient
url, key, limits, _ = sys.argv[1:]
start, threading.Thread.start = threading.Thread.start, lambda thread: (_ for _ in ()).throw(RuntimeError("no thread"))
with ChatClient(api_key=key, base_url=url, shared_limits=limits) as chat:
    chat.send_file(b"x", business_id=1, chat_id=2)
    threading.Thread.start = start
    chat.send_file(b"x", business_id=1, chat_id=2)
"""
LOOKS = (
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM state').fetchall(); db.close()"
)
WITHOUT_ROOM = """
import resource, sys
from yandex_market_chat import ChatClient, SharedLimits
url, key, limits, _ = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with ChatClient(api_key=key, base_url=url, shared_limits=SharedLimits.file(limits, grace=0.2)) as chat:
    for _ in range(3):
        chat.send_file(b"x", business_id=1, chat_id=2)
"""


def another(server: MockServer, limits: Path, count: int) -> subprocess.Popen[bytes]:
    arguments = (server.base_url, server.api_key, str(limits), str(count))
    return subprocess.Popen([sys.executable, "-W", "error", "-c", ANOTHER, *arguments])


def in_flight(limits: Path) -> int:
    db = sqlite3.connect(limits)
    try:
        return sum(value.count('"expires"') for (value,) in db.execute("SELECT value FROM state"))
    finally:
        db.close()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def client(server: MockServer, limits: object, **more: object) -> ChatClient:
    return ChatClient(api_key=server.api_key, base_url=server.base_url, shared_limits=limits, **more)  # type: ignore[arg-type]


def send(chat: ChatClient, **more: object) -> SentFile:
    return chat.send_file(b"x", business_id=1, chat_id=2, **more)  # type: ignore[arg-type]


def test_processes_threads_and_tasks_share_four_slots(busy: MockServer, limits: Path) -> None:
    others = [another(busy, limits, 40) for _ in range(2)]
    chat = client(busy, limits)

    async def tasks() -> None:
        async with AsyncChatClient(api_key=busy.api_key, base_url=busy.base_url, shared_limits=f"file:{limits}") as own:
            await asyncio.gather(*(own.send_file(b"x", business_id=1, chat_id=2) for _ in range(40)))

    with ThreadPoolExecutor(5) as threads:
        ends = [threads.submit(send, chat) for _ in range(40)] + [threads.submit(asyncio.run, tasks())]
        for end in ends:
            end.result()
    assert [each.wait(60) for each in others] == [0, 0]
    assert (len(busy.received), {request.status for request in busy.requests}) == (160, {200})
    assert oct(limits.stat().st_mode & 0o777) == "0o600"
    wait_for(lambda: in_flight(limits) == 0)
    content = limits.read_bytes() + Path(f"{limits}-wal").read_bytes()
    assert busy.api_key.encode() not in content
    assert b"file" not in content.replace(b"sendFileToChat", b"")


def test_what_another_learned_is_known_and_not_asked_for(busy: MockServer, limits: Path) -> None:
    busy.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        send(client(busy, limits), timeout=5)
    chat = client(busy, SharedLimits.file(limits))
    assert chat.quota(1) is None
    began = time.monotonic()
    with pytest.raises(QuotaExceededError, match="Market was not asked") as raised:
        send(chat, timeout=50)
    assert time.monotonic() - began < 45
    quota = chat.quota(1)
    assert quota is not None
    assert (quota.remaining, quota.resets_at, raised.value.attempts) == (0, busy.limits.resets_at(), 0)
    assert len(busy.requests) == 1


def test_the_slots_are_common_to_all_operations_and_the_quotas_are_not(busy: MockServer, limits: Path) -> None:
    busy.limits.spend(1)
    chat = client(busy, limits)
    with pytest.raises(QuotaExceededError):
        send(chat, timeout=5)
    assert chat.open_chat(business_id=1, order_id=7) > 0


def test_the_slot_of_a_killed_process_is_free_after_its_lease(server: MockServer, limits: Path) -> None:
    shared = SharedLimits.file(limits, slots=1, lease=1)
    holder = another(server, limits, 1)
    server.script(Fault(cut="silence", at="after-body"))
    # The default lease of the other is 30 s: what a process holds is its own affair, so it is shortened in the file.
    wait_for(lambda: len(server.requests) == 1)
    holder.kill()
    holder.wait()
    db = sqlite3.connect(limits)
    db.execute("""UPDATE state SET value = replace(value, '"length":30.0', '"length":0.0')""")
    db.commit()
    db.close()
    assert send(client(server, shared), timeout=60).attempts == 1


def test_a_send_longer_than_its_lease_keeps_its_slot(server: MockServer, limits: Path) -> None:
    first, second = (client(server, SharedLimits.file(limits, slots=1, lease=1)) for _ in range(2))
    server.script(Fault(delay=3.0))
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, first)
        wait_for(lambda: len(server.requests) == 1)
        with pytest.raises(WaitTimeoutError):
            send(second, timeout=1.5)
        assert long.result().attempts == 1


def test_who_is_killed_in_an_update_has_changed_nothing(limits: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", IN_AN_UPDATE, str(limits)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert FileEngine.at(str(limits)).update("key", lambda text, now: ("next", text)) == "before"


def test_a_program_that_ends_in_the_middle_leaves_no_slot_behind(server: MockServer, limits: Path) -> None:
    server.script(*[Fault(cut="silence", at="after-body")] * 4)
    arguments = (server.base_url, server.api_key, str(limits), "")
    with subprocess.Popen([sys.executable, "-c", EXITS, *arguments], stdin=subprocess.PIPE) as program:
        wait_for(lambda: len(server.requests) == 1)
        assert in_flight(limits) == 1
        program.communicate()
    assert program.returncode == 0
    assert in_flight(limits) == 0


@pytest.mark.parametrize("ahead", [47 * 60, -3 * 60 * 60])
def test_the_clock_of_the_server_may_be_another(busy: MockServer, limits: Path, ahead: float) -> None:
    busy.clock.move(ahead)
    busy.limits.spend(1, busy.limits.resource - 20)
    others = [another(busy, limits, 4) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: send(client(busy, limits)), range(4)))
    assert [each.wait(60) for each in others] == [0] * 4
    with pytest.raises(QuotaExceededError, match="Market was not asked"):
        send(client(busy, limits), timeout=5)
    assert {request.status for request in busy.requests} == {200}


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_one_client_on_several_event_loops(busy: MockServer, limits: Path, run: Callable[..., None]) -> None:
    chat = AsyncChatClient(api_key=busy.api_key, base_url=busy.base_url, shared_limits=str(limits))

    async def tasks() -> None:
        await asyncio.gather(*(chat.send_file(b"x", business_id=1, chat_id=2) for _ in range(10)))

    run(tasks())
    with ThreadPoolExecutor(2) as threads:
        for end in [threads.submit(run, tasks()) for _ in range(2)]:
            end.result()
    assert (len(busy.received), {request.status for request in busy.requests}) == (30, {200})


def test_a_short_program_leaves_no_slot_behind(server: MockServer, limits: Path) -> None:
    assert another(server, limits, 3).wait(60) == 0
    assert in_flight(limits) == 0


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_who_stops_waiting_leaves_the_line(
    connect: Callable[..., Chat], server: MockServer, limits: Path, how: str
) -> None:
    shared = SharedLimits.file(limits, slots=1)
    server.script(Fault(delay=1.5))
    holder = client(server, shared)
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, holder)
        wait_for(lambda: len(server.requests) == 1)

        async def waits() -> None:
            async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url, shared_limits=shared) as chat:
                task = asyncio.create_task(chat.send_file(b"x", business_id=1, chat_id=2))
                await asyncio.sleep(0.3)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        if how == "cancelled":
            asyncio.run(waits())
        else:
            with pytest.raises(WaitTimeoutError):
                connect(shared_limits=shared).send(b"x", timeout=0.3)
        long.result()
    wait_for(lambda: in_flight(limits) == 0)
    assert len(server.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_takes_turns_of_its_own(busy: MockServer, limits: Path) -> None:
    chat = client(busy, limits)
    send(chat)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for _ in range(5):
                send(chat, timeout=30)
            status = 0
        finally:
            os._exit(status)
    for _ in range(5):
        send(chat)
    assert os.waitpid(child, 0)[1] == 0
    assert (len(busy.received), {request.status for request in busy.requests}) == (11, {200})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_holds_the_file_as_others_do(server: MockServer, limits: Path) -> None:
    """Whoever closes it last removes what is beside it: a child that nobody sees would go on with what is gone."""
    arguments = (server.base_url, server.api_key, str(limits), "")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKS, *arguments], **pipes) as program:  # type: ignore[call-overload]
        assert program.stdout is not None
        assert program.stdout.readline() == "sent\n"
        program.wait()
        subprocess.run([sys.executable, "-c", LOOKS, str(limits)], check=True)
        assert Path(f"{limits}-wal").exists()


def test_one_file_is_one_engine_however_it_is_spelled(server: MockServer, limits: Path) -> None:
    other = limits.with_name("link.sqlite")
    other.symlink_to(limits)
    first, second = client(server, str(limits)), client(server, SharedLimits.file(other))
    send(first)
    send(second)
    subprocess.run([sys.executable, "-c", LOOKS, str(limits)], check=True)
    assert Path(f"{limits}-wal").exists()
    assert FileEngine.at(str(limits)) is FileEngine.at(str(other))


def test_an_engine_that_answers_is_not_away_however_short_grace_is(
    server: MockServer, limits: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat = client(server, SharedLimits.file(limits, slots=1, grace=0))
    server.script(*[Fault(delay=0.4)] * 3)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: send(chat), range(3)))
    # A busy machine may well keep it from answering for a moment; there were thirty a second.
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) < 6


def test_an_engine_that_forgets_is_told_again_who_is_in_flight(server: MockServer, limits: Path) -> None:
    server.script(Fault(delay=6.0))
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, client(server, SharedLimits.file(limits, slots=1)))
        wait_for(lambda: len(server.requests) == 1)
        with sqlite3.connect(limits) as db:
            db.execute("DELETE FROM state")
        db.close()
        assert in_flight(limits) == 0
        wait_for(lambda: in_flight(limits) == 1)
        assert not long.done()
        long.result()


def test_a_turn_that_nobody_has_any_more_is_given_back(server: MockServer, limits: Path) -> None:
    shared = SharedLimits.file(limits, slots=1)
    server.script(Fault(delay=2.5))
    loop = asyncio.new_event_loop()
    chat = AsyncChatClient(api_key=server.api_key, base_url=server.base_url, shared_limits=shared)
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, client(server, shared))
        wait_for(lambda: len(server.requests) == 1)
        task = loop.create_task(chat.send_file(b"x", business_id=1, chat_id=2))
        loop.run_until_complete(asyncio.sleep(0.2))
        loop.close()  # a program that ends badly
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task
        long.result()
    gc.collect()
    assert send(client(server, shared), timeout=10).attempts == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("slots", [1, 4])
def test_a_batch_and_others_on_one_client_do_not_wait_for_each_other(
    busy: MockServer, limits: Path, tmp_path: Path, slots: int
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    rows = ["business_id,chat_id,file,key", *(f"1,9,a.pdf,{number}" for number in range(20))]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    shared = SharedLimits.file(limits, slots=slots)

    async def both() -> None:
        async with AsyncChatClient(
            api_key=busy.api_key, base_url=busy.base_url, shared_limits=shared, max_parallel=slots, timeout=30.0
        ) as chat:
            result, *_ = await asyncio.gather(
                send_batch(chat, tmp_path / "manifest.csv", journal=tmp_path / "journal"),
                *(chat.send_file(b"x", business_id=1, chat_id=2) for _ in range(20)),
            )
            assert result.sent == 20

    asyncio.run(both())
    assert {request.status for request in busy.requests} == {200}


def test_what_was_told_late_does_not_outlive_its_hour(busy: MockServer, limits: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    first, second = client(busy, SharedLimits.file(limits, grace=0.5)), client(busy, SharedLimits.file(limits))
    send(first)
    busy.clock.set(hour - timedelta(seconds=3))
    busy.limits.spend(1, busy.limits.remaining(1) - 1)
    busy.script(Fault(delay=0.5))
    with ThreadPoolExecutor(1) as threads:
        last = threads.submit(send, first)
        wait_for(lambda: len(busy.requests) == 2)
        db = sqlite3.connect(limits, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        last.result()
        time.sleep(3.5)  # it could not be told that none were left, and now more are
        db.execute("COMMIT")
        db.close()
    wait_for(lambda: in_flight(limits) == 0)
    began = time.process_time()
    assert send(second, timeout=30).attempts == 1
    assert time.process_time() - began < 1
    assert {request.status for request in busy.requests} == {200}


# A file that cannot be used


@pytest.fixture
def broken(limits: Path, kind: str) -> Iterator[None]:
    limits.parent.mkdir(exist_ok=True)
    if kind == "a folder":
        limits.mkdir()
    elif kind == "no folder":
        limits.parent.joinpath("limits.sqlite").symlink_to("/nonexistent/limits")
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_disk_that_is_full_loses_nothing(busy: MockServer, limits: Path) -> None:
    for before in (0, 1):  # the file is there the second time
        arguments = (busy.base_url, busy.api_key, str(limits), "")
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_ROOM, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stderr.count("the shared limits are away") == 1, done.stderr
        assert len(busy.received) == 4 * before + 3
        send(client(busy, limits))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
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


# Arguments


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "shared_limits must be"),
        ("  ", "shared_limits must be"),
        (b"limits", "shared_limits must be"),
        ("memcached://host", "shared_limits: It must be a path"),
        ("postgresql://user:S3cr3t@host", "shared_limits: It must be a path"),
        ("file://host/limits", "shared_limits: It must be a path"),
        ("redis://user:S3cr3t@host/?surprise=1", "is like redis://host:6379/0"),
        ("a\0b", "takes the path of a file"),
        ("redis://user:S3cr3t@host:no-port/0", "is like redis://host:6379/0"),
    ],
)
def test_what_cannot_be_used_is_refused(value: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(said)) as raised:
        ChatClient(api_key="ACMA:" + "k" * 20, shared_limits=value)  # type: ignore[arg-type]
    assert "S3cr3t" not in str(raised.value)
    frame = raised.value.__traceback__
    while frame is not None:
        if "yandex_market_chat" in frame.tb_frame.f_code.co_filename:
            assert "S3cr3t" not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
    assert "S3cr3t" not in repr(raised.value.__context__)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"slots": 0}, "slots must be"),
        ({"slots": True}, "slots must be"),
        ({"lease": 0.5}, "lease must be a number of seconds from 1 to 3600"),
        ({"grace": -1}, "grace must be a number of seconds from 0 to 3600"),
        ({"grace": float("nan")}, "grace must be"),
    ],
)
def test_options_that_cannot_be_used_are_refused(named: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        SharedLimits.file("limits.sqlite", **named)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [{"slots": 0}, {"grace": -1}, {"lease": 0}])
def test_a_refused_option_shows_no_password(named: dict[str, float]) -> None:
    for make, url in ((SharedLimits.redis, "redis://:S3cr3t@host"), (SharedLimits.file, "redis://:S3cr3t@host")):
        with pytest.raises(InvalidRequestError) as raised:
            make(url, **named)  # type: ignore[arg-type]
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        frames = [frame for frame in shown.stack if "tests" not in frame.filename]
        assert frames
        assert not any("S3cr3t" in value for frame in frames for value in (frame.locals or {}).values())


def test_they_are_not_made_directly_nor_pickled(limits: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"SharedLimits\.file"):
        SharedLimits()
    with pytest.raises(TypeError, match="pickled"):
        SharedLimits.file(limits).__reduce__()


def test_the_environment_names_them(server: MockServer, limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_SHARED_LIMITS", str(limits))
    with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
        send(chat)
    assert limits.exists()
    monkeypatch.setenv("YANDEX_MARKET_SHARED_LIMITS", "memcached://host")
    with pytest.raises(InvalidRequestError, match=r"^YANDEX_MARKET_SHARED_LIMITS: It must be a path"):
        ChatClient(api_key=server.api_key)
    ChatClient(api_key=server.api_key, shared_limits="")  # none


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_process_that_closes_its_client_and_is_gone_leaves_no_slot_behind(
    server: MockServer, limits: Path, kind: str
) -> None:
    async def send_async() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url, shared_limits=limits) as chat:
            await chat.send_file(b"x", business_id=1, chat_id=2)

    for _ in range(5):
        child = os.fork()
        if child == 0:
            try:
                if kind == "async":
                    asyncio.run(send_async())
                else:
                    with client(server, limits) as chat:
                        send(chat)
            finally:
                os._exit(0)  # as multiprocessing does
        os.waitpid(child, 0)
        assert in_flight(limits) == 0
    assert len(server.received) == 5


def test_without_them_nothing_is_imported_for_them(server: MockServer) -> None:
    look = (
        "import sys, threading; from yandex_market_chat import ChatClient;"
        " ChatClient(api_key=sys.argv[2], base_url=sys.argv[1]).send_file(b'x', business_id=1, chat_id=2);"
        " print([name for name in ('sqlite3', 'redis', 'yandex_market_chat.shared._keeper') if name in sys.modules],"
        " threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, server.base_url, server.api_key], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_ctrl_c_while_waiting_passes_through(server: MockServer, limits: Path) -> None:
    shared = SharedLimits.file(limits, slots=1)
    server.script(Fault(delay=1.0))
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, client(server, shared))
        wait_for(lambda: len(server.requests) == 1)
        threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,)).start()
        with pytest.raises(KeyboardInterrupt):
            send(client(server, shared))
        long.result()
    wait_for(lambda: in_flight(limits) == 0)
    assert len(server.requests) == 1


def test_an_error_while_it_is_alone_is_still_an_outcome(server: MockServer, limits: Path) -> None:
    limits.mkdir()
    server.script(Answer(500))
    with pytest.raises(ChatError) as raised:
        send(client(server, SharedLimits.file(limits, grace=0), confirm_unknown=0))
    assert raised.value.attempts == 1
