"""What a command ends with: the status, and what is said on which stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import IntEnum
from typing import TextIO


class Status(IntEnum):
    """The exit statuses, as `--help` tells them."""

    SENT = 0
    WRONG_USE = 2
    NOT_SENT = 3
    UNKNOWN = 4
    STOPPED = 5
    NEEDS_FIX = 6

    @property
    def outcome(self) -> str:
        """How the JSON object calls it."""
        return "not sent" if self is Status.NEEDS_FIX else self.name.lower().replace("_", " ")


def local_time(moment: datetime) -> str:
    """Return a moment with its date and zone, as the clock on the wall has it."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def count(number: int, noun: str) -> str:
    """Return so many of them, in English whose plurals end in s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say(sentence: str) -> None:
    """Write a paragraph for people, to standard error."""
    _write(sentence, sys.stderr)


def tell(text: str) -> None:
    """Write the result, to standard output."""
    _write(text, sys.stdout)


def _write(text: str, stream: TextIO) -> None:
    with suppress(OSError):  # nobody listens or reads; the exit status still tells
        print(text, file=stream)
    let_go(stream)


def let_go(stream: TextIO) -> None:
    """Write what is left; what nobody takes is dropped, or Python would try again at its end and exit with 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def finish(status: Status, as_json: bool, facts: Mapping[str, object], outcome: str | None = None) -> Status:
    """Print the one JSON object, if it is wanted; return the status."""
    if as_json:
        import json  # no need of it for --help

        tell(json.dumps({"outcome": outcome or status.outcome, "status": int(status), **facts}))
    return status
