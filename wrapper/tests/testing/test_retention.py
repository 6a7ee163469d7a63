"""What the server forgets, so that its memory is bounded."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from yandex_market_chat.testing import MockServer, _journal
from yandex_market_chat.testing._journal import MOST_RECORDS
from yandex_market_chat.testing._retention import Latest


def test_content_is_kept_up_to_a_limit(wire_to: Any, until: Any) -> None:
    contents = [bytes([number]) * 1000 for number in range(10)]
    with MockServer(keep_bytes=4_500) as server:
        wire = wire_to(server)
        for content in contents:
            assert wire.send(wire.request(body=wire.form(content))).status == 200
        until(lambda: not server.received[6].kept)
        assert [file.kept for file in server.received] == [False] * 7 + [True] * 3
        assert [file.content for file in server.received[7:]] == contents[7:]
        assert [file.sha256 for file in server.received] == [hashlib.sha256(each).hexdigest() for each in contents]
        assert [file.size for file in server.received] == [1000] * 10
        assert len(server.requests[9].body) > 1000
        assert server.requests[9].parts[0].content == contents[9]
        for read in (
            lambda: server.received[0].content,
            lambda: server.requests[0].body,
            lambda: server.requests[0].parts,
        ):
            with pytest.raises(LookupError, match="no longer keeps"):
                read()


def test_nothing_is_kept(wire_to: Any, until: Any) -> None:
    with MockServer(keep_bytes=0) as server:
        wire = wire_to(server)
        assert wire.send(wire.request()).status == 200
        until(lambda: not server.received[0].kept)
    with pytest.raises(ValueError, match="keep_bytes"):
        MockServer(keep_bytes=-1)


def test_the_latest_records_are_kept(server: MockServer, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._service.journal._requests, "_most", 50)
    monkeypatch.setattr(server._service.journal._received, "_most", 50)
    connection = wire.connect()
    for number in range(1, 101):
        connection.sendall(wire.request(target=f"/v2/businesses/1/chats/file/send?chatId={number}"))
        wire.read(connection)
    assert [file.chat_id for file in server.received] == list(range(51, 101))
    assert [request.query for request in server.requests] == [f"chatId={number}" for number in range(51, 101)]
    assert {request.status for request in server.requests} == {200}
    assert [number for number, _ in server._service.journal.numbered()] == list(range(51, 101))


def test_a_request_that_outlives_its_record(server: MockServer, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._service.journal._requests, "_most", 1)
    connection = wire.connect()
    connection.sendall(wire.request()[:-5])
    assert wire.send(wire.request()).status == 200
    connection.sendall(wire.request()[-5:])
    assert wire.read(connection).status == 200
    assert (len(server.requests), len(server.received)) == (1, 2)


def test_big_heads_make_fewer_records() -> None:
    records: Latest[int] = Latest(MOST_RECORDS)
    numbers = [records.add(number, 32 * 1024) for number in range(10_000)]
    assert numbers == list(range(10_000))
    assert records.all() == tuple(range(10_000 - 128, 10_000))
    records.put(0, -1)
    records.put(9_999, -1)
    assert (records.all()[0], records.all()[-1]) == (9_872, -1)


def test_small_bodies_are_bounded_by_their_number(
    server: MockServer, wire: Any, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    monkeypatch.setattr(_journal, "MOST_RECORDS", 20)
    connection = wire.connect()
    for _ in range(50):
        connection.sendall(wire.request())
        wire.read(connection)
    until(lambda: [file.kept for file in server.received] == [False] * 30 + [True] * 20)


def test_businesses_without_end(server: MockServer) -> None:
    journal = server._service.journal
    for business in range(20_000):
        visit = server._service.journal.arrived(_request(), business)
        visit.leave()
    assert len(journal._most_in_flight) == 10_000
    assert len(journal._in_flight) == 0
    assert (server.most_in_flight, server.most_in_flight_of(19_999)) == (1, 1)


def _request() -> Any:
    from datetime import UTC, datetime

    from yandex_market_chat.testing import Headers, ReceivedRequest

    return ReceivedRequest("GET", "/", "/", "", Headers(), 1, datetime.now(UTC))
