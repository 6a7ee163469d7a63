"""The databases of a ledger, as a test sees them from outside: its rows, and its troubles."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yandex_market_chat import Ledger
from yandex_market_chat.shared._row import Rows
from yandex_market_chat.testing import Fault, MockServer

from ..ports import kept_port

KEY = {"idempotency_key": "k"}
SLOW = Fault(delay=3.0)

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("install Debian's package postgresql"))


class Sqlite:
    """A file."""

    table = "sent"
    now = "((julianday('now') - 2440587.5) * 86400.0)"

    def __init__(self, path: Path) -> None:
        self.url = str(path)

    def ledger(self, **options: Any) -> Ledger:
        return Ledger.sqlite(self.url, **options)

    def execute(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement as somebody else would."""
        if not Path(self.url).exists():
            return []
        db = sqlite3.connect(self.url, isolation_level=None, timeout=10)
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute(self._own(statement)).fetchall()]
        finally:
            db.close()

    def _own(self, statement: str) -> str:
        return statement.replace("{table}", self.table).replace("{now}", self.now)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Make it impossible to use it: another process holds it."""
        db = sqlite3.connect(self.url, isolation_level=None, check_same_thread=False)
        db.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            db.close()


class Postgres:
    """A server of our own on loopback, in a folder of its own. PostgreSQL does not run as root."""

    now = "extract(epoch FROM clock_timestamp())"

    def __init__(self) -> None:
        self.table = "yandex_market_chat_sent"
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are for one user
        self.user: list[str] = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            self.user = ["runuser", "-u", "postgres", "--"]
        self._keeper, self.port = kept_port()
        self.url = f"postgresql://shop@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-D", f"{self.folder}/data", "-U", "shop", "-A", "trust", "-N", "--no-instructions")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(BIN / program), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=sys.stderr, timeout=60)

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c log_statement=all -c log_line_prefix=%m_"
        )
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", how, "stop")

    def remove(self) -> None:
        self.stop()
        self._keeper.close()
        shutil.rmtree(self.folder)

    def ledger(self, **options: Any) -> Ledger:
        return Ledger.postgres(self.url, table=self.table, **options)

    def execute(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement as somebody else would."""
        import psycopg
        from psycopg.rows import dict_row

        own = statement.replace("{table}", self.table).replace("{now}", self.now)
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as db:
            if not db.execute(f"SELECT to_regclass('{self.table}') AS found").fetchall()[0]["found"]:
                return []
            cursor = db.execute(own)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def away(self) -> Iterator[None]:
        """Make it impossible to use it: it is stopped."""
        self.stop("fast")
        try:
            yield
        finally:
            self.start()

    def log(self) -> str:
        return Path(f"{self.folder}/log").read_text()


Database = Sqlite | Postgres


def rows_of(ledger: Ledger) -> Rows:
    rows: Rows = ledger._rows
    return rows


def row(database: Database, key: str = "k") -> dict[str, Any]:
    """Return the row of a key, none: {}."""
    found = [each for each in database.execute("SELECT * FROM {table}") if each["key"] == key]
    return found[0] if found else {}


def states(database: Database) -> dict[str, str]:
    return {each["key"]: each["state"] for each in database.execute("SELECT key, state FROM {table}")}


def requests(server: MockServer) -> list[str]:
    return [request.operation or "" for request in server.requests]


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(call())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]
