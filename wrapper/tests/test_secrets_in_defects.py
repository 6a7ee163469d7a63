"""A defect, of ours or of a dependency, shows neither a secret nor a buyer's words."""

from __future__ import annotations

import math
import re
from contextlib import suppress

import pytest

from yandex_market_chat import Timeout
from yandex_market_chat._attempt import Attempt
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._steps import READ_HISTORY, SEND_FILE, MakeRequest

from .marked import KEY


class TellingError(Exception):
    """Its text is harmless, what it shows elsewhere is not."""

    def __init__(self, text: str = "a defect", shown: str = "") -> None:
        super().__init__(text)
        self._shown = shown

    __slots__ = ("_shown",)

    def __repr__(self) -> str:
        return f"TellingError({self._shown})"


def cleaned(error: Exception, operation: str = SEND_FILE) -> Exception:
    """What a caller sees of a defect that was raised in an attempt."""
    attempt = Attempt(
        Credentials(KEY, None, None, {}), "market.invalid:443", Timeout(), MakeRequest(operation, math.inf)
    )
    with suppress(type(error)):
        raise error
    try:
        attempt.clean(error)
    except RuntimeError as shown:
        return shown
    return error


def test_a_defect_that_shows_nothing_is_raised_as_it_is() -> None:
    error = ValueError("a defect")
    assert cleaned(error) is error
    assert error.__traceback__ is None
    (note,) = error.__notes__
    assert re.fullmatch(r"raised at tests/test_secrets_in_defects\.py:\d+", note)
    missing = AttributeError("a defect", name="x", obj=KEY)
    assert cleaned(missing) is missing
    assert missing.obj is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(f"bad key {KEY}!"), "ValueError: bad key [removed]!"),
        (OSError(5, "a defect"), None),
        (TellingError(shown=KEY), "TellingError: a defect"),
        (UnicodeEncodeError("ascii", KEY, 0, 1, "a defect"), None),
    ],
)
def test_one_that_shows_a_secret_is_told_without_it(error: Exception, text: str | None) -> None:
    shown = cleaned(error)
    if text is not None:
        assert type(shown) is RuntimeError
        assert str(shown) == text
        assert shown.__notes__[0].startswith("raised at tests/test_secrets_in_defects.py:")
    assert KEY not in repr(shown) + str(shown)


def test_one_that_carries_something_is_told_as_text() -> None:
    error = ValueError("a defect")
    error.request = KEY  # type: ignore[attr-defined]
    shown = cleaned(error)
    assert (type(shown), str(shown), vars(shown).keys() - {"__notes__"}) == (
        RuntimeError,
        "ValueError: a defect",
        set(),
    )


def test_of_one_while_a_history_is_read_only_the_class_is_told() -> None:
    """Its text may be a buyer's words."""
    shown = cleaned(ValueError("Здравствуйте"), READ_HISTORY)
    assert (type(shown), str(shown)) == (RuntimeError, "ValueError")
