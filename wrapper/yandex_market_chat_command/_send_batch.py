"""`yandex-market-chat send-batch`: many files."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from yandex_market_chat import AsyncChatClient, InvalidRequestError
from yandex_market_chat.batch import BatchError, BatchResult, ManifestError, send_batch

from ._client import client_arguments, show_log
from ._display import display
from ._output import Status, count, finish, say, tell
from ._signals import HANGUP, ending_signals, ignore_signals

SHOWN_FAULTS = 100
SHOWN_DOUBLES = 5


def send_many(*, as_json: bool, verbose: bool, manifest: str, journal: str, **options: object) -> Status:
    """Send them; return the exit status."""
    if verbose:
        show_log()
    where = {"manifest": manifest, "journal": journal}
    try:
        result = asyncio.run(_run(manifest=manifest, journal=journal, verbose=verbose, **options))  # type: ignore[arg-type]  # as click read them
    except (BatchError, InvalidRequestError) as error:
        faults = error.faults if isinstance(error, ManifestError) else ()
        _say_faults(str(error), faults)
        listed = [fault._asdict() for fault in faults]
        facts = {**where, "error": type(error).__name__, "message": str(error), "faults": listed}
        return finish(Status.WRONG_USE, as_json, facts)
    except asyncio.CancelledError:
        sentence = "Ended at once. What was in flight is unknown: the next run with this journal will say so."
        say(sentence)
        return finish(Status.STOPPED, as_json, {**where, "error": "KeyboardInterrupt", "message": sentence})
    dry_run = bool(options["dry_run"])
    _say_result(result, dry_run, as_json)
    status = Status.SENT if dry_run else _status(result)
    names = (
        "total",
        "sent",
        "confirmed",
        "not_sent",
        "needs_fix",
        "unknown",
        "left",
        "due",
        "interrupted",
        "changed_files",
    )
    facts = {name: getattr(result, name) for name in (*names, "stopped", "unreported")}
    facts |= {"duplicates": [each._asdict() for each in result.duplicates], "unwritten": list(result.unwritten)}
    return finish(status, as_json, {**where, **facts}, "dry run" if dry_run else None)


def _status(result: BatchResult) -> Status:
    if result.stopped or result.left or result.unreported:
        return Status.STOPPED
    if result.unknown:
        return Status.UNKNOWN
    if result.needs_fix:
        return Status.NEEDS_FIX
    return Status.NOT_SENT if result.not_sent else Status.SENT


async def _run(
    *,
    manifest: str,
    journal: str,
    parallel: int,
    resend_unknown: bool,
    retry_not_sent: bool,
    report: str | None,
    api_key_file: str | None,
    base_url: str | None,
    timeout: float | None,
    dry_run: bool,
    no_confirm: bool,
    verbose: bool,
) -> BatchResult:
    stop = asyncio.Event()
    async with AsyncChatClient(max_parallel=parallel, **client_arguments(api_key_file, base_url, timeout)) as chat:
        with _signals(stop), display(sys.stderr, live=not verbose) as on_progress:
            return await send_batch(
                chat,
                manifest,
                journal=journal,
                resend_unknown=resend_unknown,
                retry_not_sent=retry_not_sent,
                confirm=not no_confirm,
                dry_run=dry_run,
                report=report,
                stop=stop,
                on_progress=None if dry_run else on_progress,
            )


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Stop cleanly at the first signal, at once at the second."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def on_signal(number: int) -> None:
        if not stop.is_set():
            say("Stopping: what is in flight may end. Once more, and it ends at once.")
            stop.set()
        elif number != HANGUP and task is not None:  # one hangup comes from the shell and one from the system
            task.cancel()

    for number in ending_signals():
        # Not the loop's own way, which Windows has not: a handler that only wakes the loop.
        signal.signal(number, lambda number, _: loop.call_soon_threadsafe(on_signal, number))
    try:
        yield
    finally:
        ignore_signals()  # all that is left is to say how it ended


def _say_faults(message: str, faults: tuple[tuple[int, str], ...]) -> None:
    say(message)
    for line, reason in faults[:SHOWN_FAULTS]:
        say(f"  line {line}: {reason}")
    if len(faults) > SHOWN_FAULTS:
        say(f"  and {len(faults) - SHOWN_FAULTS} more (--json has them all)")


def _say_result(result: BatchResult, dry_run: bool, as_json: bool) -> None:
    out = say if as_json else tell
    doubles = [each for each in result.duplicates if each.first is not None]
    if doubles:
        out(f"{count(len(doubles), 'line')} not sent: the same content goes to the same chat by another.")
        for line, first in doubles[:SHOWN_DOUBLES]:
            out(f"  line {line} is as line {first}")
    known = [str(each.line) for each in result.duplicates if each.first is None]
    if known:
        what = f"{count(len(known), 'line')} not sent again: the journal has the same content for the same chat"
        more = ", …" if len(known) > SHOWN_DOUBLES else ""
        out(f"{what}, from another path or key (line {', '.join(known[:SHOWN_DOUBLES])}{more}).")
    if result.changed_files:
        out(f"{count(result.changed_files, 'file')} changed since it was planned; sent is what it is now.")
    if result.interrupted:
        out(f"{count(result.interrupted, 'file')} in flight when an earlier run was killed, so unknown.")
    if dry_run:
        out(f"Nothing was sent. {result.due} of {result.total} would be.")
        return
    out(
        f"{result.sent} of {result.total} sent, {result.not_sent} not sent, {result.unknown} unknown,"
        f" {result.left} left."
    )
    if result.confirmed:
        out(f"{result.confirmed} of the sent ones got no response; their chats' histories hold the files.")
    if result.unwritten:
        say("The journal could not take these outcomes, and will call them unknown:")
        for sentence in result.unwritten:
            say(f"  {sentence}")
    if result.unreported:
        say(f"The report could not be written: {result.unreported}. Run it again with the same journal to have it.")
    if result.stopped:
        told = result.stopped.rstrip(".")
        say(f"Stopped before the end: {told}. Run it again with the same journal to go on, once that is over.")
    for sentence in _advice(result):
        say(sentence)


def _advice(result: BatchResult) -> Iterator[str]:
    """Yield what helps with what was tried and not sent."""
    if result.not_sent:
        fix = f"{result.needs_fix} of {result.not_sent} not sent need a fix first (--report tells why). "
        yield f"{fix if result.needs_fix else ''}--retry-not-sent sends what was not sent again."
    if result.unknown:
        yield "Check the chats of what is unknown. --resend-unknown sends it again: buyers may receive it twice."
