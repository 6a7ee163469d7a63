"""Keeps a process on this machine while it is asked to: by Python's audit events, whatever library it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# An audit hook cannot be taken out again, only be told to rest.
_guards = 0


def is_local(host: object) -> bool:
    return host in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", b"::1", b"localhost")


def _refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guards:
        return
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_local(host):
        raise AssertionError(f"a contract test wanted to leave this machine, for {host!r}")


sys.addaudithook(_refuse_to_leave)


@contextmanager
def guarded() -> Iterator[None]:
    """Let nothing in this process reach another machine."""
    global _guards
    _guards += 1
    try:
        yield
    finally:
        _guards -= 1
