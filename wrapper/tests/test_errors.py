"""The errors themselves: the tree, what survives a copy or a pickle, and what hangs on one that was raised."""

from __future__ import annotations

import asyncio
import builtins
import copy
import gc
import pickle
import time
import tracemalloc
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import yandex_market_chat
from yandex_market_chat import (
    ApiError,
    ApiErrorItem,
    AsyncChatClient,
    AuthenticationError,
    ChatClient,
    ChatError,
    DeliveryUnknownError,
    InProgressError,
    InvalidRequestError,
    Ledger,
    NotSentError,
    Quota,
    RetryPolicy,
    SentFile,
    ServerError,
    UnclearResponseError,
)
from yandex_market_chat._answer import Answer as Response
from yandex_market_chat._answer import error_of
from yandex_market_chat._headers import Headers
from yandex_market_chat._send import Send
from yandex_market_chat.shared._row import Claim
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .test_parallel import until

TREE = {
    "ChatError": {"Exception"},
    "NotSentError": {"ChatError"},
    "InvalidRequestError": {"NotSentError", "ValueError"},
    "InvalidFileError": {"InvalidRequestError"},
    "EmptyFileError": {"InvalidFileError"},
    "FileTooLargeError": {"InvalidFileError"},
    "ConnectionFailedError": {"NotSentError"},
    "WaitTimeoutError": {"NotSentError"},
    "LedgerError": {"ChatError"},
    "DeliveryUnknownError": {"ChatError"},
    "ConnectionLostError": {"DeliveryUnknownError"},
    "ResponseTimeoutError": {"DeliveryUnknownError"},
    "InProgressError": {"DeliveryUnknownError"},
    "ApiError": {"ChatError"},
    "ChatNotOpenedError": {"NotSentError"},
    "BadRequestError": {"ApiError", "NotSentError"},
    "AuthenticationError": {"ApiError", "NotSentError"},
    "AccessDeniedError": {"ApiError", "NotSentError"},
    "NotFoundError": {"ApiError", "NotSentError"},
    "RateLimitError": {"ApiError", "NotSentError"},
    "ParallelLimitError": {"RateLimitError"},
    "QuotaExceededError": {"RateLimitError"},
    "ServerError": {"ApiError", "DeliveryUnknownError"},
    "UnexpectedResponseError": {"ApiError"},
    "UnexpectedRefusalError": {"UnexpectedResponseError", "NotSentError"},
    "UnclearResponseError": {"UnexpectedResponseError", "DeliveryUnknownError"},
}
ERRORS: list[type[ChatError]] = [getattr(yandex_market_chat, name) for name in TREE]
ABSTRACT = {"ChatError", "NotSentError", "DeliveryUnknownError", "ApiError", "UnexpectedResponseError"}

NOW = datetime(2025, 7, 10, 0, 42, 42, tzinfo=UTC)
FILLED = {
    "business_id": 1,
    "chat_id": 2,
    "name": "счёт \ud800.pdf",
    "size": 3,
    "order_id": 7,
    "idempotency_key": "k",
    "since": NOW,
    "unknown_attempts": 2,
    "history_read_at": NOW,
    "content_type": "a/b",
    "operation": "createChat",
    "attempts": 4,
    "elapsed": 5.5,
    "limit": 6,
    "status_code": 420,
    "errors": (ApiErrorItem("A", None), ApiErrorItem(None, "b")),
    "trace_id": "00-1",
    "quota": Quota(1000, 0, NOW),
    "body": b"\x00\xff",
    "body_truncated": True,
    "headers": yandex_market_chat.ApiError.headers.__class__([("X-Own", "c")]),
    "resets_at": NOW,
}


def test_the_tree_is_the_promised_one() -> None:
    exported = {name for name in yandex_market_chat.__all__ if name.endswith("Error")}
    assert exported == set(TREE)
    for error in ERRORS:
        assert {base.__name__ for base in error.__bases__} == TREE[error.__name__]
        assert error.__module__ == "yandex_market_chat"


def test_every_error_that_is_raised_says_what_happened_to_the_file() -> None:
    for error in ERRORS:
        if error.__name__ not in ABSTRACT | {"LedgerError"}:  # which says it of this call alone
            assert issubclass(error, NotSentError) is not issubclass(error, DeliveryUnknownError)


def attributes(error: ChatError) -> dict[str, Any]:
    """What a caller can read of an error; of the one in `.later`, all that in its place."""
    found = {name: getattr(error, name) for name in dir(error) if not name.startswith("_")}
    found = {name: value for name, value in found.items() if not callable(value)}
    if isinstance(found.get("later"), ChatError):
        found["later"] = (type(error.later), str(error.later), attributes(error.later))  # type: ignore[attr-defined]
    return found


