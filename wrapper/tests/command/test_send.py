"""`yandex-market-chat send`, as a process."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer
from yandex_market_chat_command._commands import run

from .conftest import COMMAND, Cli, Done, Send


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "счёт.pdf"
    path.write_bytes(b"%PDF-1.7")
    return path


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def test_sent(send: Send, server: MockServer, file: Path) -> None:
    done = send(file.name)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("Sent 'счёт.pdf', 8 bytes, to chat 2 of business 1 in ")
    (received,) = server.received
    assert (received.name, received.content, received.content_type) == ("счёт.pdf", b"%PDF-1.7", "application/pdf")


def test_of_a_path_the_folders_stay_here_and_a_given_name_arrives_whole(
    send: Send, server: MockServer, file: Path
) -> None:
    below = file.parent / "below" / file.name
    below.parent.mkdir()
    below.write_bytes(b"x")
    for arguments in ((f"below/{file.name}",), (file, "--name", "УПД № 7/26.pdf")):
        assert send(*arguments).status == 0
    assert [received.name for received in server.received] == ["счёт.pdf", "УПД № 7_26.pdf"]


def test_sent_as_json(send: Send, server: MockServer, file: Path) -> None:
    server.limits.enabled = True
    told = send(file, "--json", "--name", "a.bin", "--content-type", "image/png").told
    assert told["outcome"] == "sent"
    assert (told["name"], told["content_type"], told["size"], told["attempts"]) == ("a.bin", "image/png", 8, 1)
    assert told["quota"]["remaining"] == 999
    assert told["trace_id"].startswith("00-")
    assert server.received[0].name == "a.bin"


def test_standard_input(send: Send, server: MockServer) -> None:
    assert send("-", "--name", "table.csv", stdin=b"a,b\n").status == 0
    assert (server.received[0].name, server.received[0].content) == ("table.csv", b"a,b\n")
    nameless = send("-", "--json", stdin=b"x")
    assert (nameless.told["outcome"], nameless.told["error"]) == ("wrong use", "UsageError")
    assert "--name" in nameless.told["message"]
    assert send("-", "--name", "x", "--json").told["error"] == "EmptyFileError"
    assert len(server.requests) == 1


def test_a_dry_run_shows_what_would_go_and_sends_nothing(send: Send, server: MockServer, file: Path) -> None:
    told = send(file, "--dry-run", "--json").told
    checksum = hashlib.sha256(b"%PDF-1.7").hexdigest()
    assert told == {
        "outcome": "dry run", "status": 0, "business_id": 1, "chat_id": 2, "order_id": None, "name": "счёт.pdf",
        "content_type": "application/pdf", "size": 8, "sha256": checksum, "base_url": server.base_url,
    }  # fmt: skip
    shown = send("-", "--name", "счёт.pdf", "--dry-run", stdin=b"%PDF-1.7")
    assert checksum in shown.out
    assert "счёт.pdf" in shown.out
    file.write_bytes(b"")
    assert send(file, "--dry-run", "--json").told["error"] == "EmptyFileError"
    assert send(file, "--dry-run", "--json", YANDEX_MARKET_API_KEY=None).told["outcome"] == "wrong use"
    file.write_bytes(b"%PDF-1.7")
    untrusting = {"SSL_CERT_FILE": "/nonexistent.pem", "YANDEX_MARKET_BASE_URL": "https://127.0.0.1:1"}
    assert "SSL_CERT_FILE" in send(file, "--dry-run", "--json", **untrusting).told["message"]
    assert server.connections == 0


def test_statuses(send: Send, server: MockServer, file: Path) -> None:
    server.script(Answer(400), SCENARIOS["drop-after-body"], Answer(420, example="resource"))
    refused = send(file, "--json")
    assert (refused.status, refused.told["error"], refused.told["outcome"]) == (6, "BadRequestError", "not sent")
    assert (refused.told["status_code"], refused.told["retryable"]) == (400, False)
    assert refused.told["errors"]
    assert refused.told["message"] in refused.err
    lost = send(file, "--no-confirm")
    assert (lost.status, lost.out) == (4, "")
    assert "Check the chat before resending. To look for it in the chat: yandex-market-chat confirm " in lost.err
    assert lost.err.count("\n") == 1
    server.clock.set(datetime(2026, 1, 1, 12, 30, tzinfo=UTC))  # the quota is renewed in half an hour
    spent = send(file, "--json", "--timeout", "20").told
    assert (spent["error"], spent["outcome"]) == ("QuotaExceededError", "not sent")
    assert (spent["status"], spent["retryable"]) == (3, True)
    assert spent["resets_at"]
    assert spent["message"].endswith("Try again after 2026-01-01 13:00:00 UTC.")
    nobody = send(file, "--json", "--base-url", "http://127.0.0.1:1", "--timeout", "4").told
    assert (nobody["error"], nobody["status"]) == ("ConnectionFailedError", 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.pdf"], "No such file"),
        (["."], "is a directory"),
        (["file", "--chat-id", "0"], "no id"),
        (["file", "--chat-id", "1_0"], "no id"),
        (["file", "--business-id", str(2**63)], "no id"),
        (["file", "--timeout", "0"], "--timeout"),
        (["file", "--timeout", "nan"], "number of seconds"),
        (["file", "--content-type", "pdf"], "content type"),
        (["file", "--base-url", "ftp://x"], "base_url"),
        (["file", "--api-key", "ACMA:x"], "--api-key"),
        (["file", "--api-key-file", "ACMA:is-this-the-key"], "The file of --api-key-file cannot be read: No such file"),
        (["file", "--api-key-file", "file"], "printable ASCII"),
        (["file", "--api-key-file", "empty"], "is empty"),
        (["file", "--api-key-file", "lines"], "more than one line"),
        (["file", "--api-key-file", "utf-16"], "--api-key-file 'utf-16' is UTF-16"),
        ([], "FILE"),
    ],
)
def test_wrong_use(
    server: MockServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", server.api_key)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process goes on
    (tmp_path / "file").write_text("S3cr3t with blanks")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("S3cr3t\nS3cr3t\n")
    (tmp_path / "utf-16").write_text("S3cr3t\n", encoding="utf-16")
    status = run(["send", "--json", "--base-url", server.base_url, "--business-id", "1", "--chat-id", "2", *arguments])
    done = Done(status, *capsys.readouterr())
    assert (done.status, done.told["outcome"]) == (2, "wrong use")
    assert said in done.told["message"]
    assert done.told["message"] in done.err
    assert "S3cr3t" not in done.out + done.err
    assert server.connections == 0


def test_the_key(send: Send, server: MockServer, file: Path, tmp_path: Path) -> None:
    missing = send(file, "--json", YANDEX_MARKET_API_KEY=None)
    assert missing.status == 2
    assert "YANDEX_MARKET_API_KEY" in missing.told["message"]
    (tmp_path / "key").write_text(server.api_key + "\r\n")
    done = send(file, "--api-key-file", "key", "-v", "--json", YANDEX_MARKET_API_KEY="ACMA:other")
    assert done.status == 0
    assert "attempt 1: status 200" in done.err
    for secret in (server.api_key, "ACMA"):
        assert secret not in done.out + done.err


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_has_to_be_fixed_first(send: Send, server: MockServer, file: Path, status: int) -> None:
    """`until yandex-market-chat send ...; do sleep 60; done` looks for 3."""
    server.script(Answer(status))
    done = send(file, "--json")
    assert (done.status, done.told["outcome"], done.told["retryable"]) == (6, "not sent", False)


@pytest.mark.parametrize("content", ["\ufeff{}", "{} ", " {}\t\r\n", "\ufeff{}\n\n", "{}\xa0", "\n{}\n"])
def test_a_key_file_as_editors_write_it(send: Send, server: MockServer, file: Path, content: str) -> None:
    file.with_name("key").write_bytes(content.format(server.api_key).encode())
    assert send(file, "--api-key-file", "key", YANDEX_MARKET_API_KEY=None).status == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ACMA:x".encode("utf-16"), "UTF-16"),
        ("ACMA:x\r\n".encode("utf-16-be"), "UTF-16"),
        (b"ACMA:x y", "blanks"),
        ("ключ".encode(), "printable ASCII"),
        ("ключ".encode("cp1251"), "printable ASCII"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"ACMA:x\nACMA:y", "more than one line"),
    ],
)
def test_a_key_file_that_holds_no_key(send: Send, file: Path, content: bytes, said: str) -> None:
    file.with_name("key").write_bytes(content)
    done = send(file, "--api-key-file", "key", "--json")
    assert done.status == 2
    assert "--api-key-file 'key'" in done.told["message"]
    assert said in done.told["message"]
    assert "ACMA" not in done.out + done.err


def test_what_another_command_writes(cli: Cli, server: MockServer, file: Path) -> None:
    command = shlex.join([*COMMAND, "send"])
    for given in ("<(echo x)", "/dev/stdin", "pipe"):
        script = f"mkfifo pipe 2>/dev/null; echo x | {command} {given} --business-id 1 --chat-id 2 --json"
        done = subprocess.run(
            ["bash", "-c", script], env=cli.environment, cwd=cli.folder, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 2
        assert "pipe it to - and pass --name" in json.loads(done.stdout)["message"]
    assert server.connections == 0


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_in_the_other_normal_form(send: Send, server: MockServer, tmp_path: Path, form: str) -> None:
    from unicodedata import normalize

    (tmp_path / normalize("NFC" if form == "NFD" else "NFD", "Йод.pdf")).write_bytes(b"%PDF")
    assert send(normalize(form, "Йод.pdf")).status == 0
    assert normalize("NFC", server.received[0].name) == normalize("NFC", "Йод.pdf")


def test_the_name_is_that_of_the_file_alone(send: Send, server: MockServer, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.pdf").write_bytes(b"%PDF")
    assert send("sub/a.pdf").status == 0
    assert send(tmp_path / "sub" / "a.pdf").status == 0
    assert [received.name for received in server.received] == ["a.pdf", "a.pdf"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_in_flight(cli: Cli, server: MockServer, file: Path, number: signal.Signals) -> None:
    server.script(Fault(cut="silence", at="after-body"))
    process = cli.start("send", file, "--business-id", 1, "--chat-id", 2, "--json")
    until(lambda: server.in_flight and server.requests[0].body_complete)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 4
    assert b'"outcome": "unknown"' in out
    assert b"nobody can know" in err


def test_interrupted_twice_in_flight(cli: Cli, server: MockServer, file: Path, tmp_path: Path) -> None:
    """By somebody at the keyboard and by what has started the command: the second comes before all is told."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    server.script(Fault(cut="silence", at="after-body"))
    command = [sys.executable, "interrupted.py", "send", file, "--business-id", "1", "--chat-id", "2", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=cli.environment, stdout=subprocess.PIPE) as process:
        until(lambda: server.in_flight and server.requests[0].body_complete)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["outcome"]) == (4, "unknown")


