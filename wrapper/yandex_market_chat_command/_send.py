"""`yandex-market-chat send`: one file."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from yandex_market_chat import (
    ChatClient,
    ChatError,
    DeliveryUnknownError,
    InvalidFileError,
    InvalidRequestError,
    LedgerError,
    SentFile,
)  # fmt: skip

from ._client import client_arguments, error_facts, quota_facts, server_address, show_log
from ._confirm import how_to_confirm
from ._output import Status, finish, say, tell
from ._signals import ignore_signals, interrupt_once

Progress = Callable[[int, int], object]


def send_one(
    *,
    file: str,
    business_id: int,
    chat_id: int | None,
    order_id: int | None,
    name: str | None,
    content_type: str | None,
    idempotency_key: str | None,
    ledger: str | None,
    api_key_file: str | None,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
    dry_run: bool,
    no_confirm: bool,
    verbose: bool,
) -> Status:
    """Send it, or only look at it; return the exit status."""
    witness = _Witness(verbose=verbose)  # first: what it hears counts more than what is shown
    if verbose:
        show_log()
    # A service manager's wish to end, or a terminal that is gone, is the same as somebody at the keyboard.
    interrupt_once()
    target = {"business_id": business_id, "chat_id": chat_id, "order_id": order_id}
    later = {"api_key_file": api_key_file, "base_url": base_url}
    # Whatever the locale takes the arguments for: names are UTF-8 on the wire.
    name = os.fsencode(name or os.path.basename(file)).decode("utf-8", "replace")
    try:
        try:
            content = sys.stdin.buffer if file == "-" else _find(file)
            arguments = client_arguments(api_key_file, base_url, timeout, confirm=not no_confirm, ledger=ledger)
            with ChatClient(**arguments) as chat:
                if dry_run:
                    from yandex_market_chat._async_client import AsyncChatClient, BatchDoor

                    arguments["ledger"] = ""  # a batch has none
                    BatchDoor(AsyncChatClient(**arguments)).load_certificates()  # a send would need them
                    checked = chat.check_file(content, name=name, content_type=content_type)
                    return _would_send({**target, **checked._asdict(), "base_url": server_address(base_url)}, as_json)
                with _bar(shown=sys.stderr.isatty() and not verbose) as progress:
                    witness.since = datetime.now(UTC)
                    sent = chat.send_file(
                        content,
                        business_id=business_id,
                        chat_id=chat_id,
                        order_id=order_id,
                        idempotency_key=idempotency_key,
                        name=name,
                        content_type=content_type,
                        on_progress=progress,
                    )
                    ignore_signals()  # its outcome is known: nothing may tell another
        except ChatError as error:
            ignore_signals()
            status = Status.NOT_SENT if error.retryable else Status.NEEDS_FIX
            if isinstance(error, DeliveryUnknownError | LedgerError):
                status = Status.UNKNOWN
            elif isinstance(error, InvalidRequestError):
                status = Status.WRONG_USE
            facts = {**target, **error_facts(error)}
            facts |= {name: value for name, value in target.items() if value is not None}
            sentence = " ".join(filter(None, (str(error), how_to_confirm(facts, later))))
            say(sentence)
            return finish(status, as_json, facts | {"message": sentence})
        except OSError as error:  # of the file, or of standard input
            sentence = f"{file!r} cannot be read: {error.strerror or error}. Nothing was sent."
            say(sentence)
            return finish(Status.WRONG_USE, as_json, {**target, "error": type(error).__name__, "message": sentence})
        return _sent(sent, as_json)
    except KeyboardInterrupt:
        ignore_signals()
        status, sentence, known = witness.outcome()
        known |= {name: value for name, value in target.items() if value is not None}
        sentence = " ".join(filter(None, (sentence, how_to_confirm(known, later))))
        say(sentence)
        return finish(status, as_json, {**target, **known, "error": "KeyboardInterrupt", "message": sentence})


def _find(file: str) -> str:
    """Return the path of the file, in the spelling that the disk has."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        from yandex_market_chat.batch._lookup import find

        return os.fspath(find(Path(), file))
    except (OSError, ValueError):  # the client says what is wrong
        return file
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        advice = "to send what another command writes, pipe it to - and pass --name"
        raise InvalidFileError(f"{file!r} is a pipe or device and no regular file; {advice}. Nothing was sent.")
    return file


