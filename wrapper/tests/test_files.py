"""What can be sent, how it is read, and what is refused before anything goes out."""

# ruff: noqa: SIM115 - the tables open files in lambdas; an ExitStack closes them

from __future__ import annotations

import bz2
import gzip
import io
import mmap
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from python_multipart.multipart import parse_options_header

from yandex_market_chat import FileTooLargeError, WaitTimeoutError, _steps
from yandex_market_chat.testing import Answer, MockServer

from .conftest import Chat
from .handed_over import (
    CONTENT,
    FAILURES,
    LIMIT,
    BytesPath,
    Reader,
    arrived,
    assert_passes_unchanged,
    chunks_of,
    pipe,
    refused,
    written,
)

# What can be sent


def symlink(path: Path, _: ExitStack) -> Path:
    link = path.with_name("link.pdf")
    link.symlink_to(path)
    return link


def at_offset(path: Path, stack: ExitStack, buffering: int = -1) -> Any:
    path.write_bytes(b"skipped" + CONTENT)
    opened = stack.enter_context(path.open("r+b", buffering=buffering))
    opened.seek(7)
    return opened


def temporary(path: Path, stack: ExitStack, **arguments: Any) -> Any:
    spooled = stack.enter_context(tempfile.SpooledTemporaryFile(**arguments))
    spooled.write(b"skipped" + CONTENT)
    spooled.seek(7)
    return spooled


def packed(path: Path, stack: ExitStack, module: Any) -> Any:
    path.write_bytes(module.compress(CONTENT))
    return stack.enter_context(module.open(path))


def member(path: Path, stack: ExitStack) -> Any:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.txt", CONTENT)
    return stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open("inner.txt"))


def from_socket(path: Path, stack: ExitStack) -> Any:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    with theirs:
        theirs.sendall(CONTENT)
    return stack.enter_context(ours.makefile("rb"))


def mapped(path: Path, stack: ExitStack) -> Any:
    opened = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


