"""What ours alone promises: `python promises.py memory URL`, or another function, prints figures as JSON."""

import asyncio
import json
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from senders import BUSINESS, CHAT, KEY, NAME

from yandex_market_chat import AsyncChatClient, ChatClient, ConnectionFailedError, RetryPolicy
from yandex_market_chat.shared._ledger_sqlite import SqliteRows

MEGABYTE = 1024 * 1024
SIZE = 5_000_000
CHUNK = 256 * 1024


def _peak() -> float:
    # Not ru_maxrss, which begins with what the parent had.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024


def memory(url: str) -> dict[str, float]:
    """By how many MiB the peak grows with one file of 5 MB from a path, and with 200 more."""
    with ChatClient(api_key=KEY, base_url=url) as chat:
        return _growth(lambda path: chat.send_file(path, business_id=BUSINESS, chat_id=CHAT))


def memory_async(url: str) -> dict[str, float]:
    """Do the same with the asynchronous client, and tell how many threads it has read the files in."""
    chat = AsyncChatClient(api_key=KEY, base_url=url)
    with asyncio.Runner() as runner:
        found = _growth(lambda path: runner.run(chat.send_file(path, business_id=BUSINESS, chat_id=CHAT)))
        return found | {"threads": threading.active_count() - 1}


def _growth(send: Callable[[Path], object]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(b"x" * 10240)
        send(path)
        with path.open("wb") as file:
            for _ in range(SIZE // 10_000):
                file.write(b"x" * 10_000)
        before = _peak()
        send(path)
        first = _peak()
        for _ in range(200):
            send(path)
        return {"first": first - before, "further": _peak() - first}


class SlowReader:
    """A file on a slow disk: each read takes 20 ms."""

    def __init__(self) -> None:
        self.left = SIZE

    def read(self, size: int) -> bytes:
        """Return the next piece."""
        time.sleep(0.02)
        taken = min(CHUNK, size, self.left)
        self.left -= taken
        return b"x" * taken


async def _longest_gap(work: asyncio.Future[object]) -> float:
    longest, last = 0.0, time.perf_counter()
    while not work.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


def stall(url: str) -> dict[str, float]:
    """For how many ms at most the event loop has no turn while four slow files of 5 MB are sent."""

    async def main() -> float:
        async with AsyncChatClient(api_key=KEY, base_url=url) as chat:
            sends = [chat.send_file(SlowReader(), business_id=BUSINESS, chat_id=CHAT, name=NAME) for _ in range(4)]
            work = asyncio.gather(*sends)
            longest = await _longest_gap(work)
            await work
            return longest

    return {"longest": asyncio.run(main()) * 1000}


def waiting(url: str) -> dict[str, float]:
    """How many µs of CPU a task that waits for a place costs in a second: a process with 500 of them, and with none."""

    async def main(tasks: int) -> float:
        seconds = 3.0
        async with AsyncChatClient(api_key=KEY, base_url=f"{url}/wait={seconds + 1}", max_parallel=1) as chat:
            sends = [
                asyncio.create_task(chat.send_file(b"x", business_id=BUSINESS, chat_id=CHAT)) for _ in range(1 + tasks)
            ]
            await asyncio.sleep(1)  # until all of them wait
            before = time.process_time()
            await asyncio.sleep(seconds)
            used = time.process_time() - before
            for send in sends:
                send.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
            return used / seconds

    none, many = asyncio.run(main(0)), asyncio.run(main(500))
    return {"each": (many - none) / 500 * 1e6}


def creation(url: str) -> dict[str, float]:
    """How many ms of CPU it takes to make a client and use it for the first time at an address where nothing listens.

    The first client makes the TLS context, the others find it there.
    """
    nowhere = url.replace("http://", "https://").rpartition(":")[0] + ":9"

    def cost(verify: bool | ssl.SSLContext = True) -> float:
        before = time.process_time()
        chat = ChatClient(api_key=KEY, base_url=nowhere, retry=RetryPolicy(attempts=1), verify=verify)
        with suppress(ConnectionFailedError):
            chat.send_file(b"x", business_id=BUSINESS, chat_id=CHAT)
        used = time.process_time() - before
        chat.close()
        return used * 1000

    first = cost()
    later = sorted(cost() for _ in range(101))[50]
    given = ssl.create_default_context()
    return {"first": first, "later": later, "given": sorted(cost(given) for _ in range(101))[50]}


def shared(url: str) -> dict[str, float]:
    """By how many milliseconds a send takes longer with shared limits: the medians of rounds in turn."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                ways = {"none": None, "file": f"{folder}/limits.sqlite", "redis": f"redis://127.0.0.1:{port}/0"}
                return _added(url, ways)
            finally:
                server.terminate()


def _added(url: str, ways: dict[str, str | None]) -> dict[str, float]:
    chats = {way: ChatClient(api_key=KEY, base_url=url, shared_limits=limits) for way, limits in ways.items()}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(21):
        for way, chat in chats.items():  # a round and not a send: what one leaves to be told, the next would pay
            before = time.perf_counter()
            for _ in range(30):
                chat.send_file(b"x" * 10240, business_id=BUSINESS, chat_id=CHAT)
            times[way].append((time.perf_counter() - before) / 30 * 1000)
    medians = {way: statistics.median(found[1:]) for way, found in times.items()}
    return {way: median - medians["none"] for way, median in medians.items() if way != "none"}


def once(url: str) -> dict[str, float]:
    """By how many ms of CPU a send costs more with a key and a ledger in a file: medians of rounds in turn.

    Without the disk's sync, which is the disk's and not ours.
    """
    SqliteRows.SYNCHRONOUS = "OFF"
    with tempfile.TemporaryDirectory() as folder:
        chat, number = ChatClient(api_key=KEY, base_url=url, ledger=f"{folder}/sent.sqlite"), count()
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(21):
            for keyed, found in times.items():
                before = time.process_time()
                for _ in range(30):
                    key = f"invoice-{next(number)}" if keyed else None
                    chat.send_file(b"x" * 10240, business_id=BUSINESS, chat_id=CHAT, idempotency_key=key)
                found.append((time.process_time() - before) / 30 * 1000)
        chat.close()
        return {"more": statistics.median(times[True]) - statistics.median(times[False])}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
