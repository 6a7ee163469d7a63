"""The journal: one SQLite file, one row an item, and a lock that only one process can have.

Why a rollback journal and not WAL: the file alone is the whole truth at any moment but that of a commit, so that
copying or moving it loses nothing. TRUNCATE and not DELETE: a removed rollback journal may be there again after a power
failure, and would undo the row that says *sending*; SQLite syncs one that it has cut to nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from .._claims import Kind
from .._file import name_and_type
from .._history import comparable
from ._manifest import BatchError

APPLICATION = 0x594D4342  # "YMCB"
VERSION = 3

PENDING, SENDING, SENT, NOT_SENT, UNKNOWN = "pending", "sending", "sent", "not sent", "unknown"

TARGET = "coalesce(item.chat_id, 'order ' || item.order_id)"
"""Where a row goes: to a chat, or to that of an order while it is not known. There is an index on it."""

_SCHEMA = """
CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    keyed INTEGER NOT NULL, -- the key is the caller's own
    line INTEGER, -- NULL: the manifest no longer has it
    business_id INTEGER NOT NULL,
    chat_id INTEGER, -- NULL: not known yet
    order_id INTEGER, -- whose chat it is
    file TEXT NOT NULL, -- from the folder of the manifest
    name TEXT,
    content_type TEXT,
    sha256 TEXT NOT NULL, -- of what is to be sent
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'not sent', 'unknown')),
    retryable INTEGER NOT NULL DEFAULT 0, -- not sent, and may go as it is later
    error TEXT,
    reason TEXT,
    status_code INTEGER,
    error_code TEXT,
    trace_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    unknown_attempts INTEGER NOT NULL DEFAULT 0, -- that may have arrived
    changed_at TEXT,
    since TEXT, -- when the first attempt began that may have arrived
    sent_name TEXT, -- what the chat would show
    sent_size INTEGER,
    confirmed_by TEXT,
    message_id INTEGER,
    CHECK (coalesce(chat_id, order_id) IS NOT NULL)
);
CREATE TABLE chat (
    business_id INTEGER, order_id INTEGER, chat_id INTEGER NOT NULL, PRIMARY KEY (business_id, order_id)
);
CREATE INDEX item_line ON item (business_id, line);
CREATE INDEX item_target ON item (business_id, coalesce(chat_id, 'order ' || order_id), sha256);
CREATE TABLE duplicate (line INTEGER PRIMARY KEY, first INTEGER NOT NULL);
"""


class JournalError(BatchError):
    """The journal cannot be used: no journal, of another version, read-only, no folder. Nothing was sent."""


class JournalInUseError(JournalError):
    """Another process, or another batch of this one, is working with the journal. Nothing was sent."""


class Item(NamedTuple):
    """A row that is to be sent."""

    id: int
    line: int
    key: str
    business_id: int
    chat_id: int | None
    """None: the chat of the order is not known yet."""
    order_id: int | None
    keyed: bool
    file: str
    name: str | None
    content_type: str | None
    sha256: str
    size: int
    state: str
    """What it was before it is sent."""
    unknown_attempts: int
    since: str | None
    """When the first of these began."""


class Doubt(NamedTuple):
    """A row of which nobody knows, as its chat would show it."""

    id: int
    kind: Kind
    since: datetime
    unknown_attempts: int


class Change(NamedTuple):
    """What is to be written of a row."""

    id: int
    state: str
    facts: dict[str, Any] | None = None
    """None: only the state changes."""


class Journal:
    """An open journal. To be used from one thread: the one that opened it.

    It is opened in a transaction that `keep` or `close` ends, so that a faulty manifest leaves nothing behind.
    """

    def __init__(self, path: str | os.PathLike[str], *, dry_run: bool = False) -> None:
        self._shown = os.path.abspath(path)
        self._dry_run = dry_run
        self._made: os.stat_result | None = None
        try:
            # Where a link leads: what is made there is what is removed again. ':memory:' is a name like any other.
            self._path = Path(os.path.realpath(path))
            where: str | Path = self._path
            if not dry_run:
                self._make()
            elif not self._path.exists():
                effective = os.access in os.supports_effective_ids
                if not os.access(self._path.parent, os.W_OK | os.X_OK, effective_ids=effective):
                    raise self.unusable("its folder cannot be written to")
                if self._path.is_symlink():
                    raise self.unusable("the link leads to itself")
                where = ""  # a temporary one
            self.db = sqlite3.connect(where, timeout=0, isolation_level=None)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise self.unusable(error) from None
        try:
            self._open()
        except JournalInUseError:
            self.db.close()
            raise
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        with suppress(FileExistsError):
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)  # SQLite's own mode
            self._made = os.fstat(descriptor)
            os.close(descriptor)

    def _open(self) -> None:
        try:
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.db.execute("BEGIN EXCLUSIVE")
            self._check_schema()
            if not self._dry_run:
                self.db.execute("ROLLBACK")  # the next two are not for the middle of a transaction; the lock stays
                self.db.execute("PRAGMA journal_mode = TRUNCATE")
                self.db.execute("PRAGMA synchronous = FULL")
                self.db.execute("BEGIN EXCLUSIVE")
            if not self._is_journal():
                for statement in _SCHEMA.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA application_id = {APPLICATION}")
                self.db.execute(f"PRAGMA user_version = {VERSION}")
            self.interrupted = self.db.execute(
                "UPDATE item SET state = 'unknown', error = 'Interrupted', unknown_attempts = unknown_attempts + 1,"
                " reason = 'The process ended while it was in flight. Check the chat before resending.'"
                " WHERE state = 'sending'"
            ).rowcount
            self.db.create_function("sent_name", 3, lambda *given: name_and_type(*given)[0], deterministic=True)
            self.db.create_function("sent_type", 3, lambda *given: name_and_type(*given)[1], deterministic=True)
        except sqlite3.Error as error:
            raise self.unusable(error) from None

    def _is_journal(self) -> bool:
        return bool(self.db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION)

    def _check_schema(self) -> None:
        if self._is_journal():
            (version,) = self.db.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                reason = f"it was made by another version of this package (format {version}, not {VERSION})"
                raise self.unusable(reason)
        elif self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise self.unusable("it is a SQLite file of something else")

    def unusable(self, error: Exception | str) -> JournalError:
        """Return the error that says why it cannot be used."""
        # Codes have names from Python 3.11 on; the texts are SQLite's own, and English.
        code = getattr(error, "sqlite_errorname", "")
        where = f"The journal {self._shown!r}"
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return JournalInUseError(f"{where} is in use by another process. Nothing was sent.")
        reason = getattr(error, "strerror", None) or str(error)
        folder = os.path.dirname(os.path.realpath(self._shown)) if "\0" not in self._shown else ""
        if folder and not os.path.isdir(folder):
            reason = "its folder does not exist"
        elif folder and os.path.isdir(self._shown):
            reason = "it is a folder"
        elif code.startswith("SQLITE_NOTADB"):
            reason = "it is no SQLite file"
        return JournalError(f"{where} cannot be used: {reason}. Nothing was sent.")

    def keep(self) -> None:
        """Make durable what was planned; of a dry run nothing is kept."""
        if self._dry_run:
            return
        self.db.execute("COMMIT")
        if self._made is not None and hasattr(os, "O_DIRECTORY"):
            # The name is to survive a power failure too. There are file systems that cannot promise it.
            with suppress(OSError):
                folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        self._made = None

    def close(self) -> None:
        """Let it go; one that was made here and in which nothing was kept is removed."""
        if self._made is not None:
            with suppress(OSError):  # while the lock is held: nobody else can have begun with it
                if os.path.samestat(os.lstat(self._path), self._made):
                    self._path.unlink()
                    Path(f"{self._path}-journal").unlink(missing_ok=True)
        self.db.close()

    # A run

    def write(self, changes: Sequence[Change]) -> list[sqlite3.Error | None]:
        """Make changes durable, all with one sync; return for each why it is not.

        Where that fails nothing new may be in flight: only outcomes are tried again, each alone.
        """
        try:
            self._write(changes)
            return [None] * len(changes)
        except sqlite3.Error as error:
            failures: list[sqlite3.Error | None] = []
            for change in changes:
                failures.append(error)
                if change.state != SENDING:
                    with suppress(sqlite3.Error):
                        self._write([change])
                        failures[-1] = None
            return failures

    def _write(self, changes: Sequence[Change]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._transaction():
            for change in changes:
                facts = {"state": change.state, "changed_at": now, **(change.facts or {})}
                columns = ", ".join(f"{column} = ?" for column in facts)
                self.db.execute(f"UPDATE item SET {columns} WHERE id = ?", (*map(_storable, facts.values()), change.id))  # noqa: S608

    def businesses(self, states: Sequence[str]) -> list[tuple[int, int, int]]:
        """Return for each business how many items are to be sent, and how many have been, in order of the lines."""
        counted = f"""
            SELECT business_id, sum(state IN ({_marks(states)})) AS due, sum(state = 'sent') FROM item
            WHERE line IS NOT NULL GROUP BY business_id HAVING due ORDER BY min(line)"""  # noqa: S608
        return self.db.execute(counted, states).fetchall()

    def due(self, business_id: int, after: int, states: Sequence[str], most: int) -> list[Item]:
        """Return the next items of a business that are to be sent, behind that line."""
        page = f"""
            SELECT id, line, key, business_id, chat_id, order_id, keyed, file, name, content_type, item.sha256, size,
                state, unknown_attempts, since
            FROM item JOIN file ON path = file
            WHERE business_id = ? AND line > ? AND state IN ({_marks(states)}) ORDER BY line LIMIT ?"""  # noqa: S608
        return [Item(*row) for row in self.db.execute(page, (business_id, after, *states, most))]

    # The chats of orders

    def take_chat(self, item: Item, chat_id: int) -> tuple[int | None, str] | None:
        """Note which chat a row goes to; return None, or the line and state of the one that has its content for it.

        The line is None if that row was not of this manifest: then it is in the place of this one. Rows that both have
        keys of their own are both meant.
        """
        with self._transaction():
            self.db.execute("INSERT OR REPLACE INTO chat VALUES (?, ?, ?)", (item.business_id, item.order_id, chat_id))
            self.db.execute("UPDATE item SET chat_id = ? WHERE id = ?", (chat_id, item.id))
            doubles = f"""
                SELECT id, line, state FROM item WHERE business_id = ? AND {TARGET} = ? AND sha256 = ? AND id <> ?
                    AND NOT (keyed AND ?) AND (line IS NOT NULL OR state IN ('sending', 'sent', 'unknown'))
                ORDER BY line IS NULL, state = 'sent' DESC, line LIMIT 1"""  # noqa: S608
            given = item.business_id, chat_id, item.sha256, item.id, item.keyed
            double = self.db.execute(doubles, given).fetchone()
            if double is None:
                return None
            number, line, state = double
            self.db.execute("DELETE FROM item WHERE id = ?", (item.id,))
            if line is None:
                self.db.execute("UPDATE item SET line = ? WHERE id = ?", (item.line, number))
            else:
                self.db.execute("UPDATE duplicate SET first = ? WHERE first = ?", (line, item.line))
                self.db.execute("INSERT INTO duplicate VALUES (?, ?)", (item.line, line))
            return line, state

    def forget_chat(self, business_id: int, order_id: int) -> None:
        """Ask for the chat of an order again the next time."""
        with self._transaction():
            self.db.execute("DELETE FROM chat WHERE business_id = ? AND order_id = ?", (business_id, order_id))

    # What the history may tell

    def doubts(self) -> list[Doubt]:
        """Return the rows of the manifest of which nobody knows."""
        found = self.db.execute(
            "SELECT id, business_id, chat_id, sent_name, sent_size, since, unknown_attempts FROM item"
            " WHERE state = 'unknown' AND line IS NOT NULL AND since IS NOT NULL ORDER BY line"
        )
        return [
            Doubt(number, Kind(business, chat, comparable(name), size), datetime.fromisoformat(since), unknown)
            for number, business, chat, name, size, since, unknown in found
        ]

    def accounted(self, kind: Kind, before: datetime) -> list[tuple[int | None, datetime]]:
        """Return what of such files earlier runs have sent: the message if the history told it, and when."""
        found = self.db.execute(
            "SELECT message_id, changed_at, sent_name FROM item"  # noqa: S608
            f" WHERE business_id = ? AND {TARGET} = ? AND sent_size = ? AND state = 'sent'"
            " ORDER BY changed_at",  # the client forgets the oldest first
            (kind.business_id, kind.chat_id, kind.size),
        )
        told = ((message, datetime.fromisoformat(at)) for message, at, name in found if comparable(name) == kind.name)
        return [(message, at) for message, at in told if message is not None or at < before]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has done so itself for some
                self.db.execute("ROLLBACK")
            raise

    def counts(self) -> dict[str, int]:
        """Return how many items of the manifest are in each state."""
        counted: dict[str, int] = dict.fromkeys((PENDING, SENDING, SENT, NOT_SENT, UNKNOWN), 0)
        counted.update(self.db.execute("SELECT state, count(*) FROM item WHERE line IS NOT NULL GROUP BY state"))
        return counted

    def confirmed(self) -> int:
        """Return how many items were sent as the chat's history shows."""
        return self._count("state = 'sent' AND confirmed_by = 'history'")

    def needs_fix(self) -> int:
        """Return how many items were not sent and would be refused again as they are."""
        return self._count("state = 'not sent' AND NOT retryable")

    def _count(self, which: str) -> int:
        (count,) = self.db.execute(f"SELECT count(*) FROM item WHERE line IS NOT NULL AND {which}").fetchone()  # noqa: S608
        return int(count)

    def duplicates(self) -> list[tuple[int, int]]:
        """Return the lines that are not sent, each with the line that is sent in its place."""
        return self.db.execute("SELECT line, first FROM duplicate ORDER BY line").fetchall()

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield every line of the manifest for the report."""
        return self.db.execute(
            """
            SELECT line, key, business_id, CASE WHEN order_id IS NULL THEN chat_id END, file,
                sent_name(file, name, content_type),
                sent_type(file, name, content_type), state,
                CASE WHEN state = 'not sent' THEN CASE WHEN retryable THEN 'yes' ELSE 'no' END END,
                error, error_code, status_code, trace_id, attempts, unknown_attempts, reason, changed_at,
                order_id, CASE WHEN order_id IS NOT NULL THEN chat_id END, confirmed_by, message_id,
                CASE WHEN state = 'unknown' THEN since END
            FROM item WHERE line IS NOT NULL
            UNION ALL
            SELECT duplicate.line, key, business_id, CASE WHEN order_id IS NULL THEN chat_id END, file,
                sent_name(file, name, content_type),
                sent_type(file, name, content_type), 'duplicate', NULL, NULL, NULL, NULL, NULL, 0, 0,
                'The same content goes to the same chat by line ' || first || '.', NULL,
                order_id, NULL, NULL, NULL, NULL
            FROM duplicate JOIN item ON item.line = first ORDER BY 1"""
        )


def _storable(value: object) -> object:
    # A server's text may hold half a character, which SQLite does not take.
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
