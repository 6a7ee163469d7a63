"""What a failing network does to a send, counted at the server: sent, not sent or unknown, and never a second time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from yandex_market_chat import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    NotFoundError,
    NotSentError,
    ParallelLimitError,
    ResponseTimeoutError,
    RetryPolicy,
    SentFile,
    ServerError,
    Timeout,
    UnclearResponseError,
    UnexpectedRefusalError,
)
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from .conftest import SOON, Chat

SMALL = b"x" * 1000
LARGE = b"x" * 5 * 1024 * 1024
ONCE = RetryPolicy(attempts=1)
SHORT = Timeout(total=60.0, connect=30.0, read=0.2, write=0.2)
UNREACHABLE = Timeout(total=60.0, connect=0.2)
WHOLE = Timeout(total=1.0)
ENOUGH = Timeout(total=60.0, read=30.0, write=30.0)

# Two classes where the kernel decides whether the client still sees the answer.
LOST = (ConnectionLostError,)
SILENT = (ResponseTimeoutError,)
OUTCOMES: dict[str, tuple[Timeout, tuple[type, ...]]] = {
    "late-answer": (ENOUGH, (SentFile,)),
    "dripped-answer": (Timeout(total=1.0), SILENT),
    "late-reader": (ENOUGH, (SentFile,)),
    "slow-reader": (ENOUGH, (SentFile,)),
    "drop-before-body": (ENOUGH, LOST),
    "drop-in-body": (ENOUGH, LOST),
    "drop-after-body": (ENOUGH, LOST),
    "drop-in-answer": (ENOUGH, LOST),
    "reset-before-body": (ENOUGH, LOST),
    "reset-in-body": (ENOUGH, LOST),
    "reset-after-body": (ENOUGH, LOST),
    "reset-in-answer": (ENOUGH, LOST),
    "close-without-notice": (ENOUGH, (SentFile,)),
    "reset-without-notice": (ENOUGH, (SentFile, ConnectionLostError)),
    "early-refusal-lingering": (ENOUGH, (AuthenticationError,)),
    "early-refusal-abrupt": (ENOUGH, (AuthenticationError, ConnectionLostError)),
    "silence-before-body": (SHORT, SILENT),
    "silence-in-body": (SHORT, SILENT),
    "silence-after-body": (SHORT, SILENT),
    "silence-in-answer": (SHORT, SILENT),
    "not-http": (ENOUGH, LOST),
    "huge-headers": (ENOUGH, LOST),
    "short-body": (ENOUGH, LOST),
    "gateway-page": (ENOUGH, (ServerError,)),
}


def outcome_of(chat: Chat, file: bytes, timeout: Timeout) -> SentFile | ChatError:
    try:
        return chat.send(file, timeout=timeout)
    except ChatError as error:
        return error


CUTS = [name for name in SCENARIOS if name.startswith(("drop", "reset", "early", "silence-in-body", "not-http"))]


@pytest.mark.parametrize(
    ("name", "size"), [(name, len(SMALL)) for name in SCENARIOS] + [(name, len(LARGE)) for name in CUTS]
)
def test_each_scenario_ends_as_the_table_says(chat: Chat, server: MockServer, name: str, size: int) -> None:
    timeout, expected = OUTCOMES[name]
    server.script(SCENARIOS[name])
    outcome = outcome_of(chat, b"x" * size, timeout)
    assert type(outcome) in expected
    assert outcome.attempts == len(server.requests) == 1
    whole = server.requests[0].body_complete
    if isinstance(outcome, ChatError):
        assert str(outcome).endswith(".")
        assert (outcome.business_id, outcome.chat_id, outcome.size) == (1, 2, size)
    if isinstance(outcome, NotSentError):
        assert not whole
    if isinstance(outcome, SentFile):
        assert whole
        assert len(server.received) == 1


def test_the_table_has_a_row_for_each_scenario_and_no_other() -> None:
    assert OUTCOMES.keys() == SCENARIOS.keys()


# No connection: not sent


@contextmanager
def listening(backlog: int = 5) -> Iterator[str]:
    """Somebody who listens and never accepts: the base URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield "http://{}:{}".format(*listener.getsockname())


@pytest.fixture
def nobody() -> str:
    """The base URL of a port that refuses."""
    with listening() as url:
        return url


