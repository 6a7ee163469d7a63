"""`make test-durability`: is the journal on the disk before a connection opens? The system calls tell.

A batch runs under strace. For each connect() there must be, since the one before: a write of a row that says *sending*
into the journal, after it a sync of the journal, and a sync of its rollback journal cut to nothing, without which that
row could be undone after a power failure. Once more with a journal that is told not to sync: that has to be seen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from yandex_market_chat.testing import MockServer

ITEMS = 5
CALLS = "write,pwrite64,fsync,fdatasync,ftruncate,connect"
# Of a call that another thread interrupts: what counts is when a sync has ended, and when all else has begun.
LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<text>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>")
WITHOUT_SYNC = """
import sqlite3, sys
from yandex_market_chat.batch import _journal
keep = _journal.Journal.keep
def unsynced(self):
    keep(self)
    self.db.execute("PRAGMA synchronous = OFF")
_journal.Journal.keep = unsynced
from yandex_market_chat_command import main
sys.exit(main())
"""


def trace(folder: Path, server: MockServer, *, synced: bool) -> list[str]:
    """Run a batch of so many items, one after the other; return the lines of strace."""
    (folder / "file.bin").write_bytes(b"x" * 1000)
    lines = [f"1,{chat},file.bin" for chat in range(1, ITEMS + 1)]
    (folder / "manifest.csv").write_text("\n".join(["business_id,chat_id,file", *lines]))
    command = ["-m", "yandex_market_chat_command"] if synced else ["-c", WITHOUT_SYNC]
    strace = ["strace", "-f", "-y", "-s", "100000", "-o", "trace", "-e", f"trace={CALLS}", sys.executable]
    subprocess.run(  # noqa: S603  our own command
        [*strace, *command, "send-batch", "manifest.csv", "--journal", "run.sqlite", "--parallel", "1"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"YANDEX_MARKET_API_KEY": server.api_key, "YANDEX_MARKET_BASE_URL": server.base_url},
    )
    return (folder / "trace").read_text(encoding="utf-8", errors="replace").splitlines()


def events(lines: list[str], port: str) -> Iterator[str]:
    """Yield what matters, in order: *row*, *synced*, *cut*, *cut synced*, *connect*."""
    waiting: dict[tuple[str, str], str] = {}
    for line in lines:
        if (resumed := RESUMED.match(line)) and (event := waiting.pop((resumed["pid"], resumed["call"]), "")):
            yield event
        if not (found := LINE.match(line)):
            continue
        call, text = found["call"], found["text"]
        main, cut = "/run.sqlite>" in text, "/run.sqlite-journal>" in text
        event = ""
        if call == "connect" and f"htons({port})" in text:
            event = "connect"
        elif call == "pwrite64" and main and "sending" in text:
            event = "row"
        elif call in ("fsync", "fdatasync") and (main or cut):
            event = "synced" if main else "cut synced"
        elif call == "ftruncate" and cut:
            event = "cut"
        if event and call in ("fsync", "fdatasync") and "<unfinished ...>" in text:
            waiting[found["pid"], call] = event
        elif event:
            yield event


def faults(happened: list[str]) -> list[str]:
    """Return what is wrong with the order."""
    wrong: list[str] = []
    since: list[str] = []
    connects = happened.count("connect")
    if connects != ITEMS:
        wrong.append(f"{connects} connections were opened, not {ITEMS}")
    for event in happened:
        if event == "connect":
            if since != ["row", "synced", "cut", "cut synced"]:
                wrong.append(f"a connection opened after: {', '.join(since) or 'nothing'}")
            since = []
        else:
            if event == "row":  # the latest counts
                since = []
            since.append(event)
    return wrong


def main() -> int:
    """Return the exit status: 0 if each row was durable in time, and that it is not is seen without the sync."""
    if not shutil.which("strace"):
        print("strace is needed (Debian: apt-get install strace)", file=sys.stderr)
        return 2
    seen = {}
    for synced in (True, False):
        with tempfile.TemporaryDirectory() as folder, MockServer() as server:
            lines = trace(Path(folder), server, synced=synced)
            happened = list(events(lines, server.base_url.rpartition(":")[2]))
        seen[synced] = faults(happened)
        first = happened.index("connect")
        print("synced:" if synced else "not synced, on purpose:", ", ".join(happened[max(0, first - 4) : first + 1]))
    if seen[True]:
        print(*seen[True], sep="\n")
    if len(seen[False]) != ITEMS:
        print("a journal that is not synced is not seen", *seen[False], sep="\n")
    return bool(seen[True] or len(seen[False]) != ITEMS)


if __name__ == "__main__":
    sys.exit(main())
