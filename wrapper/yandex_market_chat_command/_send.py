"""`yandex-market-chat send`: one file."""

from __future__ import annotations

import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yandex_market_chat import (
    ChatClient,
    ChatError,
    DeliveryUnknownError,
    InvalidFileError,
    InvalidRequestError,
    SentFile,
)  # fmt: skip

from ._client import client_arguments, error_facts, quota_facts, server_address, show_log
from ._output import Status, finish, say, tell
from ._signals import ending_signals, ignore_signals

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
    # A service manager's wish to end, or a terminal that is gone, is the same as somebody at the keyboard.
    for number in ending_signals():
        signal.signal(number, signal.default_int_handler)
    target = {"business_id": business_id, "chat_id": chat_id}
    # Whatever the locale takes the arguments for: names are UTF-8 on the wire.
    name = os.fsencode(name or os.path.basename(file)).decode("utf-8", "replace")
    try:
        content = sys.stdin.buffer if file == "-" else _find(file)
        arguments = client_arguments(api_key_file, base_url, timeout)
        with ChatClient(**arguments) as chat:
            if dry_run:
                from yandex_market_chat._async_client import AsyncChatClient, BatchDoor

                BatchDoor(AsyncChatClient(**arguments)).load_certificates()  # a send would need them
                facts = {**target, **chat.check_file(content, name=name, content_type=content_type)._asdict()}
                return _would_send(facts | {"base_url": server_address(base_url)}, as_json)
            with _bar(shown=sys.stderr.isatty() and not verbose) as progress:
                witness.listens = True
                sent = chat.send_file(content, name=name, content_type=content_type, on_progress=progress, **target)
                ignore_signals()  # its outcome is known: nothing may tell another
    except ChatError as error:
        ignore_signals()
        status = Status.NOT_SENT if error.retryable else Status.NEEDS_FIX
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
        ignore_signals()
        status, sentence = witness.outcome()
        say(sentence)
        return finish(status, as_json, {**target, "error": "KeyboardInterrupt", "message": sentence})
    return _sent(sent, as_json)


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
        tell(f"Sent {sent.name!r}, {size}, to {where} in {sent.elapsed:.1f} s{trace}.")
    names = ("business_id", "chat_id", "name", "size", "content_type", "attempts", "elapsed", "trace_id")
    facts = {name: getattr(sent, name) for name in names}
    return finish(Status.SENT, as_json, facts | {"quota": quota_facts(sent.quota)})


def _would_send(facts: dict[str, object], as_json: bool) -> Status:
    if not as_json:
        tell("\n".join(["Nothing was sent. This would be:", *(f"  {fact:<13} {facts[fact]}" for fact in facts)]))
    return finish(Status.SENT, as_json, facts, "dry run")


class _Witness(logging.Handler):
    """Takes from the client's log what became of a send that is interrupted."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._delivery: object = None
        self.listens = False  # the send has been begun
        logger = logging.getLogger("yandex_market_chat")
        logger.addHandler(self)
        logger.setLevel(logger.level or logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Take the field that the end of a send has."""
        self._delivery = getattr(record, "delivery", None)

    def outcome(self) -> tuple[Status, str]:
        """Return what an interrupted send ended with."""
        if self._delivery == "sent":
            return Status.SENT, "Interrupted; the file had been sent."
        if self._delivery == "not sent" or not self.listens:
            return Status.NOT_SENT, "Interrupted before anything went out. The file was not sent."
        # In flight, or while it was about to say how it had ended.
        advice = "Check the chat before resending."
        return Status.UNKNOWN, f"Interrupted in flight: nobody can know whether the buyer received the file. {advice}"


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
