"""What an operator sees: the records of the logger `yandex_market_chat`, and the spans of OpenTelemetry."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import count
from types import FrameType
from typing import Any

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError, RetryPolicy, ServerError, _delivery
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat

CONTENT = b"MarkedContent" * 1000
FIELDS = ("business_id", "chat_id", "file_name", "file_size", "attempts", "elapsed")
ONCE = RetryPolicy(attempts=1)
RESEND = RetryPolicy(attempts=2, resend_unknown=True)
BUSY = Answer(420, example="parallel")


class Log:
    """The records of the package's own logger, without those of the mock server."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def records(self) -> list[Any]:
        return [record for record in self._caplog.records if record.name == "yandex_market_chat"]

    @property
    def outcomes(self) -> list[Any]:
        return [record for record in self.records if record.levelno >= logging.INFO]

    @property
    def steps(self) -> list[Any]:
        return [record for record in self.records if record.levelno == logging.DEBUG]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, server: MockServer) -> Iterator[Log]:
    """All that is logged; nobody may ever find a file or a key in it, and every record is fit for a machine."""
    caplog.set_level(logging.DEBUG, logger="yandex_market_chat")
    log = Log(caplog)
    yield log
    for record in caplog.get_records("call"):
        if record.name == "yandex_market_chat":
            told = f"{vars(record)} {record.getMessage()}"
            assert "Marked" not in told
            assert server.api_key not in told
            assert json.dumps({name: getattr(record, name, None) for name in FIELDS})


def told(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in FIELDS[:-1])


class Broken:
    """A file that cannot be read."""

    def read(self, size: int) -> bytes:
        raise RuntimeError("MarkedError")


