"""Malformed requests by the thousand, and connections that hang: the server goes on, and does not grow."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .test_command import Told

REQUESTS = 10_000
AT_ONCE = 50
MOST_GROWTH = 20_000_000


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "yandex_market_chat.testing"]
    log = tmp_path / "log.txt"
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True) as process,
        log.open() as read,
    ):
        process.stdout = read
        end = time.monotonic() + 10
        while log.read_text().count("\n") < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
        yield process
        process.terminate()
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()


def memory_of(process: subprocess.Popen[str]) -> int:
    """Resident memory in bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096


def garbage(chance: random.Random, wire: Any) -> bytes:
    return chance.randbytes(chance.randrange(1, 400)) + chance.choice([b"", b"\r\n\r\n"])


def broken_head(chance: random.Random, wire: Any) -> bytes:
    head, _, body = wire.request().partition(b"\r\n\r\n")
    return mutated(chance, head) + b"\r\n\r\n" + body


def broken_form(chance: random.Random, wire: Any) -> bytes:
    return bytes(wire.request(body=mutated(chance, wire.form(chance.randbytes(50)))))


def other_boundary(chance: random.Random, wire: Any) -> bytes:
    boundary = chance.randbytes(chance.randrange(0, 80)).decode("latin-1").replace("\r", "").replace("\n", "")
    return bytes(wire.request(Content_Type=f"multipart/form-data; boundary={boundary}"))


def other_length(chance: random.Random, wire: Any) -> bytes:
    lengths = [0, 1, -1, 150, 10**6, 10**7, 2**63, 10**30, "", "x", "1,2", "0x10", "+5"]
    return bytes(wire.request(Content_Length=str(chance.choice(lengths))))


def broken_chunks(chance: random.Random, wire: Any) -> bytes:
    return bytes(wire.request(body=b"", Content_Length=None, Transfer_Encoding="chunked")) + mutated(
        chance, b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    )


def cut_short(chance: random.Random, wire: Any) -> bytes:
    request = bytes(wire.request())
    return request[: chance.randrange(1, len(request))]


def big_head(chance: random.Random, wire: Any) -> bytes:
    return bytes(wire.request(X_Filler="x" * chance.randrange(1_000, 60_000)))


KINDS: tuple[Callable[[random.Random, Any], bytes], ...] = (
    garbage, broken_head, broken_form, other_boundary, other_length, broken_chunks, cut_short, big_head
)  # fmt: skip


def mutated(chance: random.Random, text: bytes) -> bytes:
    """The text with a few bytes changed, put in, taken out or doubled."""
    mutable = bytearray(text)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(mutable) + 1)
        change = chance.randrange(4)
        if change == 0:
            mutable[place : place + 1] = chance.randbytes(1)
        elif change == 1:
            mutable[place:place] = chance.choice([b"\r\n", b"\0", b":", b"\xff", b"--", b'"', b";", b" "])
        elif change == 2:
            del mutable[place : place + chance.randrange(1, 8)]
        else:
            mutable[place:place] = mutable[place : place + 20]
    return bytes(mutable)


def send_all(wire: Any, requests: list[bytes]) -> int:
    """Send each on a connection of its own, all at once, and read what comes; how many were answered."""
    connections: list[socket.socket] = []
    answered = 0
    for request in requests:
        connection = wire.connect()
        # The server may have answered and gone before the end of what it cannot use.
        with suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        connections.append(connection)
    for connection in connections:
        with suppress(ConnectionError):
            answered += wire.rest(connection).startswith(b"HTTP/1.1 ")
        connection.close()
    return answered


@pytest.mark.slow
def test_malformed_requests_and_hanging_connections(process: subprocess.Popen[str], wire_to: Any) -> None:
    wire = wire_to(Told(process))
    assert wire.send(wire.request()).status == 200
    before = memory_of(process)
    chance = random.Random(5)
    hanging = [wire.connect() for _ in range(200)]
    for number, connection in enumerate(hanging):
        connection.sendall(wire.request()[:number])
    answered = 0
    for _ in range(REQUESTS // AT_ONCE):
        answered += send_all(wire, [chance.choice(KINDS)(chance, wire) for _ in range(AT_ONCE)])
    assert answered > REQUESTS * 0.99, "a malformed request has an answer too"
    assert wire.send(wire.request()).status == 200
    assert memory_of(process) - before < MOST_GROWTH
    for connection in hanging:
        connection.close()
    assert wire.send(wire.request()).status == 200
    assert memory_of(process) - before < MOST_GROWTH
