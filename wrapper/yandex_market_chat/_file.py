"""From what the caller hands over to a name, a type and bytes.

Looked at once when `send_file` is called, read once when it may go out: at most the limit and one byte more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from io import BytesIO, TextIOBase
from typing import NoReturn, Protocol, runtime_checkable

from ._config import refuse
from ._errors import ChatError, EmptyFileError, FileTooLargeError, InvalidFileError
from ._file_name import clean_name, default_name, guess_type, is_content_type


@runtime_checkable
class BinaryReader(Protocol):
    """An open binary file, or anything that reads like one."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


FileLike = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be sent: looked at, not read."""

    name: str
    content_type: str
    size: int | None
    """In bytes, where it is known before reading."""
    read: Callable[[int], bytes] | None
    """Takes the limit and returns the content, blocking while it reads. None: read `stream`."""
    stream: AsyncIterable[bytes] | None
    in_memory: bool
    """Whether reading cannot block."""


def look_at(file: FileLike | AsyncIterable[bytes], name: str | None, content_type: str | None, limit: int) -> File:
    """Check all that can be checked of a file without reading it.

    Raises:
        InvalidFileError: it is no file that can be sent, or already known to be too large.
        InvalidRequestError: the name or the type cannot be sent.
        OSError: the path is missing or forbidden.
    """
    own_name: str | None = None
    size: int | None = None
    read: Callable[[int], bytes] | None = None
    stream: AsyncIterable[bytes] | None = None
    in_memory = False
    if isinstance(file, str | os.PathLike):
        own_name = os.fsdecode(file)
        size = _size_of_path(own_name)
        path = own_name
        read = lambda limit: _read_path(path, limit)  # noqa: E731
    elif isinstance(file, bytes | bytearray | memoryview):
        content, in_memory = file, True
        size = _size_of_memory(content)
        read = lambda limit: _checked(bytes(content), limit)  # noqa: E731
    elif isinstance(file, BinaryReader):
        _check_reader(file)
        own_name = _name_of(file)
        reader, in_memory = file, isinstance(file, BytesIO)
        read = lambda limit: _read_all(reader, limit)  # noqa: E731
    elif isinstance(file, AsyncIterable):
        stream = file
    else:
        raise_invalid(f"file must be a path, bytes or an open binary file, not {type(file).__name__}.")
    if size is not None and size > limit:
        raise _too_large(limit, size)
    if in_memory and size == 0:
        raise _empty()
    sent_name, sent_type = _name_and_type(own_name, name, content_type)
    return File(sent_name, sent_type, size, read, stream, in_memory)


async def read_stream(stream: AsyncIterable[bytes], limit: int) -> bytes:
    """Return the content of an async iterator. What it raises passes through."""
    chunks, size = [], 0
    async for chunk in stream:
        _check_chunk(chunk)
        chunks.append(bytes(chunk))
        size += len(chunk)
        if size > limit:
            break
    return _checked(_joined(chunks), limit)


def raise_invalid(reason: str) -> NoReturn:
    """Raise the error of a file that cannot be sent."""
    raise InvalidFileError._because(reason)


def _name_and_type(own_name: str | None, name: str | None, content_type: str | None) -> tuple[str, str]:
    if name is not None and not isinstance(name, str):
        refuse(f"name must be a str, not {type(name).__name__}.")
    if content_type is not None and not (isinstance(content_type, str) and is_content_type(content_type)):
        refuse(f"content_type must be like 'application/pdf', in printable ASCII, not {content_type!r:.100}.")
    sent = clean_name(name or own_name or "")
    content_type = content_type or guess_type(sent)
    return sent or default_name(content_type), content_type


def _name_of(reader: BinaryReader) -> str | None:
    name = getattr(reader, "name", None)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    # A descriptor's number, "<stdin>" and the like are no names.
    if not isinstance(name, str) or name.startswith("<"):
        return None
    # What is read from gzip.open("table.csv.gz") is table.csv.
    packed = {"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz", "_compression": "", "compression._common": ""}
    return name.removesuffix(packed.get(type(reader).__module__, ""))


def _size_of_path(path: str) -> int | None:
    try:
        found = os.stat(path)
    except ValueError:  # a NUL character, or what the file system cannot encode
        found = None
    if found is None:
        raise_invalid(f"{path!r:.300} cannot be a path.")
    _check_regular(found.st_mode, path)
    return found.st_size


def _check_regular(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise_invalid(f"{path!r:.300} is {kind}.")


def _read_path(path: str, limit: int) -> bytes:
    # What was a regular file a moment ago may be a pipe by now: opening it must not wait for a writer.
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", buffering=0, opener=opener) as file:
        found = os.fstat(file.fileno())
        _check_regular(found.st_mode, path)
        # One read of the size as it is now, so that the content is held once; the rest is for a file that grew.
        return _read_all(file, limit, first=min(found.st_size, limit) + 1)


def _size_of_memory(content: bytes | bytearray | memoryview) -> int | None:
    if not isinstance(content, memoryview):
        return len(content)
    try:
        return content.nbytes
    except ValueError:
        pass
    raise_invalid("The memoryview has been released.")


def _check_reader(reader: BinaryReader) -> None:
    if isinstance(reader, TextIOBase):
        raise_invalid('The file is open in text mode; open it with mode "rb".')
    if getattr(reader, "closed", False) is True:
        raise_invalid("The file is closed.")
    readable = getattr(reader, "readable", None)
    if callable(readable) and not readable():
        raise_invalid('The file is not open for reading; open it with mode "rb".')


def _read_all(reader: BinaryReader, limit: int, first: int | None = None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        chunk = reader.read(first or limit + 1 - size)
        _check_chunk(chunk)
        if not chunk:
            break
        chunks.append(bytes(chunk))
        size += len(chunk)
        first = None
    return _checked(_joined(chunks), limit)


def _check_chunk(chunk: object) -> None:
    if isinstance(chunk, str):
        raise_invalid('The file gives text, not bytes; open it with mode "rb".')
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise_invalid(f"The file gives {type(chunk).__name__}, not bytes, when it is read.")


def _joined(chunks: list[bytes]) -> bytes:
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _checked(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise _too_large(limit)
    if not content:
        raise _empty()
    return content


def _too_large(limit: int, size: int | None = None) -> ChatError:
    has = "more" if size is None else f"{size} bytes, more"
    error = FileTooLargeError._because(f"The file has {has} than the {limit} bytes that are the limit (max_file_size).")
    error.limit, error.size = limit, size
    return error


def _empty() -> ChatError:
    error = EmptyFileError._because("The file is empty.")
    error.size = 0
    return error