OUTCOMES: dict[str, tuple[list[Answer | Fault], dict[str, Any], dict[str, Any], str, int]] = {
    # outcome: what the server does, arguments of the client and of the send, how the message begins, attempts
    "SentFile": ([], {}, {}, "sent", 1),
    "BadRequestError": ([Answer(400)], {}, {}, "not sent: Market answered 400", 1),
    "ParallelLimitError": ([BUSY] * 2, {"retry": RetryPolicy(attempts=2)}, {}, "not sent: Market answered 420", 2),
    "ServerError": ([Answer(500)], {}, {}, "delivery unknown: Market answered 500", 1),
    "UnclearResponseError": ([Answer(200, {"status": "ERROR"})], {}, {}, "delivery unknown: Market answered 200", 1),
    "ConnectionLostError": ([Fault(cut="reset", at="after-body")] * 2, {"retry": RESEND}, {}, "delivery unknown: ", 2),
    "ResponseTimeoutError": ([Fault(cut="silence", at="after-body")], {}, {"timeout": 0.1}, "delivery unknown: ", 1),
    "ConnectionFailedError": ([], {"base_url": "http://127.0.0.1:9", "retry": ONCE}, {}, "not sent: ", 1),
    "WaitTimeoutError": ([], {}, {"timeout": 1e-9}, "not sent: ", 0),
    "EmptyFileError": ([], {}, {"file": BytesIO()}, "not sent: The file is empty", 0),
    "FileNotFoundError": ([], {}, {"file": "/missing/a.pdf"}, "not sent: FileNotFoundError", 0),
    "RuntimeError": ([], {}, {"file": Broken()}, "not sent: RuntimeError", 0),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_is_one_record_with_its_fields(
    connect: Callable[..., Chat], server: MockServer, log: Log, outcome: str
) -> None:
    steps, of_client, of_send, message, attempts = OUTCOMES[outcome]
    server.script(*steps)
    chat = connect(**of_client)
    with suppress(ChatError, OSError, RuntimeError):
        chat.send(**({"file": CONTENT, "name": "a.pdf", "business_id": 3, "chat_id": 4} | of_send))
    (record,) = log.outcomes
    assert (record.levelno, record.outcome) == (logging.INFO, outcome)
    assert record.getMessage().startswith(message)
    # A file that could not be read has a name, and no size.
    size = len(CONTENT) if "file" not in of_send else None
    assert told(record) == (3, 4, "a.pdf", size, attempts)
    assert 0 < record.elapsed < 10


def test_a_refused_argument_is_an_outcome_too(chat: Chat, log: Log) -> None:
    with pytest.raises(ValueError, match="business_id"):
        chat.send(CONTENT, business_id=0, chat_id=4)
    (record,) = log.outcomes
    assert record.outcome == "InvalidRequestError"
    assert told(record) == (None, 4, None, None, 0)


def test_each_attempt_and_each_pause_is_told_at_debug(chat: Chat, server: MockServer, log: Log) -> None:
    server.script(BUSY, Answer(420, "", off_contract=True))
    chat.send(CONTENT, name="a.pdf")
    assert [record.getMessage().split(" of ")[0] for record in log.steps] == [
        "attempt 1: status 420",
        "pause",
        "attempt 2: status 420",
        "pause",
        "attempt 3: status 200",
    ]
    assert [getattr(record, "status_code", None) for record in log.steps] == [420, None, 420, None, 200]
    pauses = [getattr(record, "pause", None) for record in log.steps]
    assert [pause is not None and 0 < pause < 1 for pause in pauses] == [False, True, False, True, False]
    assert [told(record) for record in log.steps] == [
        (1, 2, "a.pdf", len(CONTENT), attempts) for attempts in (1, 1, 2, 2, 3)
    ]
    assert len(log.outcomes) == 1


def test_an_attempt_without_an_answer_is_told_with_its_reason(
    connect: Callable[..., Chat], server: MockServer, log: Log
) -> None:
    server.script(Fault(cut="reset", at="after-body"))
    connect(retry=RESEND).send(CONTENT)
    first, _, last = (record.getMessage() for record in log.steps)
    assert first.startswith("attempt 1: The connection broke")
    assert last == "attempt 2: status 200"


def test_nothing_is_told_that_nobody_wants_to_hear(
    chat: Chat, server: MockServer, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="yandex_market_chat")
    server.script(BUSY)
    chat.send(CONTENT)
    assert [record.levelno for record in log.records] == [logging.INFO]
    caplog.set_level(logging.WARNING, logger="yandex_market_chat")
    chat.send(CONTENT)
    assert len(log.records) == 1


def test_an_on_progress_that_raises_is_told_once(chat: Chat, server: MockServer, log: Log) -> None:
    def on_progress(sent: int, total: int) -> None:
        raise ValueError("MarkedText")

    server.script(BUSY)
    chat.send(b"x" * 300_000, on_progress=on_progress)
    errors = [record for record in log.records if record.levelno == logging.ERROR]
    assert ["ValueError" in record.getMessage() for record in errors] == [True]
    assert [record.outcome for record in log.outcomes if record.levelno == logging.INFO] == ["SentFile"]


def test_an_interrupt_in_flight_leaves_a_warning(server: MockServer, log: Log) -> None:
    def on_progress(sent: int, total: int) -> None:
        raise KeyboardInterrupt

    with Chat("sync", api_key=server.api_key, base_url=server.base_url) as chat, pytest.raises(KeyboardInterrupt):
        chat.send(CONTENT, name="a.pdf", on_progress=on_progress)
    (record,) = log.outcomes
    assert (record.levelno, record.outcome) == (logging.WARNING, "KeyboardInterrupt")
    assert "delivery unknown" in record.getMessage()
    assert told(record) == (1, 2, "a.pdf", len(CONTENT), 1)


def test_a_send_interrupted_after_the_ok_is_logged_as_sent(
    server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(record: logging.LogRecord) -> bool:
        if "status 200" in record.getMessage():
            raise KeyboardInterrupt
        return True

    logger = logging.getLogger("yandex_market_chat")
    logger.addFilter(interrupt)
    try:
        with (
            caplog.at_level(logging.DEBUG, logger="yandex_market_chat"),
            ChatClient(api_key=server.api_key, base_url=server.base_url) as client,
            pytest.raises(KeyboardInterrupt),
        ):
            client.send_file(b"x", business_id=1, chat_id=2)
    finally:
        logger.removeFilter(interrupt)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("sent, then interrupted by KeyboardInterrupt")


SPENT = {"Date": "Thu, 10 Jul 2025 00:30:00 GMT", "X-RateLimit-Resource-Remaining": "0"} | {
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2025 00:30:05 GMT"
}
CANCELLED: dict[str, tuple[list[Answer | Fault], int, int]] = {
    # when: what the server does, level, attempts
    "before the answer": ([Fault(cut="silence", at="after-body")], logging.WARNING, 1),
    "in the answer": ([Fault(cut="silence", at="in-answer", after=100)], logging.WARNING, 1),
    "in the pause after a refusal": ([Answer(420, headers=SPENT)], logging.INFO, 1),
    "in the pause after the unknown": ([Answer(500, headers=SPENT)], logging.WARNING, 1),
}


@pytest.mark.parametrize("when", CANCELLED)
def test_a_cancelled_send_leaves_a_warning_if_it_may_have_arrived(server: MockServer, log: Log, when: str) -> None:
    steps, level, attempts = CANCELLED[when]
    server.script(*steps)

    async def main() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url, retry=RESEND) as client:
            task = asyncio.create_task(client.send_file(CONTENT, business_id=1, chat_id=2, name="a.pdf"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    (record,) = log.outcomes
    assert (record.levelno, record.outcome) == (level, "CancelledError")
    assert ("delivery unknown" in record.getMessage()) is (level == logging.WARNING)
    assert ("not sent" in record.getMessage()) is (level == logging.INFO)
    assert told(record) == (1, 2, "a.pdf", len(CONTENT), attempts)


def test_a_send_cancelled_while_it_waits_for_its_turn_was_not_sent(server: MockServer, log: Log) -> None:
    server.script(Fault(delay=0.2))

    async def main() -> None:
        async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url, max_parallel=1) as client:
            first, second = (
                asyncio.create_task(client.send_file(CONTENT, business_id=1, chat_id=chat)) for chat in (2, 3)
            )
            await asyncio.sleep(0.05)
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)

    asyncio.run(main())
    assert [(record.chat_id, record.levelno, record.outcome) for record in log.outcomes] == [
        (3, logging.INFO, "CancelledError"),
        (2, logging.INFO, "SentFile"),
    ]


@pytest.fixture
def spans() -> Iterator[Callable[[], tuple[ReadableSpan, ...]]]:
    """What the public instrumentation for httpx exports."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter.get_finished_spans
    instrumentor.uninstrument()
    provider.shutdown()


def status_of(span: ReadableSpan) -> Any:
    # The name before and after OpenTelemetry made its conventions stable.
    found = dict(span.attributes or {})
    return found.get("http.response.status_code", found.get("http.status_code"))


def test_opentelemetry_sees_each_attempt(
    spans: Callable[[], tuple[ReadableSpan, ...]], connect: Callable[..., Chat], server: MockServer
) -> None:
    server.script(BUSY, Fault(cut="reset", at="after-body"))
    sent = connect(retry=RetryPolicy(attempts=3, resend_unknown=True)).send(CONTENT, name="a.pdf")
    assert (sent.attempts, sent.unknown_attempts) == (3, 1)
    assert server.received[0].content == CONTENT
    assert [status_of(span) for span in spans()] == [420, None, 200]
    assert [span.status.is_ok for span in spans()] == [False, False, True]
    assert all(span.kind.name == "CLIENT" and "POST" in span.name for span in spans())
    # Each attempt carries its own span on, so that both sides of a trace meet.
    carried = [request.headers.get("traceparent") for request in server.requests]
    assert [(value or "").split("-")[2] for value in carried] == [
        f"{span.context.span_id:016x}" for span in spans() if span.context
    ]
    for span in spans():
        assert server.api_key not in span.to_json()
        assert "Marked" not in span.to_json()


def test_opentelemetry_sees_an_attempt_that_reaches_nobody(
    spans: Callable[[], tuple[ReadableSpan, ...]], connect: Callable[..., Chat]
) -> None:
    with pytest.raises(ChatError):
        connect(base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=2)).send(CONTENT)
    assert [span.status.is_ok for span in spans()] == [False, False]


def test_an_interrupt_between_any_two_lines_of_the_decision_is_told(
    server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Once Market has the file, no line may say "not sent", wherever Ctrl-C falls."""
    code, lines = _delivery.deliver.__code__, count(1)
    caplog.set_level(logging.INFO, logger="yandex_market_chat")
    with ChatClient(api_key=server.api_key, base_url=server.base_url, confirm_unknown=0) as chat:
        for at in lines:
            passed = count(1)

            def trace(frame: FrameType, event: str, _: object, passed: count[int] = passed, at: int = at) -> Any:
                if event == "line" and next(passed) == at:
                    raise KeyboardInterrupt
                return trace if frame.f_code is code else None

            caplog.clear()
            if not server.script_left:  # it is, if the interrupt before came too early for a request
                server.script(Answer(500, taken=True))
            before, tracing = len(server.received), sys.gettrace()
            sys.settrace(trace)
            try:
                chat.send_file(b"x", business_id=1, chat_id=2)
            except KeyboardInterrupt:
                interrupted = True
            except ServerError:
                interrupted = False
            finally:
                sys.settrace(tracing)
            arrived = len(server.received) > before
            if not interrupted:
                break
            (told,) = [record for record in caplog.records if record.name == "yandex_market_chat"]
            assert getattr(told, "delivery", None) == ("unknown" if arrived else "not sent"), f"line event {at}"
    assert at > 20
