"""Every scenario, as a raw client sees it, and what the journal says of it."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest

from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer, _fault


def begin(wire: Any, step: Answer | Fault | str, **request: Any) -> socket.socket:
    """A connection on which a request has been sent that meets this scenario."""
    wire.server.script(SCENARIOS[step] if isinstance(step, str) else step)
    connection: socket.socket = wire.connect()
    connection.sendall(wire.request(**request))
    return connection


BIG = 200_000


@pytest.mark.parametrize(
    ("name", "size", "complete"),
    [("drop-before-body", 0, False), ("drop-in-body", 100, False), ("drop-after-body", None, True)],
)
def test_drop_without_answer(server: MockServer, wire: Any, name: str, size: int | None, complete: bool) -> None:
    body = wire.form(b"x" * BIG)
    connection = begin(wire, name, body=body)
    assert wire.rest(connection) == b""
    (request,) = server.requests
    assert (request.status, request.violation, request.scripted) == (None, None, True)
    assert (request.body_complete, len(request.body)) == (complete, len(body) if size is None else size)
    assert server.received == ()


@pytest.mark.parametrize("name", ["reset-before-body", "reset-in-body", "reset-after-body"])
def test_reset_without_answer(server: MockServer, wire: Any, name: str) -> None:
    connection = begin(wire, name)
    with pytest.raises(ConnectionResetError):
        wire.rest(connection)
    (request,) = server.requests
    assert (request.status, request.body_complete) == (None, name == "reset-after-body")


def test_reset_while_the_client_writes(server: MockServer, wire: Any) -> None:
    server.script(SCENARIOS["reset-in-body"])
    connection = wire.connect()
    with pytest.raises(ConnectionError):
        connection.sendall(wire.request(body=b"x" * 40_000_000, Content_Length="40000000"))
    assert len(server.requests[0].body) == 100


def test_drop_in_answer(server: MockServer, wire: Any) -> None:
    answer = wire.rest(begin(wire, "drop-in-answer"))
    assert len(answer) == 30
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    # The file was taken; only the client cannot know.
    assert (server.requests[0].status, len(server.received)) == (200, 1)


def test_reset_in_answer(server: MockServer, wire: Any) -> None:
    connection = begin(wire, "reset-in-answer")
    with pytest.raises(ConnectionResetError):
        wire.rest(connection)
    assert (server.requests[0].status, len(server.received)) == (200, 1)


def test_cut_of_a_scripted_answer(wire: Any) -> None:
    connection = begin(wire, Answer(500, fault=Fault(cut="drop", at="in-answer", after=12)))
    assert wire.rest(connection) == b"HTTP/1.1 500"


def test_close_without_notice(wire: Any) -> None:
    connection = begin(wire, "close-without-notice")
    answer = wire.read(connection)
    assert (answer.status, answer.headers["Connection"]) == (200, None)
    assert connection.recv(1) == b""


def test_reset_without_notice(wire: Any) -> None:
    connection = begin(wire, "reset-without-notice")
    with pytest.raises(ConnectionResetError):
        wire.rest(connection)
    assert wire.server.requests[0].status == 200


def test_early_lingering(server: MockServer, wire: Any) -> None:
    server.script(SCENARIOS["early-refusal-lingering"])
    connection = wire.connect()
    head, _, body = wire.request(body=wire.form(b"x" * 5_000_000)).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    answer = wire.read(connection)
    assert (answer.status, answer.headers["Connection"]) == (401, "close")
    # All of it can be written, and nothing breaks.
    connection.sendall(body)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    (request,) = server.requests
    assert (request.status, request.body, request.body_complete) == (401, b"", False)


def test_early_abrupt(server: MockServer, wire: Any) -> None:
    server.script(SCENARIOS["early-refusal-abrupt"])
    connection = wire.connect()
    head, _, body = wire.request(body=wire.form(b"x" * 5_000_000)).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    with pytest.raises(ConnectionError):
        connection.sendall(body * 10)
    assert server.requests[0].status == 401


@pytest.mark.parametrize("name", ["silence-before-body", "silence-in-body"])
def test_nobody_reads(server: MockServer, wire: Any, until: Any, name: str) -> None:
    server.script(SCENARIOS[name])
    connection = wire.connect()
    connection.settimeout(0.1)
    size = 64_000_000
    with pytest.raises(TimeoutError):
        connection.sendall(wire.request(body=b"x" * size, Content_Length=str(size)))
    with pytest.raises(TimeoutError):
        connection.recv(1)
    assert server.in_flight == 1


@pytest.mark.parametrize("name", ["silence-before-body", "silence-in-body", "silence-after-body"])
def test_nobody_answers(server: MockServer, wire: Any, name: str) -> None:
    connection = begin(wire, name)
    connection.settimeout(0.1)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    assert (server.in_flight, server.requests[0].status) == (1, None)


def test_half_an_answer(server: MockServer, wire: Any, until: Any) -> None:
    connection = begin(wire, "silence-in-answer")
    connection.settimeout(0.1)
    assert len(connection.recv(1000)) == 30
    with pytest.raises(TimeoutError):
        connection.recv(1)
    assert server.in_flight == 1
    connection.close()
    until(lambda: server.in_flight == 0)


@pytest.mark.parametrize("at", ["before-body", "in-body", "after-body", "in-answer"])
def test_silence_has_an_end(wire: Any, at: Any) -> None:
    start = time.monotonic()
    # What has not been read makes the end a reset.
    with suppress(ConnectionResetError):
        wire.rest(begin(wire, Fault(cut="silence", at=at, hold=0.05)))
    assert 0.04 < time.monotonic() - start < 2


def test_late_answer(wire: Any) -> None:
    start = time.monotonic()
    connection = begin(wire, Fault(delay=0.1))
    assert wire.read(connection).status == 200
    assert 0.09 < time.monotonic() - start < 2
    # The connection is as good as new.
    connection.sendall(wire.request())
    assert wire.read(connection).status == 200


def test_late_answer_to_a_client_that_left(server: MockServer, wire: Any, until: Any) -> None:
    connection = begin(wire, Fault(delay=30))
    until(lambda: server.in_flight == 1)
    connection.close()
    until(lambda: server.in_flight == 0)


def test_dripped_answer(wire: Any) -> None:
    connection = begin(wire, Answer(headers={"Date": "", "traceparent": ""}, fault=Fault(drip=0.001)))
    sizes = []
    while len(sizes) < 40:
        sizes.append(len(connection.recv(1000)))
    assert sizes.count(1) > 20
    assert b'{"status": "OK"}' in wire.rest(begin(wire, Fault(drip=0.0001), Connection="close"))


def test_late_and_slow_reader(wire: Any) -> None:
    for fault in (Fault(read_delay=0.1), Fault(read_pause=0.02)):
        start = time.monotonic()
        connection = begin(wire, fault, body=wire.form(b"x" * 1_000_000))
        assert wire.read(connection).status == 200
        assert time.monotonic() - start > 0.09
    assert len(wire.server.received) == 2


def test_not_http(wire: Any) -> None:
    answer = wire.rest(begin(wire, "not-http"))
    assert answer
    assert not answer.startswith(b"HTTP")
    assert wire.server.requests[0].status is None


def test_huge_headers(wire: Any) -> None:
    answer = wire.rest(begin(wire, "huge-headers", Connection="close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(head) > 200_000
    assert body == b'{"status": "OK"}'


def test_short_body(wire: Any) -> None:
    answer = wire.rest(begin(wire, "short-body"))
    assert b"Content-Length: 1000\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"status": "OK"}')


def test_gateway_page(wire: Any) -> None:
    answer = wire.read(begin(wire, "gateway-page"))
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
    assert b"<h1>" in answer.content


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_next_request_is_normal(server: MockServer, wire: Any, name: str) -> None:
    begin(wire, name)
    assert wire.send(wire.request()).status == 200 or server.script_left == ()
    assert server.script_left == ()


def write(tmp_path: Path, entries: object) -> Path:
    file = tmp_path / "scenario.json"
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return file


def test_file(tmp_path: Path, wire_to: Any) -> None:
    entries = [
        {"scenario": "drop-after-body"},
        {"status": 420, "example": "parallel", "fault": {"delay": 0.01}},
        {"status": 502, "body": "<html>", "headers": {"Content-Type": "text/html"}, "off_contract": True},
        {"status": 404, "headers": [["X-A", "1"], ["X-A", "2"]]},
        {"raw": "HTTP/1.1 299 x\r\n\r\n"},
        {"cut": "drop", "at": "in-answer", "after": 12, "description": "mine"},
        {"status": 403, "operation": "getChatHistory"},
        {"scenario": "drop-after-body", "operation": "createChat"},
        {"status": 500, "taken": True},
        {"raw": "HTTP/1.1 302 x\r\n\r\n", "taken": True},
    ]
    with MockServer(scenario=write(tmp_path, entries)) as server:
        wire = wire_to(server)
        assert len(server.script_left) == 10
        seen = []
        for _ in range(9):
            connection = wire.connect()
            connection.sendall(wire.request(Connection="close"))
            seen.append(wire.rest(connection)[9:12])
        assert wire.history(1, 2).status == 403
        connection = wire.connect()
        connection.sendall(wire.json("/v2/businesses/1/chats/new", {"context": {"type": "ORDER", "id": 7}}))
        assert wire.rest(connection) == b""
        assert server.script_left == ()
        # The one that was cut in its answer, the two that were taken, and the last.
        assert len(server.received) == 4
    assert seen == [b"", b"420", b"502", b"404", b"299", b"200", b"500", b"302", b"200"]


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ("[", "not a JSON file"),
        ({}, "not a list"),
        (
            [{"scenario": "reset-after-body"}, {"scenario": "x"}],
            "entry 2: there is no scenario 'x'; there are late-answer,",
        ),
        ([{"scenario": "not-http", "delay": 1}], "entry 1: a scenario has no further fields"),
        (["not-http"], "entry 1: an entry is an object"),
        ([{}], "entry 1: an entry is an object"),
        ([{"operation": "createChat"}], "entry 1: an entry is an object"),
        ([{"status": 500, "operation": "send"}], "entry 1: the contract has no operation 'send'"),
        ([{"status": 500, "operation": 5}], "entry 1: operation is the id"),
        ([{"status": 200, "body": {"status": "OK", "result": {}}, "operation": "createChat"}], "chatId is missing"),
        ([{"cut": "drop", "at": "in-body", "taken": True}], "entry 1: what was taken has been read"),
        ([{"status": 200, "delay": 1}], "entry 1: an answer has no field 'delay'"),
        ([{"mode": 1}], "entry 1: a fault has no field 'mode'"),
        ([{"status": 502}], "entry 1: the contract documents no answer with status 502"),
        ([{"status": "200"}], "entry 1: the status of an answer"),
        ([{"status": 200, "fault": 5}], "entry 1: fault is an object"),
        ([{"status": 200, "fault": {"cut": "reset"}}], "entry 1: cut and at belong together"),
        ([{"status": 200, "headers": 5}], "entry 1: headers"),
        ([{"status": 200, "headers": ["abc"]}], "entry 1: headers"),
        ([{"status": 200, "headers": {"A": 1}}], "entry 1: the header A is not"),
        ([{"raw": 5}], "entry 1: raw is text"),
        ([{"raw": "x", "status": 200}], "entry 1: raw is text"),
        ([{"early": "abrupt"}], "entry 1: an early fault needs an answer"),
    ],
)
def test_wrong_file(tmp_path: Path, entries: object, sentence: str) -> None:
    file = write(tmp_path, entries)
    with pytest.raises(ValueError, match=r"\w") as caught:
        MockServer(scenario=file)
    assert str(caught.value).startswith(str(file))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("choices", [_fault.Cut, _fault.At, _fault.Early])
def test_the_docstring_names_the_choices(choices: Any) -> None:
    assert all(f"`{choice}`" in (Fault.__doc__ or "") for choice in get_args(choices))
