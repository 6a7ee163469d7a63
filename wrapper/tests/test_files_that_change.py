"""What becomes of a file between the look at it and its turn."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import EmptyFileError, FileTooLargeError, InvalidFileError
from yandex_market_chat._file import look_at
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .handed_over import LIMIT, MIB, Reader, arrived, assert_readable, no_hang, written


class Holder:
    """A file whose reading holds the only slot for a moment, in which something happens to another file."""

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
    """Send a file that has to wait for a slot, and let something happen while it waits."""
    holder = Holder(meanwhile)
    if chat.mode == "sync":
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
    """A client with one slot and a small limit."""
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
