"""What can be sent, how it is read, and what is refused before anything goes out."""

# ruff: noqa: SIM115 - the tables open files in lambdas; an ExitStack closes them

from __future__ import annotations

import asyncio
import bz2
import codecs
import gzip
import io
import mmap
import os
import socket
import tempfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from python_multipart import MultipartParser
from python_multipart.multipart import parse_options_header

from yandex_market_chat import (
    EmptyFileError,
    FileTooLargeError,
    InvalidFileError,
    InvalidRequestError,
    SentFile,
    WaitTimeoutError,
    _delivery,
)
from yandex_market_chat._file import look_at
from yandex_market_chat.testing import Answer, MockServer, Part, ReceivedRequest

from .conftest import Chat

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
        filename = options[b"filename"].decode().replace("%22", '"')
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
    """Hold what is done inside to be refused with that class and words, with the server hearing nothing of it."""
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


# What can be sent


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


def pipe(path: Path, stack: ExitStack, content: bytes = CONTENT) -> Any:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return stack.enter_context(os.fdopen(reading, "rb"))


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
    monkeypatch.setattr(_delivery, "FIRST_PAUSE", 0.001)
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


# Only Linux has regular files of size 0 with something in them; elsewhere there is nothing to be read wrongly.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no such files")
def test_a_regular_file_that_claims_to_be_empty_is_read_all_the_same(chat: Chat, server: MockServer) -> None:
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


# Paths


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("missing.pdf", FileNotFoundError),
        ("", FileNotFoundError),
        ("file.pdf/below", NotADirectoryError),
        ("x" * 5000, OSError),
        ("loop", OSError),
    ],
    ids=["missing", "empty", "below a file", "too long", "loop"],
)
def test_the_systems_own_error_of_a_path_is_unchanged(
    name: str, kind: type[OSError], chat: Chat, server: MockServer, tmp_path: Path
) -> None:
    (tmp_path / "file.pdf").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = str(tmp_path / name) if name else name
    with pytest.raises(OSError) as expected:  # noqa: PT011 - whatever the system says
        os.stat(path)
    with pytest.raises(kind) as caught:
        chat.send(path)
    assert type(caught.value) is type(expected.value)
    assert (caught.value.errno, caught.value.filename) == (expected.value.errno, path)
    assert server.connections == 0


