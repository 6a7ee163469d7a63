"""An environment that points at the mock server, and a mailing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yandex_market_chat import _delivery, _steps
from yandex_market_chat.testing import MarketChat

from .job import Job


@pytest.fixture(autouse=True)
def _environment(market_chat: MarketChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("YANDEX_MARKET_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", market_chat.api_key)
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", market_chat.base_url)
    monkeypatch.setenv("YANDEX_MARKET_LEDGER", str(tmp_path / "sent.sqlite"))
    # After an unknown outcome the history is read once, soon; pauses are short.
    monkeypatch.setattr(_delivery, "LOOKS", (0.05,))
    monkeypatch.setattr(_steps, "FIRST_PAUSE", 0.02)


@pytest.fixture
def job(tmp_path: Path, market_chat: MarketChat) -> Job:
    return Job(tmp_path, market_chat)
