"""Paths that lead to no file, and what is no file or an empty one."""

# ruff: noqa: SIM115 - the tables open files in lambdas; an ExitStack closes them
from __future__ import annotations

import codecs
import gzip
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yandex_market_chat import EmptyFileError, FileTooLargeError, InvalidFileError
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .handed_over import BytesPath, Reader, no_hang, pipe, refused

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
        path.chmod(0)
        folder.chmod(0o755 if what == "file" else 0)
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
    """As a reader of asyncio is."""

    async def read(self, size: int) -> bytes:
        return b"x"


class Upload(AsyncRead):
    """As an upload is in FastAPI and Starlette; in aiohttp it has no `read`."""

    filename = "a.pdf"

    def __init__(self) -> None:
        self.file = io.BytesIO(b"x")


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
    "reader to be awaited": (
        lambda *_: AsyncRead(),
        "whose read() is a coroutine: pass what `await file.read()` returns",
    ),
    "upload": (lambda *_: Upload(), "not Upload: pass upload.file, with name=upload.filename"),
    "upload without read": (lambda *_: SimpleNamespace(file=io.BytesIO(b"x")), "pass upload.file"),
}


@pytest.mark.filterwarnings(r"ignore:codecs\.open:DeprecationWarning")  # from Python 3.14 on; it is still there
@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_open_binary_file_is_refused(what: str, chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(gzip.compress(b"text") if "gzip" in what else b"text")
    make, words = NO_FILES[what]
    with ExitStack() as stack:
        file = make(path, stack)
        with refused(server, InvalidFileError, words) as caught:
            chat.send(file)
    assert str(caught.value).startswith(("The file ", "The memoryview ", "file "))
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


def test_what_is_said_of_an_upload_works(chat: Chat, server: MockServer) -> None:
    upload = Upload()
    assert chat.send(upload.file, name=upload.filename).name == "a.pdf"
    assert server.received[0].content_type == "application/pdf"


def test_a_refused_file_can_be_told_from_others(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    """Of twenty sends, whose error is this?"""
    empty, large = tmp_path / "empty.pdf", tmp_path / "large.mp4"
    empty.touch()
    with large.open("wb") as opened:
        opened.truncate(2**33)  # uses no disk space, and must not be read
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
