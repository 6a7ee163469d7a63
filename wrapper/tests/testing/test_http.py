"""HTTP as the mock server speaks it: connections that stay, that are cut, that wait, and clients that stop."""

from __future__ import annotations

from typing import Any

import pytest

from yandex_market_chat.testing import MockServer

from .test_requests import LIMIT, TO


def test_head_has_no_body(wire: Any) -> None:
    answer = wire.send(wire.request("HEAD", body=b""), "HEAD")
    assert (answer.status, answer.content, answer.headers["Allow"]) == (405, b"", "POST")
    assert int(answer.headers["Content-Length"]) > 0
    # As bytes, since http.client reads no body there whatever comes.
    connection = wire.connect()
    connection.sendall(wire.request("HEAD", body=b"", Connection="close"))
    assert wire.rest(connection).partition(b"\r\n\r\n")[1:] == (b"\r\n\r\n", b"")


def test_answers_have_the_headers_of_a_server(wire: Any) -> None:
    headers = wire.send(wire.request()).headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == "16"
    assert headers["Date"].endswith(" GMT")
    assert len(headers["traceparent"]) == 55
    assert headers["traceparent"] != wire.send(wire.request()).headers["traceparent"]


def test_keep_alive(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    for _ in range(3):
        connection.sendall(wire.request())
        assert wire.read(connection).status == 200
    connection.sendall(wire.request(target="/"))
    assert wire.read(connection).status == 404
    assert server.connections == 1
    assert {request.connection for request in server.requests} == {1}


@pytest.mark.parametrize("how", [{"Connection": "close"}, {"Connection": "x, Close"}, {"version": "1.0"}])
def test_the_client_may_end_it(wire: Any, how: dict[str, str]) -> None:
    connection = wire.connect()
    connection.sendall(wire.request(**how))
    answer = wire.rest(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_pipelined(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    connection.sendall(wire.request(target=TO.format(1, 1)) + wire.request(target=TO.format(1, 2), Connection="close"))
    assert wire.rest(connection).count(b"HTTP/1.1 200 OK") == 2
    assert [file.chat_id for file in server.received] == [1, 2]


def test_expect_100_continue(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    head, _, body = wire.request(Expect="100-continue").partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert wire.read(connection).status == 200


def test_expect_without_need(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    connection.sendall(wire.request(body=b"", Content_Length=str(10**9), Expect="100-continue"))
    assert wire.read(connection).status == 400


def test_byte_by_byte(wire: Any) -> None:
    connection = wire.connect()
    for byte in wire.request():
        connection.sendall(bytes([byte]))
    assert wire.read(connection).status == 200


def test_endless_body_is_not_read_to_its_end(server: MockServer, wire: Any) -> None:
    connection = wire.connect()
    connection.sendall(wire.request(body=b"", Content_Length=None, Transfer_Encoding="chunked"))
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    for _ in range(8):
        connection.sendall(chunk)
    assert wire.read(connection).status == 400
    (request,) = server.requests
    assert LIMIT < len(request.body) < LIMIT + 512 * 1024
    assert not request.body_complete


@pytest.mark.parametrize("sent", [60, -20])
def test_client_that_stops_half_way(server: MockServer, wire: Any, sent: int) -> None:
    connection = wire.connect()
    connection.sendall(wire.request()[:sent])
    connection.shutdown(1)
    assert wire.read(connection).status == 400
    (request,) = server.requests
    assert not request.body_complete
    assert "closed" in (request.violation or "")


def test_client_that_says_nothing(server: MockServer, wire: Any, until: Any) -> None:
    wire.connect().close()
    until(lambda: server.connections == 1)
    assert server.requests == ()
    assert wire.send(wire.request()).status == 200
