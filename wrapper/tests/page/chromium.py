"""Headless Chromium, driven through its DevTools by a pair of pipes: nothing but the standard library."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from 3 and writes to 4. Without the detour one of ours could be in the way.
LAUNCHER = """
import os, sys
commands, answers = (os.dup(int(number)) for number in sys.argv[1:3])
commands, answers = os.dup2(commands, 60), os.dup2(answers, 61)
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find() -> str:
    """Where Chromium is; FileNotFoundError with a sentence that says how to get it."""
    for name in (os.environ.get("CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    raise FileNotFoundError("no Chromium: apt-get install chromium (or set CHROMIUM to the path of one)")


class RefusedError(Exception):
    """The browser cannot do what it was told to, for example because the page is just being replaced."""


class Chromium:
    """One browser with one page, and what it has told so far; the folder is for its profile and its log."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.txt"
        for_it, self._commands = os.pipe()
        self._answers, by_it = os.pipe()
        command = [find(), *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(for_it), str(by_it), *command],
                pass_fds=(for_it, by_it),
                stdout=log,
                stderr=log,
            )
        os.close(for_it)
        os.close(by_it)
        self._unread = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        pages = [target for target in self.ask("Target.getTargets")["targetInfos"] if target["type"] == "page"]
        attached = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Page.setDownloadBehavior", behavior="deny")

    def ask(self, method: str, **parameters: Any) -> Any:
        """Give a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 30
        while (told := self._next(end - time.monotonic())) is not None:
            if told.get("id") == self._number:
                if "error" in told:
                    raise RefusedError(f"{method}: {told['error']}")
                return told["result"]
        raise TimeoutError(f"{method}: no answer from Chromium; it said:\n{self.log.read_text(errors='replace')}")

    def go(self, url: str) -> str | None:
        """Open an address; what went wrong, if anything did."""
        error: str | None = self.ask("Page.navigate", url=url).get("errorText")
        return error

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; RefusedError also if it throws."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RefusedError(str(result))
        return result["result"].get("value")

    def until(self, expression: str, seconds: float = 15) -> Any:
        """Return the value of the expression, as soon as it is true in whatever page is there then."""
        end = time.monotonic() + seconds
        while True:
            with suppress(RefusedError):
                if value := self.evaluate(expression):
                    return value
            assert time.monotonic() < end, f"did not come true: {expression}"
            self.listen(0.1)

    def listen(self, seconds: float) -> None:
        """Take in what the browser tells for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._next(left)

    def said(self) -> str:
        """Everything that scripts have written to the console, and what the browser has written there itself."""
        kinds = (
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        )
        return "\n".join(json.dumps(event) for event in self.events if event["method"] in kinds)

    def _next(self, seconds: float) -> dict[str, Any] | None:
        end = time.monotonic() + seconds
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            data = os.read(self._answers, 1 << 20) if ready else b""
            if not data:
                return None
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        if "id" not in told:
            self.events.append(told)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It ends when its pipe does.
        os.close(self._commands)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)