KINDS: dict[str, Callable[[Path, ExitStack], Any]] = {
    "path": lambda path, _: path,
    "path as text": lambda path, _: str(path),
    "path that gives bytes": lambda path, _: BytesPath(path),
    "symbolic link": symlink,
    "bytes": lambda *_: CONTENT,
    "bytearray": lambda *_: bytearray(CONTENT),
    "memoryview": lambda *_: memoryview(CONTENT),
    "memoryview with gaps": lambda *_: memoryview(b"".join(bytes((byte, 0)) for byte in CONTENT))[::2],
    "memoryview backwards": lambda *_: memoryview(CONTENT[::-1])[::-1],
    "memoryview of large items": lambda *_: memoryview(CONTENT).cast("Q"),
    "memoryview of two dimensions": lambda *_: memoryview(CONTENT).cast("B", (8, len(CONTENT) // 8)),
    "open file at an offset": at_offset,
    "unbuffered file at an offset": lambda path, stack: at_offset(path, stack, 0),
    "BytesIO": lambda *_: io.BytesIO(CONTENT),
    "named temporary file": lambda path, stack: at_offset(
        Path(stack.enter_context(tempfile.NamedTemporaryFile(dir=path.parent)).name), stack
    ),
    "spooled file in memory": temporary,
    "spooled file on disk": lambda path, stack: temporary(path, stack, max_size=10),
    "gzip.open": lambda path, stack: packed(path, stack, gzip),
    "bz2.open": lambda path, stack: packed(path, stack, bz2),
    "member of an archive": member,
    "pipe": pipe,
    "socket": from_socket,
    "mmap": mapped,
    "reader of short pieces": lambda *_: Reader(*(CONTENT[at : at + 50] for at in range(0, len(CONTENT), 50))),
    "reader that gives all at once": lambda *_: Reader(CONTENT),
    "reader of bytearrays": lambda *_: Reader(bytearray(CONTENT[:9]), bytearray(CONTENT[9:])),
    "reader of memoryviews": lambda *_: Reader(memoryview(CONTENT[:9]), memoryview(CONTENT[9:])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_attempt_sends_the_same_bytes_and_the_file_is_left_open(
    kind: str, connect: Callable[..., Chat], server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 0.001)
    server.script(*[Answer(420, example="parallel")] * 2)
    path = tmp_path / "file.pdf"
    path.write_bytes(CONTENT)
    with ExitStack() as stack:
        file = KINDS[kind](path, stack)
        # Exactly at the limit: what is larger in some other unit than bytes would be refused.
        sent = connect(max_file_size=len(CONTENT)).send(file)
        assert not getattr(file, "closed", False)
    assert (sent.attempts, sent.size) == (3, len(CONTENT))
    assert [part.content for part in arrived(server)] == [CONTENT] * 3
    assert len(server.received) == 1


@pytest.mark.parametrize("buffering", [-1, 0])
def test_an_open_file_is_read_to_its_end_or_to_one_byte_more_than_the_limit(
    buffering: int, connect: Callable[..., Chat], server: MockServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        opened = at_offset(tmp_path / "a.bin", stack, buffering)
        with refused(server, FileTooLargeError):
            connect(max_file_size=LIMIT).send(opened)
        assert opened.tell() == 7 + LIMIT + 1
        connect().send(opened)
        assert opened.tell() == 7 + len(CONTENT)
    assert server.received[0].content == CONTENT[LIMIT + 1 :]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files of size 0 that hold something (/proc)")
def test_a_regular_file_that_claims_to_be_empty_is_read_anyway(chat: Chat, server: MockServer) -> None:
    chat.send("/proc/self/status")
    assert server.received[0].content.startswith(b"Name:")
    assert server.received[0].size > 100


HOSTILE = [
    b"\r\n--+++",
    b"--+++--\r\n",
    b"\r\n--",
    b"\r\n",
    b"--",
    bytes(range(256)) * 3,
    b"\0" * 1000,
    b'\r\n--+++\r\nContent-Disposition: form-data; name="file"; filename="evil.exe"\r\n\r\nMZ\r\n--+++--\r\n',
    "счёт №1\r\n".encode("utf-16"),
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_no_content_can_break_out_of_its_part(content: bytes, chat: Chat, server: MockServer) -> None:
    chat.send(content, name="a.bin")
    assert [part.content for part in arrived(server)] == [content]


def test_no_content_can_know_the_boundary_from_an_earlier_request(chat: Chat, server: MockServer) -> None:
    content, boundaries = b"first", []
    for _ in range(4):
        chat.send(content)
        _, options = parse_options_header((server.requests[-1].headers.get("Content-Type") or "").encode())
        boundaries.append(options[b"boundary"])
        content = b"\r\n--" + boundaries[-1] + b'\r\nContent-Disposition: form-data; name="file"\r\n\r\nx'
        content += b"\r\n--" + boundaries[-1] + b"--\r\n"
    assert len(set(boundaries)) == 4
    assert arrived(server)[-1].content.startswith(b"\r\n--" + boundaries[-2])
    assert [part.content for part in arrived(server)] == [got.content for got in server.received]


# Limits


OF_SIZE: dict[str, Callable[[Path, ExitStack, bytes], Any]] = {
    "bytes": lambda path, stack, content: content,
    "memoryview": lambda path, stack, content: memoryview(content),
    "path": lambda path, stack, content: written(path, content),
    "open file": lambda path, stack, content: stack.enter_context(written(path, content).open("rb")),
    "BytesIO": lambda path, stack, content: io.BytesIO(content),
    "pipe": pipe,
    "reader": lambda path, stack, content: Reader(content[:60], content[60:]),
    "async iterator": lambda path, stack, content: chunks_of(content[:60], content[60:]),
}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, kind) for mode in ("sync", "async") for kind in OF_SIZE if (mode, kind) != ("sync", "async iterator")],
)
def test_a_file_of_the_limit_is_sent_and_one_byte_more_is_refused(
    kind: str, connect: Callable[..., Chat], server: MockServer, tmp_path: Path
) -> None:
    chat = connect(max_file_size=LIMIT)
    with ExitStack() as stack:
        for size in (LIMIT - 1, LIMIT):
            assert chat.send(OF_SIZE[kind](tmp_path / "a", stack, CONTENT[:size])).size == size
        with refused(server, FileTooLargeError, f"The file exceeds the limit of {LIMIT} bytes.") as caught:
            chat.send(OF_SIZE[kind](tmp_path / "a", stack, CONTENT[: LIMIT + 1]))
    assert isinstance(caught.value, FileTooLargeError)
    assert caught.value.limit == LIMIT
    assert caught.value.size in (None, LIMIT + 1)  # not known of what is read
    assert [got.content for got in server.received] == [CONTENT[: LIMIT - 1], CONTENT[:LIMIT]]


def test_the_default_limit_is_five_mebibytes(chat: Chat, server: MockServer) -> None:
    largest = b"x" * (5 * 1024 * 1024)
    chat.send(largest)
    with refused(server, FileTooLargeError, "5242880 bytes"):
        chat.send(largest + b"x")
    assert server.received[0].size == 5 * 1024 * 1024


def test_sizes_are_in_bytes_whatever_the_items_of_a_memoryview(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    with refused(server, FileTooLargeError) as caught:
        connect(max_file_size=LIMIT).send(memoryview(bytes(128)).cast("Q"))
    assert caught.value.size == 128


class Endless:
    """Gives as much as it is asked for, or pieces of its own size."""

    def __init__(self, piece: int | None = None) -> None:
        self._piece = piece
        self.given = 0

    def read(self, size: int) -> bytes:
        count = self._piece or size
        self.given += count
        return b"x" * count


@pytest.mark.parametrize(("piece", "most"), [(None, LIMIT + 1), (1, LIMIT + 1), (30, LIMIT + 30), (1000, 1000)])
def test_an_endless_file_is_refused_when_the_limit_is_passed(
    piece: int | None, most: int, connect: Callable[..., Chat], server: MockServer
) -> None:
    endless = Endless(piece)
    with refused(server, FileTooLargeError) as caught:
        connect(max_file_size=LIMIT).send(endless)
    assert LIMIT < endless.given <= most
    assert isinstance(caught.value, FileTooLargeError)
    assert caught.value.limit == LIMIT


# Readers that fail


@pytest.mark.parametrize("kind", FAILURES)
def test_what_a_reader_raises_half_way_passes_unchanged(
    kind: type[Exception], connect: Callable[..., Chat], server: MockServer
) -> None:
    failure = kind("the reader's own")
    assert_passes_unchanged(failure, Reader(b"x" * 50, failure), connect(max_parallel=1), server)


def test_a_reader_that_raises_stop_iteration_does_not_hang_the_send(chat: Chat, server: MockServer) -> None:
    """As `next(pieces)` without a default does: neither a future nor a coroutine can raise it as it is."""
    with pytest.raises((StopIteration, RuntimeError)) as caught:
        chat.send(Reader(b"x", StopIteration()), timeout=1.0)
    assert not isinstance(caught.value, WaitTimeoutError)
    assert server.connections == 0


def test_a_broken_archive_raises_its_own_error(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-9])
    with gzip.open(path) as opened, pytest.raises(EOFError):
        chat.send(opened)
    assert server.connections == 0
