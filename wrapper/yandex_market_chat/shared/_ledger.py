"""The ledger: what became of each idempotency key, for all processes that name it."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from .._errors import LedgerError
from .._options import refuse
from ._named import named

if TYPE_CHECKING:
    from .._send import Send
    from ._once import Entry
    from ._row import Rows

TABLE = "yandex_market_chat_sent"


class Ledger:
    """Remembers what became of each idempotency key, so that a file is sent once, however often it is asked for.

    Made by `sqlite` or `postgres`, and passed to clients as `ledger`; `ChatClient.send_file` says what a key does.
    Nothing is opened before it is first needed. It fails closed: a send whose key cannot be claimed is not begun. A row
    holds the key, the ids, the file's name, size, type and SHA-256, its state, times, the request id and the message
    id: no credential and no content. File names are often buyers' names: see `prune`.
    """

    _rows: Any  # imported later, with what it needs
    _renewals: Any
    _where: str

    def __init__(self, *misplaced: object) -> None:
        refuse("Ledgers are made by Ledger.sqlite(path) or Ledger.postgres(url_or_pool).")

    @classmethod
    def sqlite(cls, path: str | os.PathLike[str], *, lease: float = 60.0) -> Ledger:
        """Keep it in a file, for the processes and containers of one machine.

        Args:
            path: of an SQLite file on a local disk (no network file system); made with mode 0600 if there is none. Its
                folder must exist. Each claim is synced to the disk.
            lease: seconds after which a claim whose process died is unknown, from 1 to 3600. While its send runs it is
                renewed.

        Returns:
            What clients take as `ledger`.

        Raises:
            InvalidRequestError: an argument cannot be used.
        """
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if not isinstance(text, str) or not text.strip() or "\0" in text or "://" in text:
            del path, text  # a URL may hold a password
            refuse("Ledger.sqlite takes the path of a file.")
        _check_lease(lease)
        import sqlite3  # only for who needs it

        from ._ledger_sqlite import SqliteRows

        if sqlite3.sqlite_version_info < (3, 35):
            refuse(f"A ledger needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}.")
        return cls._made(SqliteRows.at(text), repr(text), lease)

    @classmethod
    def postgres(cls, url_or_pool: str | Any, *, table: str = TABLE, lease: float = 60.0) -> Ledger:
        """Keep it in PostgreSQL, for several hosts. Needs `pip install 'yandex-market-chat[postgres]'`.

        Args:
            url_or_pool: postgresql://user:password@host/database, with what libpq reads (sslmode, target_session_attrs,
                a service …); or a `psycopg_pool.ConnectionPool` (for `AsyncChatClient`, too). A statement is a
                transaction of its own, so pgbouncer may pool by transaction. The database must be the primary, and
                synchronous_commit on (a WARNING says if it is off).
            table: its name, or schema.name. It is created on first use, the schema is not. Afterwards the role needs
                SELECT, INSERT, UPDATE and DELETE on it, and nothing else.
            lease: as for `sqlite`.

        Returns:
            What clients take as `ledger`.

        Raises:
            InvalidRequestError: an argument cannot be used, or psycopg 3 is not installed.
        """
        url_or_pool, given = None, url_or_pool  # an error may be shown with the locals of this frame
        rows = _postgres_rows(given, table)
        del given
        _check_lease(lease)
        if isinstance(rows, str):
            refuse(rows)
        return cls._made(rows, f"PostgreSQL {rows.where}", lease)

    @classmethod
    def _made(cls, rows: Rows, where: str, lease: float) -> Ledger:
        from ._background import Renewals

        made = cls.__new__(cls)
        made._rows, made._renewals, made._where = rows, Renewals(float(lease)), where
        return made

    def prune(self, older_than: timedelta) -> int:
        """Delete rows that have been sent, or not sent, for so long; never those that are unknown or being sent.

        A later call with a deleted key sends the file again: it is the first call with that key. Keep rows for longer
        than your queue, or a person, may repeat a task.

        Args:
            older_than: how long a row has not changed, from 0.

        Returns:
            How many rows were deleted.

        Raises:
            LedgerError: the ledger cannot be read or written.
            InvalidRequestError: `older_than` is no timedelta, or less than 0.
        """
        from ._row import RowError

        if not isinstance(older_than, timedelta) or older_than < timedelta():
            refuse("older_than must be a timedelta of 0 or more.")
        try:
            return int(self._rows.prune(older_than.total_seconds()))
        except RowError as error:
            reason = str(error)
        # Not within the block: what it was raised from may show the locals of psycopg, and a password among them.
        raise LedgerError._because(f"{reason}.")

    def __repr__(self) -> str:
        return f"<Ledger {getattr(self, '_where', 'not made')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Ledger cannot be pickled: create one in each process.")


def _check_lease(lease: float) -> None:
    if isinstance(lease, bool) or not isinstance(lease, int | float) or not 1 <= lease <= 3600:
        refuse("lease must be a number of seconds from 1 to 3600.")


def _postgres_rows(given: Any, table: str) -> Any:
    """Return the rows, or why there are none: what is raised here would show a URL with its password."""
    try:
        from ._ledger_postgres import PostgresRows
    except ImportError:
        return "A ledger in PostgreSQL needs psycopg 3: pip install 'yandex-market-chat[postgres]'."
    if not isinstance(table, str):
        return f"table must be a str, not {type(table).__name__}."
    if not isinstance(given, str) and not _is_pool(given):
        kind = f"{type(given).__module__}.{type(given).__qualname__}"
        takes = "a URL or a psycopg_pool.ConnectionPool (for AsyncChatClient, too: no AsyncConnectionPool)"
        return f"Ledger.postgres takes {takes}, not {kind}."
    if isinstance(given, str) and not given.startswith(("postgresql://", "postgres://")):
        return "Ledger.postgres takes a URL like postgresql://user@host/database."
    try:
        return PostgresRows(given, table)
    except ValueError as error:
        return str(error)
    except Exception as error:  # its text may hold the password
        unknown = re.match(r'invalid URI query parameter: "(\w+)"', str(error))
        why = f"libpq knows no parameter {unknown[1]}" if unknown else "it is like postgresql://user@host/database"
        return f"The URL of the ledger cannot be used: {why}."


def _is_pool(given: Any) -> bool:
    from inspect import iscoroutinefunction

    return callable(getattr(given, "connection", None)) and not iscoroutinefunction(getattr(given, "open", None))


def ledger_of(value: Any) -> Ledger | None:
    """Return what a client, or else the environment, names."""
    kinds = "a path, a URL (sqlite:////path, postgresql://…) or a Ledger"
    return named(value, "ledger", Ledger, _from_text, kinds)


def _from_text(text: str) -> Ledger:
    if text.startswith(("postgresql://", "postgres://")):
        return Ledger.postgres(text)
    path = text.removeprefix("sqlite:///") if text.startswith("sqlite:///") else text
    if re.match(r"[\w+.-]{2,}:|:", path):  # a scheme, perhaps misspelled; one letter is a drive of Windows
        del text, path
        refuse("It must be a path, sqlite:////absolute/path or postgresql://….")
    return Ledger.sqlite(path)


def entry_of(ledger: Ledger | None, send: Send, key: object, *, resend: bool) -> Entry | None:
    """Return the entry of a send with a key, None of one without.

    Raises:
        InvalidRequestError: the key cannot be used, or there is no ledger.
    """
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= 255 or "\0" in key or not _is_text(key):
        refuse("idempotency_key must be a str of 1 to 255 characters, without NUL and lone surrogates.")
    if ledger is None:
        refuse("idempotency_key needs a client with a ledger: ChatClient(ledger=...), or YANDEX_MARKET_LEDGER.")
    from ._once import Entry

    return Entry(ledger._rows, ledger._renewals, send, key, resend=resend)


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True
