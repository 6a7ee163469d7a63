"""Equal files at the same time: one message of the chat confirms one send."""

from __future__ import annotations

import asyncio
import math
import threading
import unicodedata
from collections.abc import Callable
from io import BytesIO
from secrets import token_hex
from typing import Any

import pytest

from yandex_market_chat import (
    AsyncChatClient,
    ChatClient,
    DeliveryUnknownError,
    SentFile,
    ServerError,
    _claims,
    _delivery,
)
from yandex_market_chat._claims import MARGIN, Claims, Kind, Others
from yandex_market_chat._delivery import RESTART, confirm
from yandex_market_chat._send import Send
from yandex_market_chat._steps import READ_HISTORY, MakeRequest, Steps
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .world import Market, Outcome, World, answer

KIND = Kind(1, 2, "a", 3)
SINCE = 1_000.0


def take(claims: Claims, kind: Kind, since: float, messages: list[int], owner: str = "") -> int | None:
    """What another send is given each time, unless it is named."""
    return claims.take(kind, since, messages, owner or token_hex(4))


# What is counted


def test_a_message_confirms_one_send() -> None:
    claims = Claims()
    assert [take(claims, KIND, 0.0, [1, 2]) for _ in range(3)] == [1, 2, None]
    assert take(claims, KIND._replace(chat_id=3), 0.0, [1, 2]) == 1


def test_a_send_is_confirmed_by_the_same_message_again() -> None:
    claims = Claims()
    assert [take(claims, KIND, 0.0, [1, 2], owner) for owner in ("a", "b", "a", "c")] == [1, 2, 1, None]


def test_sends_that_market_has_confirmed_and_those_in_flight_come_first() -> None:
    claims = Claims()
    in_flight, confirmed, refused = (claims.begin(KIND) for _ in range(3))
    claims.end(confirmed, 100.0, confirmed=True)
    claims.end(refused, 100.0, confirmed=False)
    assert take(claims, KIND, 100.0, [1]) is None
    assert take(claims, KIND, 100.0, [1, 2]) is None
    assert take(claims, KIND, 100.0, [1, 2, 3]) == 3
    claims.end(in_flight, 101.0, confirmed=False)
    assert take(claims, KIND, 100.0, [1, 2, 3]) == 2
    assert take(claims, KIND, 100.0, [1, 2, 3]) is None


@pytest.mark.parametrize("other", [{"business_id": 3}, {"chat_id": 3}, {"name": "b"}, {"size": 4}])
def test_sends_of_other_files_do_not_count(other: dict[str, Any]) -> None:
    claims = Claims()
    claims.begin(KIND._replace(**other))
    assert take(claims, KIND, 0.0, [1]) == 1


def test_a_send_that_ended_long_before_does_not_count() -> None:
    claims = Claims()
    claims.end(claims.begin(KIND), 100.0, confirmed=True)
    assert take(claims, KIND, 104.9, [1]) is None
    assert take(claims, KIND, 105.1, [1]) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_claims, "MOST", 100)
    claims = Claims()
    for number in range(150):
        claims.end(claims.begin(KIND._replace(size=number + 4)), 0.0, confirmed=True)
        assert take(claims, KIND, 0.0, [number]) == number
    assert len(claims._claims) == len(claims._taken) == 100
    claims.begin(KIND)
    assert take(claims, KIND, 0.0, [1000]) is None


def test_a_message_that_confirms_another_key_is_taken() -> None:
    known = Others({"1/other"}, {7: "1/other"}, [])
    assert Claims().take(KIND, SINCE, [7], "1/this", known) is None
    assert Claims().take(KIND, SINCE, [7, 8], "1/this", known) == 8
    assert Claims().take(KIND, SINCE, [7], "1/other", known) == 7


@pytest.mark.parametrize(
    ("ended", "found"),
    [([], 7), ([math.inf], 8), ([SINCE - MARGIN], 8), ([SINCE - MARGIN - 0.001], 7), ([math.inf, SINCE], None)],
)
def test_as_many_messages_are_of_others_as_may_have_come(ended: list[float], found: int | None) -> None:
    assert Claims().take(KIND, SINCE, [7, 8], "1/this", Others(set(), {}, ended)) == found


