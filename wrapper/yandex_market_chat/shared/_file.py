"""Shared limits in a file: SQLite from the standard library, for the processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from weakref import WeakValueDictionary

from .._send import logger
from ._engine import PATIENCE, Decide, EngineError, T

APPLICATION = 0x594D434C
"""Marks the file as one of shared limits, so that no other is written to."""
_NO_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class FileEngine:
    """One connection to a file. Nothing is synced: after a power cut the state may be lost, which costs one request.

    There is one a file and process, made by `at`: a process that closes any descriptor of a file loses all the locks
    that it has on it. For the same reason none is open while the process is forked.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.Lock()
        self._paused = False
        self._abandoned: list[object] = []

    @classmethod
    def at(cls, path: str) -> FileEngine:
        """Return the one of that file, however it is spelled; a later chdir does not matter."""
        path = os.path.realpath(path)
        with _making:
            return _engines.setdefault(path, cls(path))

    def __del__(self) -> None:
        """Close the connection, which nobody else has."""
        self._close()

    def before_fork(self) -> None:
        """Close the connection, and keep others from making one; do without if somebody holds it for long."""
        self._paused = self._lock.acquire(timeout=2 * PATIENCE)
        if self._paused:
            self._close()

    def after_fork(self) -> None:
        """Let it be used again, in the parent."""
        if self._paused:
            self._lock.release()

    def begin_as_child(self) -> None:
        """Let it be used again, in the child, where nobody is that could hold the lock."""
        self._lock = threading.Lock()
        self._abandoned.append(self._db)  # not closed: what that would release is the parent's
        self._db = None

    def update(self, key: str, decide: Decide[T]) -> T:
        """Read without a lock; if something is to be written, compare with one, and decide again by what is newer."""
        with self._lock:
            return self._locked(key, decide)

    def _locked(self, key: str, decide: Decide[T]) -> T:
        try:
            try:
                return self._update(self._connection(), key, decide)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NO_DATABASE:
                    raise
                self._set_aside()
                return self._update(self._connection(), key, decide)
        except (sqlite3.Error, OSError) as error:
            self._close()
            reason = getattr(error, "strerror", None) or str(error)
            raise EngineError(f"{self.path!r} cannot be used: {reason}") from None

    def _update(self, db: sqlite3.Connection, key: str, decide: Decide[T]) -> T:
        text = self._read(db, key)
        written, result = decide(text, time.time())
        if written is None:
            return result
        db.execute("BEGIN IMMEDIATE")
        try:
            if (newer := self._read(db, key)) != text:
                written, result = decide(newer, time.time())
            if written is not None:
                db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, written))
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has done so itself for some
                db.execute("ROLLBACK")
            raise
        return result

    @staticmethod
    def _read(db: sqlite3.Connection, key: str) -> str | None:
        found = db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return found[0] if found and isinstance(found[0], str) else None

    def _connection(self) -> sqlite3.Connection:
        # Somebody may have replaced the file: whoever went on with the old one would share with nobody.
        with suppress(FileNotFoundError):
            if self._db is not None and os.stat(self.path).st_ino == self._inode:
                return self._db
        self._close()
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._inode = os.stat(self.path).st_ino
        # check_same_thread: the thread of another keeper may use it, and who forks closes it.
        self._db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        self._prepare(self._db)
        return self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            db.execute("BEGIN IMMEDIATE")
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if application != APPLICATION and tables:
                raise sqlite3.OperationalError("it is a database of something else")
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
            db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")

    def _set_aside(self) -> None:
        """Rename a corrupt file, so that a new one is created. It is kept: it may belong to someone."""
        self._close()
        with open(self.path, "rb") as file:
            begins = file.read(16)
        if begins.strip(b"\0") and begins != b"SQLite format 3\0":  # a power cut leaves zeros
            raise EngineError(f"{self.path!r} cannot be used: it is a file of something else")
        if os.stat(self.path).st_ino != self._inode:
            return  # another process was faster
        os.replace(self.path, f"{self.path}.broken")
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        logger.warning("the file of shared limits, %r, was broken: it was set aside as .broken", self.path)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


_making = threading.Lock()
_engines: WeakValueDictionary[str, FileEngine] = WeakValueDictionary()
_held: list[FileEngine] = []


def _before_fork() -> None:
    _making.acquire()
    _held.extend(_engines.values())
    for engine in _held:
        engine.before_fork()


def _after_fork() -> None:
    for engine in _held:
        engine.after_fork()
    _held.clear()
    _making.release()


def _begin_as_child() -> None:
    for engine in _held:
        engine.begin_as_child()
    _held.clear()
    _making.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_as_child)
