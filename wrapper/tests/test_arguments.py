"""What a client and a send can be told, what of it stands on the wire, and what is refused with a sentence."""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import yandex_market_chat
from yandex_market_chat import (
    ConnectionFailedError,
    InvalidRequestError,
    NotSentError,
    ParallelLimitError,
    ResponseTimeoutError,
    RetryPolicy,
    Timeout,
    WaitTimeoutError,
)
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .handed_over import assert_readable, refused

KEY = "ACMA:" + "k" * 40 + ":" + "s" * 8
LARGEST = 2**63 - 1
# More digits than Python turns into text: a message must not try.
HUGE = 10**5000


def assert_no_client(mode: str, *words: str, **arguments: Any) -> InvalidRequestError:
    """Check that a client is refused with a sentence that has these words."""
    with pytest.raises(InvalidRequestError) as caught:
        Chat(mode, **({"api_key": KEY} | arguments))
    error = caught.value
    assert type(error) is InvalidRequestError
    assert isinstance(error, ValueError)
    assert isinstance(error, NotSentError)
    assert_readable(error, *words)
    return error


# Ids


class Index:
    """As the integers of some numeric libraries are."""

    def __index__(self) -> int:
        return 1


BAD_IDS: dict[str, tuple[Any, str]] = {
    "True": (True, "must be an int, not bool"),
    "float": (1.0, "must be an int, not float"),
    "text": ("1", "must be an int, not str"),
    "bytes": (b"1", "must be an int, not bytes"),
    "None": (None, "must be an int, not NoneType"),
    "index": (Index(), "must be an int, not Index"),
    "zero": (0, f"must be from 1 to {LARGEST}"),
    "negative": (-1, f"must be from 1 to {LARGEST}"),
    "too large": (2**63, f"must be from 1 to {LARGEST}"),
    "huge": (HUGE, f"must be from 1 to {LARGEST}"),
}


@pytest.mark.parametrize("name", ["business_id", "chat_id", "order_id"])
@pytest.mark.parametrize(("value", "words"), BAD_IDS.values(), ids=BAD_IDS)
def test_an_id_that_is_none_is_refused(value: Any, words: str, name: str, chat: Chat, server: MockServer) -> None:
    # None says that the other one names the chat.
    neither = value is None and name != "business_id"
    with refused(server, InvalidRequestError, "either chat_id or order_id" if neither else f"{name} {words}") as caught:
        chat.send(b"x", **{name: value})
    error = caught.value
    assert error.business_id == (None if name == "business_id" else 1)
    assert error.chat_id == (2 if name == "business_id" else None)
    assert error.order_id is None


def test_a_chat_is_named_once(chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidRequestError, "Pass either chat_id or order_id.") as caught:
        chat.send(b"x", chat_id=2, order_id=3)
    assert caught.value.business_id == 1


@pytest.mark.parametrize(("value", "words"), BAD_IDS.values(), ids=BAD_IDS)
def test_the_quota_of_an_id_that_is_none_is_refused(value: Any, words: str, chat: Chat) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chat.quota(value)
    assert_readable(caught.value, f"business_id {words}")


class Business(int, enum.Enum):
    SHOP = 123


class Number(int):
    def __str__(self) -> str:
        return "a number"

    __repr__ = __format__ = __str__  # type: ignore[assignment]


@pytest.mark.parametrize("value", [1, LARGEST, Business.SHOP, enum.IntEnum("B", {"A": 5}).A, Number(7)], ids=int)
def test_an_id_arrives_as_its_number_whatever_it_looks_like(value: int, chat: Chat, server: MockServer) -> None:
    sent = chat.send(b"x", business_id=value, chat_id=value)
    assert (sent.business_id, sent.chat_id) == (int(value), int(value))
    assert server.requests[0].target == f"/v2/businesses/{int(value):d}/chats/file/send?chatId={int(value):d}"


# Credentials

BAD_SECRETS: dict[str, tuple[Any, str]] = {
    "empty": ("", "is empty"),
    "blank": (" ", "is empty"),
    "nothing but a mark": ("\ufeff\r\n", "is empty"),
    "line break inside": ("FAKE-SECRET\r\nX-Evil: 1", "without blanks or line breaks"),
    "blank inside": ("FAKE SECRET", "without blanks"),
    "mark inside": ("FAKE\ufeffSECRET", "printable ASCII"),
    "two keys": ("FAKE-SECRET\nFAKE-SECRET\n", "without blanks or line breaks inside"),
    "tab": ("FAKE\tSECRET", "without blanks"),
    "NUL": ("FAKE\0SECRET", "NUL characters, as UTF-16 does; save it as UTF-8"),
    "UTF-16": ("FAKE-SECRET\n".encode("utf-16").decode("latin-1"), "as UTF-16 does"),
    "UTF-16, big end first": ("FAKE-SECRET".encode("utf-16be").decode("utf-8"), "as UTF-16 does"),
    "Cyrillic": ("FAKE-КЛЮЧ-SECRET", "printable ASCII"),
    "surrogate": ("FAKE\ud800SECRET", "printable ASCII"),
    "bytes": (b"FAKE-SECRET", "must be a str, not bytes"),
    "number": (12345, "must be a str, not int"),
    "list": (["FAKE-SECRET"], "must be a str, not list"),
}


