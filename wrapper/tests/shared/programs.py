"""What the tests of shared limits have in common: clients, other processes, and what is in flight."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from yandex_market_chat import ChatClient, SentFile
from yandex_market_chat.testing import MockServer

ANOTHER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from yandex_market_chat import ChatClient
url, key, limits, count = sys.argv[1:]
with ChatClient(api_key=key, base_url=url, shared_limits=limits) as chat, ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda _: chat.send_file(b"x", business_id=1, chat_id=2), range(int(count))))
"""


EXITS = """
import sys, threading, time
from yandex_market_chat import ChatClient
url, key, limits, _ = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, shared_limits=limits)
for _ in range(6):
    threading.Thread(target=chat.send_file, args=(b"x",), kwargs={"business_id": 1, "chat_id": 2}, daemon=True).start()
sys.stdin.read()
"""


IN_AN_UPDATE = """
import os, signal, sys
from yandex_market_chat.shared._file import FileEngine
engine = FileEngine.at(sys.argv[1])
other = FileEngine(sys.argv[1])  # as of another process
def decide(text, now):
    if text == "before":  # the second call: the transaction is open
        os.kill(os.getpid(), signal.SIGKILL)
    other.update("key", lambda text, now: ("before", None))
    return "after", None
engine.update("key", decide)
"""


FORKS = """
import os, sys
from yandex_market_chat import ChatClient, SharedLimits
url, key, limits, _ = sys.argv[1:]
chat = ChatClient(api_key=key, base_url=url, shared_limits=SharedLimits.file(limits, lease=1))
chat.send_file(b"x", business_id=1, chat_id=2)
if os.fork():
    os._exit(0)
chat.send_file(b"x", business_id=1, chat_id=2)
print("sent", flush=True)
sys.stdin.read()
"""


WITHOUT_THREADS = """
import sys, threading
from yandex_market_chat import ChatClient
url, key, limits, _ = sys.argv[1:]
start, threading.Thread.start = threading.Thread.start, lambda thread: (_ for _ in ()).throw(RuntimeError("no thread"))
with ChatClient(api_key=key, base_url=url, shared_limits=limits) as chat:
    chat.send_file(b"x", business_id=1, chat_id=2)
    threading.Thread.start = start
    chat.send_file(b"x", business_id=1, chat_id=2)
"""


LOOKS = (
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM state').fetchall(); db.close()"
)


WITHOUT_ROOM = """
import resource, sys
from yandex_market_chat import ChatClient, SharedLimits
url, key, limits, _ = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with ChatClient(api_key=key, base_url=url, shared_limits=SharedLimits.file(limits, grace=0.2)) as chat:
    for _ in range(3):
        chat.send_file(b"x", business_id=1, chat_id=2)
"""


def another(server: MockServer, limits: Path, count: int) -> subprocess.Popen[bytes]:
    arguments = (server.base_url, server.api_key, str(limits), str(count))
    return subprocess.Popen([sys.executable, "-W", "error", "-c", ANOTHER, *arguments])


def in_flight(limits: Path) -> int:
    return known(limits).count('"expires"')


def known(limits: Path) -> str:
    """What the file says, as text."""
    db = sqlite3.connect(limits)
    try:
        return "".join(value for (value,) in db.execute("SELECT value FROM state"))
    finally:
        db.close()


# Windows has neither fork nor limits on what a process may write: what these tests show cannot happen there.
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork and no resource limits")


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def client(server: MockServer, limits: object, **more: object) -> ChatClient:
    return ChatClient(api_key=server.api_key, base_url=server.base_url, shared_limits=limits, **more)  # type: ignore[arg-type]


def send(chat: ChatClient, **more: object) -> SentFile:
    return chat.send_file(b"x", business_id=1, chat_id=2, **more)  # type: ignore[arg-type]
