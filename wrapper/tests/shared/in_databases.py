"""The ledger in a real PostgreSQL, and processes that are really killed, with either database. `make test-ledger`.

The tests of `test_ledger` and `test_ledger_states` run here again, each with a table of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest

from yandex_market_chat import AsyncChatClient, ChatClient, InvalidRequestError, Ledger, LedgerError
from yandex_market_chat.shared import _background
from yandex_market_chat.testing import MockServer

from ..gateways.program import Program
from ..ports import kept_port
from .ledgers import Database, Postgres, children_of, in_thread, states
from .programs import wait_for
from .test_ledger import *  # noqa: F403
from .test_ledger_confirming import *  # noqa: F403
from .test_ledger_equal_files import *  # noqa: F403
from .test_ledger_in_trouble import *  # noqa: F403
from .test_ledger_interrupted import *  # noqa: F403
from .test_ledger_states import *  # noqa: F403


@pytest.fixture
def database(own_table: Postgres) -> Postgres:
    return own_table


# What is on the disk before the connection opens


CLAIMS = """
import sys
from yandex_market_chat import ChatClient
url, key, ledger = sys.argv[1:]
with ChatClient(api_key=key, base_url=url, ledger=ledger) as chat:
    chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="first")  # which creates the file, too
    chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="second")
"""


def test_the_claim_is_synced_before_the_connection_opens(server: MockServer, tmp_path: Path) -> None:
    """By strace: what was written to the file's log is synced, then comes the connection."""
    log, file = tmp_path / "strace", tmp_path / "sent.sqlite"
    traced = ["strace", "-f", "-y", "-e", "trace=pwrite64,fsync,fdatasync,connect", "-o", str(log)]
    program = [sys.executable, "-c", CLAIMS, server.base_url, server.api_key, str(file)]
    subprocess.run([*traced, *program], check=True, timeout=60)
    written = synced = connections = 0
    for line in log.read_text().splitlines():
        if "connect(" in line and f"htons({server.base_url.rpartition(':')[2]})" in line:
            connections += 1
            assert written == synced > 0, "a connection opened while something was not synced"
            written = synced = 0
        elif f"{file}-wal" in line:
            if "pwrite64(" in line:
                written, synced = 1, 0
            elif "sync(" in line:
                synced = 1
    assert connections == 2


def test_a_claim_is_committed_before_the_connection_opens(server: MockServer, database: Postgres) -> None:
    """By the server's log: one statement before, and one after; the row of the first is there for anybody."""
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=database.ledger()) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="first")  # which creates the table, too
        before = len(database.log())
        seen: list[str] = []

        def look(sent: int, size: int) -> None:
            if not seen:  # the connection is open, and nothing is written
                seen.append(states(database)["second"])

        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="second", on_progress=look)
    assert seen == ["sending"]
    statements = re.findall(
        r"(?:statement|execute <unnamed>): +(\w+)(?: INTO)? (\S+)", " ".join(database.log()[before:].split())
    )
    assert [verb for verb, table in statements if table == f'"{database.table}"'] == ["INSERT", "UPDATE"], statements
    assert not {"BEGIN", "PREPARE"} & {verb for verb, _ in statements}


# PostgreSQL


@pytest.mark.parametrize("given", ["a pool", "a pool of dictionaries"])
def test_a_pool_of_the_callers(server: MockServer, database: Postgres, given: str) -> None:
    more: dict[str, Any] = {"kwargs": {"row_factory": psycopg.rows.dict_row}} if given != "a pool" else {}
    with psycopg_pool.ConnectionPool(database.url, min_size=0, max_size=2, open=True, **more) as pool:
        ledger = Ledger.postgres(pool, table=database.table)
        with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=ledger) as chat:
            for again in (False, True):
                sent = chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
                assert sent.from_ledger is again
        assert ledger.prune(timedelta()) == 1
    with pytest.raises(LedgerError, match="PoolClosed"):
        ledger.prune(timedelta())


def test_an_asynchronous_pool_is_refused() -> None:
    pool = psycopg_pool.AsyncConnectionPool("", open=False)
    with pytest.raises(InvalidRequestError, match="no AsyncConnectionPool"):
        Ledger.postgres(pool)


def test_a_role_for_one_table(server: MockServer, database: Postgres) -> None:
    """It may not create the table, and says so; when it is there, it may do all that is needed."""
    role = f"role_{database.table}"
    database.execute("SELECT 1")
    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute(f"CREATE ROLE {role} LOGIN")
    ledger = Ledger.postgres(database.url.replace("shop@", f"{role}@"), table=database.table)
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=ledger) as chat:
        with pytest.raises(LedgerError, match="needs SELECT, INSERT, UPDATE and DELETE"):
            chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
        database.ledger().prune(timedelta())  # creates it
        with psycopg.connect(database.url, autocommit=True) as db:
            db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database.table} TO {role}")
        for again in (False, True):
            assert chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k").from_ledger is again
    assert ledger.prune(timedelta()) == 1


