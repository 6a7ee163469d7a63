"""From a manifest to rows: every line and every file checked, doubles found, merged with what the journal has."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

from ._journal import TARGET, _marks
from ._lookup import find
from ._manifest import ManifestError, ManifestFault, read_lines

_PIECE = 256 * 1024


def plan(db: sqlite3.Connection, manifest: Path, limit: int, states: Sequence[str]) -> tuple[int, list[int]]:
    """Put the manifest into the journal, in the transaction that is open.

    Args:
        db: the journal.
        manifest: its path. Paths in it start from its folder.
        limit: the size of the largest file, in bytes.
        states: those of the rows that are to be sent now: only their files are looked at.

    Returns:
        How many of the files have changed since they were planned (what is sent is what they are now), and the lines
        that are not sent since the journal has their content for their chat from another path or key.

    Raises:
        ManifestError: it cannot be read, or is faulty.
    """
    content = _read(manifest)
    folder = Path(os.path.abspath(manifest)).parent
    db.execute("CREATE TEMP TABLE look (path TEXT PRIMARY KEY, size, mtime_ns, sha256, fault)")
    db.execute(
        """
        CREATE TEMP TABLE line (
            line INTEGER PRIMARY KEY, key, keyed, business_id, chat_id, order_id, file, name, type)"""
    )
    faults: list[ManifestFault] = []
    lines = read_lines(content, folder, lambda line, reason: faults.append(ManifestFault(line, reason)))
    db.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", lines)
    db.execute("CREATE INDEX line_key ON line (key)")
    # What was not sent goes to the chat that its order has now, if that is known. What was planned before it was known
    # is planned again: the journal may have the same content for that chat.
    db.execute(
        """
        DELETE FROM item WHERE chat_id IS NULL AND state = 'pending'
            AND (business_id, order_id) IN (SELECT business_id, order_id FROM chat)"""
    )
    db.execute(
        """
        UPDATE item SET chat_id = (SELECT chat.chat_id FROM chat
            WHERE chat.business_id = item.business_id AND chat.order_id = item.order_id)
        WHERE order_id IS NOT NULL AND state IN ('pending', 'not sent') AND NOT unknown_attempts"""
    )
    # What each line is to the journal, if it knows it; and whether its file is to be looked at.
    db.execute(
        f"""
        CREATE TEMP TABLE known AS
        SELECT line.line, line.key, line.keyed, line.business_id, coalesce(line.chat_id, chat.chat_id) AS chat_id,
            line.order_id, line.file, line.name, line.type,
            coalesce(line.chat_id, item.chat_id, chat.chat_id, 'order ' || line.order_id) AS target,
            item.id, state, sha256 AS content,
            state IS NULL OR state IN ({_marks(states)}) OR line.file <> item.file AS open
        FROM line LEFT JOIN item USING (key)
        LEFT JOIN chat ON chat.business_id = line.business_id AND chat.order_id = line.order_id""",  # noqa: S608
        states,
    )
    db.execute("CREATE UNIQUE INDEX known_line ON known (line)")
    db.execute("CREATE INDEX known_key ON known (key)")
    _look_at_files(db, folder, limit)
    faults += _contradictions(db)
    faults += [
        ManifestFault(line, f"the file {file!r:.300} {fault}")
        for line, file, fault in db.execute(
            "SELECT line, file, fault FROM known JOIN look ON path = file WHERE fault IS NOT NULL AND open"
        )
    ]
    _refuse(faults)
    changed = _take_files(db, states)
    db.execute("UPDATE known SET content = (SELECT sha256 FROM look WHERE path = file) WHERE open")
    recognised = _recognise(db, states)
    _find_duplicates(db)
    db.execute("UPDATE item SET line = NULL")
    db.execute(
        """
        INSERT INTO item (key, keyed, line, business_id, chat_id, order_id, file, name, content_type, sha256)
        SELECT key, keyed, line, business_id, chat_id, order_id, file, name, type, content FROM ranked
        WHERE first IS NULL ORDER BY line
        ON CONFLICT (key) DO UPDATE SET line = excluded.line, file = excluded.file"""
    )
    db.execute("DELETE FROM duplicate")
    db.execute("INSERT INTO duplicate SELECT line, first FROM ranked WHERE first IS NOT NULL")
    return changed, recognised


def _read(manifest: Path) -> bytes:
    try:
        if stat.S_ISREG(manifest.stat().st_mode):
            return manifest.read_bytes()
        reason = "is no regular file; write it to one, since each run reads it again"
    except (OSError, ValueError) as error:
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        if str(manifest) == "-":
            reason += "; standard input cannot be one, since each run reads it again"
    raise ManifestError(f"The manifest {str(manifest)!r} {reason}. Nothing was sent.")


def _contradictions(db: sqlite3.Connection) -> list[ManifestFault]:
    """Find keys that stand for two things: in two lines, or in a line and the journal."""
    twice = db.execute(
        """
        SELECT other.line, other.key, first.line FROM line AS other
        JOIN (SELECT key, min(line) AS least FROM line GROUP BY key HAVING count(*) > 1 AND max(keyed)) AS doubled
            ON doubled.key = other.key
        JOIN line AS first ON first.line = doubled.least
        WHERE (first.business_id, first.chat_id, first.order_id, first.file, first.name, first.type)
            IS NOT (other.business_id, other.chat_id, other.order_id, other.file, other.name, other.type)"""
    )
    faults = [
        ManifestFault(line, f"the key {key!r:.100} stands for something else in line {first}")
        for line, key, first in twice
    ]
    other = db.execute(
        """
        SELECT known.line, known.key, item.state FROM known JOIN item USING (id) LEFT JOIN look ON path = known.file
        WHERE (known.business_id, known.order_id) IS NOT (item.business_id, item.order_id)
            OR (known.order_id IS NULL AND known.chat_id IS NOT item.chat_id)
            OR (known.file <> item.file AND look.sha256 IS NOT item.sha256)
            OR (known.name IS NOT item.name AND sent_name(known.file, known.name, known.type)
                IS NOT sent_name(item.file, item.name, item.content_type))
            OR (known.type IS NOT item.content_type AND sent_type(known.file, known.name, known.type)
                IS NOT sent_type(item.file, item.name, item.content_type))"""
    )
    return faults + [
        ManifestFault(line, f"the key {key!r:.100} stands for something else in the journal ({state})")
        for line, key, state in other
    ]


def _look_at_files(db: sqlite3.Connection, folder: Path, limit: int) -> None:
    """Look at each file once that may be sent now, and take its checksum if the journal has not got it."""
    wanted = """
        SELECT DISTINCT file, was.size, was.mtime_ns, was.sha256 FROM known LEFT JOIN file AS was ON was.path = file
        WHERE open"""
    ((_, _, journal),) = db.execute("PRAGMA database_list").fetchall()[:1]
    for path, *was in db.execute(wanted).fetchall():
        db.execute(
            "INSERT INTO look VALUES (?, ?, ?, ?, ?)", (path, *_look_at(find(folder, path), limit, was, journal))
        )


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


def _recognise(db: sqlite3.Connection, states: Sequence[str]) -> list[int]:
    """Give lines that the journal does not know by their key the row with the same content for the same chat.

    A path may have been spelled in another way, lead through a link, or have been given a key: that is no reason to
    send it again. Only where line and row both have keys of their own, both are meant. Returns the lines whose row is
    not to be sent.
    """
    if not db.execute("SELECT 1 FROM known WHERE id IS NULL LIMIT 1").fetchone():
        return []
    db.execute("CREATE INDEX known_content ON known (business_id, target, content)")
    db.execute(f"CREATE TEMP VIEW mine AS SELECT *, {TARGET} AS target FROM item")  # noqa: S608
    best = "ORDER BY state = 'sent' DESC, state = 'unknown' DESC, state = 'not sent' DESC, id"
    db.execute(
        """
        CREATE TEMP TABLE fresh AS
        SELECT *, row_number() OVER (PARTITION BY business_id, target, content ORDER BY line) AS place
        FROM (SELECT min(line) AS line, key, business_id, target, content FROM known
            WHERE id IS NULL GROUP BY key HAVING sum(keyed))"""
    )
    db.execute("CREATE INDEX fresh_content ON fresh (business_id, target, content, place)")
    db.execute(
        f"""
        CREATE TEMP TABLE met AS
        SELECT fresh.line, fresh.key, mine.id FROM (
            SELECT *, row_number() OVER (PARTITION BY business_id, target, sha256 {best}) AS place
            FROM mine WHERE NOT keyed) AS mine
        CROSS JOIN fresh ON fresh.business_id = mine.business_id AND fresh.target = mine.target
            AND fresh.content = mine.sha256 AND fresh.place = mine.place
        UNION ALL
        SELECT * FROM (
            SELECT fresh.line, fresh.key, (
                SELECT id FROM item WHERE item.business_id = fresh.business_id AND {TARGET} = fresh.target
                    AND item.sha256 = fresh.content {best} LIMIT 1) AS id
            FROM (SELECT min(line) AS line, key, business_id, target, content FROM known
                GROUP BY business_id, target, content HAVING count(id) = 0 AND NOT sum(keyed)) AS fresh)
        WHERE id IS NOT NULL"""  # noqa: S608
    )
    db.execute("CREATE INDEX met_id ON met (id)")
    db.execute("CREATE INDEX met_key ON met (key)")
    told = f"SELECT met.line FROM met JOIN item USING (id) WHERE state NOT IN ({_marks(states)}) ORDER BY met.line"  # noqa: S608
    recognised = [line for (line,) in db.execute(told, states)]
    # A key of its own stays with its row; else both go by what the manifest says now.
    db.execute(
        """
        UPDATE known SET keyed = true, key = (
            SELECT item.key FROM met JOIN item ON item.id = met.id WHERE met.key = known.key)
        WHERE key IN (SELECT met.key FROM met JOIN item ON item.id = met.id WHERE item.keyed)"""
    )
    db.execute(
        """
        UPDATE item SET (key, keyed, name, content_type, order_id, chat_id) = (
            SELECT known.key, known.keyed, name, type, known.order_id, coalesce(item.chat_id, known.chat_id)
            FROM met JOIN known USING (line) WHERE met.id = item.id)
        WHERE NOT keyed AND id IN (SELECT id FROM met)"""
    )
    db.execute(
        """
        UPDATE item SET file = (SELECT known.file FROM met JOIN known USING (line) WHERE met.id = item.id)
        WHERE id IN (SELECT id FROM met)"""
    )
    db.execute("UPDATE known SET (id, state) = (SELECT id, state FROM item WHERE item.key = known.key)")
    return recognised


def _find_duplicates(db: sqlite3.Connection) -> None:
    """Rank the lines; `first` is the line that is sent in the place of one with the same content for the same chat.

    Lines with keys of their own are meant. Of the others the first counts, or one that the journal knows already.
    """
    db.execute(
        """
        CREATE TEMP TABLE ranked AS
        SELECT *, CASE
            WHEN NOT own_key AND place > 1 AND (state IS NULL OR state IN ('pending', 'not sent')) THEN first_of_content
            WHEN again > 1 THEN first_of_key
            END AS first
        FROM (
            SELECT *, row_number() OVER same_key AS again, first_value(line) OVER same_key AS first_of_key,
                row_number() OVER same_content AS place, first_value(line) OVER same_content AS first_of_content
            FROM (SELECT *, max(keyed) OVER (PARTITION BY key) AS own_key FROM known)
            WINDOW same_key AS (PARTITION BY key ORDER BY line),
                same_content AS (PARTITION BY business_id, target, content
                    ORDER BY own_key DESC, state IS 'sent' DESC, state IS NOT NULL DESC, line))"""
    )


def _refuse(faults: Sequence[ManifestFault]) -> None:
    if faults:
        first, *_ = ordered = sorted(faults, key=lambda fault: fault.line)
        count = f"{len(ordered)} fault{'s' if len(ordered) > 1 else ''}"
        said = f"The manifest has {count}; the first, in line {first.line}: {first.reason}. Nothing was sent."
        error = ManifestError(said)
        error.faults = tuple(ordered)
        raise error
