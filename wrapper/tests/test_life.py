"""A client from its first use to its last: threads, event loops, forks, closing, and what a send says on its way."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import trustme

from yandex_market_chat import AsyncChatClient, ChatClient, InvalidRequestError, NotSentError, RetryPolicy, SentFile
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import Chat
from .test_parallel import MIB, at_once, held, left_behind, run_until, sending, until, waiting


@contextmanager
def tls_server(folder: Path, **arguments: Any) -> Iterator[tuple[MockServer, str]]:
    """An HTTPS server, and the file of the authority that it is trusted by."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    with MockServer(ssl_context=context, **arguments) as server:
        yield server, str(folder / "authority.pem")


@contextmanager
def unanswering(*, backlog: int = 0, at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[str]:
    """The address of a server that never accepts; with a backlog of so many connections, or none."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(at)
        listener.listen(backlog)
        for _ in range(0 if backlog else 8):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def close(chat: Chat) -> None:
    """Close the client, but not the event loop of the test."""
    if chat.mode == "sync":
        chat.client.close()
    else:
        chat._runner.run(chat.client.aclose())


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is raised where nobody can catch it: warnings are errors, so a ResourceWarning is among it."""
    gc.collect()
    raised: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: raised.append(repr(told.exc_value)))
    return raised


# First use


def test_a_fresh_client_takes_8_at_once_with_one_tls_context(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = ssl.create_default_context

    def slow(*arguments: Any, **named: Any) -> ssl.SSLContext:
        made.append(named)
        time.sleep(0.05)
        return real(*arguments, **named)

    monkeypatch.setattr(ssl, "create_default_context", slow)
    with tls_server(tmp_path) as (server, authority):
        arguments = {"api_key": server.api_key, "base_url": server.base_url, "verify": authority, "max_parallel": 8}
        with Chat(mode, **arguments) as chat:
            ended = at_once(chat, *[{"chat_id": 1 + number} for number in range(8)])
        assert [each for each in ended if not isinstance(each, SentFile)] == []
        assert len(server.received) == 8
    assert len(made) == 1


# Closing


def test_a_closed_client_refuses_with_a_sentence(chat: Chat, server: MockServer) -> None:
    chat.send(b"x")
    close(chat)
    close(chat)
    with pytest.raises(InvalidRequestError, match=r"client is closed|Client is closed; make a new one") as caught:
        chat.send(b"x")
    assert caught.value.attempts == 0
    assert "closed" in repr(chat.client)
    assert len(server.requests) == 1


def test_a_client_that_was_never_used_is_closed_like_any_other(chat: Chat) -> None:
    close(chat)
    with pytest.raises(InvalidRequestError, match="closed"):
        chat.send(b"x")


def in_block(chat: Chat, body: Callable[[], object]) -> None:
    """Run it inside `with client` or `async with client`."""

    async def block() -> None:
        async with chat.client as client:
            assert client is chat.client
            body()

    if chat.mode == "async":
        chat._runner.run(block())
    else:
        with chat.client as client:
            assert client is chat.client
            body()


def test_with_a_second_time_is_refused(chat: Chat) -> None:
    body = Mock()
    in_block(chat, body)
    with pytest.raises(InvalidRequestError, match="closed"):
        in_block(chat, body)
    body.assert_called_once()


def test_an_exception_in_the_block_passes_and_closes(chat: Chat) -> None:
    error = LookupError("of the caller")
    with pytest.raises(LookupError) as caught:
        in_block(chat, Mock(side_effect=error))
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    with pytest.raises(InvalidRequestError, match="closed"):
        chat.send(b"x")


def test_closing_lets_what_is_in_flight_end(
    connect: Callable[..., Chat], server: MockServer, unraisable: list[str]
) -> None:
    chat = connect()
    server.script(*[Fault(delay=0.2)] * 3)
    with sending(chat, *[{"chat_id": number} for number in (1, 2, 3)]) as ended:
        run_until(chat, lambda: server.in_flight == 3)
        close(chat)
        with pytest.raises(InvalidRequestError, match="closed"):
            chat.send(b"x")
        assert server.in_flight == 3
    assert [type(each) for each in ended] == [SentFile] * 3
    gc.collect()
    assert unraisable == []


def test_closing_refuses_what_waits(connect: Callable[..., Chat], server: MockServer) -> None:
    chat = connect(max_parallel=1)
    with ExitStack() as afterwards, held(chat) as first:
        others = afterwards.enter_context(sending(chat, *[{}] * 5))
        run_until(chat, lambda: waiting(chat.client) == 5)
        close(chat)
    assert [type(each) for each in first] == [SentFile]
    assert [type(each) for each in others] == [InvalidRequestError] * 5
    assert all("closed" in str(each) for each in others)
    assert len(server.requests) == 1
    assert left_behind(chat.client) == []


def test_a_client_that_is_never_closed_leaves_no_warning(server: MockServer, mode: str, unraisable: list[str]) -> None:
    arguments: Any = {"api_key": server.api_key, "base_url": server.base_url}
    if mode == "sync":
        ChatClient(**arguments).send_file(b"x", business_id=1, chat_id=2)
    else:
        asyncio.run(AsyncChatClient(**arguments).send_file(b"x", business_id=1, chat_id=2))
    gc.collect()
    assert unraisable == []
    until(lambda: server.in_flight == 0)


# Event loops


async def two_sends(client: AsyncChatClient) -> weakref.ref[asyncio.AbstractEventLoop]:
    for _ in range(2):
        await client.send_file(b"x", business_id=1, chat_id=2)
    return weakref.ref(asyncio.get_running_loop())


def test_an_async_client_is_usable_in_one_event_loop_after_another(server: MockServer, unraisable: list[str]) -> None:
    client = AsyncChatClient(api_key=server.api_key, base_url=server.base_url)
    for _ in range(3):
        asyncio.run(two_sends(client))
    asyncio.run(client.aclose())
    assert len(server.received) == 6
    assert server.connections == 6
    del client
    gc.collect()
    assert unraisable == []


@pytest.mark.usefixtures("unraisable")
def test_an_async_client_does_not_keep_event_loops_that_are_over(server: MockServer) -> None:
    client = AsyncChatClient(api_key=server.api_key, base_url=server.base_url)
    loops = [asyncio.run(two_sends(client)) for _ in range(3)]
    gc.collect()
    kept = sum(loop() is not None for loop in loops)
    asyncio.run(client.aclose())
    del client
    gc.collect()
    assert kept == 0


def test_an_async_client_is_usable_in_two_event_loops_at_once(server: MockServer, unraisable: list[str]) -> None:
    client = AsyncChatClient(api_key=server.api_key, base_url=server.base_url, max_parallel=2, timeout=20.0)
    server.script(*[Fault(delay=0.005)] * 40)
    both = threading.Barrier(2)

    async def some() -> None:
        sends = [client.send_file(b"x", business_id=1 + number % 2, chat_id=2) for number in range(20)]
        await asyncio.gather(*sends)
        await asyncio.to_thread(both.wait, 10)
        await client.aclose()

    with ThreadPoolExecutor(2) as threads:
        for loop in [threads.submit(asyncio.run, some()) for _ in range(2)]:
            loop.result()
    assert len(server.received) == 40
    assert max(server.most_in_flight_of(1), server.most_in_flight_of(2)) == 2
    assert left_behind(client) == []
    gc.collect()
    assert unraisable == []


@pytest.mark.parametrize("timeout", [0.1, 5.0])
def test_a_handshake_that_is_given_up_leaves_no_open_connection(timeout: float, unraisable: list[str]) -> None:
    async def main(address: str) -> BaseException:
        async with AsyncChatClient(api_key="k", base_url=address, verify=False, timeout=timeout) as client:
            task = asyncio.create_task(client.send_file(b"x", business_id=1, chat_id=2))
            await asyncio.sleep(0.2)
            task.cancel()  # if it has not run out of time before
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, BaseException)
            return ended

    with unanswering(backlog=20) as address:
        ended = asyncio.run(main(address.replace("http", "https", 1)))
    assert isinstance(ended, NotSentError if timeout < 1 else asyncio.CancelledError)
    gc.collect()
    assert unraisable == []