BOUNCER = """
[databases]
* = host=127.0.0.1 port={port} user=shop
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
auth_type = any
pool_mode = transaction
default_pool_size = 2
unix_socket_dir =
"""


def test_behind_a_pgbouncer_that_pools_by_transaction(server: MockServer, database: Postgres, tmp_path: Path) -> None:
    """Two connections for four clients with five keys each, all at once."""
    keeper, own = kept_port()
    (database.folder / "bouncer.ini").write_text(BOUNCER.format(port=database.port, own=own))
    command = [*database.user, "/usr/sbin/pgbouncer", str(database.folder / "bouncer.ini")]
    with keeper, Program(command, tmp_path, ("127.0.0.1", own)):
        url = database.url.replace(str(database.port), str(own))
        made = [
            ChatClient(
                api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(url, table=database.table)
            )
            for _ in range(4)
        ]
        calls = [
            in_thread(partial(chat.send_file, b"x", business_id=1, chat_id=2, idempotency_key=str(key)))
            for key in range(5)
            for chat in made
        ]
        for thread, _ in calls:
            thread.join()
        ends = Counter(type(ended[0]).__name__ for _, ended in calls)
        assert set(ends) <= {"SentFile", "InProgressError"}, ends
        assert made[0].send_file(b"x", business_id=1, chat_id=2, idempotency_key="0").from_ledger
    assert len(server.received) == 5


def test_a_table_in_a_schema_and_one_of_something_else(server: MockServer, database: Postgres) -> None:
    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute("CREATE SCHEMA IF NOT EXISTS sales; CREATE TABLE other (id int)")
    with ChatClient(
        api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(database.url, table="sales.sent")
    ) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    with (
        ChatClient(
            api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(database.url, table="other")
        ) as chat,
        pytest.raises(LedgerError, match="the table is another's"),
    ):
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    assert len(server.received) == 1


def test_a_table_that_is_dropped_is_not_made_again(server: MockServer, database: Postgres) -> None:
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=database.ledger()) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
        database.execute("DROP TABLE {table}")
        for _ in range(2):
            with pytest.raises(LedgerError, match="was dropped while it was in use"):
                chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    assert len(server.received) == 1


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_whatever_isolation_is_the_default(server: MockServer, database: Postgres, level: str) -> None:
    url = f"{database.url}?options=-c%20default_transaction_isolation%3D{level.replace(' ', '%5C%20')}"
    made = [
        ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(url, table=database.table))
        for _ in range(4)
    ]
    calls = [
        in_thread(partial(chat.send_file, b"x", business_id=1, chat_id=2, idempotency_key=str(key)))
        for key in range(20)
        for chat in made
    ]
    for thread, _ in calls:
        thread.join()
    ends = Counter(type(ended[0]).__name__ for _, ended in calls)
    assert len(server.received) == 20
    assert set(ends) <= {"SentFile", "InProgressError"}, {
        str(e[0]) for _, e in calls if "Ledger" in type(e[0]).__name__
    }