CALLED = {"api_key": "The API key ", "oauth_token": "The OAuth token "}


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize(("value", "words"), BAD_SECRETS.values(), ids=BAD_SECRETS)
def test_a_credential_that_is_none_is_refused_and_not_repeated(value: Any, words: str, name: str, mode: str) -> None:
    error = assert_no_client(mode, CALLED[name], words, **({"api_key": None} | {name: value}))
    for piece in ("FAKE", "SECRET", "КЛЮЧ", "12345"):
        assert piece not in repr(error)


@pytest.mark.parametrize(("value", "words"), [BAD_SECRETS["empty"], BAD_SECRETS["two keys"]])
def test_a_key_from_the_environment_is_held_to_the_same(
    value: str, words: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", value)
    error = assert_no_client(mode, "The API key in $YANDEX_MARKET_API_KEY ", words, api_key=None)
    assert "FAKE" not in str(error)


AROUND = {
    "line break": "{}\n",
    "Windows": "\ufeff{}\r\n",
    "blanks": " \t{} \n \n",
    "mark behind blanks": " \ufeff {}\xa0\u200b",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("how", ["api_key", "oauth_token", "environment"])
def test_what_editors_leave_around_a_key_is_taken_off(
    how: str, around: str, mode: str, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = server.oauth_token if how == "oauth_token" else server.api_key
    value = around.format(secret)
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", value)
    credentials = {} if how == "environment" else {how: value}
    with Chat(mode, base_url=server.base_url, **credentials) as chat:
        chat.send(b"x")
    headers = server.requests[0].headers
    assert headers.get("Api-Key") == (None if how == "oauth_token" else secret)
    assert headers.get("Authorization") == (f"Bearer {secret}" if how == "oauth_token" else None)


def test_no_credentials_and_two_of_them_are_refused(mode: str) -> None:
    assert_no_client(mode, "No credentials", "YANDEX_MARKET_API_KEY", api_key=None)
    error = assert_no_client(mode, "Both api_key and oauth_token", oauth_token="FAKE-SECRET")
    assert KEY not in str(error)
    assert "FAKE" not in str(error)


def test_a_token_wins_over_a_key_that_lies_in_the_environment(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", KEY)
    connect(oauth_token=server.oauth_token).send(b"x")
    headers = server.requests[0].headers
    assert headers.values("Authorization") == [f"Bearer {server.oauth_token}"]
    assert headers.values("Api-Key") == []


# Time

BAD_SECONDS = [
    0,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    -float("inf"),
    1_000_001,
    True,
    False,
    "10",
    b"1",
    [],
    HUGE,
    -HUGE,
]
BAD_SECONDS_IDS = ["huge" if value == HUGE else "-huge" if value == -HUGE else repr(value) for value in BAD_SECONDS]


@pytest.mark.parametrize("value", BAD_SECONDS, ids=BAD_SECONDS_IDS)
def test_seconds_that_are_none_are_refused_everywhere(value: Any, mode: str, server: MockServer) -> None:
    assert_no_client(mode, "timeout must be a number of seconds", timeout=value)
    for name in ("total", "connect", "write", "read"):
        with pytest.raises(InvalidRequestError) as caught:
            Timeout(**{name: value})
        assert_readable(caught.value, f"The {name} timeout must be a number of seconds")
    with Chat(mode, api_key=server.api_key, base_url=server.base_url) as chat:
        with refused(server, InvalidRequestError, "timeout must be a number of seconds") as caught:
            chat.send(b"x", timeout=value)
        assert (caught.value.business_id, caught.value.chat_id) == (1, 2)


@pytest.mark.parametrize("name", ["connect", "write", "read"])
def test_only_the_total_can_be_without_bound(name: str) -> None:
    assert Timeout(total=None).total is None
    with pytest.raises(InvalidRequestError, match=f"The {name} timeout must be"):
        Timeout(**{name: None})


def test_a_number_is_the_total_and_a_call_may_have_its_own(connect: Callable[..., Chat], server: MockServer) -> None:
    for client, call, in_time in (
        (0.1, None, False),
        (Timeout(total=0.1), None, False),
        (Timeout(total=None, read=0.1), None, False),
        (60, 0.1, False),
        (60, Timeout(total=0.1), False),
        (60, Timeout(total=None, read=0.1), False),
        (Timeout(read=0.1), 60, False),  # a number changes the total alone
        (0.1, 60, True),
        (0.1, Timeout(), True),
        (Timeout(total=None), None, True),
    ):
        server.script(Fault(delay=0.2) if in_time else Fault(cut="silence", at="after-body"))
        chat = connect(timeout=client)
        if in_time:
            chat.send(b"x", timeout=call)
        else:
            # On a busy machine the time may be up before the request is out.
            with pytest.raises((ResponseTimeoutError, ConnectionFailedError, WaitTimeoutError)):
                chat.send(b"x", timeout=call)
    assert len(server.received) >= 3


# Numbers and forms


@pytest.mark.parametrize("name", ["max_file_size", "max_parallel"])
@pytest.mark.parametrize(
    "value",
    [0, -1, True, 1.0, "1", None, b"1", -HUGE, "x" * 100_000],
    ids=["0", "-1", "True", "float", "text", "None", "bytes", "huge", "long"],
)
def test_a_count_that_is_none_is_refused(value: Any, name: str, mode: str) -> None:
    assert_no_client(mode, f"{name} must be a whole number from 1", **{name: value})


@pytest.mark.parametrize("value", [None, 4, True, "4", {"attempts": 4}, RetryPolicy])
def test_a_retry_policy_that_is_none_is_refused(value: Any, mode: str) -> None:
    assert_no_client(mode, "retry must be a RetryPolicy", type(value).__name__, retry=value)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None])
def test_attempts_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy(attempts=value)
    assert_readable(caught.value, "RetryPolicy.attempts must be a whole number from 1")


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_there_are_no_more_attempts_than_the_policy_says(
    attempts: int, connect: Callable[..., Chat], server: MockServer
) -> None:
    server.script(*[Answer(420, example="parallel")] * 4)
    with pytest.raises(ParallelLimitError) as caught:
        connect(retry=RetryPolicy(attempts=attempts)).send(b"x")
    assert caught.value.attempts == len(server.requests) == attempts


def test_no_more_requests_at_once_than_max_parallel(connect: Callable[..., Chat], server: MockServer) -> None:
    chat = connect(max_parallel=2)
    server.script(*[Fault(delay=0.05)] * 5)
    if chat.mode == "sync":
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(chat.send, [b"x"] * 5))
    else:

        async def all_at_once() -> None:
            await asyncio.gather(*(chat.client.send_file(b"x", business_id=1, chat_id=2) for _ in range(5)))

        asyncio.run(all_at_once())
    assert server.most_in_flight == 2
    assert len(server.received) == 5


@pytest.mark.parametrize("value", ["shop/1.0", "My shop/1.0 (beta)", "a/b/c", "x" * 98 + "/1"])
def test_the_integration_stands_in_its_header(value: str, connect: Callable[..., Chat], server: MockServer) -> None:
    connect(integration=value).send(b"x")
    assert server.requests[0].headers.values("X-Market-Integration") == [value]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "shop",
        "/1.0",
        "shop/",
        "/",
        "магазин/1.0",
        "shop/1\r\nX-Evil: 1",
        " shop/1",
        "shop/1 ",
        "x" * 99 + "/1",
        "a/\x7f",
        b"shop/1",
        1,
        ("shop", "1"),
    ],
)
def test_an_integration_that_is_none_is_refused(value: Any, mode: str) -> None:
    assert_no_client(mode, 'integration must be "name/version"', integration=value)


@pytest.mark.parametrize("wrong", ["no", 0, None])
def test_a_flag_is_true_or_false(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="True or False"):
        RetryPolicy(resend_unknown=wrong)  # type: ignore[arg-type]


async def awaited(sent: int, total: int) -> None:
    """What nobody would await."""


@pytest.mark.parametrize("wrong", [3, awaited])
def test_progress_is_told_to_a_function(chat: Chat, server: MockServer, wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="on_progress"):
        chat.send(b"x", on_progress=wrong)
    assert server.requests == ()


def test_a_key_in_the_wrong_place_is_named_by_what_was_called(mode: str) -> None:
    client: Any = yandex_market_chat.ChatClient if mode == "sync" else yandex_market_chat.AsyncChatClient
    with pytest.raises(TypeError) as caught:
        client(KEY)
    assert str(caught.value) == f"{client.__name__} takes no positional arguments: pass the key as api_key=..."
    frames = [frame.frame.f_locals for frame in inspect.getinnerframes(caught.tb)[1:]]
    assert not any(KEY in repr(value) for frame in frames for value in frame.values())
