"""The ledger in a file: SQLite from the standard library, for the processes of one machine.

WAL, since many processes write; synchronous FULL, so that a claim is on the disk before a connection opens.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import Any

from ._row import SCHEMA, RowError, Rows, TakenError
from ._sqlite import SqliteFile

_REPLACED = (
    "it was removed or replaced while it was in use; put the original back: a program that starts without it knows no"
    " keys, and sends again"
)
_OWN = {"table": "sent", "now": "((julianday('now') - 2440587.5) * 86400.0)"}


class SqliteRows(SqliteFile, Rows):
    """The rows of a file."""

    APPLICATION = 0x594D534F
    SCHEMA = SCHEMA.format(**_OWN)
    SYNCHRONOUS = "FULL"
    PATIENCE = 5.0

    def run(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement as `Rows.run` says."""
        try:
            with self._lock:
                return self._run(statement.format(**_OWN), values)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE":
                raise TakenError from None
            raise self._unusable(error) from None
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _run(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection().execute(statement, values)
            # To its end: it is committed by that.
            return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]
        except (sqlite3.Error, OSError) as error:
            if not isinstance(error, sqlite3.IntegrityError):
                self._close()  # with whatever is left of a transaction
            raise

    def _unusable(self, error: Exception) -> RowError:
        reason = getattr(error, "strerror", None) or str(error)
        if not os.path.isdir(os.path.dirname(self.path)):
            reason = "its folder does not exist"
        return RowError(f"The file {self.path!r} cannot be used: {reason}")

    def _replaced(self) -> None:
        raise sqlite3.OperationalError(_REPLACED)

    def _prepare(self, db: sqlite3.Connection) -> None:
        super()._prepare(db)
        # The name is to survive a power failure, too. There are file systems that cannot promise it.
        with suppress(OSError):
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
