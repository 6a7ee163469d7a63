"""A buyer's marked words and name, pushed through all that a client reads: nothing of it may stay anywhere."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError, DeliveryUnknownError, RetryPolicy, SentFile
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .interrupts import interrupted_when, needs_signals
from .marked import assert_without

HISTORY = "getChatHistory"
MARK = "МеткаПокупателя"
FORMS = tuple(
    form
    for form in (MARK, json.dumps(MARK)[1:-1], repr(MARK.encode())[2:-1], MARK.encode().decode("latin-1"))
    for form in (form, form[:20])
)
"""As text, as JSON escapes, as bytes that are shown, and as bytes that were taken for Latin-1."""
NOW = "2026-07-10T15:00:00+03:00"
ONCE = RetryPolicy(attempts=1)


def assert_clean(text: object, where: str) -> None:
    assert_without(FORMS, text, f"{where} tells a buyer's words")


def assert_record_is_clean(record: logging.LogRecord) -> None:
    for name, value in vars(record).items():
        assert_clean(f"{value} {value!r}", f"the {name} of a record of {record.name}")
    assert_clean(record.getMessage(), f"a record of {record.name}")


@pytest.fixture(autouse=True)
def _everything_is_watched(
    one_look: None,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Around every test here: all logs at DEBUG, warnings and what is printed."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="yandex_market_chat")  # the command sets its level, and leaves it
    yield
    records = [record for record in caplog.get_records("call") if not record.name.startswith("yandex_market_chat.test")]
    assert any(record.name == "yandex_market_chat" for record in records)
    for record in records:
        # httpcore shows an error of h11, which quotes what it cannot read: neither is ours to change.
        if not (record.name.startswith("httpcore") and "failed exception" in record.getMessage()):
            assert_record_is_clean(record)
    for warning in recwarn:
        assert_clean(warning.message, "a warning")
    assert_clean(capfd.readouterr(), "what was printed")


def marked_page(**more: object) -> dict[str, Any]:
    """A page that is valid by the contract and holds the buyer's words wherever there is room for them."""
    payload = [{"name": f"{MARK}.pdf", "url": f"https://market.invalid/{MARK}", "size": 3}]
    message = {"messageId": 1, "createdAt": NOW, "sender": "CUSTOMER", "message": f"{MARK}, my number is 7"}
    return {
        "status": "OK",
        "result": {
            "context": {"type": "ORDER", "orderId": 7, "customer": {"name": MARK, "publicId": MARK}},
            "messages": [message, message | {"messageId": 2, "payload": payload}],
        }
        | more,
    }


PAGE = marked_page()
ERROR = {"status": "ERROR", "errors": [{"code": MARK, "message": MARK}]}
RAW = MARK.encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS: dict[str, Callable[[], Answer | Fault]] = {
    "a page": lambda: Answer(200, PAGE),
    "a page and a token": lambda: Answer(200, marked_page(paging={"nextPageToken": "next"})),
    "an error with words": lambda: Answer(403, ERROR),
    "words that are no JSON": lambda: Answer(200, MARK, off_contract=True),
    "a page that is none": lambda: Answer(200, {"status": "OK", "result": {"messages": MARK}}, off_contract=True),
    "a page with an unknown status": lambda: Answer(200, PAGE | {"status": MARK}, off_contract=True),
    **{
        f"{status} with a page": lambda status=status: Answer(status, PAGE, off_contract=True)  # type: ignore[misc]
        for status in (201, 302, 400, 401, 404, 405, 420, 499, 500, 502, 999)
    },
    "a page that breaks off": lambda: Answer(200, PAGE, fault=Fault(cut="drop", at="in-answer", after=700)),
    "a page that is reset": lambda: Answer(200, PAGE, fault=Fault(cut="reset", at="in-answer", after=700)),
    "a page that falls silent": lambda: Answer(200, PAGE, fault=Fault(cut="silence", at="in-answer", after=700)),
    "words in place of HTTP": lambda: Answer.raw(RAW + b"\r\n\r\n"),
    "words in place of a header": lambda: Answer.raw(b"HTTP/1.1 200 OK\r\n" + RAW + b"\r\n\r\n"),
    "words in place of a chunk": lambda: Answer.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + RAW + b"\r\n"),
    "words in place of a length": lambda: Answer.raw(HEAD + b"Content-Length: " + RAW + b"\r\n\r\n"),
    "a page over 1 MiB": lambda: Answer(200, marked_page(more=MARK * 60_000), off_contract=True),
}


def walk(thing: object, path: str, seen: set[int]) -> None:
    """Look at an object and, through attributes, slots and containers, at everything that it is made of."""
    if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType | FrameType):
        return
    seen.add(id(thing))
    if isinstance(thing, str | bytes | bytearray):
        assert_clean(thing, path)
        return
    module = type(thing).__module__
    inside: list[tuple[object, object]] = []
    if isinstance(thing, dict):
        inside = [*thing.items(), *enumerate(thing)]
    elif isinstance(thing, list | tuple | set | frozenset):
        inside = list(enumerate(thing))
    elif module.startswith("yandex_market_chat") or isinstance(thing, BaseException):
        assert_clean(f"{thing!r} {thing}", path)
        inside = list(getattr(thing, "__dict__", {}).items())
        inside += [(name, getattr(thing, name, None)) for kind in type(thing).__mro__ for name in slots(kind)]
    for name, value in inside:
        walk(value, f"{path}.{name}", seen)


def slots(kind: type) -> list[str]:
    found = vars(kind).get("__slots__", ())
    return [name for name in ([found] if isinstance(found, str) else found) if not name.startswith("__")]