def assert_survives(error: ChatError) -> None:
    twins = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (*twins, copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert attributes(twin) == attributes(error)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_can_be_pickled_and_copied(kind: type[ChatError]) -> None:
    bare, full = kind("The text: \ud800 é."), kind("The text.")
    for name in attributes(full):
        if name == "later":
            full.later = AuthenticationError("Another text.")  # type: ignore[attr-defined]
            full.later.status_code = 401  # type: ignore[attr-defined]
        elif name == "retryable":
            full.retryable = not full.retryable
        elif name not in ("args", "add_note", "with_traceback"):
            assert getattr(full, name) != FILLED[name]
            setattr(full, name, FILLED[name])
    full.add_note("a note")
    assert_survives(bare)
    assert_survives(full)


NOBODY = "http://127.0.0.1:9"  # privileged and unused, so nobody comes to listen there
ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, resend_unknown=True)
SPENT = {"X-RateLimit-Resource-Remaining": "0", "Date": "Thu, 10 Jul 2025 00:30:00 GMT"} | {
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2025 00:42:42 GMT"
}
OUTCOMES: dict[str, tuple[list[Answer | Fault], dict[str, Any], dict[str, Any]]] = {
    # name of the error: what the server does, arguments of the client, arguments of the send
    "InvalidRequestError": ([], {}, {"business_id": 0}),
    "InvalidFileError": ([], {}, {"file": "/"}),
    "EmptyFileError": ([], {}, {"file": BytesIO()}),
    "FileTooLargeError": ([], {"max_file_size": 3}, {}),
    "ConnectionFailedError": ([], {"base_url": NOBODY}, {}),
    "WaitTimeoutError": ([], {}, {"timeout": 1e-9}),
    "ChatNotOpenedError": ([Answer(500)], {}, {"order_id": 7}),
    "ConnectionLostError": ([Fault(cut="reset", at="after-body")], {}, {}),
    "ResponseTimeoutError": ([Fault(cut="silence", at="after-body")], {"timeout": 0.2}, {}),
    "LedgerError": ([], {"ledger": "/proc/sent.sqlite"}, {"idempotency_key": "k"}),
    "InProgressError": ([], {"ledger": "claimed"}, {"idempotency_key": "k"}),
    "BadRequestError": ([Answer(400)], {}, {}),
    "AuthenticationError": ([Answer(401)], {}, {}),
    "AccessDeniedError": ([Answer(403)], {}, {}),
    "NotFoundError": ([Answer(404)], {}, {}),
    "RateLimitError": ([Answer(420, "", off_contract=True)], {}, {}),
    "ParallelLimitError": ([Answer(420, example="parallel")], {}, {}),
    "QuotaExceededError": ([Answer(420, headers=SPENT)], {}, {}),
    "ServerError": ([Answer(500), Answer(401)], {"retry": TWICE}, {}),
    "UnexpectedRefusalError": ([Answer(405, off_contract=True)], {}, {}),
    "UnclearResponseError": ([Answer(200, {"status": "ERROR"})], {}, {}),
}


@pytest.fixture(params=OUTCOMES)
def failing(
    request: pytest.FixtureRequest, connect: Callable[..., Chat], server: MockServer, tmp_path: Path
) -> Callable[[], SentFile]:
    """A send that ends with the error of this name; all kinds of error in turn."""
    steps, of_client, of_send = OUTCOMES[request.param]
    if of_client.get("ledger") == "claimed":
        of_client = {"ledger": Ledger.sqlite(tmp_path / "sent.sqlite")}
        content = sha256(b"content").hexdigest()
        claim = Claim(1, "k", "another", 60.0, 2, None, "счёт.pdf", 7, content, "application/pdf", False)
        of_client["ledger"]._rows.claim(claim)
    server.script_on("createChat" if "order_id" in of_send else "sendFileToChat", *steps)
    chat = connect(**({"retry": ONCE} | of_client))
    return lambda: chat.send(**({"file": b"content", "name": "счёт.pdf"} | of_send))


def test_every_error_can_be_provoked() -> None:
    assert {*OUTCOMES} | ABSTRACT == {*TREE}


def kin(error: BaseException | None, seen: list[BaseException]) -> list[BaseException]:
    """Everything that hangs on an error, whether a traceback would show it or not."""
    if error is not None and error not in seen:
        seen.append(error)
        for other in (error.__cause__, error.__context__, getattr(error, "later", None)):
            kin(other, seen)
    return seen


