"""Every collected test runs, or the run fails: xdist by groups drops all but one of the tests that share a node id."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator
from typing import Any

import pytest

_KEY = "collected_tests"


class _Guard:
    """Compares how many tests were collected with how many were reported."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected = self._reported = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Let the collector rest, and never look again at what is there afterwards: it stays to the end."""
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected = len(session.items)
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_KEY] = self._collected

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take in what a worker has collected: each collects all."""
        self._collected = max(self._collected, getattr(node, "workeroutput", {}).get(_KEY, 0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reported += report.when == "setup"

    def _complaint(self) -> str | None:
        # Whoever asks to stop at the first failure does not want all.
        whole = not (self._config.option.collectonly or self._config.option.maxfail)
        if whole and self._collected != self._reported:
            return f"{self._collected} tests were collected and {self._reported} ran: do some share a node id?"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.OK and self._complaint():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        if self._config.option.collectonly or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return  # interrupted, or stopped by an error, which says more
        terminalreporter.write_line(f"{self._collected} tests collected, {self._reported} reported")
        if complaint := self._complaint():
            terminalreporter.write_line(f"FAILED: {complaint}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let the guard see the whole run, and the tests their signals: a job in the background inherits ignored ones."""
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)  # Windows has SIGINT alone
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    config.pluginmanager.register(_Guard(config))
