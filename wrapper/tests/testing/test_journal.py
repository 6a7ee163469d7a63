"""What the server remembers, and what it does not say aloud."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yandex_market_chat.testing import SCENARIOS, MockServer


def test_a_file(server: MockServer, wire: Any) -> None:
    begin = datetime.now(UTC)
    content = bytes(range(256)) * 40
    wire.send(wire.request(body=wire.form(content, "счёт %22 5.pdf"), X_Test="T"))
    (file,) = server.received
    assert (file.business_id, file.chat_id) == (12345, 67890)
    assert (file.name, file.content_type) == ('счёт " 5.pdf', "application/x-test")
    assert (file.size, file.content, file.sha256) == (10240, content, hashlib.sha256(content).hexdigest())
    assert begin <= file.at <= datetime.now(UTC)
    assert file.at.utcoffset() == timedelta(0)
    assert ("X-Test", "T") in file.headers


def test_a_request_is_kept_as_it_came(server: MockServer, wire: Any) -> None:
    raw = wire.request(target="/v2/businesses/%31/chats/file/send?chatId=2&x=%20", **{"x-tEST": ["a", "b  c"]})
    wire.send(raw)
    (request,) = server.requests
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert f"{request.method} {request.target} HTTP/1.1" == lines[0]
    assert [f"{name}: {value}" for name, value in request.headers] == lines[1:]
    assert (request.path, request.query) == ("/v2/businesses/%31/chats/file/send", "chatId=2&x=%20")
    assert (request.body, request.body_complete) == (body, True)
    assert request.headers.values("X-TEST") == ["a", "b  c"]
    assert request.headers.get("x-none") is None
    (part,) = request.parts
    assert (part.name, part.filename, part.content) == ("file", "invoice.pdf", b"%PDF-1.7")


def test_parts_of_a_refused_form_are_there(server: MockServer, wire: Any) -> None:
    wire.send(wire.request(body=wire.form(b"")))
    assert [part.filename for part in server.requests[0].parts] == ["invoice.pdf"]
    assert server.received == ()


def test_every_request_in_order_of_arrival(server: MockServer, wire: Any) -> None:
    for target in ("/a", "/b", "/c"):
        wire.send(wire.request(target=target))
    assert [request.path for request in server.requests] == ["/a", "/b", "/c"]
    assert [request.connection for request in server.requests] == [1, 2, 3]
    assert server.connections == 3


def test_reprs_hold_no_secret(server: MockServer, wire: Any) -> None:
    wire.send(wire.request(Cookie="C00kie", Proxy_Authorization="Pr0xy"))
    wire.send(wire.request(Api_Key=None, Authorization=f"Bearer {server.oauth_token}"))
    shown = repr(
        [
            server,
            server.requests,
            server.received,
            [r.headers for r in server.requests],
            str(server.requests[0].headers),
        ]
    )
    for secret in (server.api_key, server.oauth_token, "C00kie", "Pr0xy"):
        assert secret not in shown
    assert ("Api-Key", server.api_key) in server.requests[0].headers


def test_log(server: MockServer, wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire.send(wire.request(body=wire.form(b"12345", "счёт\u202e.pdf")))
    wire.send(wire.request(Api_Key=None, Authorization=f"Bearer {server.oauth_token}", target="/a%0A?secret=1"))
    server.script(SCENARIOS["drop-after-body"])
    wire.rest(_sent(wire))
    server.revoke(server.api_key)
    wire.send(wire.request(target=f"/v2/businesses/1/chats/file/send?chatId=7&chatId={server.api_key}"))
    wire.send(wire.request(target=f"/{server.api_key}?chatId={server.oauth_token}", body=b""))
    bearer = {"Api_Key": None, "Authorization": f"Bearer {server.oauth_token}"}
    wire.send(wire.request(body=wire.form(b"", server.api_key), **bearer))
    of_another = f"ACMA:{'k' * 40}:{'k' * 8}"
    wire.send(wire.request(target=f"/{of_another}?chatId=1", body=b""))
    server.stop()
    lines = [(r.name, r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("yandex")]
    assert [line[:2] for line in lines] == [("yandex_market_chat.testing", "INFO")] * 7
    # The dropped one is served until its client leaves, too.
    first, second, revoked, hidden, named, unknown, dropped = (line[2] for line in lines)
    assert first.startswith("POST /v2/businesses/12345/chats/file/send?chatId=67890 -> 200; ")
    assert "; 'счёт\\u202e.pdf' 5 B; body " in first
    assert second.startswith("POST /a%0A -> 404; no file; ")
    assert "no answer" in dropped
    assert revoked.startswith("POST /v2/businesses/1/chats/file/send?chatId=7 -> 401; no file; ")
    assert revoked.endswith("; the key in Api-Key has been revoked")
    assert hidden.startswith("POST /*** -> 404; ")
    assert unknown.startswith("POST /***?chatId=1 -> 404; ")
    assert "; '***' 0 B; " in named
    everything = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert server.api_key not in everything
    assert server.oauth_token not in everything
    assert of_another not in everything
    assert "secret=1" not in everything


def _sent(wire: Any) -> Any:
    connection = wire.connect()
    connection.sendall(wire.request())
    return connection


def test_in_flight(server: MockServer, wire: Any, until: Any) -> None:
    server.script(*[SCENARIOS["silence-after-body"]] * 3)
    connections = []
    for business in (1, 1, 2):
        connections.append(wire.connect())
        connections[-1].sendall(wire.request(target=f"/v2/businesses/{business}/chats/file/send?chatId=1"))
    until(lambda: server.in_flight == 3)
    assert (server.in_flight_of(1), server.in_flight_of(2), server.in_flight_of(3)) == (2, 1, 0)
    # A client that leaves is in flight no more, without waiting for the end of the silence.
    connections[0].close()
    until(lambda: server.in_flight == 2)
    assert server.in_flight_of(1) == 1
    assert (server.most_in_flight, server.most_in_flight_of(1), server.most_in_flight_of(2)) == (3, 2, 1)


def test_never_more_in_flight_than_the_client_knows_of(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    for _ in range(300):
        connection.sendall(wire.request())
        wire.read(connection)
        assert server.in_flight == 0
    assert server.most_in_flight == 1


def test_from_many_threads(server: MockServer, wire: Any) -> None:
    def send(number: int) -> int:
        status: int = wire.send(wire.request(target=f"/v2/businesses/1/chats/file/send?chatId={number}")).status
        assert number in [file.chat_id for file in server.received]
        assert any(str(number) in request.query and request.status == 200 for request in server.requests)
        return status

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(send, range(1, 201))) == {200}
    assert len(server.received) == len(server.requests) == server.connections == 200
    assert 1 <= server.most_in_flight <= 20
    assert server.in_flight == 0


def test_stays_readable(wire_to: Any) -> None:
    with MockServer() as server:
        wire = wire_to(server)
        wire.send(wire.request())
    assert len(server.received) == len(server.requests) == 1