def test_a_raised_error_is_of_its_kind_says_enough_and_survives_a_pickle(
    failing: Callable[[], SentFile], request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ChatError) as caught:
        failing()
    error = caught.value
    assert type(error).__name__ == request.node.callspec.params["failing"]
    fates = ["The file was not sent.", "Nothing was sent.", "Nobody can know whether the buyer received the file."]
    (fate,) = [fate for fate in (*fates, "This call sent nothing") if fate in str(error)]
    assert ("Nobody" in fate) is (isinstance(error, DeliveryUnknownError) and not isinstance(error, InProgressError))
    what_happened, _, what_to_do = str(error).partition(fate)
    assert len(what_happened) > 10
    # The reason itself says what an argument must be like.
    assert (len(what_to_do) > 10) is not isinstance(error, InvalidRequestError)
    assert str(error).isprintable()
    assert error.elapsed > 0
    assert_survives(error)


RETRYABLE = {"ConnectionFailedError", "WaitTimeoutError", "ChatNotOpenedError", "LedgerError", "InProgressError"} | {
    name for name in TREE if "Limit" in name or "Quota" in name
}


def test_what_may_succeed_later_and_cannot_deliver_twice_is_retryable(
    failing: Callable[[], SentFile], request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ChatError) as caught:
        failing()
    assert caught.value.retryable is (request.node.callspec.params["failing"] in RETRYABLE)


@pytest.mark.parametrize("status", range(400, 500))
def test_of_the_refusals_the_limits_and_the_locked_are_retryable(status: int) -> None:
    error = error_of(Response(status, Headers(), b"", False), None)
    assert error.retryable is (status in (420, 423, 429))
    assert_survives(error)


@pytest.mark.parametrize("retry", [RetryPolicy(attempts=2), TWICE], ids=["careful", "resend_unknown"])
def test_what_was_unknown_once_is_not_retryable_whatever_came_later(
    connect: Callable[..., Chat], server: MockServer, retry: RetryPolicy
) -> None:
    server.script(Answer(500), *[Answer(420, example="parallel")] * (retry is TWICE))
    with pytest.raises(ServerError) as caught:
        connect(retry=retry).send(b"content")
    assert caught.value.retryable is False


def test_the_first_unknown_outcome_is_raised_and_holds_the_later_one(
    connect: Callable[..., Chat], server: MockServer
) -> None:
    server.script(Answer(500), Answer(401))
    with pytest.raises(ServerError) as caught:
        connect(retry=TWICE).send(b"content", chat_id=7)
    later = caught.value.later
    assert type(later) is AuthenticationError
    assert (caught.value.attempts, later.attempts, later.chat_id, later.size) == (2, 2, 7, 7)
    assert_survives(caught.value)


def test_nothing_foreign_hangs_on_a_raised_error(failing: Callable[[], SentFile]) -> None:
    with pytest.raises(ChatError) as caught:
        failing()
    assert all(isinstance(one, ChatError) for one in kin(caught.value, []))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_sent_from_an_except_block_only_the_callers_own_exception_hangs_on_it(failing: Callable[[], SentFile]) -> None:
    own = LookupError("the caller's own")
    try:
        raise own
    except LookupError:
        with pytest.raises(ChatError) as caught:
            failing()
    # Python itself says "during handling of the above exception", which is true, so it stays.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ in (None, own)
    assert (own.__cause__, own.__context__) == (None, None)
    assert all(one is own or isinstance(one, ChatError) for one in kin(caught.value, []))


def test_in_a_group_of_twenty_one_can_tell_which_file_it_was(mode: str, server: MockServer) -> None:
    statuses = [(400, 401, 403, 404, 500)[number % 5] for number in range(20)]
    for number, status in enumerate(statuses, 1):
        server.script_for(number, Answer(status))
    sends = [
        {"file": b"x" * number, "business_id": 100 + number % 3, "chat_id": number, "name": f"{number}.pdf"}
        for number in range(1, 21)
    ]
    settings: dict[str, Any] = {"api_key": server.api_key, "base_url": server.base_url, "retry": ONCE}

    def in_threads() -> list[Any]:
        with ChatClient(**settings) as client, ThreadPoolExecutor(20) as pool:
            return [one.exception() for one in [pool.submit(client.send_file, **send) for send in sends]]

    async def in_tasks() -> list[Any]:
        async with AsyncChatClient(**settings) as client:
            return await asyncio.gather(*(client.send_file(**send) for send in sends), return_exceptions=True)

    group = ExceptionGroup("twenty", in_threads() if mode == "sync" else asyncio.run(in_tasks()))
    found = [
        (error.chat_id, error.business_id, error.name, error.size, error.status_code)
        for error in group.exceptions
        if isinstance(error, ApiError)
    ]
    assert sorted(found) == [
        (number, 100 + number % 3, f"{number}.pdf", number, status) for number, status in enumerate(statuses, 1)
    ]
    unknown, not_sent = group.split(DeliveryUnknownError)
    assert unknown is not None
    assert not_sent is not None
    assert (len(unknown.exceptions), len(not_sent.exceptions)) == (4, 16)
    assert attributes(pickle.loads(pickle.dumps(group)).exceptions[7]) == attributes(group.exceptions[7])  # type: ignore[arg-type]


