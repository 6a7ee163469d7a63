"""`make torture`: kills a batch again and again while the mock server fails; then compares the report with the server.

    python wrapper/scripts/torture.py [--files 3000] [--businesses 5] [--kills 50] [--seed ...]

The command runs as a process, killed with SIGKILL at random moments and started again. In the end its report
is compared with what arrived.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from yandex_market_chat.testing import Answer, Fault, MockServer

FILES = 200  # distinct ones
LEAST_SENT = 0.6
COMMAND = [sys.executable, "-m", "yandex_market_chat_command", "send-batch", "manifest.csv"]

# A silence ends soon, since it holds a slot. The client waits for as long as its total says.
UNKNOWN = [
    *(Fault(cut="reset", at=at) for at in ("before-body", "after-body")),
    *(Fault(cut=cut, at="in-body", after=100, hold=3) for cut in ("reset", "drop", "silence")),
    *(Fault(cut=cut, at="in-answer", after=30, hold=3) for cut in ("reset", "drop", "silence")),
    Fault(cut="silence", at="after-body", hold=3),
    Answer(500),
    Answer(503, off_contract=True),
]
# They claim a quota that is spent for a second more; the quota in all others comes from the server's own limits.
SPENT = {
    "X-RateLimit-Resource-Limit": "1000",
    "X-RateLimit-Resource-Remaining": "0",
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2018 00:42:43 GMT",
    "Date": "Tue, 10 Jul 2018 00:42:42 GMT",
}
PASSING = [Answer(420), Answer(420, example="resource", headers=SPENT)]
REFUSED = [Answer(400), Answer(404)]


class Torture:
    """One batch, its server, and what is known of what has happened to it."""

    def __init__(self, folder: Path, server: MockServer, dice: random.Random) -> None:
        self.folder, self.server, self.dice = folder, server, dice
        self.items: dict[int, int] = {}  # chat and business
        self.scripted: dict[str, set[int]] = {"unknown": set(), "refused": set()}
        self.interrupted: set[int] = set()

    def prepare(self, files: int, businesses: int) -> None:
        """Write files and manifest, and what the server is to do to whom."""
        for number in range(FILES):
            content = self.dice.randbytes(self.dice.choice((200, 5_000, 100_000)))
            (self.folder / f"{number}.bin").write_bytes(content)
        with (self.folder / "manifest.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("business_id", "chat_id", "file"))
            for chat in range(1, files + 1):
                self.items[chat] = self.dice.randint(1, businesses)
                writer.writerow((self.items[chat], chat, f"{chat % FILES}.bin"))
                self._script(chat)

    def _script(self, chat: int) -> None:
        fate = self.dice.random()
        if fate < 0.08:
            self.scripted["unknown"].add(chat)
            self.server.script_for(chat, self.dice.choice(UNKNOWN))
        elif fate < 0.10:
            self.scripted["refused"].add(chat)
            self.server.script_for(chat, self.dice.choice(REFUSED))
        elif fate < 0.105:
            self.server.script_for(chat, self.dice.choice(PASSING))
        else:
            self.server.script_for(chat, Fault(delay=self.dice.uniform(0, 0.2)))

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start the command."""
        environment = {"YANDEX_MARKET_API_KEY": self.server.api_key, "YANDEX_MARKET_BASE_URL": self.server.base_url}
        return subprocess.Popen(  # noqa: S603  our own command
            [*COMMAND, "--journal", "run.sqlite", "--timeout", "2", "--json", *more],
            cwd=self.folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def kill_once(self, requests: int) -> bool:
        """Start it, and kill it when about so many files more have come; False if it had ended before."""
        process = self.start()
        after = len(self.server.received) + self.dice.randint(0, 2 * requests)  # not requests: most are for chats
        soon = time.monotonic() + (self.dice.uniform(0, 1.5) if self.dice.random() < 0.2 else 60)
        while process.poll() is None and len(self.server.received) < after and time.monotonic() < soon:
            time.sleep(0.002)
        time.sleep(self.dice.uniform(0, 0.05))
        process.kill()
        process.communicate()
        if (self.folder / "run.sqlite").exists():
            journal = sqlite3.connect(self.folder / "run.sqlite")
            if journal.execute("SELECT count(*) FROM sqlite_master WHERE name = 'item'").fetchone()[0]:
                self.interrupted.update(
                    chat for (chat,) in journal.execute("SELECT chat_id FROM item WHERE state = 'sending'")
                )
            journal.close()
        return process.returncode < 0

    def finish(self, *more: str) -> tuple[int, dict[str, object]]:
        """Run it to the end; return the exit status and what it says."""
        process = self.start("--report", "report.csv", *more)
        out, _ = process.communicate(timeout=600)
        return process.returncode, json.loads(out)

    def rows(self) -> dict[int, dict[str, str]]:
        """Return what the report says of each chat."""
        with (self.folder / "report.csv").open(encoding="utf-8-sig", newline="") as file:
            return {int(row["chat_id"]): row for row in csv.DictReader(file, delimiter=";")}

    def outcomes(self) -> dict[int, str]:
        """Return the outcome of each chat."""
        return {chat: row["outcome"] for chat, row in self.rows().items()}

    def arrived(self) -> Counter[int]:
        """Count what arrived in each chat."""
        return Counter(file.chat_id for file in self.server.received)

    def unscripted_refusals(self) -> Counter[str]:
        """Count the answers 420 that nothing but the limits is to blame for, for each business."""
        return Counter(
            request.path for request in self.server.requests if request.status == 420 and not request.scripted
        )


def judge(torture: Torture, status: int) -> list[str]:
    """Return what is wrong after the run that came to its end."""
    wrong = []
    said, arrived = torture.outcomes(), torture.arrived()
    chats = {outcome: {chat for chat in said if said[chat] == outcome} for outcome in {*said.values()}}
    expected = {"sent", "not sent", "unknown"}

    def check(holds: bool, sentence: str) -> None:
        if not holds:
            wrong.append(sentence)

    check(said.keys() == torture.items.keys(), "the report has other items than the manifest")
    check(chats.keys() <= expected, f"there are items {chats.keys() - expected}")
    check(status == 4, f"the exit status is {status}, not 4")
    for chat in chats.get("sent", ()):
        check(arrived[chat] == 1, f"chat {chat}: sent, and {arrived[chat]} arrived")
    for chat in chats.get("not sent", ()):
        check(arrived[chat] == 0, f"chat {chat}: not sent, and {arrived[chat]} arrived")
    for chat, count in arrived.items():
        check(count == 1, f"chat {chat}: {said.get(chat)}, and {count} arrived")
    unknown = torture.interrupted | torture.scripted["unknown"]
    # Of these the history shows what arrived, and that alone.
    settled = unknown & arrived.keys()
    odd = chats.get("unknown", set()) ^ (unknown - settled)
    check(not odd, f"unknown by the journal or by what happened, not by both: {sorted(odd)}")
    rows = torture.rows()
    by_history = {chat for chat in said if rows[chat]["confirmed_by"] == "history"}
    check(by_history == settled, f"confirmed by the history or arrived, not both: {sorted(by_history ^ settled)}")
    for chat in by_history:
        held = {str(message.message_id) for message in torture.server.chats.messages(torture.items[chat], chat)}
        check(rows[chat]["message_id"] in held, f"chat {chat}: confirmed by a message that it does not hold")
    refused = torture.scripted["refused"] - unknown
    check(chats.get("not sent", set()) == refused, "what is not sent is not what was refused")
    share = len(chats.get("sent", ())) / len(torture.items)
    check(share >= LEAST_SENT, f"only {share:.0%} were sent")
    most = max(torture.unscripted_refusals().values(), default=0)
    check(most <= 3, f"{most} requests of a business were refused with 420")
    shown = ", ".join(f"{len(chats.get(outcome, ()))} {outcome}" for outcome in sorted(expected))
    print(f"{shown}; {most} refused with 420 at most")
    killed = torture.interrupted
    print(
        f"{len(killed)} were in flight when killed: {len(killed & settled)} of {len(killed & arrived.keys())} that had"
        f" arrived were settled by the history, {len(killed - settled)} stay unknown"
    )
    return wrong


def judge_resent(torture: Torture, status: int) -> list[str]:
    """Return what is wrong after everything has been sent again that was not sent or unknown."""
    said, arrived = torture.outcomes(), torture.arrived()
    wrong = [f"chat {chat}: {outcome} in the end" for chat, outcome in said.items() if outcome != "sent"]
    wrong += [f"chat {chat}: nothing arrived" for chat in torture.items if not arrived[chat]]
    return wrong + ([f"the exit status is {status}, not 0"] if status else [])


def main() -> int:
    """Return the exit status: 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--businesses", type=int, default=5)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"{options.files} files, {options.businesses} businesses, {options.kills} kills, seed {options.seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, MockServer(limits=True, keep_bytes=0) as server:
        torture = Torture(Path(folder), server, random.Random(options.seed))  # noqa: S311  no secret
        torture.prepare(options.files, options.businesses)
        kills = 0
        for _ in range(2 * options.kills):
            kills += torture.kill_once(options.files * 3 // 4 // options.kills)
            if kills == options.kills:
                break
        status, _ = torture.finish()
        wrong = judge(torture, status)
        if kills < options.kills:
            wrong.append(f"it could be killed {kills} times only, not {options.kills}")
        server._service.script._by_chat.clear()  # what a request was to meet that a kill has held back
        status, _ = torture.finish("--resend-unknown", "--retry-not-sent")
        wrong += judge_resent(torture, status)
        requests = len(server.requests)
    print(f"{kills} kills, {requests} requests, {time.monotonic() - began:.0f} s")
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
