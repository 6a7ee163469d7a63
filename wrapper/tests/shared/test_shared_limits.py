"""Shared limits by a file, as clients use them: threads, tasks, processes, batches."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from yandex_market_chat import AsyncChatClient, QuotaExceededError, SharedLimits, WaitTimeoutError
from yandex_market_chat.batch import send_batch
from yandex_market_chat.shared._file import FileEngine
from yandex_market_chat.testing import Fault, MockServer

from ..conftest import Chat
from ..interrupts import interrupted_when, needs_signals
from .programs import EXITS, FORKS, IN_AN_UPDATE, LOOKS, another, client, in_flight, known, needs_posix, send, wait_for


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


@needs_posix
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


@needs_posix
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


def test_a_batch_learns_from_others_that_the_quota_is_spent_and_waits(
    busy: MockServer, limits: Path, tmp_path: Path
) -> None:
    busy.clock.set(datetime.now(UTC).replace(minute=59, second=50, microsecond=0))
    busy.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        send(client(busy, limits), timeout=1)
    (tmp_path / "a.pdf").write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text("business_id,chat_id,file\n1,9,a.pdf\n2,9,a.pdf\n")

    async def run() -> None:
        async with AsyncChatClient(
            api_key=busy.api_key, base_url=busy.base_url, shared_limits=SharedLimits.file(limits)
        ) as chat:
            result = await send_batch(chat, tmp_path / "manifest.csv", journal=tmp_path / "journal")
            assert (result.sent, result.not_sent, result.stopped) == (2, 0, None)

    asyncio.run(run())
    assert [request.status for request in busy.requests] == [420, 200, 200]


def test_what_was_told_late_does_not_outlive_its_hour(busy: MockServer, limits: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    first, second = client(busy, SharedLimits.file(limits, grace=0.5)), client(busy, SharedLimits.file(limits))
    send(first)
    busy.clock.set(hour - timedelta(seconds=6))
    busy.limits.spend(1, busy.limits.remaining(1) - 1)
    busy.script(Fault(delay=2.0))
    with ThreadPoolExecutor(1) as threads:
        last = threads.submit(send, first)
        wait_for(lambda: len(busy.requests) == 2)
        db = sqlite3.connect(limits, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        last.result()
        time.sleep(6.5)  # it could not be told that none were left, and now more are
        db.execute("COMMIT")
        db.close()
    wait_for(lambda: in_flight(limits) == 0)
    assert '"left":0' not in known(limits)
    began = time.process_time()
    assert send(second, timeout=30).attempts == 1
    assert time.process_time() - began < 1
    assert {request.status for request in busy.requests} == {200}


@needs_posix
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


def test_who_gives_up_while_the_engine_is_asked_leaves_no_slot_behind(server: MockServer, limits: Path) -> None:
    chat = client(server, SharedLimits.file(limits, slots=1))
    send(chat)
    wait_for(lambda: in_flight(limits) == 0)
    db = sqlite3.connect(limits, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")  # what the engine decides cannot be written yet
    with pytest.raises(WaitTimeoutError):
        send(chat, timeout=0.3)
    db.execute("COMMIT")
    db.close()
    assert send(chat, timeout=20).attempts == 1  # less than a lease


@needs_signals
def test_ctrl_c_while_waiting_passes_through(server: MockServer, limits: Path) -> None:
    shared = SharedLimits.file(limits, slots=1)
    server.script(Fault(delay=1.0))
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(send, client(server, shared))
        wait_for(lambda: len(server.requests) == 1)
        with interrupted_when(lambda: True, after=0.3), pytest.raises(KeyboardInterrupt):
            send(client(server, shared))
        long.result()
    wait_for(lambda: in_flight(limits) == 0)
    assert len(server.requests) == 1