NO_URLS = ["http://999.1.1.1", "http://1.2.3.04", "http://127.0.0.1/" + "a" * 70_000, "http://[::1", "http://a b", "x"]


@pytest.mark.parametrize("argument", ["base_url", "proxy"])
@pytest.mark.parametrize("url", NO_URLS)
def test_an_address_that_cannot_be_used_is_refused_here(mode: str, server: MockServer, argument: str, url: str) -> None:
    addresses = {"base_url": server.base_url, argument: url}
    with pytest.raises(InvalidRequestError), Chat(mode, api_key=server.api_key, timeout=1.0, **addresses) as chat:
        chat.send(b"content")


class Reader:
    """A file whose reader raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def read(self, size: int) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    "own",
    [
        OSError("disk"),
        TimeoutError("slow disk"),
        ValueError("own"),
        EOFError(),
        KeyError(1),
        asyncio.QueueEmpty(),
        ChatError("someone's else"),
    ],
    ids=repr,
)
def test_what_the_callers_reader_raises_comes_back_as_it_is(chat: Chat, server: MockServer, own: Exception) -> None:
    with pytest.raises(type(own)) as caught:
        chat.send(Reader(own))
    assert caught.value is own
    assert server.requests == ()


def test_a_reader_that_raises_stop_iteration_ends_the_send_at_once(chat: Chat, server: MockServer) -> None:
    # `next(chunks)` without a default; a future cannot hold it, so asyncio has a RuntimeError in its place.
    with pytest.raises((StopIteration, RuntimeError)):
        chat.send(Reader(StopIteration()), timeout=1.0)
    assert server.requests == ()


def test_a_missing_path_is_the_systems_own_error(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        chat.send(tmp_path / "missing.pdf")
    assert caught.value.filename == str(tmp_path / "missing.pdf")
    assert server.requests == ()


def test_a_broken_parser_is_no_reason_to_lose_an_answer(
    chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("the generated code has a bug")

    monkeypatch.setattr("_yandex_market_chat_api.api.chats.send_file_to_chat._parse_response", broken)
    server.script(Answer(200, '{"status": "OK"}'))
    with pytest.raises(UnclearResponseError) as caught:
        chat.send(b"content")
    assert caught.value.body == b'{"status": "OK"}'
    assert kin(caught.value, []) == [caught.value]


SIZE = 4 * 1024 * 1024
LEAVES_THE_BODY_UNREAD = Answer(401, fault=Fault(early="lingering"))


@pytest.mark.parametrize("outcome", ["refused", "unknown", "no connection"])
def test_an_error_that_is_kept_does_not_keep_the_file_in_memory(
    connect: Callable[..., Chat], server: MockServer, tmp_path: Path, outcome: str
) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * SIZE)
    # The server is in this process: it must not keep the file either.
    server.script(LEAVES_THE_BODY_UNREAD if outcome == "refused" else Fault(cut="reset", at="before-body"))
    arguments = {"base_url": NOBODY} if outcome == "no connection" else {}
    chat = connect(retry=ONCE, **arguments)
    tracemalloc.start()
    try:
        with pytest.raises(ChatError) as caught:
            chat.send(path)
        gc.collect()
        _, most = tracemalloc.get_traced_memory()
        # The thread that read the file may need a moment to put it away.
        until(lambda: 4 * tracemalloc.get_traced_memory()[0] < SIZE)
    finally:
        tracemalloc.stop()
    assert caught.value.size == SIZE
    assert most > SIZE


def test_the_names_of_the_errors_hide_no_builtin() -> None:
    assert not [name for name in yandex_market_chat.__all__ if hasattr(builtins, name)]


def test_no_type_of_httpx_is_public() -> None:
    for error in ERRORS:
        for value in attributes(error("text")).values():
            assert type(value).__module__.partition(".")[0] in ("builtins", "yandex_market_chat", types.__name__)


def test_an_error_that_was_never_raised_is_completed_too() -> None:
    error = ChatError("made by hand")
    send = Send(time.monotonic)
    send.business_id = 7
    send.__exit__(ChatError, error, None)
    assert error.business_id == 7
    assert error.__traceback__ is None