@contextmanager
def as_nobody() -> Iterator[None]:
    """To root nothing is forbidden, so be someone else."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("this user may read everything, and cannot become another")
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_forbidden_path_raises_the_systems_own_error(what: str, chat: Chat, server: MockServer) -> None:
    with tempfile.TemporaryDirectory() as outer:  # those of pytest are closed to others as a whole
        folder, path = Path(outer, "folder"), Path(outer, "folder", "secret.pdf")
        folder.mkdir()
        path.write_bytes(b"x")
        chat.send(path)  # also loads what nobody may load later
        Path(outer).chmod(0o755)
        folder.chmod(0o755 if what == "file" else 0)
        path.chmod(0)
        try:
            with as_nobody(), pytest.raises(PermissionError) as caught:
                chat.send(path)
        finally:
            folder.chmod(0o755)
    assert caught.value.filename == str(path)
    assert server.connections == 1


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def unix_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))  # such a path must be short
    return path


def link_to(target: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return make


@contextmanager
def no_hang(path: Path) -> Iterator[None]:
    """Let whoever waits for the other end of a fifo go on after a while, and fail."""
    timer = threading.Timer(2, lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK)))
    timer.start()
    began = time.monotonic()
    try:
        yield
    finally:
        timer.cancel()
    assert time.monotonic() - began < 1.5


NO_REGULAR_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "directory": (lambda path: path.parent, "is a directory"),
    "directory as text": (lambda path: f"{path.parent}/", "is a directory"),
    "link to a directory": (link_to("/"), "is a directory"),
    "fifo": (fifo, "is not a regular file"),
    "socket": (unix_socket, "is not a regular file"),
    "endless device": (lambda _: "/dev/zero", "'/dev/zero' is not a regular file"),
    "empty device": (lambda _: Path("/dev/null"), "'/dev/null' is not a regular file"),
    "terminal": (lambda _: "/dev/tty", "'/dev/tty' is not a regular file"),
    "link to a device": (link_to("/dev/zero"), "is not a regular file"),
    "NUL": (lambda _: "a\0b.pdf", "'a\\x00b.pdf' cannot be a path"),
    "NUL in bytes": (lambda _: BytesPath(Path("a\0b.pdf")), "cannot be a path"),
    "lone surrogate": (lambda _: "a\ud800.pdf", "cannot be a path"),
}


@pytest.mark.parametrize("what", NO_REGULAR_FILES)
def test_a_path_that_is_no_regular_file_is_refused_at_once(
    what: str, chat: Chat, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, words = NO_REGULAR_FILES[what]
    file = make(tmp_path / "found.pdf")
    with no_hang(tmp_path / "found.pdf"), refused(server, InvalidFileError, words) as caught:
        chat.send(file)
    assert (caught.value.business_id, caught.value.chat_id) == (1, 2)


# What is no file, or cannot be read as one


def closed(file: Any) -> Any:
    file.close()
    return file


def released(view: memoryview) -> memoryview:
    view.release()
    return view


def spooled_text(_: Path, stack: ExitStack) -> Any:
    spooled = stack.enter_context(tempfile.SpooledTemporaryFile(mode="w+", encoding="utf-8"))
    spooled.write("text")
    spooled.seek(0)
    return spooled


class AsyncRead:
    """As the open files of aiofiles and the uploads of some web frameworks are."""

    async def read(self, size: int) -> bytes:
        return b"x"


NO_FILES: dict[str, tuple[Callable[[Path, ExitStack], Any], str]] = {
    "text mode": (lambda path, stack: stack.enter_context(path.open(encoding="utf-8")), 'mode "rb"'),
    "StringIO": (lambda *_: io.StringIO("text"), "text"),
    "gzip in text mode": (lambda path, stack: stack.enter_context(gzip.open(path, "rt")), 'mode "rb"'),
    "codecs": (lambda path, stack: stack.enter_context(codecs.open(str(path), encoding="utf-8")), "text"),
    "spooled text": (spooled_text, "text"),
    "closed": (lambda path, _: closed(path.open("rb")), "closed"),
    "closed BytesIO": (lambda *_: closed(io.BytesIO(b"x")), "closed"),
    "closed spooled file": (lambda *_: closed(tempfile.SpooledTemporaryFile()), "closed"),
    "write-only": (lambda path, stack: stack.enter_context(path.open("ab")), "not open for reading"),
    "write-only, unbuffered": (lambda path, stack: stack.enter_context(path.open("ab", buffering=0)), "for reading"),
    "released memoryview": (lambda *_: released(memoryview(b"x")), "memoryview has been released"),
    "None": (lambda *_: None, "NoneType"),
    "descriptor": (lambda *_: 0, "not int"),
    "number": (lambda *_: 1.5, "not float"),
    "list": (lambda *_: [b"x"], "not list"),
    "generator": (lambda *_: (piece for piece in [b"x"]), "not generator"),
    "object": (lambda *_: object(), "not object"),
    "reader of nothing": (lambda *_: Reader(None), "NoneType"),
    "reader of text": (lambda *_: Reader("text"), "text"),
    "reader of empty text": (lambda *_: Reader(""), "text"),
    "reader of text behind bytes": (lambda *_: Reader(b"x", "text"), "text"),
    "reader of numbers": (lambda *_: Reader(7), "gives int"),
    "reader of lists": (lambda *_: Reader([1]), "gives list"),
    "reader to be awaited": (lambda *_: AsyncRead(), "read"),
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_open_binary_file_is_refused(what: str, chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(gzip.compress(b"text") if "gzip" in what else b"text")
    make, words = NO_FILES[what]
    with ExitStack() as stack:
        file = make(path, stack)
        with refused(server, InvalidFileError, words) as caught:
            chat.send(file)
    assert (caught.value.business_id, caught.value.chat_id) == (1, 2)
    assert path.exists()


EMPTY: dict[str, Callable[[Path, ExitStack], Any]] = {
    "bytes": lambda *_: b"",
    "bytearray": lambda *_: bytearray(),
    "memoryview": lambda *_: memoryview(b""),
    "BytesIO": lambda *_: io.BytesIO(),
    "BytesIO at its end": lambda *_: Reader(io.BytesIO(b"").read()),
    "path": lambda path, _: path,
    "open file": lambda path, stack: stack.enter_context(path.open("rb")),
    "pipe": lambda path, stack: pipe(path, stack, b""),
    "reader": lambda *_: Reader(),
}


@pytest.mark.parametrize("what", EMPTY)
def test_an_empty_file_is_refused(what: str, chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "none.pdf"
    path.touch()
    with ExitStack() as stack, refused(server, EmptyFileError, "The file is empty.") as caught:
        chat.send(EMPTY[what](path, stack))
    assert caught.value.size == 0


def test_a_refused_file_can_be_told_from_others(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    """Of twenty sends, whose error is this?"""
    empty, large = tmp_path / "empty.pdf", tmp_path / "large.mp4"
    empty.touch()
    with large.open("wb") as opened:
        opened.truncate(2**33)  # takes no room, and must not be read
        with refused(server, InvalidFileError) as write_only:
            chat.send(opened)
    with refused(server, EmptyFileError) as is_empty:
        chat.send(empty)
    with refused(server, FileTooLargeError) as too_large:
        chat.send(large)
    with refused(server, FileTooLargeError) as named:
        chat.send(b"x" * (5 * 1024 * 1024 + 1), name="C:\\own.zip", business_id=3, chat_id=4)
    assert isinstance(too_large.value, FileTooLargeError)
    assert (too_large.value.size, too_large.value.limit) == (2**33, 5 * 1024 * 1024)
    assert (named.value.business_id, named.value.chat_id, named.value.size) == (3, 4, 5 * 1024 * 1024 + 1)
    errors = [write_only.value, is_empty.value, too_large.value, named.value]
    assert [error.name for error in errors] == ["large.mp4", "empty.pdf", "large.mp4", "own.zip"]


# Limits


async def chunks_of(*chunks: Any) -> AsyncIterator[Any]:
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        await asyncio.sleep(0)
        yield chunk


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


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
    ("colour", "kind"),
    [
        (colour, kind)
        for colour in ("sync", "async")
        for kind in OF_SIZE
        if (colour, kind) != ("sync", "async iterator")
    ],
)
def test_a_file_of_the_limit_is_sent_and_one_byte_more_is_refused(
    kind: str, connect: Callable[..., Chat], server: MockServer, tmp_path: Path
) -> None:
    chat = connect(max_file_size=LIMIT)
    with ExitStack() as stack:
        for size in (LIMIT - 1, LIMIT):
            assert chat.send(OF_SIZE[kind](tmp_path / "a", stack, CONTENT[:size])).size == size
        with refused(server, FileTooLargeError, f"more than the {LIMIT} bytes", "max_file_size") as caught:
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


# Async iterators


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


@pytest.mark.parametrize("colour", ["async"])
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


@pytest.mark.parametrize("colour", ["async"])
@pytest.mark.parametrize("kind", FAILURES)
def test_what_an_async_iterator_raises_half_way_passes_unchanged(
    kind: type[Exception], connect: Callable[..., Chat], server: MockServer
) -> None:
    failure = kind("the reader's own")
    assert_passes_unchanged(failure, chunks_of(b"x" * 50, failure), connect(max_parallel=1), server)


@pytest.mark.parametrize("colour", ["async"])
@pytest.mark.parametrize(("chunk", "words"), [("text", "text"), (None, "NoneType"), (7, "gives int")])
def test_an_async_iterator_of_anything_but_bytes_is_refused(
    chunk: Any, words: str, chat: Chat, server: MockServer
) -> None:
    with refused(server, InvalidFileError, words):
        chat.send(chunks_of(b"x", chunk))


@pytest.mark.parametrize("colour", ["async"])
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


@pytest.mark.parametrize("colour", ["async"])
def test_an_endless_async_iterator_is_refused_when_the_limit_is_passed(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    endless = EndlessChunks()
    with refused(server, FileTooLargeError):
        connect(max_file_size=LIMIT).send(endless)
    assert endless.given == 120


@pytest.mark.parametrize("colour", ["async"])
def test_an_async_iterator_that_goes_on_behind_the_limit_is_refused_and_not_cut_there(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    with refused(server, FileTooLargeError):
        connect(max_file_size=LIMIT).send(chunks_of(b"x" * LIMIT, b"x"))


@pytest.mark.parametrize("colour", ["sync"])
def test_the_synchronous_client_refuses_an_async_iterator_with_a_sentence(chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidFileError) as caught:
        chat.send(Chunks())
    sentence = "file is an async iterator; only AsyncChatClient can read one."
    assert str(caught.value) == f"{sentence} The file was not sent."


# Between the look and the read


class Holder:
    """A file whose reading holds the only place for a moment, in which something happens to another file."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile
        self._given = False
        self.entered = threading.Event()

    def read(self, size: int) -> bytes:
        if self._given:
            return b""
        self.entered.set()
        time.sleep(0.05)  # enough for the other one to be looked at; if not, the outcome is the same
        self._meanwhile()
        self._given = True
        return b"holder"