def test_interrupted_when_the_outcome_is_known(cli: Cli, server: MockServer, file: Path, tmp_path: Path) -> None:
    """Just before signals are no longer heard: neither sentence of the two may be lost, or say less than is known."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    for status, told in ((500, "unknown"), (200, "sent"), (400, "not sent")):
        server.script(Answer(status))
        command = [sys.executable, "interrupted.py", "send", file, "--business-id", "1", "--chat-id", "2", "--json"]
        done = subprocess.run(
            [*command, "--no-confirm"], cwd=tmp_path, env=cli.environment, capture_output=True, check=False
        )
        assert json.loads(done.stdout)["outcome"] == told, done.stderr


INTERRUPTED = """
import os, signal, sys
from yandex_market_chat_command import _send, main

ignore = _send.ignore_signals

def late():
    _send.ignore_signals = ignore
    os.kill(os.getpid(), signal.SIGINT)
    ignore()

_send.ignore_signals = late
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_result_waits_for_a_reader(
    cli: Cli, server: MockServer, file: Path, number: signal.Signals
) -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writable, b" " * 4096)
    os.set_blocking(writable, True)
    process = subprocess.Popen(
        [*COMMAND, "send", file, "--business-id", "1", "--chat-id", "2", "--json", "-v"],
        stdout=writable, stderr=subprocess.PIPE, env=cli.environment,
    )  # fmt: skip
    os.close(writable)
    with process, open(readable, "rb") as out:
        assert process.stderr is not None
        assert any(b" sent " in line for line in process.stderr)
        time.sleep(0.3)  # it is about to write
        process.send_signal(number)
        told = json.loads(out.read())
    assert (process.returncode, told["outcome"]) == (0, "sent")
    assert len(server.received) == 1


