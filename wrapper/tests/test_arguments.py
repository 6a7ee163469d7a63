"""What a client and a send can be told, what of it stands on the wire, and what is refused with a sentence."""

from __future__ import annotations

import asyncio
import copy
import enum
import pickle
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

import yandex_market_chat
from yandex_market_chat import (
    ConnectionFailedError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    ParallelLimitError,
    Quota,
    ResponseTimeoutError,
    RetryPolicy,
    SentFile,
    Timeout,
    WaitTimeoutError,
)
from yandex_market_chat._api import contract
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .test_files import arrived, assert_readable, refused

KEY = "ACMA:" + "k" * 40 + ":" + "s" * 8
LARGEST = 2**63 - 1
# More digits than Python turns into text: a message must not try.
HUGE = 10**5000


def assert_no_client(colour: str, *words: str, **arguments: Any) -> InvalidRequestError:
    """Hold a client to be refused with a sentence that has these words."""
    with pytest.raises(InvalidRequestError) as caught:
        Chat(colour, **({"api_key": KEY} | arguments))
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


@pytest.mark.parametrize("name", ["business_id", "chat_id"])
@pytest.mark.parametrize(("value", "words"), BAD_IDS.values(), ids=BAD_IDS)
def test_an_id_that_is_none_is_refused(value: Any, words: str, name: str, chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidRequestError, f"{name} {words}") as caught:
        chat.send(b"x", **{name: value})
    known = {"business_id": caught.value.business_id, "chat_id": caught.value.chat_id}
    assert known == {"business_id": 1, "chat_id": 2} | {name: None}


@pytest.mark.parametrize(("value", "words"), BAD_IDS.values(), ids=BAD_IDS)
def test_the_allowance_of_an_id_that_is_none_is_refused(value: Any, words: str, chat: Chat) -> None:
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
    "blank": (" ", "without blanks"),
    "line break at the end": ("FAKE-SECRET\n", "line break at its end"),
    "line break inside": ("FAKE-SECRET\r\nX-Evil: 1", "without blanks or line breaks"),
    "blank inside": ("FAKE SECRET", "without blanks"),
    "blank before": (" FAKE-SECRET", "without blanks"),
    "tab": ("FAKE\tSECRET", "without blanks"),
    "NUL": ("FAKE\0SECRET", "printable ASCII"),
    "Cyrillic": ("FAKE-КЛЮЧ-SECRET", "printable ASCII"),
    "surrogate": ("FAKE\ud800SECRET", "printable ASCII"),
    "bytes": (b"FAKE-SECRET", "must be a str, not bytes"),
    "number": (12345, "must be a str, not int"),
    "list": (["FAKE-SECRET"], "must be a str, not list"),
}


@pytest.mark.parametrize("name", ["api_key", "oauth_token"])
@pytest.mark.parametrize(("value", "words"), BAD_SECRETS.values(), ids=BAD_SECRETS)
def test_a_credential_that_is_none_is_refused_and_not_repeated(value: Any, words: str, name: str, colour: str) -> None:
    error = assert_no_client(colour, f"{name} ", words, **({"api_key": None} | {name: value}))
    for piece in ("FAKE", "SECRET", "КЛЮЧ", "12345"):
        assert piece not in repr(error)


