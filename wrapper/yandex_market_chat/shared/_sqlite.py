"""One SQLite file as a process uses it: one connection, made when first needed, and none while the process forks.

A process that closes any descriptor of a file loses all the locks that it has on it, and a forked child must not close
what its parent uses.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from typing import ClassVar, Self
from weakref import WeakValueDictionary

_OPEN = os.O_RDONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)  # of a pipe, too, nobody waits for the other end


class SqliteFile:
    """A file of one kind. There is one object a kind, file and process: `at` returns it."""

    APPLICATION: ClassVar[int]
    """Marks the file, so that no other is written to."""
    SCHEMA: ClassVar[str]
    SYNCHRONOUS: ClassVar[str]
    PATIENCE: ClassVar[float]
    """Seconds to wait for another process that writes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._file: int | None = None  # held open, so that no other file gets its number
        self._lock = threading.Lock()
        self._paused = False
        self._abandoned: list[object] = []

    @classmethod
    def at(cls, path: str) -> Self:
        """Return the one of that file, however it is spelled; a later chdir does not matter."""
        path = os.path.realpath(path)
        with _making:
            found = _files.setdefault((cls, path), cls(path))
        assert isinstance(found, cls)  # noqa: S101  its class is in the key
        return found

    def __del__(self) -> None:
        """Close the connection and the file, which nobody else has."""
        try:
            self._close()
            if self._file is not None:
                os.close(self._file)
        except Exception:  # noqa: S110  at the interpreter's end nothing is sure, not even the names used here
            pass

    def before_fork(self) -> None:
        """Close the connection, and keep others from making one; do without if somebody holds it for long."""
        self._paused = self._lock.acquire(timeout=1.0)
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

    def _connection(self) -> sqlite3.Connection:
        if not self._is_there():
            if self._file is not None:
                self._replaced()
            self._close()
            old, self._file = self._file, os.open(self.path, _OPEN, 0o600)
            if old is not None:
                os.close(old)
        if self._db is not None:
            return self._db
        # check_same_thread: the thread of another keeper may use it, and who forks closes it.
        self._db = sqlite3.connect(self.path, timeout=self.PATIENCE, isolation_level=None, check_same_thread=False)
        self._prepare(self._db)
        return self._db

    def _is_there(self) -> bool:
        """Whether the file under the path is the one that is held."""
        try:
            return self._file is not None and os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except OSError:
            return False

    def _replaced(self) -> None:
        """Another file is under the path, or none. Whoever went on with the old one would share with nobody."""

    def _prepare(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if application != self.APPLICATION:
            db.execute("BEGIN IMMEDIATE")
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if application != self.APPLICATION and tables:
                raise sqlite3.OperationalError("it is a database of something else")
            db.execute(f"PRAGMA application_id = {self.APPLICATION}")
            for statement in self.SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self.SYNCHRONOUS}")

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


_making = threading.Lock()
_files: WeakValueDictionary[tuple[type, str], SqliteFile] = WeakValueDictionary()
_held: list[SqliteFile] = []


def _before_fork() -> None:
    _making.acquire()
    _held.extend(_files.values())
    for file in _held:
        file.before_fork()


def _after_fork() -> None:
    for file in _held:
        file.after_fork()
    _held.clear()
    _making.release()


def _begin_as_child() -> None:
    for file in _held:
        file.begin_as_child()
    _held.clear()
    _making.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_as_child)