def test_streams_that_are_closed(cli: Cli, server: MockServer, file: Path) -> None:
    command = shlex.join([*COMMAND, "send", str(file), "--business-id", "1", "--chat-id", "2"])
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full"):
        done = subprocess.run(f"{command} {closed}", shell=True, env=cli.environment, capture_output=True, check=False)
        assert (closed, done.returncode) == (closed, 0), done.stderr
    wrong = subprocess.run(f"{command} --json=1", shell=True, env=cli.environment, capture_output=True, check=False)
    assert (wrong.returncode, json.loads(wrong.stdout)["outcome"]) == (2, "wrong use")
    assert len(server.received) == 6


def test_interrupted_before_anything_went_out(cli: Cli, server: MockServer, file: Path) -> None:
    server.clock.set(datetime(2026, 1, 1, 12, 59, tzinfo=UTC))
    server.limits.enabled = True
    server.limits.spend(1)
    process = cli.start("send", file, "--business-id", 1, "--chat-id", 2, "-v", "--json")
    assert process.stderr
    assert b"status 420" in process.stderr.readline()
    assert b"pause of" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert b'"outcome": "not sent"' in out


def test_names_that_the_locale_cannot_show(cli: Cli, server: MockServer, tmp_path: Path) -> None:
    for name in (b"\xff\xfe.pdf", "счёт.pdf".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
        arguments = (b"send", name, b"--business-id", b"1", b"--chat-id", b"2")
        plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None}
        assert cli(*arguments, **plain).status == 0
        assert cli(*arguments, b"--json", b"--dry-run", **plain).told["outcome"] == "dry run"
    assert [received.name for received in server.received] == ["\ufffd\ufffd.pdf", "счёт.pdf"]


