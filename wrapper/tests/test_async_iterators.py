"""Async iterators as files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from yandex_market_chat import EmptyFileError, FileTooLargeError, InvalidFileError, SentFile
from yandex_market_chat.testing import Answer, MockServer

from .conftest import Chat
from .handed_over import CONTENT, FAILURES, LIMIT, arrived, assert_passes_unchanged, chunks_of, refused


class Chunks:
    """An async iterable that is no generator."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield CONTENT


def stream_reader() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(CONTENT)
    reader.feed_eof()
    return reader


async def later(make: Callable[[], Any], chat: Chat) -> SentFile:
    """Send what can only be made inside the event loop."""
    sent: SentFile = await chat.client.send_file(make(), business_id=1, chat_id=2)
    return sent


@pytest.mark.parametrize("mode", ["async"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: chunks_of(CONTENT),
        lambda: chunks_of(CONTENT[:3], b"", CONTENT[3:], b""),
        lambda: chunks_of(bytearray(CONTENT[:64]), memoryview(CONTENT[64:]).cast("Q")),
        Chunks,
        stream_reader,
    ],
    ids=["one chunk", "empty chunks between", "other chunks", "no generator", "asyncio.StreamReader"],
)
def test_an_async_iterator_is_sent_whole_on_every_attempt(
    make: Callable[[], Any], chat: Chat, server: MockServer
) -> None:
    server.script(Answer(420, example="parallel"))
    assert asyncio.run(later(make, chat)).size == len(CONTENT)
    assert [part.content for part in arrived(server)] == [CONTENT] * 2


@pytest.mark.parametrize("mode", ["async"])
@pytest.mark.parametrize("kind", FAILURES)
def test_what_an_async_iterator_raises_half_way_passes_unchanged(
    kind: type[Exception], connect: Callable[..., Chat], server: MockServer
) -> None:
    failure = kind("the reader's own")
    assert_passes_unchanged(failure, chunks_of(b"x" * 50, failure), connect(max_parallel=1), server)


@pytest.mark.parametrize("mode", ["async"])
@pytest.mark.parametrize(("chunk", "words"), [("text", "text"), (None, "NoneType"), (7, "gives int")])
def test_an_async_iterator_of_anything_but_bytes_is_refused(
    chunk: Any, words: str, chat: Chat, server: MockServer
) -> None:
    with refused(server, InvalidFileError, words):
        chat.send(chunks_of(b"x", chunk))


@pytest.mark.parametrize("mode", ["async"])
def test_an_async_iterator_of_nothing_is_refused(chat: Chat, server: MockServer) -> None:
    with refused(server, EmptyFileError):
        chat.send(chunks_of(b"", b""))


class EndlessChunks:
    def __init__(self) -> None:
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 30
            yield b"x" * 30


@pytest.mark.parametrize("mode", ["async"])
def test_an_endless_async_iterator_is_refused_when_the_limit_is_passed(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    endless = EndlessChunks()
    with refused(server, FileTooLargeError):
        connect(max_file_size=LIMIT).send(endless)
    assert endless.given == 120


@pytest.mark.parametrize("mode", ["async"])
def test_an_async_iterator_that_goes_on_behind_the_limit_is_refused_and_not_cut_there(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    with refused(server, FileTooLargeError):
        connect(max_file_size=LIMIT).send(chunks_of(b"x" * LIMIT, b"x"))


@pytest.mark.parametrize("mode", ["sync"])
def test_the_synchronous_client_refuses_an_async_iterator_with_a_sentence(chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidFileError) as caught:
        chat.send(Chunks())
    sentence = "file is an async iterator; only AsyncChatClient can read one."
    assert str(caught.value) == f"{sentence} The file was not sent."
