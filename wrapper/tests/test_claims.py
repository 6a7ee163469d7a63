"""Which message is of which send, for a client alone and with what a ledger knows."""

from __future__ import annotations

import math

import pytest

from yandex_market_chat import _claims
from yandex_market_chat._claims import MARGIN, Claims, Kind, Others

KIND = Kind(1, 2, "a.pdf", 3)
SINCE = 1_000.0


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
    assert claims.take(Kind(1, 3, "a.pdf", 3), SINCE, [7], "this") == 7
    assert claims.take(Kind(2, 2, "a.pdf", 3), SINCE, [7], "this") == 7


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