def send_meanwhile(chat: Chat, file: Any, meanwhile: Callable[[], object]) -> None:
    """Send a file that has to wait for its place, and let something happen while it waits."""
    holder = Holder(meanwhile)
    if chat.colour == "sync":
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(chat.send, holder)
            assert holder.entered.wait(5)
            try:
                chat.send(file)
            finally:
                other.result()
        return

    async def both() -> None:
        sends = [chat.client.send_file(each, business_id=1, chat_id=2) for each in (holder, file)]
        first, second = await asyncio.gather(*sends, return_exceptions=True)
        for outcome in (first, second):
            if isinstance(outcome, BaseException):
                raise outcome

    asyncio.run(both())


@pytest.fixture
def narrow(connect: Callable[..., Chat]) -> Chat:
    """A client with one place and a small limit."""
    return connect(max_parallel=1, max_file_size=LIMIT)


@pytest.mark.parametrize("content", [b"s", b"longer " * 12], ids=["shrunk", "grown"])
def test_a_file_that_changes_while_it_waits_is_sent_as_it_is_when_it_is_read(
    content: bytes, narrow: Chat, server: MockServer, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.txt", b"as it was")
    send_meanwhile(narrow, path, lambda: path.write_bytes(content))
    assert [part.content for part in arrived(server)] == [b"holder", content]


def test_a_file_is_not_read_before_its_turn(narrow: Chat, server: MockServer) -> None:
    waiting = Reader(b"waiting")
    given: list[int] = []
    send_meanwhile(narrow, waiting, lambda: given.append(waiting.given))
    assert given == [0]
    assert server.received[1].content == b"waiting"


def replaced_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda path: path.write_bytes(b"x" * (LIMIT + 1)), FileTooLargeError),
        (lambda path: path.write_bytes(b""), EmptyFileError),
        (replaced_by_fifo, InvalidFileError),
    ],
    ids=["grown beyond the limit", "emptied", "replaced by a fifo"],
)
def test_a_file_that_cannot_be_sent_any_more_when_its_turn_comes_is_refused(
    change: Callable[[Path], object], kind: type[InvalidFileError], narrow: Chat, server: MockServer, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.txt", b"as it was")
    with no_hang(path), pytest.raises(InvalidFileError) as caught:
        send_meanwhile(narrow, path, lambda: change(path))
    error = caught.value
    assert type(error) is kind
    assert_readable(error)
    if kind is InvalidFileError:
        assert str(path) in str(error)
    assert (error.name, error.attempts, error.business_id, error.chat_id) == ("a.txt", 0, 1, 2)
    if isinstance(error, FileTooLargeError):
        assert error.limit == LIMIT
        assert error.size is None or error.size > LIMIT  # not the size that it had once
    assert [got.content for got in server.received] == [b"holder"]


def test_a_file_on_disk_is_held_once(tmp_path: Path) -> None:
    path, size = tmp_path / "a.bin", 16 * MIB
    with path.open("wb") as file:
        file.truncate(size)
    found = look_at(path, size)
    tracemalloc.start()
    try:
        assert len(found.read(size)) == size
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < size + MIB


def test_a_file_that_is_gone_when_its_turn_comes_raises_the_systems_own_error(
    narrow: Chat, server: MockServer, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.txt", b"as it was")
    with pytest.raises(FileNotFoundError) as caught:
        send_meanwhile(narrow, path, path.unlink)
    assert caught.value.filename == str(path)
    assert [got.content for got in server.received] == [b"holder"]


def test_a_memoryview_that_is_released_when_its_turn_comes_is_refused(narrow: Chat, server: MockServer) -> None:
    view = memoryview(b"as it was")
    with pytest.raises(InvalidFileError) as caught:
        send_meanwhile(narrow, view, view.release)
    assert_readable(caught.value, "memoryview has been released")
    assert [got.content for got in server.received] == [b"holder"]
