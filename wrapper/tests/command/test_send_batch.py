"""`yandex-market-chat send-batch`, as a process."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import COMMAND, Cli

ROOT = Path(__file__).parents[3]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Write a manifest of some chats of business 1, and their file."""
    (tmp_path / "счёт.pdf").write_bytes(b"%PDF-1.7")

    def write(*chats: int, file: str = "счёт.pdf") -> None:
        lines = ["business_id,chat_id,file", *(f"1,{chat},{file}" for chat in chats)]
        (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")

    return write


CONFIRMED = ("send-batch", "m.csv", "--journal", "j.sqlite")
BATCH = (*CONFIRMED, "--no-confirm")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def test_statuses(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    server.script_for(2, Answer(400))
    server.script_for(3, SCENARIOS["drop-after-body"])
    write(1, 2, 3, 1)
    first = cli(*BATCH, "--report", "r.csv")
    assert first.status == 4
    assert first.out.splitlines() == [
        "1 line not sent: the same content goes to the same chat by another.",
        "  line 5 is as line 2",
        "1 of 3 sent, 1 not sent, 1 unknown, 0 left.",
    ]
    assert first.err.splitlines() == [
        "Sending 3 of 3 files for 1 business.",
        "1 of 1 not sent need a fix first (--report tells why). --retry-not-sent sends what was not sent again.",
        "Check the chats of what is unknown. --resend-unknown sends it again: buyers may receive it twice.",
    ]
    with (cli.folder / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        outcomes = {row["line"]: (row["outcome"], row["error"]) for row in csv.DictReader(file, delimiter=";")}
    assert outcomes == {
        "2": ("sent", ""),
        "3": ("not sent", "BadRequestError"),
        "4": ("unknown", "ConnectionLostError"),
        "5": ("duplicate", ""),
    }
    second = cli(*BATCH, "--resend-unknown", "--json")
    told = second.told
    assert (second.status, told["outcome"], told["needs_fix"]) == (6, "not sent", 1)
    assert (told["total"], told["sent"], told["not_sent"], told["unknown"], told["left"]) == (3, 2, 1, 0, 0)
    assert told["duplicates"] == [{"line": 5, "first": 2}]
    assert (told["journal"], told["stopped"]) == ("j.sqlite", None)
    third = cli(*BATCH, "--retry-not-sent", "--json").told
    assert (third["outcome"], third["sent"], third["due"]) == ("sent", 3, 1)
    assert len(server.received) == 3


def test_orders_and_what_the_history_shows(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write()
    (cli.folder / "m.csv").write_text("business_id;order_id;file\n1;77;счёт.pdf\n1;78;счёт.pdf\n", encoding="utf-8")
    chats = [server.chats.open(1, order_id=order) for order in (77, 78)]
    for chat in chats:
        server.script_for(chat, Answer(500, taken=True))
    left_alone = cli(*BATCH, "--json").told
    assert (left_alone["outcome"], left_alone["unknown"], left_alone["confirmed"]) == ("unknown", 2, 0)
    assert not [request for request in server.requests if request.operation == "getChatHistory"]
    shown = cli(*CONFIRMED)
    assert (shown.status, shown.out.splitlines()) == (
        0,
        [
            "2 of 2 sent, 0 not sent, 0 unknown, 0 left.",
            "2 of the sent ones got no response; their chats' histories hold the files.",
        ],
    )
    assert cli(*CONFIRMED, "--json").told["confirmed"] == 2
    assert sorted(file.chat_id for file in server.received) == chats


def test_a_signal_ends_the_look_into_the_history(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    server.script_for(1, Answer(500))
    server.script_on("getChatHistory", Fault(cut="silence", at="after-body"))
    write(1)
    process = cli.start(*CONFIRMED, "--json")
    until(lambda: server.in_flight and server.requests[-1].operation == "getChatHistory")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    told = json.loads(out)
    assert (process.returncode, told["outcome"], told["unknown"], told["stopped"]) == (4, "unknown", 1, None)


def test_killed_and_started_again(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    server.script_for(3, Fault(cut="silence", at="after-body"))
    write(*range(1, 7))
    process = cli.start(*BATCH, "--parallel", 1)
    until(lambda: len(server.received) == 2 and server.in_flight)
    locked = cli(*BATCH, "--json")
    assert (locked.status, locked.told["error"]) == (2, "JournalInUseError")
    assert "in use by another process" in locked.err
    process.kill()
    process.communicate()
    again = cli(*BATCH, "--json")
    assert (again.status, again.told["sent"], again.told["unknown"], again.told["interrupted"]) == (4, 5, 1, 1)
    assert sorted(file.chat_id for file in server.received) == [1, 2, 4, 5, 6]
    assert cli(*BATCH, "--resend-unknown").status == 0
    assert len(server.received) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_by_a_signal(cli: Cli, server: MockServer, write: Callable[..., None], number: signal.Signals) -> None:
    write(*range(1, 21))
    for chat in range(1, 21):
        server.script_for(chat, Fault(delay=0.3))
    process = cli.start(*BATCH, "--json")
    until(lambda: len(server.received) and server.in_flight == 4)
    process.send_signal(number)
    if number == signal.SIGHUP:  # one from the shell, one from the system
        time.sleep(0.05)
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 5
    told = json.loads(out)
    assert (told["outcome"], told["stopped"], told["unknown"]) == ("stopped", "it was told to stop", 0)
    assert told["sent"] == len(server.received) < 20
    assert b"Run it again with the same journal" in err
    assert cli(*BATCH).status == 0
    assert len(server.received) == 20


def test_a_hangup_that_was_ignored_at_the_start(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    """As nohup does."""
    write(*range(1, 9))
    for chat in range(1, 9):
        server.script_for(chat, Fault(delay=0.3))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = cli.start(*BATCH, "--json")
    finally:
        signal.signal(signal.SIGHUP, before)
    until(lambda: server.in_flight == 4)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["sent"]) == (0, 8)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # the child runs a program
def test_a_terminal_that_goes_away(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    pty = pytest.importorskip("pty")
    write(*range(1, 21))
    for chat in range(1, 21):
        server.script_for(chat, Fault(delay=0.3))
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(cli.folder)
        os.execve(COMMAND[0], [*COMMAND, *BATCH], cli.environment | {"TERM": "xterm"})
    until(lambda: server.in_flight == 4)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    told = cli(*BATCH, "--json").told
    assert (told["sent"], told["unknown"], told["interrupted"]) == (20, 0, 0)
    assert len(server.received) == 20


def test_a_second_signal_ends_it_at_once(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(1)
    server.script_for(1, Fault(cut="silence", at="after-body"))
    process = cli.start(*BATCH, "--json")
    until(lambda: server.in_flight)
    time.sleep(0.1)
    assert process.stderr
    process.send_signal(signal.SIGINT)
    assert [b"Sending" in process.stderr.readline(), b"Stopping" in process.stderr.readline()] == [True, True]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, json.loads(out)["outcome"]) == (5, "stopped")
    assert cli(*BATCH, "--json").told["unknown"] == 1
    assert len(server.requests) == 1


def test_a_faulty_manifest(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(*([0] * 150))
    told = cli(*BATCH, "--json")
    assert (told.status, told.told["outcome"], len(told.told["faults"])) == (2, "wrong use", 150)
    assert told.told["faults"][-1]["line"] == 151
    assert told.err.count("\n  line ") == 100
    assert told.err.endswith("  and 50 more (--json has them all)\n")
    missing = cli("send-batch", "missing.csv", "--journal", "j.sqlite", "--json")
    assert (missing.status, missing.told["error"], missing.told["faults"]) == (2, "ManifestError", [])
    assert cli("send-batch", "m.csv", "--json").told["error"] == "UsageError"
    assert cli(*BATCH, "--json", YANDEX_MARKET_API_KEY=None).told["error"] == "InvalidRequestError"
    assert not server.requests
    assert not (cli.folder / "j.sqlite").exists()


def test_a_dry_run(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(1, 2, 2)
    shown = cli(*BATCH, "--dry-run")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.splitlines()[-1] == "Nothing was sent. 2 of 2 would be."
    told = cli(*BATCH, "--dry-run", "--json").told
    assert (told["outcome"], told["due"], told["duplicates"]) == ("dry run", 2, [{"line": 4, "first": 3}])
    assert not server.connections
    assert not (cli.folder / "j.sqlite").exists()


def test_the_display_on_a_terminal(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    pty = pytest.importorskip("pty")
    write(*range(1, 9))
    for chat in range(1, 9):
        server.script_for(chat, Fault(delay=0.5))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *BATCH],
        cwd=cli.folder,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=cli.environment | {"TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 4096):
            shown += more
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, b"8 of 8 sent, 0 not sent, 0 unknown, 0 left.\n")
    assert b"business 1" in shown
    assert b"4 in flight" in shown
    assert b"a minute" in shown


def test_a_pause_is_said_in_a_pipe(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    server.script_for(1, *[Answer(420)] * 3)
    write(1)
    done = cli(*BATCH)
    assert done.status == 0
    (pause,) = [line for line in done.err.splitlines() if "pauses" in line][:1]
    assert re.fullmatch(r"Business 1 pauses until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d\.", pause)


def test_not_sent_and_retryable(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    server.script_for(1, *[Answer(429, off_contract=True)] * 2)
    write(1, 2)
    server.script_for(2, Fault(delay=0.1))
    server.script_for(1, Answer(423, b'{"status": "ERROR"}', off_contract=True))
    write(2, 1)
    told = cli(*BATCH, "--json", "--parallel", 1)
    assert (told.status, told.told["outcome"], told.told["needs_fix"], told.told["not_sent"]) == (3, "not sent", 0, 1)


def test_a_fault_of_the_run(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(*range(1, 51))
    certificates = {"SSL_CERT_FILE": "/nonexistent.pem", "YANDEX_MARKET_BASE_URL": "https://127.0.0.1:1"}
    for more in ([], ["--dry-run"]):
        broken = cli(*BATCH, "--json", *more, **certificates)
        assert (broken.status, broken.told["error"]) == (2, "InvalidRequestError")
        assert "SSL_CERT_FILE" in broken.told["message"]
        assert not (cli.folder / "j.sqlite").exists()
    for chat in range(1, 51):
        server.script_for(chat, Answer(403, b"<html>No</html>", off_contract=True))
    refused = cli(*BATCH, "--json")
    told = refused.told
    assert (refused.status, told["left"], told["not_sent"]) == (5, 50, 0)
    assert "not Market's" in told["stopped"]
    assert f"Stopped before the end: {told['stopped'].rstrip('.')}. Run it again with the same journal" in refused.err
    server._service.script._by_chat.clear()
    assert cli(*BATCH, "--json").told["sent"] == 50


def test_no_connection(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(1)
    away = cli(*BATCH, "--timeout", "2", YANDEX_MARKET_BASE_URL="http://127.0.0.1:1")
    assert (away.status, away.out) == (5, "0 of 1 sent, 0 not sent, 0 unknown, 1 left.\n")
    said = away.err.splitlines()
    assert said[1].startswith("Trying again: No connection to 127.0.0.1:1 was made")
    assert said[2].startswith("Stopped before the end: No connection to 127.0.0.1:1 was made")
    assert len(said) == 3
    assert cli(*BATCH).status == 0


def test_a_sent_file_by_another_path(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    write(1)
    cli(*BATCH)
    (cli.folder / "copy.pdf").write_bytes(b"%PDF-1.7")
    write(1, file="copy.pdf")
    shown = cli(*BATCH, "--dry-run")
    assert shown.out.splitlines() == [
        "1 line not sent again: the journal has the same content for the same chat, from another path or key (line 2).",
        "Nothing was sent. 0 of 1 would be.",
    ]
    assert cli(*BATCH, "--json").told["duplicates"] == [{"line": 2, "first": None}]
    assert len(server.received) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process; see batch/test_journal.py")
def test_a_full_disk(cli: Cli, server: MockServer, write: Callable[..., None]) -> None:
    """The system refuses every write to a file from the moment on in which four are in flight."""
    import resource

    for chat in range(1, 21):
        server.script_for(chat, Fault(delay=0.7))
    write(*range(1, 21))
    process = cli.start(*BATCH)
    until(lambda: server.in_flight == 4)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5
    assert b"Stopped before the end: the journal cannot be written: " in said
    # What the journal could not take has been said.
    assert said.count(b": sent\n") == 4
    again = cli(*BATCH, "--json").told
    assert (again["sent"], again["unknown"], again["interrupted"], again["left"]) == (16, 4, 4, 0)
    assert len({file.chat_id for file in server.received}) == len(server.received) == 20


@pytest.mark.slow
def test_torture() -> None:
    """The small form of `make torture`."""
    script = ROOT / "wrapper" / "scripts" / "torture.py"
    command = [sys.executable, script, "--files", "200", "--businesses", "3", "--kills", "5"]
    done = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "5 kills" in done.stdout
