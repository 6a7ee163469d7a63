"""What tests hand over as a file, and how they look at what became of it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from python_multipart import MultipartParser
from python_multipart.multipart import parse_options_header

from yandex_market_chat import InvalidRequestError
from yandex_market_chat.testing import MockServer, Part, ReceivedRequest

from .conftest import SOON, Chat

# A multiple of 8 bytes, with everything that could end a part of a form too early.
CONTENT = (bytes(range(256)) + b"\r\n--+++\r\n--" + b"\0" * 64 + b"--\r\n\r\n%22\xff\xfe\r\n\xc3").ljust(520, b"\n")
LIMIT = 100
MIB = 1024 * 1024


def parts_of(request: ReceivedRequest) -> list[Part]:
    """Return the parts of a request as python-multipart reads them."""
    parts: list[Part] = []
    headers: list[tuple[str, str]] = []
    field, value, content = bytearray(), bytearray(), bytearray()

    def end_header() -> None:
        headers.append((field.decode(), value.decode()))
        field.clear()
        value.clear()

    def end_part() -> None:
        found = {name.lower(): text for name, text in headers}
        kind, options = parse_options_header(found["content-disposition"].encode())
        assert kind == b"form-data"
        written = options[b"filename"].decode()
        filename = written.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
        parts.append(
            Part(options[b"name"].decode(), filename, found.get("content-type"), tuple(headers), bytes(content))
        )
        headers.clear()
        content.clear()

    kind, options = parse_options_header((request.headers.get("Content-Type") or "").encode())
    assert kind == b"multipart/form-data"
    parser = MultipartParser(
        options[b"boundary"],
        {
            "on_header_field": lambda data, start, end: field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: value.extend(data[start:end]),
            "on_header_end": end_header,
            "on_part_data": lambda data, start, end: content.extend(data[start:end]),
            "on_part_end": end_part,
        },
    )
    parser.write(request.body)
    parser.finalize()
    return parts


def arrived(server: MockServer) -> list[Part]:
    """Return the one part of each request, on which both parsers agree."""
    found = []
    for request in server.requests:
        assert request.violation is None
        parts = parts_of(request)
        assert parts == list(request.parts)
        found += parts
    assert len(found) == len(server.requests)
    return found


def assert_readable(error: BaseException, *words: str) -> None:
    """Check that the text of an error is made of sentences, short and printable, with these words in it."""
    text = str(error)
    assert text.endswith(("The file was not sent.", "Nothing was sent."))
    assert text.isprintable()
    assert 30 < len(text) < 700
    assert " object at 0x" not in text
    for word in words:
        assert word in text


@contextmanager
def refused(
    server: MockServer, kind: type[InvalidRequestError], *words: str
) -> Iterator[pytest.ExceptionInfo[InvalidRequestError]]:
    """Check that the block is refused with that class and words, and that nothing reaches the server."""
    before = (server.requests, server.connections)
    with pytest.raises(InvalidRequestError) as caught:
        yield caught
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, ValueError)
    assert_readable(error, *words)
    assert error.attempts == 0
    assert 0 <= error.elapsed < 5
    assert (server.requests, server.connections) == before


class BytesPath(os.PathLike[bytes]):
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


class Reader:
    """Anything with a `read`: gives one piece after the other, whatever size is asked for."""

    def __init__(self, *pieces: Any) -> None:
        self._pieces = iter(pieces)
        self.given = 0

    def read(self, size: int) -> Any:
        assert size > 0
        piece = next(self._pieces, b"")
        if isinstance(piece, BaseException):
            raise piece
        self.given += len(piece) if isinstance(piece, bytes) else 0
        return piece


class OwnError(Exception):
    pass


FAILURES = [OSError, TimeoutError, ValueError, RuntimeError, EOFError, OwnError]


def assert_passes_unchanged(failure: Exception, file: Any, chat: Chat, server: MockServer) -> None:
    failure.__cause__ = cause = KeyError("behind it")
    with pytest.raises(type(failure)) as caught:
        chat.send(file)
    assert caught.value is failure
    assert caught.value.__cause__ is cause
    assert server.connections == 0
    chat.send(b"the next")  # has the place that the failed one had
    assert [got.content for got in server.received] == [b"the next"]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def chunks_of(*chunks: Any) -> AsyncIterator[Any]:
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        await asyncio.sleep(0)
        yield chunk


def pipe(path: Path, stack: ExitStack, content: bytes = CONTENT) -> Any:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return stack.enter_context(os.fdopen(reading, "rb"))


@contextmanager
def no_hang(path: Path) -> Iterator[None]:
    """Release after a while whatever waits for the other end of a fifo, and fail."""
    timer = threading.Timer(30.0, lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK)))
    timer.start()
    began = time.monotonic()
    try:
        yield
    finally:
        timer.cancel()
    assert time.monotonic() - began < SOON
