"""Shared limits in a file: SQLite from the standard library, for the processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress

from .._send import logger
from ._engine import PATIENCE, Decide, EngineError, T
from ._sqlite import SqliteFile

_NO_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class FileEngine(SqliteFile):
    """Nothing is synced: after a power cut the state may be lost, which costs one request."""

    APPLICATION = 0x594D434C
    SCHEMA = "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    SYNCHRONOUS = "OFF"
    PATIENCE = PATIENCE

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

    def _set_aside(self) -> None:
        """Rename a corrupt file, so that a new one is created. It is kept: it may belong to someone."""
        self._close()
        with open(self.path, "rb") as file:
            begins = file.read(16)
        if begins.strip(b"\0") and begins != b"SQLite format 3\0":  # a power cut leaves zeros
            raise EngineError(f"{self.path!r} cannot be used: it is a file of something else")
        if not self._is_there():
            return  # another process was faster
        os.replace(self.path, f"{self.path}.broken")
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        logger.warning("the file of shared limits, %r, was broken: it was set aside as .broken", self.path)
