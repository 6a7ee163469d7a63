"""Peers and programs that mean no good: what they say must not become the outcome of a file that it is not about."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from yandex_market_chat import (
    AsyncChatClient,
    AuthenticationError,
    DeliveryUnknownError,
    RetryPolicy,
    SentFile,
    ServerError,
)
from yandex_market_chat.testing import MockServer

from .conftest import Chat, Handler

KEY = "ACMA:" + "0" * 40 + ":" + "0" * 8
MEBIBYTE = 1024 * 1024
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"status": "OK"}'
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"


def request_of(connection: socket.socket) -> bytes:
    """Read one whole request with a Content-Length; empty if none comes."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := connection.recv(65536)):
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head


@pytest.mark.parametrize("second", [OK, REFUSED], ids=["an OK", "a refusal"])
def test_a_second_answer_is_nothing_to_the_next_send(mode: str, raw: Callable[[Handler], str], second: bytes) -> None:
    requests: list[bytes] = []

    def two_answers(connection: socket.socket) -> None:
        requests.append(request_of(connection))
        # What the second request is answered by itself is neither of the two.
        connection.sendall(OK + second if len(requests) == 1 else UNAUTHORIZED)

    with Chat(mode, api_key=KEY, base_url=raw(two_answers), timeout=5.0) as chat:
        assert isinstance(chat.send(b"1"), SentFile)
        with pytest.raises(AuthenticationError):
            chat.send(b"2")
    assert len(requests) == 2


def test_of_an_answer_without_end_little_more_is_read_than_is_kept(mode: str, raw: Callable[[Handler], str]) -> None:
    read = threading.Event()
    everything = 64 * MEBIBYTE  # many times what is kept, and what the system holds on its way

    def without_end(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 500 X\r\n\r\n" + bytes(everything))
        read.set()

    with Chat(mode, api_key=KEY, base_url=raw(without_end), timeout=30.0) as chat:
        with pytest.raises(ServerError) as caught:
            chat.send(b"1")
        assert (len(caught.value.body), caught.value.body_truncated) == (MEBIBYTE, True)
    assert not read.is_set()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 60_000,
    ],
    ids=["tiny chunks", "many interim answers"],
)
def test_an_answer_in_countless_pieces_does_not_outlive_the_total(
    mode: str, raw: Callable[[Handler], str], answer: bytes
) -> None:
    ended = threading.Event()

    def endless(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer)
        ended.wait(5)

    with Chat(mode, api_key=KEY, base_url=raw(endless), timeout=0.5, retry=RetryPolicy(attempts=1)) as chat:
        began = time.thread_time()
        with pytest.raises((AuthenticationError, DeliveryUnknownError)):
            chat.send(b"x")
    ended.set()
    # In CPU time, which a busy machine does not stretch: 2.7 s where the loop had no turn in between.
    assert time.thread_time() - began < 1.5


def test_a_program_with_fields_of_its_own_in_its_records_loses_no_outcome(
    chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = logging.getLogRecordFactory()

    def factory(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = before(*arguments, **named)
        record.business_id = "tenant-7"
        return record

    logging.setLogRecordFactory(factory)
    try:
        with caplog.at_level(logging.DEBUG, logger="yandex_market_chat"):
            assert isinstance(chat.send(b"x"), SentFile)
    finally:
        logging.setLogRecordFactory(before)
    assert len(server.received) == 1
    assert any(record.getMessage().startswith("sent ") for record in caplog.records)


def test_a_handler_that_raises_loses_no_outcome(chat: Chat, server: MockServer) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("the program's own")

    logger = logging.getLogger("yandex_market_chat")
    level = logger.level
    logger.addFilter(broken)
    logger.setLevel(logging.INFO)
    try:
        assert isinstance(chat.send(b"x"), SentFile)
    finally:
        logger.removeFilter(broken)
        logger.setLevel(level)
    assert len(server.received) == 1


@pytest.mark.parametrize("size", [1, 5 * 1024 * 1024])
def test_the_asynchronous_client_works_on_uvloop_too(server: MockServer, size: int) -> None:
    async def main() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url) as client:
            await client.send_file(bytes(size), business_id=1, chat_id=2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert [file.size for file in server.received] == [size]
