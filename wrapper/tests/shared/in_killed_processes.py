"""Processes that share a ledger, in SQLite and in a real PostgreSQL, really killed. Run by `make test-ledger`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from yandex_market_chat.testing import Answer, Fault, MockServer

from .celery_queue import CeleryQueue
from .ledgers import Database, Postgres, Sqlite, children_of, states
from .programs import wait_for

SENDER = Path(__file__).with_name("sender.py")
KEYS = [str(number) for number in range(300)]


def start(server: MockServer, database: Database, **more: Any) -> subprocess.Popen[str]:
    table = {} if isinstance(database, Sqlite) else {"table": database.table}
    told: dict[str, Any] = {
        "url": server.base_url,
        "key": server.api_key,
        "ledger": database.url,
        "options": {"lease": 2.0} | table,
    }
    told |= {"keys": KEYS, "seed": 1, "mode": "threads", "tries": 20, "confirm": 3.0} | more
    command = [sys.executable, "-W", "error", str(SENDER), json.dumps(told)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(worker: subprocess.Popen[str]) -> dict[str, str]:
    out, said = worker.communicate(timeout=300)
    assert worker.returncode == 0, said
    told: dict[str, str] = json.loads(out)
    return told


def delivered(server: MockServer) -> Counter[str]:
    return Counter(key for key in KEYS for _ in server.chats.messages(1, 1000 + int(key)))


def test_five_processes_send_each_key_once(server: MockServer, either: Database) -> None:
    """300 keys, all handed to each; 50 processes killed, the database away twice, a server that loses and refuses."""
    dice = random.Random(1)
    troubles: list[Answer | Fault] = [
        Answer(500, taken=True), Answer(500), Answer(420, example="parallel"),
        Fault(cut="reset", at="after-body", taken=True), Fault(cut="reset", at="after-body"),
        Fault(cut="reset", at="in-body", after=20),
    ]  # fmt: skip
    server.script(*(dice.choice(troubles) if dice.random() < 0.1 else Fault(delay=0.25) for _ in range(5000)))
    seeds = count(1)

    def another() -> subprocess.Popen[str]:
        number = next(seeds)
        return start(server, either, seed=number, mode=("threads", "tasks")[number % 2])

    workers = [another() for _ in range(5)]
    for number in range(50):
        time.sleep(dice.uniform(0.5, 1.0))
        victim = workers.pop(0)  # the oldest: the others may not have begun
        victim.kill()
        victim.communicate()
        workers.append(another())
        if number in (15, 35):
            with either.away():
                time.sleep(1.0)
    ends = [finish(worker) for worker in workers]
    time.sleep(2.5)  # the lease of the last one that was killed
    assert server.script_left, "the script was too short"
    last = finish(start(server, either, tries=3))
    found, arrived = states(either), delivered(server)
    ended = Counter(last.values())
    print(f"{type(either).__name__}: {Counter(found.values())}, arrived {len(arrived)}, told last {ended}")
    assert max(arrived.values()) == 1, arrived
    assert set(found) == set(KEYS)
    assert set(found.values()) <= {"sent", "unknown"}
    # Confirming is on: what has arrived is sent, and what is unknown has not arrived.
    assert {key for key, state in found.items() if state == "sent"} == set(arrived)
    assert {key for key, end in last.items() if end == "SentFile"} == set(arrived)
    for told in ends:
        assert {key for key, end in told.items() if end == "SentFile"} <= set(arrived)
    assert len(arrived) >= 200  # about 1 in 20 attempts is lost by the script, and one at most by a kill


def test_of_killed_processes_only_what_was_in_flight_is_unknown(server: MockServer, either: Database) -> None:
    """Without troubles of the server: as many as there were kills, at most."""
    server.script(*[Fault(delay=0.3)] * 2000)
    seeds = count(1)
    workers = [start(server, either, seed=next(seeds), confirm=0.0) for _ in range(5)]
    dice = random.Random(2)
    for _ in range(20):
        time.sleep(dice.uniform(0.5, 0.9))
        victim = workers.pop(0)
        victim.kill()
        victim.communicate()
        workers.append(start(server, either, seed=next(seeds), confirm=0.0))
    for worker in workers:
        finish(worker)
    found, arrived = states(either), delivered(server)
    print(f"{type(either).__name__}: {Counter(found.values())}, arrived {len(arrived)}")
    assert max(arrived.values()) == 1
    assert set(found.values()) <= {"sent", "unknown"}
    assert list(found.values()).count("unknown") <= 20
    assert {key for key, state in found.items() if state == "sent"} <= set(arrived)


# A queue that runs a task again


def test_a_celery_killed_in_the_middle_of_a_task(server: MockServer, either: Database, tmp_path: Path) -> None:
    """The worker dies while the file is in flight: the task runs again, and the buyer has one file."""
    if isinstance(either, Postgres):
        either.table = "yandex_market_chat_sent"
    server.script(Fault(delay=2.0, taken=True))
    queue = CeleryQueue(tmp_path / "queue", server, LEDGER=either.url)
    queue.ask("celery_app.send_once.delay('invoice-4711')")
    running = queue.worker(processes=1)
    wait_for(lambda: server.in_flight == 1)
    children = children_of(running.pid)
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)  # as the kernel does when memory is short; the task is put back
    try:
        wait_for(lambda: states(either).get("invoice-4711") == "sent")
    finally:
        running.terminate()
        running.communicate(timeout=60)
    assert len(server.chats.messages(1, 2)) == 1
    assert sum(request.operation == "sendFileToChat" for request in server.requests) == 1
