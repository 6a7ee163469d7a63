"""The memory: orders have chats, files that were taken are messages, and histories have pages."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from yandex_market_chat.testing import Answer, ChatFile, Chats, Clock, Fault, Message, MockServer

TO = "/v2/businesses/{}/chats/file/send?chatId={}"
HALF_PAST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def send(wire: Any, business: int, chat: int, name: str = "a.pdf", content: bytes = b"x") -> int:
    request = wire.request(target=TO.format(business, chat), body=wire.form(content, name))
    status: int = wire.send(request).status
    return status


def result(answer: Any) -> Any:
    assert answer.status == 200, answer.content
    body = json.loads(answer.content)
    assert body["status"] == "OK"
    return body["result"]


def messages(answer: Any) -> list[Any]:
    found: list[Any] = result(answer)["messages"]
    return found


def refusal(answer: Any) -> tuple[int, str]:
    (error,) = json.loads(answer.content)["errors"]
    return answer.status, error["message"]


# Opening


def test_an_order_has_one_chat(server: MockServer, wire: Any) -> None:
    first = result(wire.open(1, "ORDER", 7))
    assert first == result(wire.open(1, "ORDER", 7)) == {"chatId": server.chats.open(1, order_id=7)}
    others = [wire.open(1, "ORDER", 8), wire.open(1, "RETURN", 7), wire.open(2, "ORDER", 7)]
    assert len({first["chatId"], *(result(other)["chatId"] for other in others)}) == 4
    assert server.chats.open(1, return_id=7) == result(others[1])["chatId"]
    assert [request.operation for request in server.requests] == ["createChat"] * 5
    assert not any(request.violation for request in server.requests)


def test_chats_that_exist_and_those_that_are_opened(wire_to: Any) -> None:
    with MockServer(chats={5, 1_000_001}, orders={7}) as server:
        wire = wire_to(server)
        assert refusal(wire.history(1, 6)) == (404, "Can't find chat by id: '6'")
        assert send(wire, 1, 6) == 404
        assert refusal(wire.open(1, "ORDER", 8)) == (404, "Order not found: '8'")
        assert refusal(wire.open(1, "RETURN", 8)) == (404, "Order not found: '8'")
        chat = result(wire.open(1, "ORDER", 7))["chatId"]
        assert chat not in (5, 1_000_001)
        assert [send(wire, 1, chat), send(wire, 2, 5)] == [200, 200]
        assert send(wire, 2, chat) == 404, "another business"
        assert server.chats.post(1, 6, "Hello").chat_id == 6
        assert send(wire, 1, 6) == 200, "begun by the buyer"
        assert not any(request.violation for request in server.requests)


BODIES = {
    "no context": ({}, "the body.context is missing"),
    "no type": ({"context": {"id": 1}}, "the body.context.type is missing"),
    "other type": ({"context": {"id": 1, "type": "DIRECT"}}, "the body.context.type is not one of ORDER, RETURN"),
    "id 0": ({"context": {"id": 0, "type": "ORDER"}}, "the body.context.id is below 1"),
    "id 2^63": ({"context": {"id": 2**63, "type": "ORDER"}}, "the body.context.id is beyond"),
    "id text": ({"context": {"id": "7", "type": "ORDER"}}, "the body.context.id is not an integer"),
    "id 1.0": ({"context": {"id": 1.0, "type": "ORDER"}}, "the body.context.id is not an integer"),
    "id true": ({"context": {"id": True, "type": "ORDER"}}, "the body.context.id is not an integer"),
    "list": ([], "the body is not an object"),
    "null": (b"null", "the body is not an object"),
    "nothing": (b"", "the body is not JSON"),
    "half": (b'{"context": ', "the body is not JSON"),
    "NaN": (b'{"context": NaN}', "the body is not JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"context": {"type": "ORDER", "id": 7}}', "the body is not JSON"),
    "UTF-16": ('{"context": {"type": "ORDER", "id": 7}}'.encode("utf-16"), "the body is not JSON"),
    "deep": (b"[" * 100_000, "the body is not JSON"),
    "many digits": (b'{"context": {"type": "ORDER", "id": ' + b"9" * 9000 + b"}}", "the body is not JSON"),
    "too big": (b" " * (512 * 1024) + b"{}", "the request is too big"),
}


@pytest.mark.parametrize("name", BODIES)
def test_broken_bodies(server: MockServer, wire: Any, name: str) -> None:
    value, sentence = BODIES[name]
    status, message = refusal(wire.send(wire.json("/v2/businesses/1/chats/new", value)))
    assert (status, message) == (400, server.requests[0].violation)
    assert sentence in message


def test_valid_bodies(server: MockServer, wire: Any) -> None:
    value = {"context": {"type": "ORDER", "id": 7, "more": [None]}, "new": 1.5}
    for how in ({}, {"Content_Type": "Application/JSON; charset=utf-8"}, {"chunks": True, "Content_Length": None}):
        assert wire.send(wire.json("/v2/businesses/1/chats/new", value, **how)).status == 200
    assert not any(request.violation for request in server.requests)


def test_the_type_of_a_body(server: MockServer, wire: Any) -> None:
    assert wire.open(1, "ORDER", 7, Content_Type="text/json").status == 415
    assert refusal(wire.open(1, "ORDER", 7, Content_Type=None)) == (
        400,
        "the request has no Content-Type; it is to be application/json",
    )
    assert wire.open(1, "ORDER", 7, Content_Type=["application/json"] * 2).status == 400
    assert wire.send(wire.request("GET", "/v2/businesses/1/chats/new")).headers["Allow"] == "POST"
    assert all(request.violation for request in server.requests)


# The history


def test_a_file_that_was_taken_is_a_message(server: MockServer, wire: Any) -> None:
    chat = result(wire.open(1, "ORDER", 7))["chatId"]
    assert send(wire, 1, chat, "счёт №7.pdf", b"%PDF") == 200
    server.chats.post(1, chat, "Спасибо")
    assert send(wire, 1, chat + 1) == send(wire, 2, chat) == 200
    page = result(wire.history(1, chat))
    mine, thanks = server.chats.messages(1, chat)
    assert page["context"] | {"customer": None} == {"type": "ORDER", "orderId": 7, "customer": None}
    assert page["paging"] == {}
    file, text = page["messages"]
    url = file["payload"][0].pop("url")
    assert file == {
        "messageId": mine.message_id,
        "createdAt": mine.at.astimezone(timezone(timedelta(hours=3))).isoformat(timespec="seconds"),
        "sender": "PARTNER",
        "payload": [{"name": "счёт №7.pdf", "size": 4}],
    }
    assert wire.send(wire.request("GET", url.removeprefix(server.base_url), b"")).content == b"%PDF"
    assert (text["messageId"], text["sender"], text["message"]) == (thanks.message_id, "CUSTOMER", "Спасибо")
    assert "payload" not in text
    assert mine.files == (ChatFile("счёт №7.pdf", 4),)
    assert (mine.sender, mine.text) == ("PARTNER", None)
    assert server.received[0].at <= mine.at <= thanks.at


def test_what_a_chat_is_about(server: MockServer, wire: Any) -> None:
    returned = server.chats.open(1, return_id=7)
    about = [result(wire.history(1, chat))["context"] for chat in (returned, 5)]
    assert [{key: value for key, value in each.items() if key != "customer"} for each in about] == [
        {"type": "RETURN", "returnId": 7},
        {"type": "DIRECT"},
    ]
    assert messages(wire.history(1, 5)) == []


def pages(wire: Any, more: str = "", value: object = None) -> list[list[int]]:
    """The ids on each page, as far as the tokens lead."""
    found: list[list[int]] = []
    token: str | None = ""
    while token is not None:
        page = result(wire.history(1, 2, more + (f"&pageToken={token}" if token else ""), value))
        found.append([message["messageId"] for message in page["messages"]])
        token = page["paging"].get("nextPageToken")
    return found


def test_pages(server: MockServer, wire: Any) -> None:
    ids = [server.chats.post(1, 2, str(number)).message_id for number in range(120)]
    assert pages(wire) == [ids[:50], ids[50:100], ids[100:]]
    assert pages(wire, "&limit=100") == [ids[:100], ids[100:]]
    assert pages(wire, "&limit=60") == [ids[:60], ids[60:]], "no empty page behind a full one"
    assert pages(wire, "&limit=40", {"messageIdFrom": ids[50]}) == [ids[50:90], ids[90:]]
    assert pages(wire, "", {"messageIdFrom": ids[-1] + 1}) == [[]]
    server.chats.newest_first = True
    assert pages(wire, "&limit=100") == [ids[:19:-1], ids[19::-1]]
    for wrong in ("0", "101", "x", ""):
        assert wire.history(1, 2, f"&limit={wrong}").status == 400
    assert wire.history(1, 2, value={"messageIdFrom": 0}).status == 400


def test_what_comes_between_two_pages(server: MockServer, wire: Any) -> None:
    ids = [server.chats.post(1, 2, str(number)).message_id for number in range(3)]
    token = result(wire.history(1, 2, "&limit=2"))["paging"]["nextPageToken"]
    ids.append(server.chats.post(1, 2, "3").message_id)
    assert [message["messageId"] for message in messages(wire.history(1, 2, f"&pageToken={token}"))] == ids[2:]


def test_tokens_that_lead_nowhere(server: MockServer, wire: Any) -> None:
    for chat in (2, 3):
        for number in range(3):
            server.chats.post(1, chat, str(number))
    token = result(wire.history(1, 3, "&limit=1"))["paging"]["nextPageToken"]
    for wrong in ("", "x", "cGFnZToy", token, token[:-4], token + "%0A", "%D1%91", "a%2Fb"):
        assert refusal(wire.history(1, 2, f"&pageToken={wrong}")) == (400, "Bad page token"), wrong
    assert {request.violation for request in server.requests} == {None, "Bad page token"}


def test_lag(server: MockServer, wire: Any) -> None:
    server.chats.lag = 60
    send(wire, 1, 2)
    assert messages(wire.history(1, 2)) == []
    assert len(server.chats.messages(1, 2)) == 1
    server.clock.move(59)
    assert messages(wire.history(1, 2)) == []
    server.clock.move(1)
    assert len(messages(wire.history(1, 2))) == 1
    server.chats.lag = math.inf
    assert messages(wire.history(1, 2)) == []
    server.chats.lag = 0
    server.clock.set(HALF_PAST)
    assert len(messages(wire.history(1, 2))) == 1, "a clock that was put back hides nothing"


def test_altered_names_and_sizes(server: MockServer, wire: Any) -> None:
    send(wire, 1, 2, "Photo.PNG", b"12345")
    server.chats.post(1, 2, files=[("b.jpg", 7)], sender="PARTNER")
    server.chats.alter = lambda name, size: (name.lower(), size - 1)
    payloads = [message["payload"] for message in messages(wire.history(1, 2))]
    assert [[(file["name"], file["size"]) for file in files] for files in payloads] == [
        [("photo.png", 4)],
        [("b.jpg", 6)],
    ]
    server.chats.alter = None
    assert messages(wire.history(1, 2))[0]["payload"][0]["size"] == 5
    assert server.chats.messages(1, 2)[0].files == (ChatFile("Photo.PNG", 5),)


def test_a_server_clock_two_hours_off(server: MockServer, wire: Any) -> None:
    server.clock.move(timedelta(hours=2))
    send(wire, 1, 2)
    answer = wire.history(1, 2)
    created = datetime.fromisoformat(messages(answer)[0]["createdAt"])
    off = datetime.now(UTC) + timedelta(hours=2)
    assert abs(created - off) < timedelta(minutes=1)
    assert abs(parsedate_to_datetime(answer.headers["Date"]) - off) < timedelta(minutes=1)


# What is put in


def test_what_people_say(server: MockServer, wire: Any) -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    server.chats.post(1, 2, "Hello", files=[("a.png", 10), ("", 0)], sender="SUPPORT", at=at)
    (message,) = messages(wire.history(1, 2))
    assert [(file["name"], file["size"]) for file in message["payload"]] == [("a.png", 10), ("", 0)]
    assert all(1 <= len(file["url"]) <= 2000 for file in message["payload"])
    assert (message["sender"], message["message"]) == ("SUPPORT", "Hello")
    assert datetime.fromisoformat(message["createdAt"]) == at
    for wrong in ({}, {"text": "x", "at": datetime(2020, 1, 1)}):
        with pytest.raises(ValueError, match=r"a text, files|aware"):
            server.chats.post(1, 2, **wrong)
    for orders in ({}, {"order_id": 1, "return_id": 1}):
        with pytest.raises(ValueError, match="one of"):
            server.chats.open(1, **orders)


# What was taken


LOST = b"HTTP/1.1 302 Found\r\nLocation: /busy\r\n\r\n"
TAKEN: dict[str, Answer | Fault] = {
    "reset": Fault(cut="reset", at="after-body", taken=True),
    "drop": Fault(cut="drop", at="after-body", taken=True, hold=0.1),
    "silence": Fault(cut="silence", at="after-body", taken=True, hold=0.1),
    "cut at once": Fault(cut="drop", at="in-answer", taken=True),
    "cut": Fault(cut="drop", at="in-answer", after=20, taken=True),
    "500": Answer(500, taken=True),
    "302": Answer(302, b"", {"Location": "/busy"}, off_contract=True, taken=True),
    "raw": Answer.raw(LOST, taken=True),
    "an error": Answer(200, {"status": "ERROR"}, taken=True),
    "by the fault": Answer(500, fault=Fault(delay=0.01, taken=True)),
    "OK": Answer(200),
    "OK, twice told": Answer(200, taken=True),
}
NOT_TAKEN: dict[str, Answer | Fault] = {
    name: Fault(cut=step.cut, at=step.at, hold=0.1) for name, step in list(TAKEN.items())[:4] if isinstance(step, Fault)
} | {
    "500": Answer(500),
    "302": Answer(302, b"", {"Location": "/busy"}, off_contract=True),
    "raw": Answer.raw(LOST),
    "an error": Answer(200, {"status": "ERROR"}),
    "404": Answer(404),
    "early OK": Answer(200, fault=Fault(early="abrupt")),
}


def outcome(wire: Any, request: bytes) -> None:
    connection = wire.connect()
    connection.sendall(request)
    with suppress(ConnectionError):
        wire.rest(connection)


@pytest.mark.parametrize("name", TAKEN)
def test_taken(server: MockServer, wire: Any, name: str) -> None:
    server.script(TAKEN[name])
    outcome(wire, wire.request(target=TO.format(1, 2), Connection="close"))
    (file,) = server.received
    assert (file.name, file.size) == ("invoice.pdf", 8)
    assert [message["payload"][0]["name"] for message in messages(wire.history(1, 2))] == ["invoice.pdf"]


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_not_taken(server: MockServer, wire: Any, name: str) -> None:
    server.script(NOT_TAKEN[name])
    outcome(wire, wire.request(target=TO.format(1, 2), Connection="close"))
    assert (server.received, messages(wire.history(1, 2))) == ((), [])
    assert server.script_left == ()


def test_what_breaks_the_contract_is_not_taken(server: MockServer, wire: Any) -> None:
    server.script(*[Answer(500, taken=True)] * 3)
    wire.send(wire.request(target=TO.format(1, 2), body=wire.form(b"")))
    wire.send(wire.request(target=TO.format(1, 2), Api_Key=None))
    half = wire.connect()
    half.sendall(wire.request(target=TO.format(1, 2))[:-5])
    half.shutdown(1)
    wire.rest(half)
    assert (server.received, server.chats.messages(1, 2)) == ((), ())


def test_a_late_answer_was_taken_before(server: MockServer, wire: Any, until: Any) -> None:
    server.script(Fault(delay=300))
    wire.connect().sendall(wire.request(target=TO.format(1, 2)))
    until(lambda: server.received)
    assert len(messages(wire.history(1, 2))) == 1


def test_a_chat_is_opened_although_the_answer_is_lost(server: MockServer, wire: Any) -> None:
    server.script_on("createChat", Answer(500, taken=True), Answer(500))
    request = wire.json("/v2/businesses/1/chats/new", {"context": {"type": "ORDER", "id": 7}})
    assert wire.send(request).status == 500
    (first,) = json.loads(wire.send(wire.request("GET", "/_inspection/received.json", b"")).content)["chats"]
    assert wire.send(request).status == 500
    assert result(wire.send(request)) == {"chatId": first["chat_id"]}


def test_what_a_script_tells_of_a_chat_is_true(wire_to: Any) -> None:
    with MockServer(chats=()) as server:
        wire = wire_to(server)
        server.script_on("createChat", Answer(200, {"status": "OK", "result": {"chatId": 77}}))
        assert result(wire.open(1, "ORDER", 7)) == {"chatId": 77}
        assert result(wire.open(1, "ORDER", 7)) == {"chatId": 77}
        assert send(wire, 1, 77) == 200
        assert send(wire, 1, 78) == 404


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault(cut="drop", at="before-body", taken=True),
        lambda: Fault(cut="drop", at="in-body", after=1, taken=True),
        lambda: Fault(early="abrupt", taken=True),
        lambda: Fault(taken=1),
        lambda: Answer(500, taken="yes"),
        lambda: Answer(500, taken=True, fault=Fault(early="lingering")),
        lambda: Answer(500, taken=True, fault=Fault(cut="reset", at="before-body")),
    ],
)
def test_what_was_not_read_cannot_be_taken(make: Any) -> None:
    with pytest.raises(ValueError, match="taken"):
        make()


# Bounds


def test_memory_is_bounded() -> None:
    chats = Chats(Clock())
    for number in range(1, 20_101):
        chats.post(1, number % 7 + 1, "x")
        chats.open(1, order_id=number)
    assert sum(len(chats.messages(1, chat)) for chat in range(1, 8)) == 20_000
    assert chats.messages(1, 101 % 7 + 1)[0].message_id == 3001 + 100
    assert (len(chats._opened), len(chats._contexts), len(chats._messages)) == (10_000, 10_000, 7)
    for number in range(100):
        chats.post(2, number, "x" * 100_000)
    kept = [message for number in range(100) for message in chats.messages(2, number)]
    assert len(kept) == 41
    assert len(chats._messages) == 41


def test_what_people_see() -> None:
    message = Message(1, 2, 3, "CUSTOMER", "x", (), HALF_PAST, 0.0)
    assert "since" not in repr(message)
    assert repr(Chats(Clock())) == "<Chats: 0 opened, 0 messages>"
    public = {name for name in dir(Chats(Clock())) if not name.startswith("_")}
    assert public == {"alter", "lag", "messages", "newest_first", "open", "post"}
