"""The file of shared limits, and a server that counts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from yandex_market_chat.testing import MockServer


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    return tmp_path / "limits.sqlite"


@pytest.fixture
def busy(server: MockServer) -> MockServer:
    """A server that holds Market's limits, half an hour before they are renewed."""
    server.clock.set(datetime.now(UTC).replace(minute=30))
    server.limits.enabled = True
    return server