@pytest.fixture
def unreachable() -> Iterator[str]:
    """The base URL of a port on which every attempt to connect hangs, since the kernel's queue for it is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())
        for each in waiting:
            each.close()


def test_a_refused_port_is_not_sent(connect: Callable[..., Chat], nobody: str) -> None:
    with pytest.raises(ConnectionFailedError, match=r"\w \(\w+: .+\)\. The file was not sent\.") as caught:
        connect(base_url=nobody).send(SMALL)
    assert caught.value.attempts == 4


def test_an_unknown_host_is_not_sent(connect: Callable[..., Chat]) -> None:
    # RFC 6761: no such name can exist.
    with pytest.raises(ConnectionFailedError) as caught:
        connect(base_url="http://market.invalid", retry=ONCE, timeout=ENOUGH).send(SMALL)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("timeout", [UNREACHABLE, WHOLE], ids=["connect", "total"])
def test_a_connection_that_takes_too_long_is_not_sent(
    connect: Callable[..., Chat], unreachable: str, timeout: Timeout
) -> None:
    with pytest.raises(ConnectionFailedError) as caught:
        connect(base_url=unreachable, retry=ONCE, timeout=timeout).send(SMALL)
    assert 0.15 < caught.value.elapsed < SOON


def test_where_no_connection_can_be_no_total_is_so_short_that_the_delivery_is_unknown(
    connect: Callable[..., Chat], nobody: str
) -> None:
    chat = connect(base_url=nobody, retry=ONCE)
    for microseconds in range(20, 400, 2):
        with pytest.raises(NotSentError):
            chat.send(LARGE, timeout=microseconds / 1e6)


# Nothing happens: unknown, in time


@pytest.mark.parametrize("timeout", [SHORT, WHOLE], ids=["each", "total"])
@pytest.mark.parametrize("file", [SMALL, LARGE], ids=["small", "large"])
def test_a_server_that_never_reads_is_unknown(connect: Callable[..., Chat], file: bytes, timeout: Timeout) -> None:
    with listening() as url, pytest.raises(ResponseTimeoutError) as caught:
        connect(base_url=url).send(file, timeout=timeout)
    assert caught.value.attempts == 1
    assert 0.15 < caught.value.elapsed < SOON


IN_ANSWER = Fault(cut="silence", at="in-answer", after=1000)
HEAD_OF_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n"
QUIET: dict[str, Answer | Fault] = {
    "head unread": Fault(cut="silence", at="before-body"),
    "first byte of the body": Fault(cut="silence", at="in-body", after=1),
    "body read": Fault(cut="silence", at="after-body"),
    "first byte of the answer": Fault(cut="silence", at="in-answer", after=1),
    "head of an OK": Answer.raw(HEAD_OF_OK, fault=IN_ANSWER),
    "most of an OK": Answer.raw(HEAD_OF_OK + b'{"status": "OK"', fault=IN_ANSWER),
    "not begun": Fault(delay=30.0),
}


@pytest.mark.parametrize(
    ("point", "timeout"), [(point, SHORT) for point in QUIET] + [("body read", WHOLE), ("most of an OK", WHOLE)]
)
def test_silence_at_each_point_is_unknown(chat: Chat, server: MockServer, point: str, timeout: Timeout) -> None:
    server.script(QUIET[point])
    with pytest.raises(ResponseTimeoutError) as caught:
        chat.send(SMALL, timeout=timeout)
    assert caught.value.attempts == len(server.requests) == 1
    assert 0.15 < caught.value.elapsed < SOON


def test_the_text_of_a_timeout_names_no_address_in_memory(chat: Chat, server: MockServer) -> None:
    server.script(SCENARIOS["silence-after-body"])
    with pytest.raises(ResponseTimeoutError) as caught:
        chat.send(SMALL, timeout=SHORT)
    assert "scope" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 401], ids=["ok", "refusal"])
def test_the_total_bounds_an_answer_that_comes_byte_by_byte(chat: Chat, server: MockServer, status: int) -> None:
    server.script(Answer(status, fault=Fault(drip=0.02)))
    with pytest.raises(ResponseTimeoutError) as caught:
        chat.send(SMALL, timeout=Timeout(total=1.0, read=30.0))
    assert 0.9 < caught.value.elapsed < SOON


def test_an_answer_that_comes_byte_by_byte_in_time_counts(chat: Chat, server: MockServer) -> None:
    server.script(Fault(drip=0.0005))
    assert chat.send(SMALL).attempts == 1


def test_the_total_bounds_the_time_of_a_slow_reader(chat: Chat, server: MockServer) -> None:
    server.script(SCENARIOS["slow-reader"])
    with pytest.raises(ResponseTimeoutError) as caught:
        chat.send(LARGE, timeout=Timeout(total=1.0, write=30.0))
    assert 0.9 < caught.value.elapsed < SOON
    assert not server.requests[0].body_complete


# Answers that break off


BROKEN: dict[int, tuple[type[ChatError], ...]] = {
    200: (ConnectionLostError, ResponseTimeoutError),
    202: (ConnectionLostError, ResponseTimeoutError),
    302: (UnclearResponseError,),
    404: (NotFoundError,),
    418: (UnexpectedRefusalError,),
    400: (BadRequestError,),
    401: (AuthenticationError,),
    420: (ParallelLimitError,),
    503: (ServerError,),
    999: (UnclearResponseError,),
}


@pytest.mark.parametrize(
    ("status", "cut"),
    [(status, cut) for status in BROKEN for cut in ("drop", "reset")] + [(200, "silence"), (401, "silence")],
)
def test_of_a_broken_answer_the_status_line_decides_but_for_2xx(
    connect: Callable[..., Chat], server: MockServer, status: int, cut: Literal["drop", "reset", "silence"]
) -> None:
    # A reset may take with it what was sent before, even the status line.
    expected = BROKEN[status] + ((ConnectionLostError,) if cut == "reset" else ())
    wire = f"HTTP/1.1 {status} Some Words\r\nContent-Length: 90\r\n".encode()
    wire += b'X-RateLimit-Resource-Remaining: 7\r\n\r\n{"errors": ['
    server.script(Answer.raw(wire, fault=Fault(cut=cut, at="in-answer", after=1000)))
    with pytest.raises(expected) as caught:
        connect(retry=ONCE).send(SMALL, timeout=SHORT if cut == "silence" else ENOUGH)
    if isinstance(caught.value, ApiError):
        assert (caught.value.status_code, caught.value.body) == (status, b'{"errors": [')
        assert caught.value.body_truncated
    assert type(caught.value) in expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "expected"), [(200, ResponseTimeoutError), (503, ServerError)])
def test_an_answer_without_end_ends_with_the_total(
    chat: Chat, server: MockServer, status: int, expected: type[ChatError]
) -> None:
    server.script(Answer.raw(b"HTTP/1.1 %d X\r\n\r\n" % status + b" " * 5000, fault=Fault(drip=0.001)))
    with pytest.raises(expected) as caught:
        chat.send(SMALL, timeout=Timeout(total=1.0, read=30.0))
    assert 0.9 < caught.value.elapsed < SOON
    if isinstance(caught.value, ServerError):
        assert caught.value.body_truncated
        assert set(caught.value.body) == {ord(" ")}


NOT_HTTP = {
    "a banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a broken header": b"HTTP/1.1 401 Unauthorized\r\nno colon\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a broken chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"status": "OK"}\r\n0\r\n\r\n',
    "a missing last chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"status": "OK"}\r\n',
    "an endless line": b"HTTP/1.1 200 " + b"x" * 300_000,
    "nothing": b"\r\n\r\n",
}


@pytest.mark.parametrize("wire", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_a_lost_connection(chat: Chat, server: MockServer, wire: bytes) -> None:
    server.script(Answer.raw(wire))
    with pytest.raises(ConnectionLostError, match=r"\w \(.+\)\. Nobody can know") as caught:
        chat.send(SMALL)
    assert type(caught.value) is ConnectionLostError
    assert caught.value.attempts == len(server.requests) == 1


# Answers before the end of the request


@pytest.mark.parametrize("file", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("status", [401, 413, 500])
def test_an_early_answer_is_itself_if_the_server_lingers(
    chat: Chat, server: MockServer, status: int, file: bytes
) -> None:
    server.script(*[Answer(status, fault=Fault(early="lingering"), off_contract=True)] * 5)
    for count in range(1, 6):
        with pytest.raises((AuthenticationError, UnexpectedRefusalError, ServerError)) as caught:
            chat.send(file)
        assert caught.value.status_code == status
        assert len(server.requests) == count


@pytest.mark.parametrize("file", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("status", [401, 413, 500])
def test_an_early_answer_is_itself_or_unknown_if_the_server_resets(
    chat: Chat, server: MockServer, status: int, file: bytes
) -> None:
    server.script(*[Answer(status, fault=Fault(early="abrupt"), off_contract=True)] * 10)
    for count in range(1, 11):
        outcome = outcome_of(chat, file, ENOUGH)
        if type(outcome) is not ConnectionLostError:
            assert isinstance(outcome, AuthenticationError | UnexpectedRefusalError | ServerError)
            assert outcome.status_code == status
        assert len(server.requests) == count
    assert not any(request.body_complete for request in server.requests)


def test_an_answer_before_the_whole_file_could_be_written_is_not_taken_for_sent(chat: Chat, server: MockServer) -> None:
    server.script(Answer(200, fault=Fault(early="abrupt")))
    with pytest.raises(ConnectionLostError):
        chat.send(LARGE)
    assert not any(request.body_complete for request in server.requests)


def test_a_lost_connection_closes_ours_and_leaves_the_client_usable(chat: Chat, server: MockServer) -> None:
    server.script(SCENARIOS["drop-in-body"], SCENARIOS["reset-before-body"], SCENARIOS["silence-before-body"])
    for _ in range(3):
        with pytest.raises(DeliveryUnknownError):
            chat.send(LARGE, timeout=SHORT)
    chat.send(SMALL)
    assert (server.connections, len(server.received)) == (4, 1)
    end = time.monotonic() + 2
    while server.in_flight > 1 and time.monotonic() < end:
        time.sleep(0.01)
    # The silent one does not read, so it alone cannot notice that the client has gone.
    assert server.in_flight == 1
