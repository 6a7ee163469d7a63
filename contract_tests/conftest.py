"""What the contract tests share: the stage, a machine without settings of its own, and the reckoning at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import _counts
from ._loopback import guarded
from ._recording import recording
from ._stage import Stage

_HERE = Path(__file__).resolve().parent
_KEY = "contract_counts"


@pytest.fixture(autouse=True)
def _on_loopback() -> Iterator[None]:
    """No test of the contract reaches anything but this machine, whatever the code under test does."""
    with guarded():
        yield


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, server or proxy from the machine that the tests run on."""
    for name in list(os.environ):
        if name.startswith(("YANDEX_MARKET_", "CONTRACT_LIVE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _stage() -> Iterator[Stage]:
    with recording() as answers:
        stage = Stage(answers)
        yield stage
        stage.close()


@pytest.fixture
def stage(_stage: Stage) -> Iterator[Stage]:
    """The stage; a test that failed leaves nothing behind for the next one."""
    yield _stage
    if _stage.server.script_left:
        _stage.renew()


def _narrowed(config: pytest.Config) -> bool:
    """Whether only some of the tests were asked for: then nothing can be said about what is missing."""
    option = config.option
    asked = option.keyword or option.markexpr not in ("", "not slow")  # none of the slow ones is counted
    if asked or option.collectonly or getattr(option, "lf", False) or option.deselect:
        return True
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return False
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args if "::" not in argument]
    return not any(path == _HERE or path in _HERE.parents for path in paths)


def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in the counts of a worker that has ended."""
    for key, count in getattr(node, "workeroutput", {}).get(_KEY, ()):
        _counts.SEEN[tuple(key)] += count


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over the counts of a worker; in the process that gathers them, fail a whole run that has not seen all."""
    config: Any = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput[_KEY] = [[list(key), count] for key, count in _counts.SEEN.items()]
    elif not _narrowed(config) and _counts.complaints(_counts.SEEN) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not _counts.SEEN and _narrowed(config):
        return
    terminalreporter.section("contract tests: what was seen")
    for line in _counts.report(_counts.SEEN):
        terminalreporter.write_line(line)
    if _narrowed(config):
        terminalreporter.write_line("only some tests were asked for: what is missing is not judged")
        return
    for line in _counts.complaints(_counts.SEEN):
        terminalreporter.write_line(f"FAILED: {line}", red=True)
