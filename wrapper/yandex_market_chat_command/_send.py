"""`yandex-market-chat send`: one file."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from yandex_market_chat import ChatClient, ChatError, DeliveryUnknownError, InvalidRequestError, SentFile
from yandex_market_chat._send import Send

from ._client import client_arguments, error_facts, quota_facts, show_log
from ._output import Status, finish, say, tell

Progress = Callable[[int, int], object]


def send_one(
    *,
    file: str,
    business_id: int,
    chat_id: int,
    name: str | None,
    content_type: str | None,
    api_key_file: str | None,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
    dry_run: bool,
    verbose: bool,
) -> Status:
    """Send it, or only look at it; return the exit status."""
    witness = _Witness()  # first: what it hears counts more than what is shown
    if verbose:
        show_log()
    # A service manager's wish to end is the same as that of somebody at the keyboard.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    target = {"business_id": business_id, "chat_id": chat_id}
    content = sys.stdin.buffer if file == "-" else file
    # Whatever the locale takes the arguments for: names are UTF-8 on the wire.
    name = os.fsencode(name or file).decode("utf-8", "replace")
    try:
        with ChatClient(**client_arguments(api_key_file, base_url, timeout)) as chat:
            if dry_run:
                return _look_at(chat, content, target, name, content_type, as_json)
            with _bar(shown=sys.stderr.isatty() and not verbose) as progress:
                witness.listens = True
                sent = chat.send_file(content, name=name, content_type=content_type, on_progress=progress, **target)
                _ignore_signals()
    except ChatError as error:
        _ignore_signals()
        status = Status.NOT_SENT
        if isinstance(error, DeliveryUnknownError):
            status = Status.UNKNOWN
        elif isinstance(error, InvalidRequestError):
            status = Status.WRONG_USE
        say(str(error))
        return finish(status, as_json, {**target, **error_facts(error)})
    except OSError as error:  # of the file, or of standard input
        sentence = f"{file!r} cannot be read: {error.strerror or error}. Nothing was sent."
        say(sentence)
        return finish(Status.WRONG_USE, as_json, {**target, "error": type(error).__name__, "message": sentence})
    except KeyboardInterrupt:
        _ignore_signals()
        status, sentence = witness.outcome()
        say(sentence)
        return finish(status, as_json, {**target, "error": "KeyboardInterrupt", "message": sentence})
    return _sent(sent, as_json)


def _ignore_signals() -> None:
    # What became of the file is known: an interrupt while that is told must not tell something else.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _sent(sent: SentFile, as_json: bool) -> Status:
    if not as_json:
        size, where = f"{sent.size} bytes", f"chat {sent.chat_id} of business {sent.business_id}"
        trace = f", request {sent.trace_id}" if sent.trace_id else ""
        tell(f"Sent {sent.name!r}, {size}, to {where} in {sent.elapsed:.1f} s{trace}.")
    names = ("business_id", "chat_id", "name", "size", "content_type", "attempts", "elapsed", "trace_id")
    facts = {name: getattr(sent, name) for name in names}
    return finish(Status.SENT, as_json, facts | {"quota": quota_facts(sent.quota)})


def _look_at(
    chat: ChatClient, content: object, target: dict[str, int], name: str | None, content_type: str | None, as_json: bool
) -> Status:
    """Do what a send does before anything goes out, and tell what it would send."""
    checked = chat.check_file(content, name=name, content_type=content_type)  # type: ignore[arg-type]
    facts: dict[str, object] = {**target, **checked._asdict()}
    if not as_json:
        tell("\n".join(["Nothing was sent. This would be:", *(f"  {fact:<13} {facts[fact]}" for fact in facts)]))
    return finish(Status.SENT, as_json, facts, "dry run")


class _Witness(logging.Handler):
    """Hears what the client logs of a send that is interrupted: whether anything had gone out."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said = ""
        self.listens = False  # the send has been begun
        logger = logging.getLogger("yandex_market_chat")
        logger.addHandler(self)
        logger.setLevel(logger.level or logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Take what a send has ended with."""
        self.said = record.getMessage()

    def outcome(self) -> tuple[Status, str]:
        """Return what an interrupted send ended with."""
        if self.said.startswith("sent"):
            return Status.SENT, "Interrupted; the file had been sent."
        if self.said.startswith("not sent") or not self.listens:
            return Status.NOT_SENT, "Interrupted before anything went out. The file was not sent."
        # In flight, or while it was about to say how it had ended.
        advice = "Look into the chat before sending it again."
        return Status.UNKNOWN, f"Interrupted in flight: nobody can know whether the buyer got the file. {advice}"


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
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda written, size: bar.update(task, completed=written, total=size)
