"""Scripted answers, and their check against the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer
from yandex_market_chat.testing._contract import load_contract

ERROR = {"status": "ERROR", "errors": [{"code": "X"}]}


def test_used_in_order_then_normal(server: MockServer, wire: Any) -> None:
    answers = (Answer(500), Answer(404, ERROR), Answer(420, example="resource"))
    server.script(*answers[:2])
    server.script(answers[2])
    assert server.script_left == answers
    assert [wire.send(wire.request()).status for _ in range(4)] == [500, 404, 420, 200]
    assert server.script_left == ()
    assert [request.scripted for request in server.requests] == [True, True, True, False]
    assert [request.status for request in server.requests] == [500, 404, 420, 200]
    assert len(server.received) == 1


def test_by_chat(server: MockServer, wire: Any) -> None:
    server.script(Answer(500))
    server.script_for(7, Answer(404), Answer(403))
    assert len(server.script_left) == 3
    to = "/v2/businesses/1/chats/file/send?chatId="
    assert [wire.send(wire.request(target=f"{to}{chat}")).status for chat in (7, 8, 7, 8)] == [404, 500, 403, 200]


def test_by_operation(server: MockServer, wire: Any) -> None:
    server.script(Answer(500), Answer(404))
    server.script_on("getChatHistory", Answer(420), Answer(500))
    server.script_on("sendFileToChat", Answer(401))
    server.script_on("createChat", Answer(403))
    assert len(server.script_left) == 6
    assert [wire.history(1, 2).status for _ in range(3)] == [420, 500, 200]
    assert [wire.open(1, "ORDER", 7).status for _ in range(2)] == [403, 200]
    # What is scripted for an operation by its name comes before what is for any send.
    assert [wire.send(wire.request()).status for _ in range(4)] == [401, 500, 404, 200]
    assert [request.scripted for request in server.requests] == [True, True, False] + [True, False] + [True] * 3 + [
        False
    ]


def test_of_no_operation(server: MockServer, wire: Any) -> None:
    server.script(Answer(500))
    server.script_on("getChatHistory", Answer(403))
    assert wire.send(wire.request(target="/nowhere")).status == 500
    assert wire.send(wire.request("PUT", "/v2/businesses/1/chats/history")).status == 403
    assert [request.operation for request in server.requests] == [None, "getChatHistory"]


def test_the_example_is_that_of_the_operation(server: MockServer, wire: Any) -> None:
    for operation, status, example, ask in (
        ("createChat", 200, None, lambda: wire.open(1, "ORDER", 7)),
        ("createChat", 404, None, lambda: wire.open(1, "ORDER", 7)),
        ("createChat", 420, "resource", lambda: wire.open(1, "ORDER", 7)),
        ("getChatHistory", 200, "page", lambda: wire.history(1, 2)),
        ("getChatHistory", 200, None, lambda: wire.history(1, 2)),
        ("sendFileToChat", 200, None, lambda: wire.send(wire.request())),
    ):
        server.script_on(operation, Answer(status, example=example))
        examples = load_contract().operation(operation).responses[status].examples
        expected = examples[example] if example else next(iter(examples.values()))
        assert json.loads(ask().content) == expected


def test_refused_for_an_operation(server: MockServer) -> None:
    with pytest.raises(ValueError, match=r"has no operation 'getHistory'; it has .*createChat"):
        server.script_on("getHistory", Answer(500))
    with pytest.raises(ValueError, match=r"body\.result\.chatId is below 1"):
        server.script_on("createChat", Answer(200, {"status": "OK", "result": {"chatId": 0}}))
    message = {"messageId": 1, "createdAt": "yesterday", "sender": "NOBODY"}
    result = {"context": {"type": "NEW"}, "messages": [message]}
    with pytest.raises(ValueError, match=r"messages\[0\]\.createdAt is not a date-time"):
        server.script_on("getChatHistory", Answer(200, {"status": "OK", "result": result}))
    with pytest.raises(ValueError, match="but no example 'page'"):
        server.script(Answer(200, example="page"))
    assert server.script_left == ()


def test_violations_are_seen_behind_a_script(server: MockServer, wire: Any) -> None:
    server.script(Answer(200), Answer(200))
    assert wire.send(wire.request(Api_Key=None)).status == 200
    assert wire.send(wire.request(body=wire.form(b""))).status == 200
    assert ["no credentials" in (r.violation or "") for r in server.requests] == [True, False]
    assert "is empty" in (server.requests[1].violation or "")
    assert server.received == ()


@pytest.mark.parametrize("response", load_contract().send.responses.values(), ids=lambda r: str(r.status))
def test_examples_of_the_contract(server: MockServer, wire: Any, response: Any) -> None:
    for name, example in response.examples.items():
        server.script(Answer(response.status, example=name or None))
        answer = wire.send(wire.request())
        assert (answer.status, json.loads(answer.content)) == (response.status, example)


def test_every_status(wire: Any) -> None:
    connection = wire.connect()
    for status in (*range(200, 600), 999):
        wire.server.script(Answer(status, b"\xffraw", {"X-A": "ё"}, off_contract=True))
        connection.sendall(wire.request())
        answer = wire.read(connection)
        assert (answer.status, answer.content) == (status, b"" if status in (204, 304) else b"\xffraw")
        assert wire.server.requests[-1].status == status
    assert wire.server.connections == 1


def test_headers_win(wire: Any) -> None:
    wire.server.script(
        Answer(headers=[("traceparent", "mine"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Date", "never")])
    )
    answer = wire.send(wire.request())
    assert answer.headers.get_all("traceparent") == ["mine"]
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers.get_all("Date") == ["never"]


def test_wrong_length_and_own_framing_end_the_connection(wire: Any) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    wire.server.script(
        Answer(headers={"Content-Length": "99"}), Answer(200, b"1\r\nx\r\n0\r\n\r\n", chunked, off_contract=True)
    )
    for end in (b'\r\n\r\n{"status": "OK"}', b"\r\n\r\n1\r\nx\r\n0\r\n\r\n"):
        connection = wire.connect()
        connection.sendall(wire.request())
        answer = wire.rest(connection)
        assert answer.endswith(end)
        assert answer.count(b"Content-Length") == answer.count(b"Content-Length: 99")


@pytest.mark.parametrize(
    ("raw", "status"), [(b"HTTP/1.1 207 \r\n\r\n", 207), (b"HTTP/1.0 200 OK\r\n\r\nx", 200), (b"\0", None)]
)
def test_raw(wire: Any, raw: bytes, status: int | None) -> None:
    wire.server.script(Answer.raw(raw))
    connection = wire.connect()
    connection.sendall(wire.request())
    assert wire.rest(connection) == raw
    assert wire.server.requests[0].status == status


REFUSED = {
    "undocumented status": (Answer(502), "documents no answer with status 502"),
    "429": (Answer(429, ERROR), "documents no answer with status 429"),
    "no status": (Answer(200, {}), "body.status is missing"),
    "unknown status": (Answer(200, {"status": "ok"}), "not one of OK, ERROR"),
    "status not text": (Answer(200, {"status": 1}), "body.status is not a string"),
    "list": (Answer(200, []), "body is not an object"),
    "no errors": (Answer(400, {"status": "ERROR", "errors": []}), "errors has fewer than 1 items"),
    "errors text": (Answer(400, {"status": "ERROR", "errors": "boom"}), "errors is not a list"),
    "no code": (Answer(400, {"status": "ERROR", "errors": [{}]}), r"errors\[0\]\.code is missing"),
    "code a number": (Answer(400, {"status": "ERROR", "errors": [{"code": 5}]}), r"errors\[0\]\.code is not a string"),
    "message null": (
        Answer(400, {"status": "ERROR", "errors": [{"code": "A", "message": None}]}),
        r"errors\[0\]\.message is not a string",
    ),
    "second error": (Answer(420, {"status": "ERROR", "errors": [{"code": "A"}, []]}), r"errors\[1\] is not an object"),
    "not JSON": (Answer(200, b"OK"), "is not JSON"),
    "nested": (Answer(200, b"[" * 100_000), "is not JSON"),
    "text": (Answer(200, '{"status": "OK"}', {"Content-Type": "text/plain"}), "has the Content-Type application/json"),
    "header": (Answer(headers={"x-ratelimit-resource-limit": "many"}), "X-RateLimit-Resource-Limit is not an integer"),
    "unknown example": (Answer(420, example="other"), "has parallel, resource, but no example 'other'"),
    "early fault": (Fault(early="abrupt"), "needs an answer"),
    "raw on contract": (Answer(wire=b"x"), "needs off_contract"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_scripted(server: MockServer, name: str) -> None:
    step, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        server.script(Answer(500), step)
    assert server.script_left == ()


ALLOWED = [
    Answer(),
    Answer(500, {"status": "ERROR"}),
    Answer(500, {"status": "ERROR", "errors": None}),
    Answer(500, {"status": "OK", "more": [1]}),
    Answer(200, {"status": "ERROR", "errors": "undeclared here"}),
    Answer(400, '{"status": "ERROR", "errors": [{"code": "NEW", "message": "м", "x": 1}]}'),
    Answer(
        200, {"status": "OK"}, {"Content-Type": "application/json; charset=utf-8", "X-RateLimit-Resource-Limit": "1000"}
    ),
]


@pytest.mark.parametrize("number", range(len(ALLOWED)))
def test_allowed_when_scripted(server: MockServer, number: int) -> None:
    server.script(ALLOWED[number])


def test_off_contract_allows_everything(server: MockServer) -> None:
    for step, _ in REFUSED.values():
        if isinstance(step, Answer) and step.example is None:
            server.script(Answer(step.status, step.body, step.headers, wire=step.wire, off_contract=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Answer(199),
        lambda: Answer(600),
        lambda: Answer("200"),
        lambda: Answer(200, 5),
        lambda: Answer(200, "x", example="y"),
        lambda: Answer(headers={"a b": "c"}),
        lambda: Answer(headers={"a": "b\r\nc: d"}),
        lambda: Answer(headers={"a": 1}),
        lambda: Answer(off_contract="yes"),
        lambda: Answer(fault={}),
        lambda: Fault(cut="reset"),
        lambda: Fault(at="after-body"),
        lambda: Fault(cut="explode", at="after-body"),
        lambda: Fault(delay=-1),
        lambda: Fault(delay=float("nan")),
        lambda: Fault(delay="1"),
        lambda: Fault(after=5),
        lambda: Fault(cut="drop", at="in-body", after=-1),
        lambda: Fault(early="abrupt", cut="drop", at="in-body"),
    ],
)
def test_nonsense_is_refused_at_once(make: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        make()


def test_a_script_is_made_of_answers_and_faults(server: MockServer) -> None:
    with pytest.raises(TypeError, match="not of str"):
        server.script("reset-after-body")  # type: ignore[arg-type]


def test_headers_from_an_iterator(wire: Any) -> None:
    wire.server.script(Answer(headers=iter([("X-A", "1")])))
    assert wire.send(wire.request()).headers["X-A"] == "1"


def test_equal_but_for_the_description() -> None:
    assert SCENARIOS["reset-after-body"] == Fault(cut="reset", at="after-body")
    assert all(scenario.description for scenario in SCENARIOS.values())


COUNTED: dict[str, tuple[Answer | Fault, bool]] = {
    "documented": (Answer(), True),
    "own words": (Answer(200, b'\xef\xbb\xbf{"more": 1, "status": "OK"}', off_contract=True), True),
    "cut": (Answer(fault=Fault(cut="drop", at="in-answer", after=20)), True),
    "shorter than announced": (SCENARIOS["short-body"], True),
    "raw": (Answer.raw(b'HTTP/1.1 200 OK\r\n\r\n{"status": "OK"}'), True),
    "an error": (Answer(200, {"status": "ERROR"}), False),
    "no JSON": (Answer(200, b"<html>", off_contract=True), False),
    "nested": (Answer(200, b"[" * 100_000, off_contract=True), False),
    "a list": (Answer(200, [], off_contract=True), False),
    "empty": (Answer(200, b"", off_contract=True), False),
    "raw error": (Answer.raw(b'HTTP/1.1 200 OK\r\n\r\n{"status": "ERROR"}'), False),
    "201": (Answer(201, {"status": "OK"}, off_contract=True), False),
}


@pytest.mark.parametrize("name", COUNTED)
def test_received_is_what_was_answered_ok(server: MockServer, wire: Any, name: str) -> None:
    step, counted = COUNTED[name]
    server.script(step)
    connection = wire.connect()
    connection.sendall(wire.request(Connection="close"))
    wire.rest(connection)
    assert len(server.received) == counted
