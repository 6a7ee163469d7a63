"""From what the caller hands over to a name, a type and bytes.

Looked at once when `send_file` is called, read once when it may go out: at most the limit and one byte more.
"""

import os
import stat
from collections.abc import AsyncIterable, Callable
from functools import partial
from hashlib import sha256
from inspect import iscoroutinefunction
from io import BytesIO, TextIOBase
from typing import NamedTuple, NoReturn, Protocol, runtime_checkable

from ._errors import EmptyFileError, FileTooLargeError, InvalidFileError
from ._file_name import clean_name, default_name, guess_type, is_content_type
from ._options import refuse


@runtime_checkable
class BinaryReader(Protocol):
    """An open binary file, or anything that reads like one."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


FileLike = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader
_MEMORY = (bytes, bytearray, memoryview)


class File(NamedTuple):
    """A file that may be sent: looked at, not read."""

    size: int | None
    """In bytes, where it is known before reading."""
    read: Callable[[int], bytes]
    """Takes the limit and returns the content, blocking while it reads."""
    in_memory: bool = False
    """Whether reading cannot block."""
    stream: AsyncIterable[bytes] | None = None
    """To be read instead, if there is one."""


class CheckedFile(NamedTuple):
    """A file as it would be sent."""

    name: str
    """The name as sent."""
    content_type: str
    """The type as sent."""
    size: int
    """In bytes."""
    sha256: str
    """Of the content, in hexadecimal digits."""


def checked_file(name: str, content_type: str, content: bytes) -> CheckedFile:
    """Return what a file that has been read would be sent as."""
    return CheckedFile(name, content_type, len(content), sha256(content).hexdigest())


def name_and_type(file: object, name: str | None, content_type: str | None) -> tuple[str, str]:
    """Return the name and the type that are sent: what was given, else what the file itself tells.

    Raises:
        InvalidRequestError: they were given, and cannot be sent.
    """
    if name is not None and not isinstance(name, str):
        refuse(f"name must be a str, not {type(name).__name__}.")
    if content_type is not None and not (isinstance(content_type, str) and is_content_type(content_type)):
        refuse("The content type must be like 'application/pdf', in printable ASCII.")
    sent = clean_name(name or os.path.basename(_own_name(file)))
    content_type = content_type or guess_type(sent)
    return sent or default_name(content_type), content_type


def look_at(file: object, limit: int) -> File:
    """Check all that can be checked of a file without reading it.

    Raises:
        InvalidFileError: it is no file that can be sent, or already known to be too large or empty.
        OSError: the path is missing or forbidden.
    """
    if isinstance(file, _MEMORY):
        content = file
        return File(_within(_size_of_memory(content), limit), partial(_copy, content), in_memory=True)
    if isinstance(file, str | os.PathLike):
        path = os.fsdecode(file)
        return File(_within(_size_of_path(path), limit), partial(read_path, path))
    if isinstance(file, BinaryReader) and not iscoroutinefunction(file.read):
        _check_reader(file)
        return File(None, partial(_read_all, file), in_memory=isinstance(file, BytesIO))
    if isinstance(file, AsyncIterable):
        return File(None, _refuse_stream, stream=file)
    kinds = "a path, bytes, an open binary file, or with AsyncChatClient an async iterator of bytes"
    instead = ""
    if hasattr(file, "file"):  # an upload, as FastAPI, Starlette and aiohttp have it
        instead = ": pass upload.file, with name=upload.filename"
    elif isinstance(file, BinaryReader):
        instead = ", whose read() is a coroutine: pass what `await file.read()` returns"
    return _refuse_file(f"file must be {kinds}, not {type(file).__name__}{instead}.")


async def read_stream(stream: AsyncIterable[bytes], limit: int) -> bytes:
    """Return the content of an async iterator. What it raises passes through."""
    chunks: list[bytes] = []
    left = limit
    try:
        async for chunk in stream:
            chunks.append(_bytes_of(chunk))
            left -= len(chunks[-1])
            if left < 0:
                break
        return _checked(chunks, limit)
    finally:
        chunks.clear()  # a frame lives as long as an error that somebody keeps


def _refuse_file(reason: str) -> NoReturn:
    raise InvalidFileError._because(reason)


def _refuse_stream(limit: int) -> NoReturn:
    _refuse_file("file is an async iterator; only AsyncChatClient can read one.")


def _own_name(file: object) -> str:
    if isinstance(file, str | os.PathLike):
        return os.fsdecode(file)
    name = getattr(file, "name", None)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    # A descriptor's number, "<stdin>" and the like are no names.
    if not isinstance(name, str) or name.startswith("<"):
        return ""
    # What is read from gzip.open("table.csv.gz") is table.csv.
    return name.removesuffix({"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz"}.get(type(file).__module__, ""))


def _size_of_path(path: str) -> int:
    try:
        found = os.stat(path)
    except ValueError:  # a NUL character, or what the file system cannot encode
        _refuse_file(f"{path!r:.300} cannot be a path.")
    _check_regular(found.st_mode, path)
    return found.st_size


def _check_regular(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        _refuse_file(f"{path!r:.300} is {kind}.")


def read_path(path: str, limit: int) -> bytes:
    # What was a regular file a moment ago may be a pipe by now: opening it must not wait for a writer.
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", buffering=0, opener=opener) as file:
        found = os.fstat(file.fileno())
        _check_regular(found.st_mode, path)
        # One read of the size as it is now, so that the content is held once; the rest is for a file that grew.
        return _read_all(file, limit, first=min(found.st_size, limit) + 1)


def _size_of_memory(content: bytes | bytearray | memoryview) -> int:
    try:
        return memoryview(content).nbytes
    except ValueError:
        _refuse_file("The memoryview has been released.")


def _copy(content: bytes | bytearray | memoryview, limit: int) -> bytes:
    _size_of_memory(content)  # it may have been released while the send waited for a slot
    return _checked([bytes(content)], limit)


def _check_reader(reader: BinaryReader) -> None:
    if isinstance(reader, TextIOBase):
        _refuse_file('The file is open in text mode; open it with mode "rb".')
    if getattr(reader, "closed", False) is True:
        _refuse_file("The file is closed.")
    readable = getattr(reader, "readable", None)
    if callable(readable) and not readable():
        _refuse_file('The file is not open for reading; open it with mode "rb".')


def _read_all(reader: BinaryReader, limit: int, first: int | None = None) -> bytes:
    chunks: list[bytes] = []
    left = limit + 1
    try:
        while left > 0 and (chunk := _bytes_of(reader.read(first or left))):
            chunks.append(chunk)
            left -= len(chunk)
            first = None
        return _checked(chunks, limit)
    finally:
        chunks.clear()  # a frame lives as long as an error that somebody keeps


def _bytes_of(chunk: object) -> bytes:
    if isinstance(chunk, str):
        _refuse_file('The file gives text, not bytes; open it with mode "rb".')
    if not isinstance(chunk, _MEMORY):
        _refuse_file(f"The file gives {type(chunk).__name__}, not bytes, when it is read.")
    return bytes(chunk)


def _checked(chunks: list[bytes], limit: int) -> bytes:
    if not _within(sum(map(len, chunks)), limit):
        raise EmptyFileError._because("The file is empty.", size=0)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _within(size: int, limit: int) -> int:
    if size > limit:
        raise FileTooLargeError._because(f"The file exceeds the limit of {limit} bytes.", limit=limit, size=size)
    return size
