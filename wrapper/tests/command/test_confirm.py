"""From an order to its chat, and from an unknown outcome to the history, as processes."""

from __future__ import annotations

import shlex
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Cli, Done, Send
from .test_send import until

NOW = datetime.now(UTC).isoformat()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "счёт № 7.pdf"
    path.write_bytes(b"%PDF-1.7")
    return path


def as_told(cli: Cli, message: str, *more: str) -> Done:
    """Run the command that a sentence names."""
    name, *arguments = shlex.split(message.partition("in the chat: ")[2])
    assert name == "yandex-market-chat"
    return cli(*arguments, *more)


def test_an_order_instead_of_a_chat(cli: Cli, server: MockServer, file: Path) -> None:
    told = cli("send", file, "--business-id", 1, "--order-id", 77, "--json").told
    chat = server.chats.open(1, order_id=77)
    assert (told["outcome"], told["order_id"], told["chat_id"]) == ("sent", 77, chat)
    assert (told["confirmed_by"], told["message_id"]) == ("response", None)
    assert [received.chat_id for received in server.received] == [chat]
    server.script_on("createChat", Answer(404))
    refused = cli("send", file, "--business-id", 1, "--order-id", 78, "--json").told
    assert (refused["status"], refused["error"], refused["order_id"], refused["chat_id"]) == (
        6, "NotFoundError", 78, None,
    )  # fmt: skip
    shown = cli("send", file, "--business-id", 1, "--order-id", 79, "--dry-run")
    assert "order_id      79" in shown.out
    assert "None" not in shown.out
    assert len(server.received) == 1


def test_one_that_cannot_be_opened_now(cli: Cli, server: MockServer, file: Path) -> None:
    server.script_on("createChat", *[Answer(500)] * 4)
    told = cli("send", file, "--business-id", 1, "--order-id", 77, "--json").told
    assert (told["status"], told["error"], told["retryable"]) == (3, "ChatNotOpenedError", True)
    assert not server.received


@pytest.mark.parametrize("given", [[], ["--chat-id", 2, "--order-id", 3], ["--order-id", 0]])
def test_exactly_one_of_the_two(cli: Cli, server: MockServer, file: Path, given: list[Any]) -> None:
    told = cli("send", file, "--business-id", 1, *given, "--json").told
    assert (told["status"], told["error"]) == (2, "UsageError")
    assert "--order-id" in told["message"]
    assert not server.requests


def test_what_the_history_shows_is_sent(send: Send, server: MockServer, file: Path) -> None:
    server.script(Answer(500, taken=True))
    done = send(file, "--json")
    (message,) = server.chats.messages(1, 2)
    assert done.told["outcome"] == "sent"
    assert (done.told["confirmed_by"], done.told["message_id"]) == ("history", message.message_id)
    server.script(Answer(500, taken=True))
    assert "The response was lost; message " in send(file).out
    assert len(server.received) == 2


def test_an_unknown_send_names_the_command_that_confirms_it(cli: Cli, server: MockServer, file: Path) -> None:
    for name in ("счёт № 7.pdf", "-it's 'quoted' \"so\".pdf", "a;$(b)`c`.pdf"):
        server.script(Answer(500, taken=True))
        told = cli(
            "send", file, "--name", name, "--business-id", 1, "--order-id", 77, "--no-confirm", "--json"
        ).told  # fmt: skip
        assert (told["status"], told["error"], told["history_read_at"]) == (4, "ServerError", None)
        assert datetime.fromisoformat(told["since"]).tzinfo is not None
        found = as_told(cli, told["message"], "--json").told
        message = server.chats.messages(1, told["chat_id"])[-1]
        assert (found["outcome"], found["status"], found["message_id"]) == ("sent", 0, message.message_id)
        assert (found["confirmed_by"], found["name"], found["size"]) == ("history", told["name"], 8)
        shown = as_told(cli, told["message"])
        assert shown.out.startswith(f"Found: message {message.message_id} of chat {told['chat_id']} of business 1")
    assert len(server.received) == 3


def test_the_command_that_is_named_goes_to_the_same_server(cli: Cli, server: MockServer, file: Path) -> None:
    server.script(Answer(500, taken=True))
    file.with_name("key").write_text(server.api_key)
    told = cli(
        "send", file, "--business-id", 1, "--chat-id", 2, "--no-confirm", "--json", "--base-url", server.base_url,
        "--api-key-file", "key", YANDEX_MARKET_BASE_URL=None, YANDEX_MARKET_API_KEY=None,
    ).told  # fmt: skip
    _, *arguments = shlex.split(told["message"].partition("in the chat: ")[2])
    assert cli(*arguments, YANDEX_MARKET_BASE_URL=None, YANDEX_MARKET_API_KEY=None).status == 0


def test_interrupted_in_flight_names_it_too(cli: Cli, server: MockServer, file: Path) -> None:
    server.script(Fault(cut="silence", at="after-body", taken=True))
    process = cli.start("send", file, "--business-id", 1, "--order-id", 77, "--json")
    until(lambda: server.received)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    told = Done(process.returncode, out.decode(), err.decode()).told
    assert (told["status"], told["order_id"], told["size"]) == (4, 77, 8)
    assert as_told(cli, told["message"]).status == 0


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_history_that_cannot_be_read(cli: Cli, server: MockServer, status: int) -> None:
    server.script_on("getChatHistory", *[Answer(status)] * 4)
    done = confirm(cli, "--json")
    assert (done.status, done.told["outcome"], done.told["status_code"]) == (4, "unknown", status)
    assert "could not be read" in done.told["message"]
    assert "not sent" not in done.told["message"]
    assert confirm(cli, "--base-url", "http://127.0.0.1:1", "--timeout", "1", "--json").told["outcome"] == "unknown"


def test_not_seen_proves_nothing(cli: Cli, server: MockServer) -> None:
    server.chats.post(1, 2, files=[("a.pdf", 8)], sender="PARTNER", at=datetime.now(UTC) - timedelta(hours=1))
    server.chats.post(1, 2, "S3cr3t words", files=[("a.pdf", 8)])
    done = confirm(cli, "--json", "-v")
    assert (done.status, done.told["outcome"], done.told["message_id"]) == (4, "unknown", None)
    assert datetime.fromisoformat(done.told["history_read_at"]).tzinfo is not None
    assert "proves nothing" in done.err
    assert "S3cr3t" not in done.out + done.err
    server.chats.post(1, 2, files=[("a.pdf", 8)], sender="PARTNER")
    assert confirm(cli).status == 0
    assert not server.received


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--since", "2026-07-10T12:00:00"], "time zone"),
        (["--since", "yesterday"], "time zone"),
        (["--size", "0"], "--size"),
        (["--chat-id", "0"], "no id"),
        (["--name", ""], "name"),
        (["--api-key-file", "missing"], "cannot be read"),
        (["--dry-run"], "--dry-run"),
    ],
)
def test_wrong_use_of_confirm(cli: Cli, server: MockServer, given: list[str], said: str) -> None:
    done = confirm(cli, *given, "--json")
    assert (done.status, done.told["outcome"]) == (2, "wrong use")
    assert said in done.told["message"]
    assert not server.requests


def confirm(cli: Cli, *more: object) -> Done:
    arguments = ("--business-id", 1, "--chat-id", 2, "--name", "a.pdf", "--size", 8, "--since", NOW)
    return cli("confirm", *arguments, *more)
