"""Secrets that are marked, so that each can be found wherever it should not be."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from collections.abc import Iterable

import pytest

from yandex_market_chat import ChatError

KEY = "ACMA:MarkedKey/MarkedKey/MarkedKey/MarkedKey/:Marked/8"
TOKEN = "MarkedToken/MarkedToken+MarkedToken/MarkedToken=="
PASSWORD = "MarkedPassword@/8"
IN_URL = "user:MarkedPassword%40%2F8"
ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()


def assert_without(marks: Iterable[str], text: object, said: str) -> None:
    """None of the marks is in it; `said` is what a failure says of it."""
    shown = text.decode("latin-1") if isinstance(text, bytes | bytearray) else str(text)
    for mark in marks:
        # Not by `assert mark not in shown`: its own message would be the next channel.
        if mark in shown:
            position = shown.index(mark)
            pytest.fail(f"{said}: ...{shown[max(0, position - 200) : position + 20]!r}...")


def assert_clean(text: object, where: str) -> None:
    assert_without(("Marked", ENCODED, ENCODED[:20]), text, f"{where} tells a secret")


def assert_record_is_clean(record: logging.LogRecord) -> None:
    for name, value in vars(record).items():
        assert_clean(f"{value} {value!r}", f"the {name} of a record of {record.name}")
    assert_clean(record.getMessage(), f"a record of {record.name}")
    assert_clean(logging.Formatter().format(record), f"a record of {record.name}")


def assert_error_is_clean(error: BaseException, seen: set[int] | None = None) -> None:
    """Look at all that an error tells: itself, and everything that hangs on it, shown by Python or not."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    kind = type(error).__name__
    for name in dir(error):
        if not name.startswith("__") or name in ("__dict__", "__notes__"):
            value = getattr(error, name, None)  # an OSError has some that are not there
            assert_clean(f"{value} {value!r}", f"{name} of {kind}")
    for text in (str(error), repr(error), error.args):
        assert_clean(text, kind)
    try:
        pickled = [pickle.dumps(error, protocol) for protocol in (0, pickle.HIGHEST_PROTOCOL)]
    except (TypeError, AttributeError, pickle.PicklingError):  # a foreign error may refuse; ours must not
        assert not isinstance(error, ChatError)
        pickled = []
    for content in pickled:
        assert_clean(content, f"a pickle of {kind}")
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        for name, value in (frame.locals or {}).items():
            assert_clean(value, f"in the traceback of {kind}, local variable {name} of {frame.name}")
    for other in (error.__cause__, error.__context__, getattr(error, "later", None)):
        if other is not None:
            assert_error_is_clean(other, seen)


def credentials_of(kind: str) -> dict[str, str]:
    return {"oauth_token": TOKEN} if kind == "token" else {"api_key": KEY}