@pytest.mark.parametrize(("value", "words"), [BAD_SECRETS["empty"], BAD_SECRETS["line break at the end"]])
def test_a_key_from_the_environment_is_held_to_the_same(
    value: str, words: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", value)
    error = assert_no_client(colour, "$YANDEX_MARKET_API_KEY ", words, api_key=None)
    assert "FAKE" not in str(error)


def test_no_credentials_and_two_of_them_are_refused(colour: str) -> None:
    assert_no_client(colour, "No credentials", "YANDEX_MARKET_API_KEY", api_key=None)
    error = assert_no_client(colour, "Both api_key and oauth_token", oauth_token="FAKE-SECRET")
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


# Where to

BAD_URLS: dict[str, Any] = {
    "no scheme": "api.example.ru",
    "no host": "https://",
    "only a path": "/v2",
    "other scheme": "ftp://api.example.ru",
    "file": "file:///etc/passwd",
    "blank": "https://api.example.ru ",
    "line break": "https://api.example.ru\r\nX-Evil: 1",
    "Cyrillic": "https://апи.рф",
    "bytes": b"https://api.example.ru",
    "number": 1,
    "port 0": "https://api.example.ru:0",
    "port too large": "https://api.example.ru:65536",
    "port that is none": "https://api.example.ru:x",
    "negative port": "https://api.example.ru:-1",
    "label too long": f"https://{'a' * 64}.ru",
    "empty label": "https://api..ru",
    "dot before": "https://.ru",
    "open bracket": "http://[::1",
    "no address in brackets": "http://[api.example.ru]",
    "future address": "http://[v1.x]",
    "no such address": "http://256.256.256.256",
    "broken punycode": "http://xn--a-.ru",
    "endless": "http://localhost/" + "a" * 100_000,
}


@pytest.mark.parametrize("what", BAD_URLS)
def test_an_address_that_is_none_is_refused(what: str, colour: str) -> None:
    assert_no_client(colour, "base_url must be", base_url=BAD_URLS[what])
    if what != "broken punycode":  # the name of a proxy is found or not found, as it is
        assert_no_client(colour, "proxy must be", proxy=BAD_URLS[what])


@pytest.mark.parametrize(
    "value",
    [
        "https://user:FAKE-SECRET@api.example.ru",
        "https://FAKE@h.ru",
        "https://h.ru/?a=b",
        "https://h.ru/#a",
        "http://@h",
    ],
)
def test_a_base_url_is_only_scheme_host_port_and_path(value: str, colour: str) -> None:
    error = assert_no_client(colour, "base_url must be", base_url=value)
    assert "FAKE" not in str(error)


def test_a_base_url_from_the_environment_is_held_to_the_same(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", "api.example.ru")
    assert_no_client(colour, "base_url must be")


@pytest.mark.parametrize(("added", "prefix"), [("", ""), ("/", ""), ("///", ""), ("/a/b", "/a/b"), ("/a/", "/a")])
def test_the_path_of_the_base_url_is_kept(
    added: str, prefix: str, connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(base_url=server.base_url.replace("http:", "HTTP:") + added)
    if prefix:
        with pytest.raises(NotFoundError):
            chat.send(b"x")
    else:
        chat.send(b"x")
    (request,) = server.requests
    assert request.target == f"{prefix}/v2/businesses/1/chats/file/send?chatId=2"
    assert request.headers.values("Host") == [server.base_url.removeprefix("http://")]


def test_without_anything_said_it_is_the_documented_server(colour: str) -> None:
    with Chat(colour, api_key=KEY) as chat:
        assert "https://api.partner.market.yandex.ru" in repr(chat.client)


def test_the_contract_names_the_two_documented_servers() -> None:
    named = [server["url"] for server in contract()["servers"]]
    assert named == ["https://api.partner.market.yandex.ru", "https://api.partner.market.yandex.net"]


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "socks5h://127.0.0.1", "socks4://u:FAKE@127.0.0.1"])
def test_a_socks_proxy_is_refused(value: str, colour: str) -> None:
    error = assert_no_client(colour, "SOCKS proxies are not supported", proxy=value)
    assert "FAKE" not in str(error)


def test_a_bad_proxy_is_refused_without_its_password(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ("http://user:FAKE@", "gopher://user:FAKE@h:1", "http://user:FAKE@h:x", "http://user:FÄKE@h"):
        error = assert_no_client(colour, "proxy must be", proxy=bad)
        assert "user" not in str(error)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:FAKE@h")
    error = assert_no_client(colour, "SOCKS")
    assert "FAKE" not in str(error)


def test_an_empty_proxy_is_none_whatever_the_environment_says(
    connect: Callable[..., Chat], server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody is there
    with pytest.raises(ConnectionFailedError):
        connect(retry=RetryPolicy(attempts=1)).send(b"x")
    connect(proxy="").send(b"x")
    assert len(server.received) == 1


def test_a_proxy_is_asked_for_the_whole_address(connect: Callable[..., Chat], server: MockServer) -> None:
    connect(base_url="http://market.invalid", proxy=server.base_url).send(b"x")
    (request,) = server.requests
    assert request.target.startswith("http://market.invalid/v2/businesses/1/")
    assert request.headers.values("Host") == ["market.invalid"]


# Whom to trust


def test_certificates_that_cannot_be_used_are_refused_when_the_client_is_made(colour: str, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    (tmp_path / "binary.pem").write_bytes(bytes(range(256)))
    for value, words in {
        "missing.pem": "No such file",
        str(tmp_path / "missing.pem"): "No such file",
        tmp_path: "directory",
        tmp_path / "no.pem": "no certificate in PEM form",
        str(tmp_path / "binary.pem"): "no certificate in PEM form",
        "": "verify names a CA file that cannot be used",
        "a\0b": "verify names a CA file that cannot be used",
    }.items():
        assert_no_client(colour, words, verify=value)
    for wrong in (None, 1, 0, [], b"a.pem"):
        assert_no_client(colour, "verify must be", type(wrong).__name__, verify=wrong)


def test_certificates_that_turn_out_to_be_broken_are_refused_before_anything_goes_out(
    connect: Callable[..., Chat], server: MockServer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    chat = connect(verify=broken, base_url=server.base_url.replace("http:", "https:"))
    with refused(server, InvalidRequestError, "certificates", "broken.pem"):
        chat.send(b"x")


@pytest.mark.parametrize("value", [True, False, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)], ids=["yes", "no", "context"])
def test_every_other_kind_of_trust_is_taken(value: Any, connect: Callable[..., Chat], server: MockServer) -> None:
    connect(verify=value).send(b"x")
    assert len(server.received) == 1


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
def test_seconds_that_are_none_are_refused_everywhere(value: Any, colour: str, server: MockServer) -> None:
    assert_no_client(colour, "timeout must be a number of seconds", timeout=value)
    for name in ("total", "connect", "write", "read"):
        with pytest.raises(InvalidRequestError) as caught:
            Timeout(**{name: value})
        assert_readable(caught.value, f"Timeout.{name} must be a number of seconds")
    with Chat(colour, api_key=server.api_key, base_url=server.base_url) as chat:
        with refused(server, InvalidRequestError, "timeout must be a number of seconds") as caught:
            chat.send(b"x", timeout=value)
        assert (caught.value.business_id, caught.value.chat_id) == (1, 2)


@pytest.mark.parametrize("name", ["connect", "write", "read"])
def test_only_the_total_can_be_without_bound(name: str) -> None:
    assert Timeout(total=None).total is None
    with pytest.raises(InvalidRequestError, match=f"Timeout.{name} must be"):
        Timeout(**{name: None})


def test_a_number_is_the_total_and_a_call_may_have_its_own(connect: Callable[..., Chat], server: MockServer) -> None:
    slow = Fault(delay=0.2)
    for client, call, in_time in (
        (0.1, None, False),
        (Timeout(total=0.1), None, False),
        (Timeout(total=None, read=0.1), None, False),
        (5, 0.1, False),
        (5, Timeout(total=0.1), False),
        (5, Timeout(total=None, read=0.1), False),
        (Timeout(read=0.1), 5, False),  # a number changes the total alone
        (0.1, 5, True),
        (0.1, Timeout(), True),
        (Timeout(total=None), None, True),
    ):
        server.script(slow)
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
def test_a_count_that_is_none_is_refused(value: Any, name: str, colour: str) -> None:
    assert_no_client(colour, f"{name} must be a whole number from 1", **{name: value})


@pytest.mark.parametrize("value", [None, 4, True, "4", {"attempts": 4}, RetryPolicy])
def test_a_retry_policy_that_is_none_is_refused(value: Any, colour: str) -> None:
    assert_no_client(colour, "retry must be a RetryPolicy", type(value).__name__, retry=value)


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
    if chat.colour == "sync":
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
def test_an_integration_that_is_none_is_refused(value: Any, colour: str) -> None:
    assert_no_client(colour, 'integration must be "name/version"', integration=value)


# What stands on the wire


def test_the_headers_of_a_request(chat: Chat, server: MockServer) -> None:
    chat.send(b"x")
    (request,) = server.requests
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names)
    boundary = request.body[2 : request.body.index(b"\r\n")].decode()
    assert {name.lower(): value for name, value in request.headers} == {
        "host": server.base_url.removeprefix("http://"),
        "api-key": server.api_key,
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"yandex-market-chat/{yandex_market_chat.__version__}",
        "connection": "close",
        "content-length": str(len(request.body)),
        "content-type": f"multipart/form-data; boundary={boundary}",
    }
    assert request.method == "POST"


@pytest.mark.parametrize("size", [1, 70_000, 5 * 1024 * 1024])
def test_the_length_is_told_and_the_body_is_not_chunked(size: int, chat: Chat, server: MockServer) -> None:
    chat.send(b"x" * size, on_progress=lambda sent, total: None)
    chat.send(b"x" * size)
    for request in server.requests:
        assert request.headers.values("Content-Length") == [str(len(request.body))]
        assert request.headers.values("Transfer-Encoding") == []
        assert request.headers.values("Expect") == []
    assert [part.content for part in arrived(server)] == [b"x" * size] * 2


@pytest.mark.parametrize("keep_alive", [False, True])
def test_cookies_are_not_kept(keep_alive: bool, connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(*[Answer(200, headers={"Set-Cookie": "session=1; Path=/"})] * 2)
    chat = connect(keep_alive=keep_alive)
    for _ in range(3):
        chat.send(b"x")
    assert [request.headers.values("Cookie") for request in server.requests] == [[], [], []]


@pytest.mark.parametrize(("keep_alive", "connections", "told"), [(False, 3, ["close"]), (True, 1, [])])
def test_connections_are_reused_only_if_asked_for(
    keep_alive: bool, connections: int, told: list[str], connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(keep_alive=keep_alive)
    for _ in range(3):
        chat.send(b"x")
    assert server.connections == connections
    for request in server.requests:
        said = [value for value in request.headers.values("Connection") if value.lower() != "keep-alive"]
        assert said == told


# The objects themselves

FROZEN: dict[str, Callable[[], Any]] = {
    "Timeout": lambda: Timeout(total=1.5, connect=2, write=3, read=4),
    "RetryPolicy": lambda: RetryPolicy(attempts=2, resend_unknown=True),
    "Quota": lambda: Quota(1000, 7, None),
    "SentFile": lambda: SentFile(
        business_id=1,
        chat_id=2,
        name="счёт.pdf",
        size=3,
        content_type="application/pdf",
        attempts=1,
        unknown_attempts=0,
        elapsed=0.5,
        trace_id=None,
        quota=Quota(1000, 7, None),
    ),
}
REPRS = {
    "Timeout": "Timeout(total=1.5, connect=2, write=3, read=4)",
    "RetryPolicy": "RetryPolicy(attempts=2, resend_unknown=True)",
    "Quota": "Quota(limit=1000, remaining=7, resets_at=None)",
    "SentFile": "SentFile(business_id=1, chat_id=2, name='счёт.pdf', size=3, content_type='application/pdf', "
    "attempts=1, unknown_attempts=0, elapsed=0.5, trace_id=None, quota=Quota(limit=1000, remaining=7, resets_at=None))",
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_value_is_frozen_compares_and_shows_what_it_is(name: str) -> None:
    value, same = FROZEN[name](), FROZEN[name]()
    assert (value == same, value is same, hash(value) == hash(same)) == (True, False, True)
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    assert repr(value) == REPRS[name]
    for field in value.__dataclass_fields__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(value, field)
    with pytest.raises((AttributeError, TypeError)):
        value.another = 1
    assert value == same


def test_values_that_differ_are_not_equal() -> None:
    assert Timeout() == Timeout(120.0, 5.0, 30.0, 30.0) != Timeout(60)
    assert RetryPolicy() == RetryPolicy(4, False) != RetryPolicy(4, True)
    assert Quota(1000, 7, None) != Quota(1000, 8, None)


def test_the_repr_of_a_client_tells_where_it_sends_and_whether_it_is_closed(
    colour: str, connect: Callable[..., Chat], server: MockServer
) -> None:
    name = "ChatClient" if colour == "sync" else "AsyncChatClient"
    chat = connect(base_url=f"{server.base_url}/prefix/")
    assert repr(chat.client) == f"<{name} {server.base_url}/prefix>"
    with Chat(colour, api_key=KEY, base_url=server.base_url) as closed:
        pass
    assert repr(closed.client) == f"<{name} {server.base_url} closed>"


def test_an_unknown_argument_is_a_type_error(colour: str, chat: Chat, server: MockServer) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        Chat(colour, api_key=KEY, retries=3)
    with pytest.raises(TypeError, match="positional argument"):
        type(chat.client)(KEY)
    with pytest.raises(TypeError, match="unexpected keyword argument 'filename'"):
        chat.send(b"x", filename="a.pdf")
    with pytest.raises(TypeError, match="positional argument"):
        chat.client.send_file(b"x", 1, 2)
    assert server.connections == 0