def test_a_send_that_the_ledger_knows_too_counts_once() -> None:
    claims = Claims()
    claims.end(claims.begin(KIND, "1/other"), SINCE, confirmed=True)
    assert claims.take(KIND, SINCE, [7, 8], "1/this", Others({"1/other"}, {}, [SINCE])) == 8
    assert claims.take(KIND, SINCE, [7], "1/this", Others({"1/other"}, {}, [])) == 7


def test_a_message_that_confirmed_an_earlier_run_is_taken() -> None:
    claims = Claims()
    claims.took(KIND, 7)
    assert claims.take(KIND, SINCE, [7], "this") is None
    assert claims.take(KIND._replace(chat_id=3), SINCE, [7], "this") == 7
    assert claims.take(KIND._replace(business_id=3), SINCE, [7], "this") == 7


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_claims, "MOST", 2)
    claims = Claims()
    for message in (7, 8, 9):
        assert claims.take(KIND, SINCE, [message], f"of {message}") == message
    assert claims.take(KIND, SINCE, [9], "another") is None
    assert claims.take(KIND, SINCE, [8], "another") is None
    assert claims.take(KIND, SINCE, [7], "another") == 7
    sends = Claims()
    for ended in (SINCE, SINCE + 1, SINCE + 2):
        sends.end(sends.begin(KIND), ended, confirmed=True)
    assert sends.take(KIND, SINCE, [1, 2, 3], "this") == 3


# Through the decision


def test_the_oldest_message_comes_first_whatever_its_number() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        for at in (world.now + 2, world.now):
            market.post(at=at)
        return answer(500)

    sent = world.send(total=100.0, play=play)
    assert [message["messageId"] for _, message in market.posted] == [3001, 3002]
    assert sent.message_id == 3002


def in_parallel(world: World, *steps: Steps[Any], play: Callable[[MakeRequest], Outcome]) -> list[Any]:
    """Advance all sends in turn, a request each, with the clock going on by a second after each round."""
    results: list[Any] = [None] * len(steps)
    outcomes: list[Outcome | None] = [None] * len(steps)
    left = dict(enumerate(steps))
    while left:
        for number, each in list(left.items()):
            try:
                step = each.send(outcomes[number])
            except StopIteration as ended:
                results[number] = ended.value
                del left[number]
            except DeliveryUnknownError as error:
                results[number] = error
                del left[number]
            else:
                outcomes[number] = play(step) if isinstance(step, MakeRequest) else None
        world.now += 1
    return results


def sending(world: World, **of_send: Any) -> Steps[SentFile]:
    from yandex_market_chat._delivery import deliver

    facts: dict[str, Any] = {"business_id": 1, "chat_id": 2, "name": "a", "size": 3, "content_type": "b/c"}
    return deliver(Send(lambda: world.now, **(facts | of_send)), world.rules, world.now + 120)


def test_of_three_that_are_lost_and_two_that_arrived_two_are_confirmed() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    asked = iter(range(3))

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        if next(asked) < 2:
            market.post(at=world.now)
        return answer(500)

    ended = in_parallel(world, *[sending(world) for _ in range(3)], play=play)
    sent = [each for each in ended if isinstance(each, SentFile)]
    assert {each.message_id for each in sent} == {3001, 3002}
    assert [type(each) for each in ended if not isinstance(each, SentFile)] == [ServerError]


def test_a_message_of_a_confirmed_send_confirms_no_other() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    asked = iter([answer(), answer(500)])

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        outcome = next(asked)
        if outcome.status_code == 200:
            market.post(at=world.now)
        return outcome

    ended = in_parallel(world, sending(world), sending(world), play=play)
    assert [type(each) for each in ended] == [SentFile, ServerError]


def test_a_send_that_waits_to_begin_does_not_count() -> None:
    world = World(confirm_unknown=20.0)
    market = Market(world)
    waiting = sending(world)
    next(waiting)  # it waits for a slot

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        market.post(at=world.now)
        return answer(500)

    assert world.send(total=120.0, play=play).confirmed_by == "history"


