"""A gateway of another maker, run on loopback in a folder of its own until the tests are done with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PACKAGES = "apt-get install nginx haproxy apache2-bin"
# Debian installs them where only root looks.
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def find(name: str) -> str:
    """Where a program is; FileNotFoundError with a sentence that says how to get it."""
    if path := shutil.which(name, path=PLACES):
        return path
    raise FileNotFoundError(f"no {name}: {PACKAGES}")


class Program:
    """A server in the foreground; it counts as started when it listens at the address."""

    def __init__(self, command: Sequence[str], folder: Path, listens: tuple[str, int]) -> None:
        self._log = folder / "output.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([find(command[0]), *command[1:]], cwd=folder, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not _accepts(listens):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                said = "\n".join(log.read_text(errors="replace") for log in folder.glob("*.log"))
                raise RuntimeError(f"{command[0]} did not start; it said:\n{said}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True
