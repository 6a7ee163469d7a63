"""Market's limits: at once, in an hour, and what the headers tell of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from yandex_market_chat import ChatClient, ParallelLimitError, QuotaExceededError, RetryPolicy
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, Limits, MockServer
from yandex_market_chat.testing._contract import load_contract

TO = "/v2/businesses/{}/chats/file/send?chatId=1"
HALF_PAST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
LIMIT, REMAINING, UNTIL = (f"X-RateLimit-Resource-{name}" for name in ("Limit", "Remaining", "Until"))


@pytest.fixture
def server() -> Any:
    with MockServer(limits=True) as server:
        server.clock.set(HALF_PAST)
        yield server


def told(answer: Any) -> tuple[str | None, str | None, str | None]:
    return answer.headers[LIMIT], answer.headers[REMAINING], answer.headers[UNTIL]


def test_off_by_default(wire_to: Any) -> None:
    with MockServer() as server:
        wire = wire_to(server)
        assert told(wire.send(wire.request())) == (None, None, None)
        with pytest.raises(RuntimeError, match="are off"):
            server.limits.spend(1)


def test_the_numbers_are_the_contracts(server: MockServer) -> None:
    document = load_contract().document
    numbers = document["paths"]["/v2/businesses/{businessId}/chats/file/send"]["post"]["x-limits"]
    assert server.limits.parallel == numbers["parallel"]["maximum"]
    assert server.limits.resource == numbers["resource"]["maximum"]
    assert server.limits.window == timedelta(seconds=numbers["resource"]["window-seconds"])


@pytest.mark.parametrize(
    ("how", "status", "left"),
    [
        ({}, 200, "999"),
        ({"Content_Type": "text/plain"}, 415, "999"),
        ({"body": b"x"}, 400, "999"),
        ({"Api_Key": None}, 401, "999"),
        ({"method": "PUT"}, 405, "999"),
        ({"target": "/nowhere"}, 404, "1000"),
    ],
)
def test_every_answer_tells_the_quota(wire: Any, how: dict[str, Any], status: int, left: str) -> None:
    answer = wire.send(wire.request(**how))
    assert answer.status == status
    assert told(answer) == ("1000", left, "Thu, 01 Jan 2026 13:00:00 GMT")
    assert answer.headers["Date"] == format_datetime(HALF_PAST, usegmt=True)
    assert len(answer.headers["traceparent"]) == 55


def test_what_is_no_http_is_told_too(wire: Any) -> None:
    assert told(wire.send(b"\x16\x03\x01\r\n\r\n")) == ("1000", "1000", "Thu, 01 Jan 2026 13:00:00 GMT")


def test_5xx_does_not_use_it_up(server: MockServer, wire: Any) -> None:
    server.script(Answer(500), Answer(503, off_contract=True), Answer(404), Answer(499, off_contract=True))
    assert [wire.send(wire.request()).headers[REMAINING] for _ in range(5)] == ["1000", "1000", "999", "998", "997"]


def test_spent(server: MockServer, wire: Any) -> None:
    server.limits.spend(12345, 998)
    answers = [wire.send(wire.request()) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 420, 420]
    assert [answer.headers[REMAINING] for answer in answers] == ["1", "0", "0", "0"]
    assert b"1000 requests per 1 hour for resource /v2/businesses/{businessId}/chats" in answers[2].content
    assert b"for businessId 12345" in answers[2].content
    # The request is as the contract wants it.
    assert [request.violation for request in server.requests] == [None] * 4
    assert wire.send(wire.request(target=TO.format(7))).status == 200
    assert len(server.received) == 3


def test_credentials_come_before_the_limits(server: MockServer, wire: Any) -> None:
    server.limits.spend(12345)
    assert wire.send(wire.request(Api_Key=None)).status == 401
    assert wire.send(wire.request(body=b"x")).status == 420


def test_windows_begin_with_the_hour(server: MockServer, wire: Any) -> None:
    server.limits.spend(12345)
    assert server.limits.resets_at() == datetime(2026, 1, 1, 13, tzinfo=UTC)
    server.clock.move(timedelta(minutes=29, seconds=50))
    assert wire.send(wire.request()).status == 420
    server.clock.move(10)
    answer = wire.send(wire.request())
    assert (answer.status, *told(answer)) == (200, "1000", "999", "Thu, 01 Jan 2026 14:00:00 GMT")
    assert server.limits.remaining(12345) == 999


def test_an_answer_after_the_turn_of_the_hour(server: MockServer, wire: Any, until: Callable[[Any], None]) -> None:
    server.script(Answer(500, fault=Fault(delay=0.2)))
    connection = wire.connect()
    connection.sendall(wire.request())
    until(lambda: server.in_flight == 1)
    server.clock.move(3600)
    assert wire.send(wire.request()).headers[REMAINING] == "999"
    assert wire.read(connection).headers[REMAINING] == "999"


def test_each_operation_has_its_quota(server: MockServer, wire: Any) -> None:
    assert told(wire.send(wire.request(target=TO.format(1))))[:2] == ("1000", "999")
    assert told(wire.open(1, "ORDER", 7))[:2] == ("1000", "999")
    assert told(wire.history(1, 2))[:2] == ("10000", "9999")
    server.limits.spend(1, operation="getChatHistory")
    answer = wire.history(1, 2)
    assert (answer.status, *told(answer)) == (420, "10000", "0", "Thu, 01 Jan 2026 13:00:00 GMT")
    assert b"10000 requests per 1 hour for resource /v2/businesses/{businessId}/chats/history" in answer.content
    assert wire.history(2, 2).status == wire.send(wire.request(target=TO.format(1))).status == 200
    left = [server.limits.remaining(1, operation) for operation in (None, "createChat", "getChatHistory")]
    assert left == [998, 999, 0]
    server.limits.spend(1, 998)
    server.script_on("createChat", Answer(420, example="resource"), Answer(500))
    assert [told(wire.open(1, "ORDER", 7))[:2] for _ in range(2)] == [("1000", "0"), ("1000", "998")]
    assert server.limits.resource_of("getChatHistory") == 10_000
    with pytest.raises(ValueError, match="has no operation"):
        server.limits.remaining(1, "getHistory")


def test_slots_are_common_to_all_operations(server: MockServer, wire: Any, until: Callable[[Any], None]) -> None:
    silence = SCENARIOS["silence-after-body"]
    server.script(silence, silence)
    server.script_on("getChatHistory", silence, silence)
    history = wire.json("/v2/businesses/12345/chats/history?chatId=1", {})
    for request in (wire.request(), history, wire.request(), history):
        wire.connect().sendall(request)
    until(lambda: server.in_flight == 4)
    for answer in (wire.open(12345, "ORDER", 7), wire.history(12345, 1), wire.send(wire.request())):
        assert answer.status == 420
        assert b"Hit rate limit of 4 parallel requests" in answer.content
    assert wire.open(1, "ORDER", 7).status == 200


def test_parallel(server: MockServer, wire: Any, until: Callable[[Any], None]) -> None:
    server.script(*[SCENARIOS["silence-after-body"]] * 4)
    hanging = [wire.connect() for _ in range(4)]
    for connection in hanging:
        connection.sendall(wire.request())
    until(lambda: server.in_flight == 4)
    answer = wire.send(wire.request())
    assert answer.status == 420
    assert b"Hit rate limit of 4 parallel requests for businessId 12345" in answer.content
    # A 4xx like any other, by the letter of the documentation.
    assert answer.headers[REMAINING] == "995"
    assert wire.send(wire.request(target=TO.format(7))).status == 200
    hanging[0].close()
    until(lambda: server.in_flight == 3)
    assert [wire.send(wire.request()).status for _ in range(3)] == [200] * 3


def test_the_clients_tell_both_kinds(server: MockServer, wire: Any, until: Callable[[Any], None]) -> None:
    once = RetryPolicy(attempts=1)
    with ChatClient(api_key=server.api_key, base_url=server.base_url, retry=once, proxy="") as chat:
        server.script(*[SCENARIOS["silence-after-body"]] * 4)
        for _ in range(4):
            wire.connect().sendall(wire.request(target=TO.format(1)))
        until(lambda: server.in_flight == 4)
        with pytest.raises(ParallelLimitError):
            chat.send_file(b"x", business_id=1, chat_id=2)
        server.limits.spend(2)
        with pytest.raises(QuotaExceededError) as caught:
            chat.send_file(b"x", business_id=2, chat_id=2)
        assert caught.value.resets_at == datetime(2026, 1, 1, 13, tzinfo=UTC)


def test_scripted_headers_win(server: MockServer, wire: Any) -> None:
    server.script(Answer(420, example="resource", headers={REMAINING: "0"}))
    assert told(wire.send(wire.request()))[:2] == ("1000", "0")


def test_spending_more_than_there_is(server: MockServer) -> None:
    server.limits.spend(1, 1000)
    with pytest.raises(ValueError, match="0 are left"):
        server.limits.spend(1, 1)


def test_the_clock_runs(server: MockServer, wire: Any) -> None:
    assert HALF_PAST <= server.clock.now() < HALF_PAST + timedelta(seconds=5)
    with pytest.raises(ValueError, match="aware"):
        server.clock.set(datetime(2026, 1, 1))
    server.clock.move(-timedelta(days=1))
    wire.send(wire.request())
    assert server.received[0].at.day == 31
    assert parsedate_to_datetime(wire.send(wire.request()).headers["Date"]).day == 31


SPENT = ("1000", "0", "Thu, 01 Jan 2026 13:00:00 GMT")


@pytest.mark.parametrize("enabled", [False, True])
def test_a_scripted_420_of_the_resource_kind_tells_it(server: MockServer, wire: Any, enabled: bool) -> None:
    server.limits.enabled = enabled
    server.script(Answer(420, example="resource", headers={"X-A": "1"}), Answer(420, example="parallel"))
    server.script(Answer(420, example="resource", off_contract=True), Answer(404))
    resource, *others = (wire.send(wire.request()) for _ in range(4))
    assert told(resource) == SPENT
    assert resource.headers["Date"] == format_datetime(HALF_PAST, usegmt=True)
    assert not {told(answer) for answer in others} & {SPENT}
    assert [answer.headers[LIMIT] for answer in others] == (["1000"] * 3 if enabled else [None] * 3)


@pytest.mark.parametrize("given", [{LIMIT: "7"}, {REMAINING.lower(): "7"}, {UNTIL: "never"}, {"Date": "never"}])
def test_nothing_is_added_to_what_the_script_tells(server: MockServer, wire: Any, given: dict[str, str]) -> None:
    server.limits.enabled = False
    server.script(Answer(420, example="resource", headers=given))
    answer = wire.send(wire.request())
    assert [value for value in told(answer) if value] == [v for name, v in given.items() if name != "Date"]


def test_the_example_is_one_of_the_contracts() -> None:
    assert "resource" in load_contract().send.responses[420].examples


def test_businesses_without_end(server: MockServer) -> None:
    for business in range(1, 20_000):
        ticket = server.limits._enter(business, load_contract().send)
        assert ticket
        server.limits._leave(ticket)
        server.limits._leave(ticket)
    assert server.limits.remaining(1) == 1000
    assert server.limits.remaining(19_999) == 999
    assert len(server.limits._used) == 10_000
    assert not server.limits._places


def test_what_people_can_use_of_it() -> None:
    public = {name for name in dir(Limits) if not name.startswith("_")}
    assert public == {"remaining", "resets_at", "resource_of", "spend"}
