"""From a manifest to rows: every line and every file checked, doubles found, merged with what the journal has."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ._journal import _marks
from ._manifest import ManifestError, ManifestFault, read_lines

_PIECE = 256 * 1024


def plan(db: sqlite3.Connection, manifest: Path, limit: int, states: Sequence[str]) -> int:
    """Put the manifest into the journal, in the transaction that is open. An unchanged one is not planned again.

    Args:
        db: the journal.
        manifest: its path. Paths in it start from its folder.
        limit: the size of the largest file, in bytes.
        states: those of the rows that are to be sent now: only their files are looked at.

    Returns:
        How many of the files have changed since they were planned: what is sent is what they are now.

    Raises:
        ManifestError: it cannot be read, or is faulty.
    """
    try:
        if not stat.S_ISREG(manifest.stat().st_mode):
            raise ManifestError(f"The manifest {str(manifest)!r} is no regular file. Nothing was sent.")
        content = manifest.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, ManifestError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ManifestError(f"The manifest {str(manifest)!r} cannot be read: {reason}. Nothing was sent.") from None
    checksum = hashlib.sha256(content).hexdigest()
    db.execute("CREATE TEMP TABLE look (path TEXT PRIMARY KEY, size, mtime_ns, sha256, fault)")
    if db.execute("SELECT sha256 FROM manifest").fetchone() == (checksum,) and not _other_doubles(db, manifest.parent):
        _look_at_files(db, manifest.parent, limit, "item", "line IS NOT NULL", states)
        _refuse(_faults_of_files(db, "item", states))
        return _take_files(db, states)
    return _plan(db, manifest.parent, content, checksum, limit, states)


def _other_doubles(db: sqlite3.Connection, folder: Path) -> bool:
    """Whether a file that is sent by another line, which has the same content, may have another by now."""
    only = "SELECT path, size, mtime_ns FROM file WHERE path NOT IN (SELECT file FROM item WHERE line IS NOT NULL)"
    for path, *known in db.execute(only):
        try:
            found = (folder / path).stat()
        except (OSError, ValueError):
            return True
        if [found.st_size, found.st_mtime_ns] != known:
            return True
    return False


def _plan(
    db: sqlite3.Connection, folder: Path, content: bytes, checksum: str, limit: int, states: Sequence[str]
) -> int:
    db.execute("CREATE TEMP TABLE line (line INTEGER PRIMARY KEY, key, keyed, business_id, chat_id, file, name, type)")
    faults: list[ManifestFault] = []
    lines = read_lines(content, lambda line, reason: faults.append(ManifestFault(line, reason)))
    db.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines)
    db.execute("CREATE INDEX line_key ON line (key)")
    faults += _contradictions(db)
    # What each line is to the journal, if it knows it.
    db.execute(
        "CREATE TEMP VIEW known AS SELECT line.*, item.id, item.state, item.sha256 FROM line LEFT JOIN item USING (key)"
    )
    _look_at_files(db, folder, limit, "known", "true", states)
    _refuse(faults + _faults_of_files(db, "known", states))
    changed = _take_files(db, states)
    _find_duplicates(db, states)
    db.execute("UPDATE item SET line = NULL")
    db.execute(
        """
        INSERT INTO item (key, line, business_id, chat_id, file, name, content_type, sha256)
        SELECT key, line, business_id, chat_id, file, name, type, content FROM ranked WHERE first IS NULL ORDER BY line
        ON CONFLICT (key) DO UPDATE SET line = excluded.line"""
    )
    db.execute("DELETE FROM duplicate")
    db.execute("INSERT INTO duplicate SELECT line, first FROM ranked WHERE first IS NOT NULL")
    db.execute("DELETE FROM manifest")
    db.execute("INSERT INTO manifest VALUES (?, ?)", (checksum, datetime.now(UTC).isoformat(timespec="seconds")))
    return changed


def _contradictions(db: sqlite3.Connection) -> list[ManifestFault]:
    """Find keys that stand for two things: in two lines, or in a line and the journal."""
    twice = db.execute(
        """
        SELECT other.line, other.key, first.line FROM line AS other
        JOIN (SELECT key, min(line) AS least FROM line GROUP BY key HAVING count(*) > 1 AND max(keyed)) AS doubled
            ON doubled.key = other.key
        JOIN line AS first ON first.line = doubled.least
        WHERE (first.business_id, first.chat_id, first.file, first.name, first.type)
            IS NOT (other.business_id, other.chat_id, other.file, other.name, other.type)"""
    )
    faults = [
        ManifestFault(line, f"the key {key!r:.100} stands for something else in line {first}")
        for line, key, first in twice
    ]
    other = db.execute(
        """
        SELECT line.line, line.key, item.state FROM line JOIN item ON item.key = line.key
        WHERE (line.business_id, line.chat_id, line.file, line.name, line.type)
            IS NOT (item.business_id, item.chat_id, item.file, item.name, item.content_type)"""
    )
    return faults + [
        ManifestFault(line, f"the key {key!r:.100} stands for something else in the journal ({state})")
        for line, key, state in other
    ]


def _look_at_files(
    db: sqlite3.Connection, folder: Path, limit: int, table: str, which: str, states: Sequence[str]
) -> None:
    """Look at each file once that is to be sent now, and take its checksum if the journal has not got it."""
    wanted = f"""
        SELECT DISTINCT file, was.size, was.mtime_ns, was.sha256 FROM {table} LEFT JOIN file AS was ON was.path = file
        WHERE {which} AND (state IS NULL OR state IN ({_marks(states)}))"""  # noqa: S608
    ((_, _, journal),) = db.execute("PRAGMA database_list").fetchall()[:1]
    for path, *known in db.execute(wanted, states).fetchall():
        looked = _look_at(folder / path, limit, known, journal)
        db.execute("INSERT INTO look VALUES (?, ?, ?, ?, ?)", (path, *looked))


def _look_at(
    path: Path, limit: int, known: Sequence[object], journal: str
) -> tuple[int | None, int | None, object | None, str | None]:
    """Return size, time of change and checksum of a file, or what is wrong with it."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None, None, None, "is a directory" if stat.S_ISDIR(found.st_mode) else "is not a regular file"
        if journal and os.path.samestat(found, os.stat(journal)):
            return None, None, None, "is the journal"  # to open and close it would give up the lock on it
        if not found.st_size:
            return None, None, None, "is empty"
        if found.st_size > limit:
            return None, None, None, f"has {found.st_size} bytes, more than the {limit} that are the limit"
        if [found.st_size, found.st_mtime_ns] == known[:2] and os.access(path, os.R_OK):
            return found.st_size, found.st_mtime_ns, known[2], None
        with path.open("rb", buffering=0) as file:
            checksum = hashlib.sha256()
            while piece := file.read(_PIECE):
                checksum.update(piece)
        return found.st_size, found.st_mtime_ns, checksum.hexdigest(), None
    except (OSError, ValueError) as error:
        return None, None, None, f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _faults_of_files(db: sqlite3.Connection, table: str, states: Sequence[str]) -> list[ManifestFault]:
    found = f"""
        SELECT line, file, fault FROM {table} JOIN look ON path = file
        WHERE fault IS NOT NULL AND line IS NOT NULL AND (state IS NULL OR state IN ({_marks(states)}))"""  # noqa: S608
    return [ManifestFault(line, f"the file {file!r:.300} {fault}") for line, file, fault in db.execute(found, states)]