def test_a_server_that_stands_still(server: MockServer, database: Postgres) -> None:
    """The total bounds it, the event loop goes on, and when it goes on, so does everything."""
    pid = int(Path(f"{database.folder}/data/postmaster.pid").read_text().split()[0])
    stopped: list[int] = []

    def go_on() -> None:
        while stopped:
            os.kill(stopped.pop(), signal.SIGCONT)

    async def main() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url, ledger=database.ledger()) as chat:
            await chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="before")
            stopped.extend([pid, *children_of(pid)])
            for each in stopped:
                os.kill(each, signal.SIGSTOP)
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.01)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            began = time.monotonic()
            with pytest.raises(LedgerError, match="did not answer within"):
                await chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k", timeout=2.0)
            assert time.monotonic() - began < 20  # 2.0 was measured; a busy machine is slower
            ticking.cancel()
            assert ticks > 20
            go_on()
            end = time.monotonic() + 60
            while _background._pending or states(database).get("k") == "sending":  # claimed after all: taken back
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            assert not (await chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")).from_ledger

    try:
        asyncio.run(main())
    finally:
        go_on()
    assert len(server.received) == 2


def locals_of(error: BaseException | None) -> str:
    """All that hangs on an error, but for the frames of this test."""
    if error is None:
        return ""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    return (
        f"{error!r} {[frame.f_locals for frame in frames]}" + locals_of(error.__context__) + locals_of(error.__cause__)
    )


def test_no_password_anywhere(server: MockServer, database: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    secret = "S3cr3tPassword"
    for url in (
        f"postgresql://shop:{secret}@127.0.0.1:9/x",
        f"postgresql://shop:{secret}@127.0.0.1:{database.port}/none",
    ):
        chat = ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=url)
        with caplog.at_level(0), pytest.raises(LedgerError) as caught:
            chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k", timeout=5.0)
        assert secret not in repr(chat) + repr(chat._ledger) + caplog.text + locals_of(caught.value)
        assert chat._ledger is not None
        with pytest.raises(LedgerError) as pruned:
            chat._ledger.prune(timedelta())
        assert secret not in locals_of(pruned.value)
    for bad in (f"postgresql://shop:{secret}@host/x?nonsense=1", f"mysql://shop:{secret}@host/x"):
        with pytest.raises(InvalidRequestError) as refused:
            ChatClient(api_key=server.api_key, ledger=bad)
        assert secret not in locals_of(refused.value)


def test_a_database_that_forgets_is_told(
    server: MockServer, database: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{database.url}?options=-c%20synchronous_commit%3Doff"
    with ChatClient(
        api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(url, table=database.table)
    ) as chat:
        for key in ("a", "b"):
            chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key=key)
    assert caplog.text.count("synchronous_commit = off") == 1


@pytest.mark.parametrize("table", ["", "a b", 'a"b', "a.b.c", ".a", "a.", "x" * 56, "a;b", 7])
def test_what_is_no_table(table: Any) -> None:
    with pytest.raises(InvalidRequestError, match="table must be"):
        Ledger.postgres("postgresql://shop@db/shop", table=table)


SECRET = "S3cr3tPassword"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://shop:{SECRET}/x@host/shop",
        f"postgresql://shop:x@{SECRET}@host/shop",
        f"postgresql://shop:{SECRET}?b=c@host/shop",
        f"postgresql://shop:x#{SECRET}@host/shop",
        f"postgresql://shop:{SECRET}",
    ],
)
def test_a_password_that_is_not_encoded_is_not_shown(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="percent-encoded") as caught:
        Ledger.postgres(url)
    assert SECRET not in locals_of(caught.value)
    with pytest.raises(InvalidRequestError, match="percent-encoded") as caught:
        ChatClient(api_key="ACMA:" + "k" * 20, ledger=url)
    assert SECRET not in locals_of(caught.value)


@pytest.mark.parametrize(
    "host", ["db", "db:5432", "[::1]:5432", "10.0.0.1", "db1:5432,db2:5432", "", "%2Fvar%2Frun"], ids=repr
)
def test_hosts_as_libpq_has_them(host: str) -> None:
    assert "shop" not in repr(Ledger.postgres(f"postgresql://shop:p%40ss@{host}/x")).replace("/x", "")


def test_a_database_without_an_encoding(server: MockServer, postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS plain")
        db.execute("CREATE DATABASE plain ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    url = postgres.url.replace("/postgres", "/plain")
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=url) as chat:
        for again in (False, True):
            sent = chat.send_file(b"x", name="счёт.pdf", business_id=1, chat_id=2, idempotency_key="ключ")
            assert sent.from_ledger is again
    with psycopg_pool.ConnectionPool(url, min_size=0, max_size=2, open=True) as pool:
        given = ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=Ledger.postgres(pool))
        with pytest.raises(LedgerError, match="client_encoding=utf8"):
            given.send_file(b"x", name="счёт.pdf", business_id=1, chat_id=2, idempotency_key="ключ")
    assert len(server.received) == 1


def test_a_database_that_is_away_costs_no_threads(server: MockServer, database: Postgres) -> None:
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=database.ledger()) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="before")
        with database.away():
            for number in range(50):
                with pytest.raises(LedgerError):
                    chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key=str(number))
            wait_for(lambda: threading.active_count() < 15)
        assert not chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="1").from_ledger


PAGE = (Path(__file__).parents[3] / "docs" / "sending-once.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_pool_of_the_page(server: MockServer, database: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", server.api_key)
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", server.base_url)
    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute("CREATE SCHEMA IF NOT EXISTS sales; DROP TABLE IF EXISTS sales.sent_files")
    (code,) = [each for each in EXAMPLES if "ConnectionPool" in each]
    made: dict[str, Any] = {}
    exec(code.replace("postgresql://shop@db/shop", database.url), made)
    for again in (False, True):
        sent = made["chat"].send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
        assert sent.from_ledger is again
    made["chat"].close()
    made["pool"].close()


def test_the_task_of_the_page(server: MockServer, either: Database, tmp_path: Path) -> None:
    """Called as a worker would, twice: the file is sent once."""
    (code,) = [each for each in EXAMPLES if "celery" in each]
    (tmp_path / "tasks.py").write_text(code, encoding="utf-8")
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    environment = {
        **os.environ,
        "YANDEX_MARKET_API_KEY": server.api_key,
        "YANDEX_MARKET_BASE_URL": server.base_url,
        "YANDEX_MARKET_LEDGER": either.url,
    }
    number = time.time_ns()  # the table is the default one, which other tests have used
    ask = f"import tasks\nfor _ in range(2): tasks.send_invoice('invoice.pdf', 1, 7, '{number}')"
    subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert len(server.received) == 1
