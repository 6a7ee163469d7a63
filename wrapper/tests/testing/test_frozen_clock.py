"""A test that has frozen time: faults still take their real seconds."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

#: What freezegun replaces, with what it says while time stands still.
STILL = {"time": 1.8e9, "monotonic": 5.0, "perf_counter": 5.0}


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in STILL.items():
        monkeypatch.setattr(time, name, lambda seconds=seconds: seconds)
        monkeypatch.setattr(time, f"{name}_ns", lambda seconds=seconds: int(seconds * 10**9))


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize(
    "step",
    [
        SCENARIOS["late-answer"],
        SCENARIOS["late-reader"],
        Fault(drip=0.001),
        Answer(200, fault=Fault(delay=0.2)),
        Fault(read_pause=0.01),
    ],
)
def test_a_delay_ends(server: MockServer, wire: Any, step: Answer | Fault) -> None:
    server.script(step)
    assert wire.send(wire.request(body=wire.form(b"x" * 200_000))).status == 200


@pytest.mark.usefixtures("frozen")
def test_a_silence_ends(server: MockServer, wire: Any) -> None:
    server.script(Fault(cut="silence", at="after-body", hold=0.2))
    connection = wire.connect()
    connection.sendall(wire.request())
    assert wire.rest(connection) == b""


def test_imported_while_time_stands_still() -> None:
    code = """
        import time
        time.monotonic = lambda: 5.0
        from yandex_market_chat.testing import SCENARIOS, MarketChat
        with MarketChat() as server:
            server.script(SCENARIOS["late-answer"])
            server.client.send_file(b"x", name="a.txt", business_id=1, chat_id=1)
            assert len(server.received) == 1
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], check=True, timeout=60)
