"""The fixture itself: its clients go by its clock, and do not wait for long."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from yandex_market_chat import QuotaExceededError, ResponseTimeoutError, Timeout
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MarketChat

HALF_PAST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def send(market_chat: MarketChat, colour: str) -> None:
    if colour == "sync":
        market_chat.client.send_file(b"x", business_id=1, chat_id=2)
    else:
        asyncio.run(market_chat.async_client.send_file(b"x", business_id=1, chat_id=2))


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_hour_passes(market_chat: MarketChat, colour: str) -> None:
    market_chat.clock.set(HALF_PAST)
    market_chat.limits.enabled = True
    market_chat.limits.spend(1)
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            send(market_chat, colour)
    # The second was refused by what the client knew.
    assert len(market_chat.requests) == 1
    market_chat.clock.move(3600)
    send(market_chat, colour)
    market_chat.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        send(market_chat, colour)
    market_chat.clock.set(HALF_PAST)
    send(market_chat, colour)
    assert len(market_chat.received) == 2


def test_a_scripted_quota(market_chat: MarketChat) -> None:
    market_chat.clock.set(HALF_PAST)
    market_chat.script(Answer(420, example="resource"))
    with pytest.raises(QuotaExceededError) as caught:
        send(market_chat, "sync")
    assert caught.value.resets_at == datetime(2026, 1, 1, 13, tzinfo=UTC)
    market_chat.clock.move(3600)
    send(market_chat, "sync")


def test_silence_ends_soon(market_chat: MarketChat) -> None:
    silences = [name for name, step in SCENARIOS.items() if isinstance(step, Fault) and step.cut == "silence"]
    assert len(silences) == 4

    async def all_at_once() -> list[object]:
        sends = []
        for number, name in enumerate([*silences, "silence-before-body"], 1):
            market_chat.script_for(number, SCENARIOS[name])
            content = bytes(5 * 1024 * 1024 if number == 5 else 10)
            sends.append(market_chat.async_client.send_file(content, business_id=number, chat_id=number))
        return await asyncio.gather(*sends, return_exceptions=True)

    begin = time.monotonic()
    ended = asyncio.run(all_at_once())
    assert [type(each) for each in ended] == [ResponseTimeoutError] * 5
    assert time.monotonic() - begin < 10
    assert market_chat.client._config.timeout == market_chat.async_client._config.timeout


def test_silence_outlasts_the_timeouts_of_a_client() -> None:
    assert Fault().hold > 2 * max(Timeout().read, Timeout().total or 0)