def test_the_later_question_does_not_take_the_file_of_a_confirmed_send() -> None:
    """It looks back 300 s further, for clocks that were set: so do the sends that count."""
    world = World(confirm_unknown=0.0)
    market = Market(world)

    def play(step: MakeRequest) -> Outcome:
        if step.operation == READ_HISTORY:
            return market.play(step)
        market.post(at=world.now)
        return answer()

    world.send(total=120.0, play=play)
    world.now += 100
    with pytest.raises(ServerError) as caught:
        world.send(answer(500), total=120.0)
    world.now += RESTART.total_seconds() - 200
    with Send(lambda: world.now, business_id=1, chat_id=2, name="a", size=3) as send:
        assert world.run(confirm(send, caught.value, world.rules, world.now + 10), play) is None
    assert caught.value.history_read_at is not None
    # One more, and there is one for it.
    market.post(at=world.now)
    with Send(lambda: world.now, business_id=1, chat_id=2, name="a", size=3) as send:
        found = world.run(confirm(send, caught.value, world.rules, world.now + 10), play)
    assert isinstance(found, SentFile)
    assert found.message_id == 3002


# For real

NAMES = ["счёт йй.pdf", unicodedata.normalize("NFD", "счёт йй.pdf")]


class Reader:
    def __init__(self) -> None:
        self._pieces = iter([b"abc"])

    def read(self, size: int) -> bytes:
        return next(self._pieces, b"")


FILES: dict[str, Callable[[], Any]] = {"bytes": lambda: b"abc", "file": lambda: BytesIO(b"abc"), "stream": Reader}


@pytest.fixture(params=FILES)
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Each test that asks for it runs with bytes, and with files whose size is known once they are read."""
    return FILES[request.param]


def assert_one_is_sent(ended: list[Any], server: MockServer) -> None:
    """The one that was not delivered must not be called sent because of the other one's message."""
    assert len(server.received) == 1
    assert sorted(type(each).__name__ for each in ended) == ["SentFile", "ServerError"]
    assert isinstance(next(each for each in ended if not isinstance(each, SentFile)), DeliveryUnknownError)


SCRIPTS = {
    "one is lost without a trace, the other is confirmed": [Answer(500), Fault(delay=0.3)],
    "the other is in flight for longer than the history is read": [Answer(500), Fault(delay=1.5)],
    "the other's answer is lost": [Answer(500), Answer(500, taken=True, fault=Fault(delay=0.3))],
}


@pytest.fixture(params=SCRIPTS)
def scripted(request: pytest.FixtureRequest, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> MockServer:
    """A server to which two equal files are sent at once."""
    monkeypatch.setattr(_delivery, "LOOKS", (0.1, 0.6))
    server.script(*SCRIPTS[request.param])
    return server


def test_threads(scripted: MockServer, make: Callable[[], Any]) -> None:
    ended: list[Any] = []
    settings: dict[str, Any] = {"api_key": scripted.api_key, "base_url": scripted.base_url}
    with ChatClient(**settings, confirm_unknown=20.0) as client:

        def send(name: str) -> None:
            try:
                ended.append(client.send_file(make(), business_id=1, chat_id=2, name=name))
            except DeliveryUnknownError as error:
                ended.append(error)

        threads = [threading.Thread(target=send, args=(name,)) for name in NAMES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert_one_is_sent(ended, scripted)


def test_tasks(scripted: MockServer, make: Callable[[], Any]) -> None:
    async def main() -> list[Any]:
        settings: dict[str, Any] = {"api_key": scripted.api_key, "base_url": scripted.base_url}
        async with AsyncChatClient(**settings, confirm_unknown=20.0) as client:
            sends = [client.send_file(make(), business_id=1, chat_id=2, name=name) for name in NAMES]
            return await asyncio.gather(*sends, return_exceptions=True)

    assert_one_is_sent(asyncio.run(main()), scripted)


@pytest.mark.usefixtures("one_look")
def test_one_after_the_other(connect: Callable[..., Chat], server: MockServer) -> None:
    """The first arrives although its response is lost; the second one does not, and finds only the first."""
    chat = connect(confirm_unknown=20.0)
    server.script(Answer(500, taken=True), Answer(500))
    first = chat.send(b"abc", name="a.pdf")
    assert (first.confirmed_by, first.message_id) == ("history", server.chats.messages(1, 2)[0].message_id)
    with pytest.raises(ServerError):
        chat.send(b"abc", name="a.pdf")
    assert len(server.received) == 1
