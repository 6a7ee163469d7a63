"""The file of shared limits, the ledger, and a server that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat.testing import MockServer

from ..conftest import Chat
from .ledgers import Database, Postgres, Sqlite

_tables = count(1)


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    return tmp_path / "limits.sqlite"


@pytest.fixture
def busy(server: MockServer) -> MockServer:
    """A server that holds Market's limits, half an hour before they are renewed."""
    server.clock.set(datetime.now(UTC).replace(minute=30))
    server.limits.enabled = True
    return server


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """The ledger's database. `make test-ledger` runs the same tests with PostgreSQL."""
    return Sqlite(tmp_path / "sent.sqlite")


@pytest.fixture
def sender(connect: Callable[..., Chat], database: Database) -> Callable[..., Chat]:
    """Make a client with the ledger, as another process would."""

    def make(*, lease: float = 60.0, **arguments: Any) -> Chat:
        return connect(ledger=database.ledger(lease=lease), **arguments)

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.remove()


@pytest.fixture
def own_table(postgres: Postgres) -> Postgres:
    postgres.table = f"sent_{next(_tables)}"
    return postgres


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Sqlite(tmp_path / "sent.sqlite")
    return request.getfixturevalue("own_table")  # type: ignore[no-any-return]
