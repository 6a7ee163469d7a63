"""A send with a key that an interrupt, a fork or the end of its program cuts short."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import AsyncChatClient, BadRequestError, ChatClient, DeliveryUnknownError, RetryPolicy, _steps
from yandex_market_chat.shared import _background
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import Chat
from .ledgers import KEY, SLOW, Database, in_thread, row, states
from .programs import needs_posix, wait_for

Connect = Callable[..., Chat]


def test_an_interrupt_in_flight_is_unknown(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(SLOW)

    def interrupt(sent: int, size: int) -> None:
        if sent == size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender().send(b"abc", on_progress=interrupt, **KEY)
    wait_for(lambda: states(database) == {"k": "unknown"})
    assert (row(database)["unknown_attempts"], row(database)["error"]) == (1, "Interrupted")
    with pytest.raises(DeliveryUnknownError, match="interrupted"):
        sender().send(b"abc", **KEY)


def test_an_interrupt_when_no_thread_can_be_started(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(SLOW)

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def interrupt(sent: int, size: int) -> None:
        if sent == size:
            monkeypatch.setattr(threading.Thread, "start", fail)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender().send(b"abc", on_progress=interrupt, **KEY)
    assert states(database) == {"k": "unknown"}


@pytest.mark.parametrize(
    ("answer", "known"),
    [(Answer(420, example="parallel"), ("not sent", 0, None)), (Answer(500), ("unknown", 1, "Interrupted"))],
    ids=["refused", "unknown"],
)
def test_an_interrupt_in_the_pause_after_an_attempt(
    server: MockServer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    known: tuple[str, int, str | None],
) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(_steps, "LONGEST_PAUSE", 60.0)
    server.script(answer)

    async def cancelled() -> None:
        async with AsyncChatClient(
            api_key=server.api_key,
            base_url=server.base_url,
            ledger=database.ledger(),
            retry=RetryPolicy(resend_unknown=True),
            confirm_unknown=0.0,
        ) as chat:
            task = asyncio.create_task(chat.send_file(b"abc", business_id=1, chat_id=2, idempotency_key="k"))
            while not server.requests or chat._slots._lines:  # a send that pauses holds no slot
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    wait_for(lambda: states(database) == {"k": known[0]})
    assert (row(database)["unknown_attempts"], row(database)["error"]) == known[1:]


INTERRUPTED: dict[str, tuple[Answer | Fault, set[str]]] = {
    "sent": (Answer(200), {"sent"}),
    "refused": (Answer(400), {"not sent"}),
    "lost": (Fault(cut="reset", at="after-body", taken=True), {"unknown"}),
}


SOURCES = {"_background.py", "_once.py", "_client.py", "_delivery.py", "_steps.py", "_send.py"}


# An interrupt just before a `with` is left leaves a socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("kind", INTERRUPTED)
def test_an_interrupt_between_any_two_lines(server: MockServer, database: Database, kind: str) -> None:
    """Whatever the row says is true, and no claim is renewed any more: at last it says so of each key."""
    ledger = database.ledger()
    step, ends = INTERRUPTED[kind]
    client = ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=ledger, confirm_unknown=0.0)
    number, went_through, keys = 0, False, []
    while not went_through:
        number += 3
        keys.append(f"{kind} {number}")
        went_through = interrupted_at(number, partial(send_key, client, server, step, keys[-1]))
    assert number > 150
    wait_for(lambda: not _background._pending)
    gc.collect()
    assert not list(ledger._renewals._entries)
    delivered = {file.name.removesuffix(".pdf") for file in files(server)}
    for key, state in states(database).items():
        assert state in {"not sent", "unknown", "sending"} | ends
        assert state != "sent" or key in delivered
        assert state != "not sent" or key not in delivered
    assert client._slots._lines == {}


EARLIER: dict[str, tuple[Fault | None, RetryPolicy]] = {
    "sent": (None, RetryPolicy()),
    "unknown": (Fault(cut="reset", at="after-body", taken=True), RetryPolicy()),
    "unknown, to be resent": (Fault(cut="reset", at="after-body", taken=True), RetryPolicy(resend_unknown=True)),
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("order_id", [None, 9])
@pytest.mark.parametrize("earlier", EARLIER)
def test_an_interrupt_does_not_say_not_sent_of_what_an_earlier_call_delivered(
    server: MockServer, database: Database, caplog: pytest.LogCaptureFixture, earlier: str, order_id: int | None
) -> None:
    """Between any two lines, and whatever of the ledger and the history has been read."""
    caplog.set_level(logging.INFO, "yandex_market_chat")
    fault, policy = EARLIER[earlier]
    made = {"api_key": server.api_key, "base_url": server.base_url, "ledger": database.ledger()}
    target = {"business_id": 1, "idempotency_key": "k"} | ({"order_id": 9} if order_id else {"chat_id": 2})
    with ChatClient(**made, confirm_unknown=0.0) as chat, suppress(DeliveryUnknownError):
        server.script(*[fault] * (fault is not None))
        chat.send_file(b"abc", name="a.pdf", **target)
    caplog.clear()
    number, went_through = 0, False
    while not went_through:
        number += 7
        with ChatClient(**made, retry=policy) as chat, suppress(DeliveryUnknownError):
            went_through = interrupted_at(number, partial(chat.send_file, b"abc", name="a.pdf", **target))
    assert number > 100
    told = {vars(record).get("delivery") for record in caplog.records}
    assert told - {None, "sent", "unknown"} == set()
    assert "unknown" in told


def test_a_file_that_is_missing_is_not_sent_if_the_ledger_knows_nothing(
    sender: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "yandex_market_chat")
    with pytest.raises(FileNotFoundError):
        sender().send(tmp_path / "a.pdf", **KEY)
    assert vars(caplog.records[-1])["delivery"] == "not sent"
    assert not server.requests


def files(server: MockServer) -> list[Any]:
    return [file for message in server.chats.messages(1, 2) for file in message.files]


def send_key(client: ChatClient, server: MockServer, step: Answer | Fault, key: str) -> None:
    if not server.script_left:
        server.script(step)
    with suppress(BadRequestError, DeliveryUnknownError):
        client.send_file(b"abc", name=f"{key}.pdf", business_id=1, chat_id=2, idempotency_key=key)


def interrupted_at(number: int, call: Callable[[], object]) -> bool:
    """Raise an interrupt before that line of the package; return whether there was none so late.

    In a thread of its own: raised in an `except`, it can leave its thread with what was handled there (CPython 3.11).
    """
    left = number

    def trace(frame: types.FrameType, event: str, _: object) -> Any:
        nonlocal left
        if Path(frame.f_code.co_filename).name not in SOURCES or frame.f_code.co_name in ("__exit__", "__del__"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    def traced() -> None:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)

    thread, ends = in_thread(traced)
    thread.join()
    (ended,) = ends
    if isinstance(ended, BaseException) and not isinstance(ended, KeyboardInterrupt):
        raise ended
    return ended is None


ENDS = """
import sys
from yandex_market_chat import ChatClient
url, key, ledger = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, ledger=ledger)
chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
"""


def test_a_program_ends_quietly(server: MockServer, database: Database) -> None:
    """Its client and ledger live until the interpreter takes them apart."""
    command = [sys.executable, "-W", "error", "-c", ENDS, server.base_url, server.api_key, database.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")


FORKS = """
import os, sys
from yandex_market_chat import ChatClient, Ledger
url, key, ledger = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, ledger=ledger)

def fork(sent, size):
    global child
    if sent == size and not child:
        child = os.fork()
        if not child:
            sys.exit()  # takes the parent's send apart
        assert os.waitpid(child, 0)[1] == 0
        print(chat._ledger._rows.find(1, "forks").state)

child = 0
sent = chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="forks", on_progress=fork)
assert chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="forks").from_ledger
if not os.fork():
    assert chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="forks").from_ledger
    assert not chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="child").from_ledger
    os._exit(0)
assert os.wait()[1] == 0
assert chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="child").from_ledger
"""


@needs_posix
def test_a_child_that_is_forked_in_the_middle_has_no_say(server: MockServer, database: Database) -> None:
    command = [sys.executable, "-c", FORKS, server.base_url, server.api_key, database.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "sending\n"), done.stderr
    assert len(server.received) == 2