def _sent(sent: SentFile, as_json: bool) -> Status:
    if not as_json:
        size, where = f"{sent.size} bytes", f"chat {sent.chat_id} of business {sent.business_id}"
        trace = f", request {sent.trace_id}" if sent.trace_id else ""
        how = "" if sent.message_id is None else f" The response was lost; message {sent.message_id} holds the file."
        when = "before; nothing was sent now" if sent.from_ledger else f"in {sent.elapsed:.1f} s"
        tell(f"Sent {sent.name!r}, {size}, to {where} {when}{trace}.{how}")
    names = (
        "business_id", "chat_id", "order_id", "name", "size", "content_type", "attempts", "elapsed", "trace_id",
        "confirmed_by", "message_id", "from_ledger",
    )  # fmt: skip
    facts = {name: getattr(sent, name) for name in names}
    return finish(Status.SENT, as_json, facts | {"quota": quota_facts(sent.quota)})


def _would_send(facts: dict[str, object], as_json: bool) -> Status:
    if not as_json:
        shown = (f"  {fact:<13} {value}" for fact, value in facts.items() if value is not None)
        tell("\n".join(["Nothing was sent. This would be:", *shown]))
    return finish(Status.SENT, as_json, facts, "dry run")


class _Witness(logging.Handler):
    """Takes from the client's log what became of a send that is interrupted."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(logging.INFO)
        self._verbose = verbose  # then the log is shown anyway
        self._delivery: object = None
        self._in_doubt = False  # the idempotency key, while this call has sent nothing
        self._facts: dict[str, object] = {}
        self.since: datetime | None = None  # the send has been begun
        logger = logging.getLogger("yandex_market_chat")
        logger.addHandler(self)
        logger.setLevel(logger.level or logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Take the fields that the end of a send has; say what else is a warning."""
        delivery = getattr(record, "delivery", None)
        if delivery is None and record.levelno >= logging.WARNING and not self._verbose:
            say(f"Warning: {record.getMessage()}.")
        if delivery is not None:
            self._delivery = delivery
            self._in_doubt = bool(getattr(record, "idempotency_key", None)) and not getattr(record, "attempts", None)
            fields = {"chat_id": "chat_id", "name": "file_name", "size": "file_size"}
            self._facts = {fact: getattr(record, name, None) for fact, name in fields.items()}

    def outcome(self) -> tuple[Status, str, dict[str, object]]:
        """Return what an interrupted send ended with, and what is known of it."""
        if self._delivery == "sent":
            return Status.SENT, "Interrupted; the file had been sent.", self._facts
        if self._delivery == "not sent" or self.since is None:
            return Status.NOT_SENT, "Interrupted before anything went out. The file was not sent.", self._facts
        if self._delivery == "unknown" and self._in_doubt:
            sentence = "Interrupted; this call sent nothing. An earlier one with the idempotency key may have sent it:"
            return Status.UNKNOWN, f"{sentence} call again with the key.", self._facts
        # In flight, or while it was about to say how it had ended.
        sentence = "Interrupted in flight: nobody can know whether the buyer received the file."
        facts = self._facts | {"since": self.since.isoformat()}
        return Status.UNKNOWN, f"{sentence} Check the chat before resending.", facts


@contextmanager
def _bar(*, shown: bool) -> Iterator[Progress | None]:
    """Show how far the file is, on a terminal."""
    if not shown or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("Sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)
    # The terminal may be gone while the file is on its way: what cannot be shown says nothing about the file.
    with suppress(OSError):
        bar.start()
    try:
        yield lambda written, size: bar.update(task, completed=written, total=size)
    finally:
        with suppress(OSError):
            bar.stop()
