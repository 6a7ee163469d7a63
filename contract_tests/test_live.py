"""The opt-in run against the live service, tried on the mock server: what it sends, what it writes, what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yandex_market_chat.testing import Answer, MockServer

from ._contract import OPERATIONS
from ._vectors import CALLS, FILE
from .live import NEEDED, REFUSALS, run, selected


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A copy of the vectors: the real file is for the live run alone."""
    copy = tmp_path / "vectors.json"
    copy.write_bytes(FILE.read_bytes())
    return copy


def environment(server: MockServer) -> dict[str, str]:
    return dict(zip(NEEDED, (server.api_key, "12345", "67890", server.base_url), strict=True))


def validated(file: Path) -> set[str]:
    return {
        vector["id"] for vector in json.loads(file.read_text(encoding="utf-8"))["calls"] if vector["validated_live"]
    }


def test_it_needs_its_environment_and_sends_nothing_without(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = vectors.read_bytes()
    with MockServer() as server:
        for name in NEEDED:
            assert run(vectors, environment(server) | {name: ""}, deliver=True) == 2
            assert name in capsys.readouterr().out
        assert server.requests == ()
    assert vectors.read_bytes() == before


def test_it_sends_only_what_is_refused_and_writes_what_was_so(vectors: Path) -> None:
    with MockServer(businesses={12345, 0, -1}, chats={67890, 0, -1}) as server:
        assert run(vectors, environment(server), deliver=False) == 0
        assert server.received == ()
        assert {request.status for request in server.requests} == set(REFUSALS)
        assert len(server.requests) == len(selected(CALLS, deliver=False)) == len(validated(vectors))


def test_it_delivers_only_when_told(vectors: Path) -> None:
    with MockServer(businesses={12345}, chats={67890}) as server:
        assert run(vectors, environment(server), deliver=True) == 0
        assert len(server.received) == len(selected(CALLS, deliver=True)) - len(selected(CALLS, deliver=False)) >= 1


def test_it_writes_nothing_for_what_came_back_otherwise(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MockServer() as server:
        for operation in OPERATIONS:
            server.script_on(operation.id, *[Answer(500)] * 100)
        assert run(vectors, environment(server), deliver=True) == 1
        assert "OTHERWISE" in capsys.readouterr().out
    assert validated(vectors) == set()


def test_a_vector_that_may_deliver_cannot_be_called_refused() -> None:
    wrong = {"id": "x", "live": {"kind": "refused"}, "outcome": {"status": 200}}
    with pytest.raises(ValueError, match="said to be refused"):
        selected([wrong], deliver=False)
