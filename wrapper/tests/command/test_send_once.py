"""`yandex-market-chat send --idempotency-key`, as a process."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Cli, Send

ONCE = ("--idempotency-key", "invoice-4711", "--ledger", "sent.sqlite")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7")
    return path


def test_run_again_it_sends_nothing(send: Send, server: MockServer, file: Path) -> None:
    first = send("a.pdf", *ONCE)
    assert (first.status, first.err) == (0, "")
    assert " in " in first.out
    file.unlink()  # what is known as sent needs no file
    again = send("a.pdf", *ONCE)
    assert (again.status, again.err) == (0, "")
    assert again.out.startswith("Sent 'a.pdf', 8 bytes, to chat 2 of business 1 before; nothing was sent now")
    told = send("a.pdf", *ONCE, "--json").told
    assert (told["outcome"], told["from_ledger"]) == ("sent", True)
    assert len(server.received) == 1


def test_the_ledger_of_the_environment(cli: Cli, server: MockServer, file: Path) -> None:
    arguments = ("send", "a.pdf", "--business-id", "1", "--chat-id", "2", "--idempotency-key", "k")
    for _ in range(2):
        assert cli(*arguments, YANDEX_MARKET_LEDGER="sent.sqlite").status == 0
    assert len(server.received) == 1
    assert (file.parent / "sent.sqlite").exists()


def test_after_an_unknown_outcome_it_may_be_run_again(send: Send, server: MockServer, file: Path) -> None:
    server.script(Answer(500))
    for _ in range(2):
        done = send("a.pdf", *ONCE, "--no-confirm", "--json")
        assert (done.status, done.told["outcome"], done.told["retryable"]) == (4, "unknown", True)
    assert len(server.requests) == 1


def test_interrupted_after_an_unknown_outcome(cli: Cli, send: Send, server: MockServer, file: Path) -> None:
    """This call sends nothing, and the one before may have: it is not told as not sent."""
    server.script(Fault(cut="reset", at="after-body", taken=True))
    assert send("a.pdf", *ONCE, "--no-confirm").status == 4
    server.script_on("getChatHistory", Fault(cut="silence", at="after-body"))
    process = cli.start("send", "a.pdf", "--business-id", 1, "--chat-id", 2, *ONCE, "--json")
    while len(server.requests) < 2:  # it reads the history
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["outcome"]) == (4, "unknown")
    assert b"this call sent nothing. An earlier one with the idempotency key may have sent it: call again" in err
    done = send("a.pdf", *ONCE, "--json")
    assert (done.status, done.told["confirmed_by"]) == (0, "history")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ledger", "sent.sqlite"), "A ledger is of no use without a key"),
        (("--idempotency-key", "k"), "An idempotency key needs a ledger"),
        (("--idempotency-key", "", "--ledger", "sent.sqlite"), "idempotency_key must be a str of 1 to 255 characters"),
        (("--idempotency-key", "k", "--ledger", "redis://cache"), "It must be a path"),
    ],
)
def test_wrong_use(send: Send, server: MockServer, file: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = send("a.pdf", *arguments)
    assert done.status == 2
    assert sentence in done.err
    assert not server.requests


def test_another_file_under_the_key(send: Send, server: MockServer, file: Path) -> None:
    assert send("a.pdf", *ONCE).status == 0
    file.write_bytes(b"another")
    done = send("a.pdf", *ONCE)
    assert done.status == 2
    assert "another content" in done.err
    assert len(server.received) == 1


def test_a_ledger_that_cannot_be_used(send: Send, server: MockServer, file: Path) -> None:
    done = send("a.pdf", "--idempotency-key", "k", "--ledger", "no/folder/sent.sqlite", "--json")
    assert (done.status, done.told["error"], done.told["retryable"]) == (4, "LedgerError", True)
    assert "its folder does not exist" in done.err
    assert not server.requests


def test_a_batch_has_its_journal(cli: Cli, server: MockServer, file: Path) -> None:
    (file.parent / "all.csv").write_text("business_id,chat_id,file\n1,2,a.pdf\n")
    done = cli("send-batch", "all.csv", "--journal", "all.sqlite", YANDEX_MARKET_LEDGER="sent.sqlite")
    assert done.status == 0
    assert not (file.parent / "sent.sqlite").exists()