def assert_error_is_clean(error: BaseException) -> None:
    """Look at all that hangs on an error, the locals of its frames included."""
    seen: set[int] = set()
    walk(error, type(error).__name__, seen)
    for each in (error, getattr(error, "later", None), error.__cause__, error.__context__):
        if each is None:
            continue
        walk(each.args, f"the args of {type(each).__name__}", seen)
        for text in traceback.TracebackException.from_exception(each, capture_locals=True).format():
            assert_clean(text, f"the traceback of {type(each).__name__}")
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                walk(dict(frame.f_locals), f"a frame of {type(each).__name__} in {frame.f_code.co_name}", seen)
    if isinstance(error, ChatError):
        for protocol in (0, pickle.HIGHEST_PROTOCOL):
            assert_clean(pickle.dumps(error, protocol), f"a pickle of {type(error).__name__}")


def ended(call: Callable[[], object]) -> object:
    try:
        return call()
    except ChatError as error:
        return error


@pytest.mark.parametrize("kind", ANSWERS)
def test_in_a_send(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script(Answer(500))
    server.script_on(HISTORY, *[ANSWERS[kind]() for _ in range(3)])
    chat = connect(confirm_unknown=2.0, retry=ONCE)
    error = ended(lambda: chat.send(b"abc", name="a.pdf"))
    assert isinstance(error, DeliveryUnknownError)
    assert any(request.operation == HISTORY for request in server.requests)
    assert_error_is_clean(error)
    walk(chat.client, "the client", set())


@pytest.mark.parametrize("kind", ANSWERS)
def test_in_a_later_question(connect: Callable[..., Chat], server: MockServer, kind: str) -> None:
    server.script(Answer(500))
    chat = connect(retry=ONCE)
    error = ended(lambda: chat.send(b"abc", name="a.pdf"))
    server.script_on(HISTORY, ANSWERS[kind]())
    outcome = ended(lambda: chat.confirm(error, timeout=2.0))
    assert outcome is error or outcome is None
    assert_error_is_clean(error)  # type: ignore[arg-type]
    walk(chat.client, "the client", set())


def test_in_what_was_found(connect: Callable[..., Chat], server: MockServer) -> None:
    server.chats.post(1, 2, f"{MARK}?")
    server.chats.post(1, 2, files=[(f"{MARK}.pdf", 3)])
    server.script(Answer(500, taken=True))
    chat = connect(confirm_unknown=2.0)
    sent = chat.send(b"abc", name="a.pdf")
    assert sent.confirmed_by == "history"
    walk(sent, "the result", set())
    assert_clean(f"{sent!r} {pickle.dumps(sent)!r}", "the result")
    walk(chat.client, "the client", set())


@pytest.mark.parametrize("how", ["confirm", "send"])
def test_a_cancelled_reading(server: MockServer, how: str) -> None:
    """What arrived of a page until then stays in no frame of the error."""
    server.script(Answer(500))
    server.script_on(HISTORY, Answer(200, PAGE, fault=Fault(cut="silence", at="in-answer", after=450)))

    async def main() -> BaseException:
        settings: dict[str, Any] = {"api_key": server.api_key, "base_url": server.base_url}
        async with AsyncChatClient(**settings, confirm_unknown=5.0 if how == "send" else 0) as client:
            call = client.send_file(b"abc", business_id=1, chat_id=2)
            if how == "confirm":
                with pytest.raises(DeliveryUnknownError) as caught:
                    await call
                call = client.confirm(caught.value)  # type: ignore[assignment]
            task: asyncio.Future[SentFile] = asyncio.ensure_future(call)
            while not any(request.operation == HISTORY for request in server.requests):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            try:
                await task
            except BaseException as error:
                return error
        raise AssertionError

    error = asyncio.run(main())
    assert isinstance(error, asyncio.CancelledError | DeliveryUnknownError)
    assert_error_is_clean(error)


@needs_signals
def test_an_interrupted_reading(server: MockServer) -> None:
    server.script(Answer(500))
    server.script_on(HISTORY, Answer(200, PAGE, fault=Fault(cut="silence", at="in-answer", after=450)))
    with (
        ChatClient(api_key=server.api_key, base_url=server.base_url, confirm_unknown=5.0) as client,
        interrupted_when(lambda: [each for each in server.requests if each.operation == HISTORY], after=0.05),
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        client.send_file(b"abc", business_id=1, chat_id=2)
    assert_error_is_clean(caught.value)


def test_nothing_of_a_page_stays_in_memory(connect: Callable[..., Chat], server: MockServer) -> None:
    """After the send, with its error and the client kept, no object of this process holds the words."""
    server.script(Answer(500))
    server.script_on(HISTORY, Answer(200, marked_page()))
    chat = connect(confirm_unknown=2.0)
    error = ended(lambda: chat.send(b"abc", name="a.pdf"))
    assert isinstance(error, DeliveryUnknownError)
    gc.collect()
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("yandex_market_chat._")]
    assert ours
    for each in ours:
        with suppress(ReferenceError):
            walk(each, f"an object of {type(each).__name__}", set())


def test_the_watch_sees_what_it_is_meant_to_see() -> None:
    error = ChatError("It failed.")
    vars(error)["body"] = json.dumps({"message": MARK}).encode()
    with pytest.raises(pytest.fail.Exception, match="tells a buyer's words"):
        assert_error_is_clean(error)
    with pytest.raises(pytest.fail.Exception):
        assert_clean(MARK.encode(), "bytes")
    with pytest.raises(pytest.fail.Exception):
        assert_clean(repr(bytearray(MARK.encode())), "bytes that are shown")
    logging.getLogger("yandex_market_chat").debug("seen")