def test_nobody_reads_the_output(cli: Cli, file: Path) -> None:
    for more in ([], ["--json"]):
        process = cli.start("send", file, "--business-id", 1, "--chat-id", 2, *more)
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        error = process.stderr.read()
        assert (process.wait(30), error) == (0, b"")


def test_a_bar_on_a_terminal_and_none_in_a_pipe(cli: Cli, server: MockServer, file: Path) -> None:
    pty = pytest.importorskip("pty")
    server.script(Fault(delay=0.5))
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "yandex_market_chat_command", "send", str(file)]
    process = subprocess.Popen(
        [*arguments, "--business-id", "1", "--chat-id", "2"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=cli.environment | {"TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux's way to say that the other side is closed
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    process.communicate()
    assert process.returncode == 0
    assert b"Sending" in shown
    assert b"8/8 bytes" in shown


def test_a_terminal_that_is_gone_says_nothing_about_the_file(cli: Cli, server: MockServer, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    (tmp_path / "a.pdf").write_bytes(b"abc")
    server.script(Fault(delay=1.0))
    ours, theirs = pty.openpty()
    command = [*COMMAND, "send", "a.pdf", "--business-id", "1", "--chat-id", "2", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        env=cli.environment | {"TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    until(lambda: server.in_flight == 1)
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["outcome"]) == (0, "sent")
