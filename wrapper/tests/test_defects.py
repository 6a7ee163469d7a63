"""A defect, or an interrupt, in each function that takes part in an attempt, one after the other.

It is told as what it is, without a secret; there is at most one copy, and "not sent" only when it is proven.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import httpx
import pytest

from yandex_market_chat import ChatError, DeliveryUnknownError, NotSentError, SentFile
from yandex_market_chat.testing import SCENARIOS, MockServer

from .conftest import Chat
from .marked import KEY, assert_error_is_clean
from .test_fail_closed import RESEND, ended, outcome, warned
from .test_life import tls_server
from .test_parallel import until


@pytest.fixture
def api_keys() -> list[str]:
    """The marked key."""
    return [KEY]


@pytest.fixture
def chat(connect: Callable[..., Chat]) -> Chat:
    """A client of the server that repeats whatever it may."""
    return connect(retry=RESEND)


PACKAGES = {"yandex_market_chat", "_yandex_market_chat_api", "httpx", "httpcore", "h11"}


class Holder:
    """What a defect may stumble over: something that shows the key."""

    def __repr__(self) -> str:
        return f"<holder of {KEY}>"


DEFECTS: dict[str, Callable[[], BaseException]] = {
    "AttributeError": lambda: AttributeError("no such name", name="pool", obj=Holder()),
    "TypeError": lambda: TypeError("an argument that was renamed"),
    "KeyError": lambda: KeyError(KEY),
    "RuntimeError": lambda: RuntimeError(f"not with {KEY}"),
    "DecodingError": lambda: httpx.DecodingError(
        "none of the transport's", request=httpx.Request("POST", "http://a", headers={"Api-Key": KEY})
    ),
}
# What asyncio calls does not raise into an attempt.
CALLBACKS = ("connection_made", "data_received", "eof_received", "connection_lost", "pause_writing", "resume_writing")
# Where they await the rest, nothing of their own can go wrong.
AWAITING = ("AsyncChatClient.send_file", "AsyncChatClient.confirm")
# Among what an attempt is made of these are never missing.
PARTS = {
    *("_get_kwargs", "handle_request", "connect_tcp", "write", "read", "answered", "outcome"),
    *("read_quota", "is_sent", "_sent"),
}


class Call(NamedTuple):
    """The n-th call of a function in one send."""

    function: str
    number: int


@cache
def function_of(code: CodeType) -> str | None:
    """Return the name of a function that takes part; None of any other."""
    path = Path(code.co_filename)
    if "testing" in path.parts or not PACKAGES & set(path.parts):
        return None
    return f"{path.stem}.{code.co_qualname}"


@contextmanager
def hooked(hook: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(before)


@contextmanager
def watched(call: Callable[[Call], None]) -> Iterator[None]:
    """Tell each call in this thread; those of the server are in others."""
    counts: Counter[str] = Counter()

    def hook(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and (function := function_of(frame.f_code)):
            counts[function] += 1
            call(Call(function, counts[function]))

    with hooked(hook):
        yield


def calls_of(send: Callable[[], object], begin: str, end: str) -> list[Call]:
    """The first and the last call of each function, from the last one of `begin` to the last one of `end`."""
    told: list[Call] = []
    send()  # what is imported with the first one is no part of it
    with watched(told.append):
        send()
    names = [call.function for call in reversed(told)]
    during = told[len(told) - names.index(begin) : len(told) - names.index(end)]
    during = [call for call in during if not call.function.endswith(AWAITING)]
    first = {call.function: call for call in reversed(during)}
    last = {call.function: call for call in during}
    return list(dict.fromkeys([*first.values(), *last.values()]))


@contextmanager
def stumbling(at: Call, defect: Callable[[], BaseException]) -> Iterator[None]:
    """One call raises."""
    left, name = at.number, at.function.partition(".")[2]

    def hook(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event == "call" and frame.f_code.co_qualname == name and function_of(frame.f_code) == at.function:
            left -= 1
            if left == 0:
                raise defect()  # which takes the hook away

    with hooked(hook):
        yield


def each_stumbled(
    chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture, defect: Callable[[], BaseException]
) -> None:
    """Let each call of an attempt raise in turn, and look at what it did to the send."""
    calls = calls_of(lambda: chat.send(b"content"), "_attempt.Attempt.__init__", "_delivery._sent")
    assert {call.function.rpartition(".")[2].replace("async_", "") for call in calls} >= PARTS
    kind = type(defect())
    ends = []
    for chat_id, call in enumerate(calls, 100):
        caplog.clear()
        with stumbling(call, defect):
            end = outcome(chat, chat_id=chat_id)
        ends.append((call, chat_id, end, warned(caplog)))
    until(lambda: server.in_flight == 0)
    sent = [request for request in server.requests if request.method == "POST"]
    begun = Counter(request.query for request in sent)
    arrived = Counter(request.query for request in sent if request.body_complete)
    for call, chat_id, end, warning in ends:
        requests, copies = begun[f"chatId={chat_id}"], arrived[f"chatId={chat_id}"]
        context = f"{call}: {end!r}, {copies} of {requests} requests"
        if isinstance(end, SentFile | ChatError):  # the callbacks of asyncio, and what need not succeed
            assert requests <= end.attempts, context
            assert not (isinstance(end, NotSentError) and copies), context
            assert not isinstance(end, SentFile) or copies == 1 + end.unknown_attempts, context
            continue
        assert requests <= 1, context
        assert warning or not requests, context
        assert_error_is_clean(end)
        if call.function.endswith(CALLBACKS) or not isinstance(end, Exception):
            continue
        assert type(end) is kind or (type(end) is RuntimeError and str(end).startswith(f"{kind.__name__}: ")), context
        assert any(note.startswith("raised at ") and ".py:" in note for note in end.__notes__), context
    assert chat.client._slots._lines == {}


@pytest.fixture
def quiet(untidy: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is told of what a stumbling function leaves to the collector."""
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    caplog.set_level(logging.INFO, logger="yandex_market_chat")


