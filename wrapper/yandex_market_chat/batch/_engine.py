"""A batch from its beginning to its end: open the journal, plan the manifest, run, write the report."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

from .._async_client import AsyncChatClient, BatchDoor
from ._history import Histories
from ._journal import NOT_SENT, PENDING, SENDING, SENT, UNKNOWN, Journal
from ._plan import plan
from ._report import Report
from ._result import BatchResult, Duplicate
from ._run import Progress, Run
from ._writer import Writer


async def send_batch(
    chat: AsyncChatClient,
    manifest: str | os.PathLike[str],
    *,
    journal: str | os.PathLike[str],
    resend_unknown: bool = False,
    retry_not_sent: bool = False,
    confirm: bool = True,
    dry_run: bool = False,
    report: str | os.PathLike[str] | None = None,
    stop: asyncio.Event | None = None,
    on_progress: Progress | None = None,
) -> BatchResult:
    """Send many files, each at most once, however often the process is killed and started again.

    The journal decides: an item is written down as *sending*, durably, before its connection opens, and as *sent*,
    *not sent* or *unknown* after. Called again with the same journal, the batch goes on where it was.

    A 420 does not count against an item: the business pauses (until the quota is renewed, if it is spent), and the item
    is sent again. What would stop any other item as well is not booked on the items, which stay pending: a certificate
    or a proxy that refuses, a response that is not Market's, and no connection in 6 rounds of attempts end the run, as
    do 10 sends in a row with an unknown outcome. A business with 5 sends in a row refused for the key (401, 403) is
    skipped for the rest of it.

    Args:
        chat: the client that sends; its `max_parallel`, `timeout`, `retry` and `max_file_size` hold.
        manifest: a CSV file with a header (comma, or semicolon), or JSON Lines, in UTF-8: business_id, either chat_id
            or order_id, file and optionally name, content_type and key. The chat of an order is opened when it is
            needed, and remembered in the journal. Paths start from the folder of the manifest. `key` is the caller's
            id of the item; default: business, chat or order, and path. A report of an earlier batch is one, too.
        journal: a SQLite file; made if it does not exist, its folder is not.
        resend_unknown: send again what nobody knows of; the buyer may receive it twice.
        retry_not_sent: send again what was not sent.
        confirm: read the chats' histories for what is unknown: at the start, and at the end for up to the client's
            `confirm_unknown` seconds (0: not at all). What is found there is sent; nothing else follows from it.
        dry_run: check everything and send nothing; the journal is left as it is, or not made.
        report: where to write a CSV of all lines with what became of them, at the end. Excel opens it as it is.
        stop: set it, and the batch ends as soon as what is in flight has ended; nothing new starts.
        on_progress: called on the event loop with the state of things, at the start and at each change; always the same
            object. If it raises, that is logged once, and it is not called again.

    Returns:
        What became of it, or with `dry_run` what is left to be sent.

    Raises:
        ManifestError: the manifest is faulty; `faults` has all that is wrong. Nothing was sent.
        JournalInUseError: another process works with this journal. Nothing was sent.
        JournalError: the journal cannot be used. Nothing was sent.
        BatchError: the report cannot be written. Nothing was sent.
        InvalidRequestError: the client is closed, or the certificates to trust cannot be loaded. Nothing was sent, and
            the journal is as it was.
    """
    door = BatchDoor(chat)
    door.check_usable()
    await asyncio.to_thread(door.load_certificates)
    states = [PENDING, *[UNKNOWN] * resend_unknown, *[NOT_SENT] * retry_not_sent]
    draft = Report(report, manifest, journal) if report is not None else None
    writer = Writer()
    try:
        changed, recognised = await writer.do(
            _begin, writer, journal, Path(manifest), dry_run, door.options.max_file_size, states
        )
        stop = stop or asyncio.Event()
        histories = Histories(door, writer, stop) if confirm and door.confirm_unknown and not dry_run else None
        if histories is not None:
            await histories.read_once()  # before it is said what is due
        run = Run(door, writer, Path(manifest).parent, states, stop, on_progress, histories)
        await run.begin()
        if not dry_run:
            await run.run()
            recognised += run.recognised
        counts = await writer.do(writer.journal.counts)
        needs_fix = await writer.do(writer.journal.needs_fix)
        duplicates = [*await writer.do(writer.journal.duplicates), *((line, None) for line in recognised)]
        unreported = None
        if draft is not None:
            try:
                await writer.do(draft.write, writer.journal)
            except OSError as error:
                unreported = error.strerror or str(error)
        return BatchResult(
            total=sum(counts.values()),
            sent=counts[SENT],
            confirmed=await writer.do(writer.journal.confirmed),
            not_sent=counts[NOT_SENT],
            needs_fix=needs_fix,
            unknown=counts[UNKNOWN] + counts[SENDING],
            left=counts[PENDING],
            due=run.progress.due,
            interrupted=writer.journal.interrupted,
            changed_files=changed,
            duplicates=tuple(Duplicate(*lines) for lines in sorted(duplicates)),
            stopped=run.stopped(),
            unwritten=tuple(run.unwritten),
            unreported=unreported,
        )
    finally:
        if draft is not None:
            draft.close()
        await writer.close()


def _begin(
    writer: Writer, path: str | os.PathLike[str], manifest: Path, dry_run: bool, limit: int, states: list[str]
) -> tuple[int, list[int]]:
    """Open the journal and plan, in one transaction."""
    journal = writer.journal = Journal(path, dry_run=dry_run)
    try:
        planned = plan(journal.db, manifest, limit, states)
        journal.keep()
    except sqlite3.Error as error:  # a full disk, most often
        raise journal.unusable(error) from None
    return planned
