"""The report: a CSV of every line of the manifest with what became of it.

As a Russian Excel opens it: UTF-8 with its mark, and semicolons. It can be the next manifest.
"""

from __future__ import annotations

import csv
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ._cell import guarded
from ._journal import Journal
from ._manifest import BatchError

_HEADER = (
    "line", "key", "business_id", "chat_id", "file", "name", "content_type", "outcome", "retryable", "error",
    "error_code", "status_code", "trace_id", "attempts", "unknown_attempts", "reason", "at", "order_id",
    "opened_chat_id", "confirmed_by", "message_id", "since",
)  # fmt: skip


class Report:
    """A report that is to be. There is never half of it: it takes its name when it is whole."""

    def __init__(self, path: str | os.PathLike[str], *others: str | os.PathLike[str]) -> None:
        try:
            self._path = Path(os.path.realpath(path))  # where a link leads is written, not the link
            if self._path.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            if self._path.exists() and not self._path.is_file():
                raise ValueError("it is no regular file")
            if any(_is_same(self._path, os.path.realpath(other)) for other in others):
                raise ValueError("it is the manifest or the journal")
            # Now, so that a wrong path shows before anything is sent.
            descriptor, self._draft = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BatchError(f"The report {str(path)!r} cannot be written: {reason}. Nothing was sent.") from None
        os.close(descriptor)

    def write(self, journal: Journal) -> None:
        """Write it. OSError if that fails."""
        with open(self._draft, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, delimiter=";")
            writer.writerow(_HEADER)
            writer.writerows(map(guarded, row) for row in journal.rows())
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self._draft, 0o666 & ~mask)  # as any new file; a temporary one is for its owner alone
        os.replace(self._draft, self._path)

    def close(self) -> None:
        """Remove what is no report."""
        with suppress(OSError):
            os.unlink(self._draft)


def _is_same(path: Path, other: str) -> bool:
    with suppress(OSError):  # one of them is not there yet
        return os.path.samefile(path, other)
    return str(path) == other
