"""The command as a process, with an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat.testing import MockServer

COMMAND = [sys.executable, "-W", "error", "-m", "yandex_market_chat_command"]


@dataclass
class Done:
    """How a process ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        """The one JSON object on standard output, which says the same as the exit status."""
        (line,) = self.out.splitlines()
        told: dict[str, Any] = json.loads(line)
        assert told["status"] == self.status
        return told


class Cli:
    """Starts the command for one server, from one folder."""

    def __init__(self, server: MockServer, folder: Path) -> None:
        self.folder = folder
        # It writes as it does by default, with a buffer.
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self.environment = plain | {"YANDEX_MARKET_API_KEY": server.api_key, "YANDEX_MARKET_BASE_URL": server.base_url}
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: Any, **environment: str | None) -> subprocess.Popen[bytes]:
        """Start it; an environment variable that is None is left out."""
        given = {name: value for name, value in (self.environment | environment).items() if value is not None}
        process = subprocess.Popen(
            [*COMMAND, *(each if isinstance(each, bytes) else str(each) for each in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=given,
        )
        self.running.append(process)
        return process

    def __call__(self, *arguments: Any, stdin: bytes = b"", **environment: str | None) -> Done:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(stdin, timeout=60)
        return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
def cli(server: MockServer, tmp_path: Path) -> Iterator[Cli]:
    made = Cli(server, tmp_path)
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


Send = Callable[..., Done]


@pytest.fixture
def send(cli: Cli) -> Send:
    """`send` to business 1 and chat 2."""
    return lambda file, *more, **rest: cli("send", file, "--business-id", 1, "--chat-id", 2, *more, **rest)
