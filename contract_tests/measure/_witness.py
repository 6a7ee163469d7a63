"""A plugin of pytest for runs in throw-away copies: which tests failed, and where our packages were imported from."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

_PACKAGES = ("yandex_market_chat", "_yandex_market_chat_api", "yandex_market_chat_pytest")
_failed: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and report.nodeid not in _failed:
        _failed.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config: Any = session.config
    if hasattr(config, "workerinput"):
        return  # one of several processes; the one that gathers their reports writes
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in _PACKAGES}
    places = [str(module.__file__) for module in modules.values() if getattr(module, "__file__", None)]
    Path(os.environ["WITNESS_REPORT"]).write_text(json.dumps({"failed": _failed, "modules": places}))
