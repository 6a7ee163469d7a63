"""The ledger in PostgreSQL, through psycopg 3, for processes on several hosts.

Each statement is a transaction of its own, so that pgbouncer may pool by transaction; nothing is prepared, and no state
of a session is relied on.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from weakref import finalize

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from .._send import logger
from ._row import SCHEMA, RowError, Rows, TakenError

CONNECT_TIMEOUT = 5
"""Seconds."""
MOST = 8
"""Connections of a process at once; who comes then waits for one."""
PATIENCE = 10.0
"""Seconds to wait for one of them."""
MOST_REPEATS = 20
"""Of a statement that others have got in the way of."""
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_OF_THE_SERVER = ("08", "25", "28", "3D", "3F", "42", "53", "57")
"""Classes of SQLSTATE: connections, read-only, access, no such database or schema, rights, resources, shutdown."""
_HOST = re.compile(r"([^:\[\]]*|\[[^\]]*\])(:\d*)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,54}")


def _check_url(url: str) -> None:
    """Refuse what libpq would read as another host than was meant: with a part of the password in its name."""
    authority, *rest = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)
    hosts = authority.rpartition("@")[2].split(",")
    if authority.count("@") > 1 or "@" in "".join(rest) or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError(
            "The URL of the ledger cannot be used: it is like postgresql://user:password@host:5432/database, where"
            " @, /, :, ? and # in user and password are percent-encoded (%40, %2F, %3A, %3F, %23)."
        )


class _Kept(NamedTuple):
    idle: list[psycopg.Connection[Any]]
    free: threading.BoundedSemaphore


def _close_idle(kept: dict[int, _Kept]) -> None:
    idle = kept[os.getpid()].idle if os.getpid() in kept else []
    while idle:
        with suppress(Exception):  # whatever it is: nobody uses it any more
            idle.pop().close()


class PostgresRows(Rows):
    """The rows of a table."""

    def __init__(self, url_or_pool: Any, table: str) -> None:
        schema, _, name = table.rpartition(".")
        if not _NAME.fullmatch(name) or (schema and not _NAME.fullmatch(schema)) or table.count(".") > bool(schema):
            raise ValueError("table must be a name, or schema.name: letters, digits and _, at most 55 characters.")
        self._own = {"table": f'"{schema}"."{name}"' if schema else f'"{name}"', "now": _NOW}
        self._pool = None if isinstance(url_or_pool, str) else url_or_pool
        self._url = url_or_pool if isinstance(url_or_pool, str) else ""
        _check_url(self._url)
        told = conninfo_to_dict(self._url)  # raises for what libpq does not know; connects nowhere
        self._password = str(told.get("password") or "")
        self.where = "the given pool"
        if self._url:
            self.where = f"{told.get('host') or 'localhost'}:{told.get('port') or 5432}/{told.get('dbname') or ''}"
        self._warned = self._seen = False
        # By process: a forked child opens its own. The parent's are not closed, which would end them for the parent.
        self._kept: dict[int, _Kept] = {}
        finalize(self, _close_idle, self._kept)

    def run(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement as `Rows.run` says."""
        text = re.sub(r"(?<!:):([a-z_0-9]+)", r"%(\1)s", statement.format(**self._own))
        repeated = 0
        while True:
            try:
                found = self._run(text, values)
                self._seen = True
                return found
            except errors.UndefinedTable as error:
                if self._seen:
                    told = f"The table {self._own['table']} was dropped while it was in use"
                    raise RowError(f"{told}; restore it: without it no key is known, and all is sent again") from None
                repeated += 1
                if repeated == MOST_REPEATS:
                    raise self._unusable(error) from None
                self._create()
            except errors.UniqueViolation:
                raise TakenError from None
            except (errors.SerializationFailure, errors.DeadlockDetected) as error:
                # Where REPEATABLE READ or SERIALIZABLE is the default.
                repeated += 1
                if repeated == MOST_REPEATS:
                    raise self._unusable(error) from None
                time.sleep(random.uniform(0, 0.002) * repeated)  # noqa: S311
            except RowError:
                raise
            except Exception as error:  # psycopg's, its pool's, or that of whoever made the pool
                raise self._unusable(error) from None

    def _create(self) -> None:
        # One transaction, and one at a time: two that create the same table get in each other's way.
        lock = "SELECT pg_advisory_xact_lock(hashtext('yandex-market-chat'))"
        try:
            self._run(f"{lock};{SCHEMA.format(**self._own)}", None)
        except errors.SerializationFailure:
            pass  # another has just made it
        except psycopg.Error as error:
            raise self._unusable(error) from None

    def _run(self, text: str, values: dict[str, Any] | None) -> list[tuple[Any, ...]]:
        fresh = kept = handed_over = False
        while True:
            try:
                with self._connection(fresh) as (connection, kept), connection.cursor(row_factory=tuple_row) as cursor:
                    handed_over = True
                    cursor.execute(text.encode(), values, prepare=False)
                    found = cursor.fetchall() if cursor.description else [(cursor.rowcount,)]
                if any(isinstance(value, bytes) for row in found for value in row):
                    raise RowError("PostgreSQL gives bytes, not text: the connections need client_encoding=utf8")
                return found
            except (errors.SerializationFailure, errors.DeadlockDetected):  # which are such errors, too
                raise
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # A kept connection may have been lost long ago. Each statement may be run twice by the same caller.
                if fresh or self._pool is not None or not kept:
                    raise self._unusable(error, answer_lost=handed_over) from None
                fresh = True

    @contextmanager
    def _connection(self, fresh: bool) -> Iterator[tuple[psycopg.Connection[Any], bool]]:
        if self._pool is not None:
            with self._pool.connection(timeout=PATIENCE) as connection:
                yield connection, False
            return
        idle, free = self._kept.setdefault(os.getpid(), _Kept([], threading.BoundedSemaphore(MOST)))
        if not free.acquire(timeout=PATIENCE):
            raise psycopg.OperationalError(f"all {MOST} connections are in use")
        connection, kept = None, False
        try:
            if not fresh:
                with suppress(IndexError):
                    connection, kept = idle.pop(), True
            connection = connection or self._connect()
            yield connection, kept
            idle.append(connection)
            connection = None
        finally:
            if connection is not None:  # whatever became of it
                with suppress(Exception):
                    connection.close()
            free.release()

    def _connect(self) -> psycopg.Connection[Any]:
        defaults: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "yandex-market-chat"}
        defaults["client_encoding"] = "utf8"  # a database without one (SQL_ASCII) would give bytes
        defaults |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}
        given = conninfo_to_dict(self._url)
        connection = psycopg.connect(
            self._url, autocommit=True, **{k: v for k, v in defaults.items() if k not in given}
        )
        if not self._warned:
            (durable,) = connection.execute("SHOW synchronous_commit", prepare=False).fetchone() or ("on",)
            self._warned = True
            if durable == "off":
                text = "the ledger's database has synchronous_commit = off: a crash of it may forget what was sent"
                logger.warning(text)
        return connection

    def _unusable(self, error: Exception, *, answer_lost: bool = False) -> RowError:
        # What it says of a statement may hold a row's values: only what it says of the server is shown.
        code = getattr(error, "sqlstate", None) or ""
        said, hint = type(error).__name__, ""
        if isinstance(error, psycopg.Error) and (code[:2] in _OF_THE_SERVER or not code) and str(error):
            first = str(error).partition("\n")[0]
            said = f"{said}: {first.replace(self._password, '***') if self._password else first}"
        if isinstance(error, errors.InsufficientPrivilege):
            hint = "; the role needs SELECT, INSERT, UPDATE and DELETE on the table, or the right to create it"
        elif isinstance(error, errors.UndefinedColumn | errors.DatatypeMismatch):
            hint = "; the table is another's, or was made by another version of this package"
        where = f"PostgreSQL at {self.where}, table {self._own['table']}"
        unusable = RowError(f"{where}, cannot be used: {said}{f' ({code})' if code else ''}{hint}")
        unusable.answer_lost = answer_lost
        return unusable