@pytest.mark.parametrize(
    "defect", [name if name == "RuntimeError" else pytest.param(name, marks=pytest.mark.slow) for name in DEFECTS]
)
@pytest.mark.usefixtures("quiet")
def test_a_defect_is_told_as_what_it_is_and_sends_no_second_copy(
    chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture, defect: str
) -> None:
    each_stumbled(chat, server, caplog, DEFECTS[defect])


@pytest.mark.parametrize("defect", ["RuntimeError", pytest.param("interrupt", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("quiet")
def test_so_it_is_with_tls(mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, defect: str) -> None:
    interrupt = KeyboardInterrupt if mode == "sync" else asyncio.CancelledError
    with (
        tls_server(tmp_path, api_keys=[KEY]) as (server, trusted),
        Chat(mode, api_key=KEY, base_url=server.base_url, verify=trusted, timeout=10.0, retry=RESEND) as chat,
    ):
        each_stumbled(chat, server, caplog, DEFECTS.get(defect, interrupt))


@pytest.mark.usefixtures("quiet")
def test_an_interrupt_anywhere_in_an_attempt_passes_and_is_told(
    chat: Chat, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    each_stumbled(chat, server, caplog, KeyboardInterrupt if chat.mode == "sync" else asyncio.CancelledError)


@pytest.mark.parametrize("defect", ["words", "interrupt"])
@pytest.mark.usefixtures("quiet")
def test_a_defect_where_a_history_is_read_tells_nothing_of_it(chat: Chat, server: MockServer, defect: str) -> None:
    server.script(*[SCENARIOS["drop-after-body"]] * 4)
    lost = outcome(chat)
    assert isinstance(lost, DeliveryUnknownError)
    server.chats.post(1, 2, "MarkedWords of a buyer")

    def confirm() -> object:
        return chat.confirm(copy(lost))

    interrupt = KeyboardInterrupt if chat.mode == "sync" else asyncio.CancelledError
    raised: Callable[[], BaseException] = interrupt if defect == "interrupt" else lambda: ValueError("MarkedWords")
    calls = calls_of(confirm, "_attempt.Attempt.__init__", "_quota.Quotas.learn")
    assert {call.function for call in calls} >= {"_history.read_page", "_attempt.Attempt.outcome", "_quota.read_quota"}
    for call in calls:
        with stumbling(call, raised):
            end = ended(confirm)
        if end is None:  # what need not succeed
            continue
        assert_error_is_clean(end)
        if type(end) is RuntimeError and not call.function.endswith(CALLBACKS):
            assert (str(end), len(end.__notes__)) == ("ValueError", 1), call
        elif not call.function.endswith(CALLBACKS):
            assert isinstance(end, DeliveryUnknownError | KeyboardInterrupt | asyncio.CancelledError), call