def _take_files(db: sqlite3.Connection, states: Sequence[str]) -> int:
    """Note what the files are now, for the rows that are to be sent."""
    stale = f"""
        FROM item JOIN look ON path = file WHERE item.sha256 <> look.sha256 AND state IN ({_marks(states)})"""
    (changed,) = db.execute(f"SELECT count(DISTINCT file) {stale}", states).fetchone()
    db.execute(
        f"""
        UPDATE item SET sha256 = (SELECT look.sha256 FROM look WHERE path = file)
        WHERE id IN (SELECT id {stale})""",  # noqa: S608
        states,
    )
    db.execute("INSERT OR REPLACE INTO file SELECT path, size, mtime_ns, sha256 FROM look")
    return int(changed)


def _find_duplicates(db: sqlite3.Connection, states: Sequence[str]) -> None:
    """Rank the lines; `first` is the line that is sent in the place of one with the same content for the same chat.

    Lines with keys of their own are meant. Of the others the first counts, or one that the journal knows already.
    """
    db.execute(
        f"""
        CREATE TEMP TABLE ranked AS
        SELECT *, CASE
            WHEN NOT keyed AND place > 1 AND (state IS NULL OR state = 'pending') THEN first_of_content
            WHEN again > 1 THEN first_of_key
            END AS first
        FROM (
            SELECT line, key, own_key AS keyed, business_id, chat_id, file, name, type, state, content,
                row_number() OVER same_key AS again, first_value(line) OVER same_key AS first_of_key,
                row_number() OVER same_content AS place, first_value(line) OVER same_content AS first_of_content
            FROM (
                SELECT known.*, max(keyed) OVER (PARTITION BY key) AS own_key,
                    CASE WHEN state IS NULL OR state IN ({_marks(states)}) THEN look.sha256 ELSE known.sha256 END
                    AS content
                FROM known LEFT JOIN look ON path = file)
            WINDOW same_key AS (PARTITION BY key ORDER BY line),
                same_content AS (PARTITION BY business_id, chat_id, content
                    ORDER BY own_key DESC, state IS 'sent' DESC, state IS NOT NULL DESC, line))""",  # noqa: S608
        states,
    )


def _refuse(faults: Sequence[ManifestFault]) -> None:
    if faults:
        first, *_ = ordered = sorted(faults, key=lambda fault: fault.line)
        count = f"{len(ordered)} fault{'s' if len(ordered) > 1 else ''}"
        said = f"The manifest has {count}; the first, in line {first.line}: {first.reason}. Nothing was sent."
        error = ManifestError(said)
        error.faults = tuple(ordered)
        raise error