# What is said on the way


def test_on_progress_starts_again_at_0_for_each_attempt_and_ends_at_the_size(chat: Chat, server: MockServer) -> None:
    told: list[tuple[int, int]] = []
    server.script(Answer(420), Answer(420))
    sent = chat.send(b"x" * MIB, on_progress=lambda *counts: told.append(counts))
    starts = [position for position, (count, _) in enumerate(told) if count == 0]
    assert len(starts) == sent.attempts == 3
    for begin, end in zip(starts, [*starts[1:], len(told)], strict=True):
        counts = [count for count, _ in told[begin:end]]
        assert counts == sorted(set(counts))
        assert (counts[0], counts[-1]) == (0, MIB)
        assert len(counts) > 10
    assert {size for _, size in told} == {MIB}


def test_an_on_progress_that_raises_is_logged_once_and_the_file_is_sent(
    chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    on_progress = Mock(side_effect=ZeroDivisionError)
    server.script(Answer(420))
    sent = chat.send(b"x" * MIB, on_progress=on_progress)
    assert sent.attempts == 2
    assert server.received[0].content == b"x" * MIB
    on_progress.assert_called_once_with(0, MIB)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ZeroDivisionError" in record.getMessage()
    assert record.name == "yandex_market_chat"


@pytest.mark.parametrize("when", ["waiting", "reading", "connecting", "in flight"])
def test_a_cancellation_warns_that_the_delivery_is_unknown_if_a_request_was_in_flight(
    server: MockServer, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    async def never() -> Any:
        reading.set()
        await asyncio.Event().wait()
        yield b"x"

    async def main() -> None:
        async with AsyncChatClient(
            api_key=server.api_key, base_url=base_url, max_parallel=1, retry=RetryPolicy(attempts=1)
        ) as client:
            first = asyncio.create_task(client.send_file(never(), business_id=1, chat_id=1))
            file = {"reading": never()}.get(when, b"x")
            task = asyncio.create_task(
                client.send_file(file, name="a.pdf", business_id=1 if when == "waiting" else 2, chat_id=7)
            )
            ready = {
                "waiting": lambda: waiting(client) == 1,
                "reading": lambda: reading.is_set() and waiting(client) == 0,
                "connecting": lambda: True,
                "in flight": lambda: server.in_flight == 1,
            }[when]
            await asyncio.to_thread(until, ready)
            await asyncio.sleep(0.05)
            caplog.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            warned.extend(record for record in caplog.records if record.levelno >= logging.WARNING)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    reading, warned = threading.Event(), list[logging.LogRecord]()
    server.script(SCENARIOS["silence-after-body"])
    with unanswering() as dead:
        base_url = dead if when == "connecting" else server.base_url
        asyncio.run(main())
    assert len(warned) == (when == "in flight")
    for record in warned:
        assert "delivery unknown" in record.getMessage()
        assert (record.business_id, record.chat_id, record.file_name) == (2, 7, "a.pdf")  # type: ignore[attr-defined]
