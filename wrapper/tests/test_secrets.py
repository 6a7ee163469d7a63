"""A marked key, token and proxy password, pushed through everything that tells of a send to somebody."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import socket
import ssl
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from yandex_market_chat import (
    AsyncChatClient,
    ChatClient,
    ChatError,
    InvalidRequestError,
    ParallelLimitError,
    RetryPolicy,
)
from yandex_market_chat._credentials import Credentials
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .marked import ENCODED, IN_URL, KEY, PASSWORD, TOKEN, assert_clean, assert_error_is_clean, credentials_of
from .proxy import Proxy

pytestmark = pytest.mark.usefixtures("watched")
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server that takes the marked credentials."""
    with MockServer(api_keys=[KEY], oauth_tokens=[TOKEN]) as running:
        yield running


@pytest.fixture
def authority() -> trustme.CA:
    """Signs the certificates of a test."""
    return trustme.CA()


@pytest.fixture
def https_server(authority: trustme.CA) -> Iterator[MockServer]:
    """The same behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with MockServer(api_keys=[KEY], oauth_tokens=[TOKEN], ssl_context=context) as running:
        yield running


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file that makes a client trust it."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def failure(chat: Chat, **arguments: Any) -> Any:
    """The error of a send that fails. Its traceback begins here: what a test has in its own variables is its own."""
    with pytest.raises((ChatError, OSError)) as caught:
        chat.send(**({"file": b"content"} | arguments))
    return caught.value


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_credential_stands_in_its_header_and_nowhere_else(
    connect: Callable[..., Chat], server: MockServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    connect(**credentials_of(kind), integration="shop/1.0").send(b"content", name="a.pdf")
    (request,) = server.requests
    expected = ("Api-Key", KEY) if kind == "key" else ("Authorization", f"Bearer {TOKEN}")
    rest = [(name, value) for name, value in request.headers if (name, value) != expected]
    assert len(rest) == len(request.headers) - 1
    assert_clean(rest, "another header")
    assert_clean(request.target, "the target")
    assert_clean(request.body, "the body")
    # What the fixture looks at was really there.
    assert {record.name.partition(".")[0] for record in caplog.records} >= {"yandex_market_chat", "httpcore"}


@pytest.mark.parametrize("when", ["new", "used", "closed"])
def test_a_client_shows_no_secret(connect: Callable[..., Chat], server: MockServer, credential: str, when: str) -> None:
    with Proxy() as proxy:
        chat = connect(**credentials_of(credential), proxy=f"http://{IN_URL}@{proxy.address}")
        if when != "new":
            chat.send(b"content")
        if when == "closed":
            asyncio.run(chat.client.aclose()) if chat.mode == "async" else chat.client.close()
            assert_error_is_clean(failure(chat))
        assert_tells_nothing(chat.client, type(chat.client).__name__, set())
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as refused:
                pickle.dumps(chat.client, protocol)
            assert_clean(refused.value, "the refusal to pickle a client")


def assert_tells_nothing(thing: object, path: str, seen: set[int]) -> None:
    """Look at an object and, through `vars` and what containers hold, at everything that it is made of."""
    if id(thing) in seen or isinstance(thing, type | types.ModuleType | types.FunctionType):
        return
    seen.add(id(thing))
    assert_clean(repr(thing) if isinstance(thing, str | bytes) else f"{thing!r} {thing}", path)
    inside = list(getattr(thing, "__dict__", {}).items())
    if isinstance(thing, dict):
        inside += [*thing.items(), *enumerate(thing)]
    elif isinstance(thing, list | tuple | set | frozenset):
        inside += enumerate(thing)
    for name, value in inside:
        assert_tells_nothing(value, f"{path}.{name}", seen)


OUTCOMES: dict[str, tuple[list[Answer | Fault], dict[str, Any], dict[str, Any]]] = {
    # what the server does, arguments of the client, arguments of the send
    "400": ([Answer(400)], {}, {}),
    "401": ([Answer(401)], {}, {}),
    "parallel limit": ([Answer(420, example="parallel")], {}, {}),
    "parallel limit twice": ([Answer(420, example="parallel")] * 2, {"retry": RetryPolicy(attempts=2)}, {}),
    "500": ([Answer(500)], {}, {}),
    "500, then 401": ([Answer(500), Answer(401)], {"retry": RetryPolicy(attempts=2, resend_unknown=True)}, {}),
    "200 ERROR": ([Answer(200, {"status": "ERROR"})], {}, {}),
    "not HTTP": ([Answer.raw(b"SSH-2.0-OpenSSH\r\n")], {}, {}),
    "broken head": ([Answer.raw(b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n")], {}, {}),
    "reset before the body": ([Fault(cut="reset", at="before-body")], {}, {"file": b"x" * 300_000}),
    "reset after the body": ([Fault(cut="reset", at="after-body")], {}, {}),
    "drop in the answer": ([Fault(cut="drop", at="in-answer", after=30)], {}, {}),
    "silence": ([Fault(cut="silence", at="after-body")], {}, {"timeout": 0.1}),
    "silence in the answer": ([Fault(cut="silence", at="in-answer", after=170)], {}, {"timeout": 0.1}),
    "no time": ([], {}, {"timeout": 1e-9}),
    "nobody listens": ([], {"base_url": "http://127.0.0.1:9"}, {}),
    "no such name": ([], {"base_url": "http://no-such-host.invalid"}, {}),
    "wrong id": ([], {}, {"business_id": 0}),
    "wrong type of id": ([], {}, {"chat_id": "2"}),
    "wrong timeout": ([], {}, {"timeout": -1}),
    "wrong type": ([], {}, {"content_type": "\n"}),
    "no file": ([], {}, {"file": 7}),
    "missing file": ([], {}, {"file": "/missing/file.pdf"}),
    "empty file": ([], {}, {"file": b""}),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_error_tells_a_secret(
    connect: Callable[..., Chat], server: MockServer, credential: str, outcome: str
) -> None:
    steps, of_client, of_send = OUTCOMES[outcome]
    server.script(*steps)
    chat = connect(**({"retry": ONCE} | credentials_of(credential) | of_client))
    assert_error_is_clean(failure(chat, **of_send))


def test_a_redirect_to_another_host_carries_nothing(
    connect: Callable[..., Chat], server: MockServer, credential: str
) -> None:
    with MockServer() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            server.script(Answer(status, "", {"Location": elsewhere.base_url}, off_contract=True))
            assert_error_is_clean(failure(connect(**credentials_of(credential))))
        assert elsewhere.connections == 0


def test_a_refused_certificate_tells_nothing(
    mode: str, https_server: MockServer, trusted: Path, authority: trustme.CA, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with Chat(mode, api_key=KEY, base_url=https_server.base_url, verify=tmp_path / "other.pem", retry=ONCE) as chat:
        error = failure(chat)
    assert "certificate" in str(error)
    assert_error_is_clean(error)
    assert https_server.requests == ()


def test_the_password_of_a_proxy_is_for_the_proxy_and_the_key_is_not(
    mode: str, https_server: MockServer, trusted: Path, credential: str
) -> None:
    with Proxy(credentials=f"user:{PASSWORD}") as proxy:
        settings = {"base_url": https_server.base_url, "verify": trusted, "proxy": f"http://{IN_URL}@{proxy.address}"}
        with Chat(mode, **credentials_of(credential), **settings) as chat:
            chat.send(b"content")
        (connect_request,) = proxy.requests
        assert (connect_request.method, connect_request.credentials) == ("CONNECT", f"user:{PASSWORD}")
        others = {name: value for name, value in connect_request.headers.items() if name != "proxy-authorization"}
        assert_clean(others, "what the proxy was told")
        assert KEY.encode() not in proxy.seen
        assert TOKEN.encode() not in proxy.seen
    (request,) = https_server.requests
    assert "Marked" in str(request.headers.get("Api-Key") or request.headers.get("Authorization"))
    assert request.headers.get("Proxy-Authorization") is None
    assert ENCODED not in str(tuple(request.headers))


PROXY_ANSWERS = {
    "407": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "password in the reason": f"HTTP/1.1 407 user {PASSWORD} unknown\r\nContent-Length: 0\r\n\r\n".encode(),
    "header in the reason": f"HTTP/1.1 403 no Basic {ENCODED} here\r\nContent-Length: 0\r\n\r\n".encode(),
    "URL in the reason": f"HTTP/1.1 502 no way by http://{IN_URL}@proxy\r\nContent-Length: 0\r\n\r\n".encode(),
    "nothing": b"",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n",
}


@pytest.mark.parametrize("how", PROXY_ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_says_no_tells_nothing_even_if_it_repeats_the_password(
    mode: str, caplog: pytest.LogCaptureFixture, how: str, scheme: str
) -> None:
    with Proxy(answer=PROXY_ANSWERS[how]) as proxy:
        settings = {
            "base_url": f"{scheme}://market.invalid",
            "proxy": f"http://{IN_URL}@{proxy.address}",
            "retry": ONCE,
        }
        with Chat(mode, api_key=KEY, **settings) as chat:
            assert_error_is_clean(failure(chat))
        assert [request.credentials for request in proxy.requests] == [f"user:{PASSWORD}"]
    forget_what_httpcore_was_told(caplog)


def test_a_token_in_the_place_of_the_proxys_user_is_a_secret_too() -> None:
    credentials = Credentials(KEY, None, "http://token-of-the-proxy@127.0.0.1:1", {})
    assert credentials.redact("said token-of-the-proxy") == "said [removed]"
    assert base64.b64encode(KEY.encode()).decode() not in repr(credentials)


def forget_what_httpcore_was_told(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG httpcore logs the head of an answer as it came: what another side put there is not ours to change."""
    caplog.get_records("call")[:] = [record for record in caplog.records if not record.name.startswith("httpcore.")]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 420, 500, 999])
def test_a_server_that_repeats_the_secret_is_not_repeated(
    connect: Callable[..., Chat], server: MockServer, caplog: pytest.LogCaptureFixture, credential: str, status: int
) -> None:
    secret = KEY if credential == "key" else TOKEN
    body = json.dumps(
        {"status": "ERROR", "errors": [{"code": f"bad {secret}", "message": f"{secret} is invalid"}], secret: secret}
    )
    headers = {"X-Echo": f"key={secret};", "traceparent": secret, "Location": f"https://a.invalid/?key={secret}"}
    server.script(Answer(status, body, headers, off_contract=True))
    error = failure(connect(**credentials_of(credential), retry=ONCE))
    assert_error_is_clean(error)
    assert error.errors == (("bad [removed]", "[removed] is invalid"),)
    assert error.headers["x-echo"] == "key=[removed];"
    assert error.trace_id == "[removed]"
    assert error.body == body.replace(secret, "[removed]").encode()
    assert "[removed] is invalid" in str(error)
    forget_what_httpcore_was_told(caplog)


def test_a_secret_repeated_otherwise_spelled_is_not_repeated(
    connect: Callable[..., Chat], server: MockServer, credential: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a URL has it, and as a header whose name ends at the colon of a key."""
    secret = KEY if credential == "key" else TOKEN
    headers = {"X-Echo": f"?key={quote(secret, safe='')}"}
    if credential == "key":
        headers |= dict([secret.split(":", 1)])
    server.script(Answer(400, f"no {quote(secret, safe='')}", headers, off_contract=True))
    error = failure(connect(**credentials_of(credential), retry=ONCE))
    assert_error_is_clean(error)
    assert error.headers["x-echo"] == "?key=[removed]"
    assert error.body == b"no [removed]"
    forget_what_httpcore_was_told(caplog)


ESCAPES: dict[str, Callable[[str], str]] = {
    "every character": lambda secret: "".join(f"\\u{ord(character):04x}" for character in secret),
    "slashes, as PHP does": lambda secret: secret.replace("/", "\\/"),
    "plus signs, as .NET does": lambda secret: secret.replace("+", "\\u002B").replace(":", "\\u003A"),
}


@pytest.mark.parametrize("how", ESCAPES)
def test_a_secret_repeated_with_json_escapes_is_not_repeated(
    connect: Callable[..., Chat], server: MockServer, credential: str, how: str
) -> None:
    escaped = ESCAPES[how](KEY if credential == "key" else TOKEN)
    body = f'{{"status": "ERROR", "errors": [{{"code": "A", "message": "{escaped} is invalid"}}, "{escaped}"]}}'
    server.script(Answer(401, body, off_contract=True))
    error = failure(connect(**credentials_of(credential), retry=ONCE))
    assert [item.message for item in error.errors] == ["[removed] is invalid", "[removed]"]
    secret = KEY if credential == "key" else TOKEN
    for text in (str(error), repr(error.errors), pickle.dumps(error).decode("latin-1")):
        assert secret not in text


@pytest.mark.parametrize("kept", [20, 30, 53])
def test_a_secret_across_the_end_of_what_is_kept_is_not_kept_in_part(
    connect: Callable[..., Chat], server: MockServer, kept: int
) -> None:
    server.script(Answer(500, "x" * (1024 * 1024 - kept) + KEY + "x" * 100, off_contract=True))
    error = failure(connect(retry=ONCE))
    assert len(error.body) <= 1024 * 1024
    assert_clean(error.body, "the body")


@pytest.mark.parametrize("length", [20, 53])
def test_a_secret_in_the_middle_of_which_an_answer_breaks_off_is_taken_out(
    connect: Callable[..., Chat], server: MockServer, length: int
) -> None:
    part = KEY[:length]
    server.script(Answer(400, f"key {part}", headers={"Content-Length": "1000"}, off_contract=True))
    error = failure(connect())
    assert error.body == b"key [removed]"
    assert error.body_truncated


def test_a_whole_answer_may_end_as_a_secret_begins(connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(Answer(500, f"the key begins with {KEY[:9]}", off_contract=True))
    assert failure(connect(retry=ONCE)).body.decode() == f"the key begins with {KEY[:9]}"


@pytest.mark.parametrize("secret", ["status", "OK", '"', "1", "200", "traceparent"])
def test_a_secret_that_looks_like_an_answer_does_not_change_what_the_answer_means(
    mode: str, server: MockServer, secret: str
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-RateLimit-Resource-Limit": "1000", "X-RateLimit-Resource-Remaining": "111", "traceparent": trace}
    server.script(Answer(200, headers=headers), Answer(420, headers=headers))
    with Chat(mode, api_key=secret, base_url=server.base_url, retry=ONCE) as chat:
        sent = chat.send(b"content")
        assert sent.quota is not None
        assert (sent.quota.limit, sent.quota.remaining) == (1000, 111)
        assert type(failure(chat)) is ParallelLimitError


CLIENTS = pytest.mark.parametrize("client", [ChatClient, AsyncChatClient])
# Never as local variables of a test: those are the caller's own, and would be found.
BAD_SECRETS: dict[str, dict[str, Any]] = {
    "key with a line break": {"api_key": KEY + "\n" + KEY},
    "key with a blank": {"api_key": KEY + " " + KEY},
    "key with a Cyrillic letter": {"api_key": KEY.replace("A", "А")},
    "key with NUL": {"api_key": KEY + "\0"},
    "key of bytes": {"api_key": KEY.encode()},
    "token with a line break": {"oauth_token": TOKEN + "\r\n" + TOKEN},
    "token with a Cyrillic letter": {"oauth_token": TOKEN + "я"},
    "key and token": {"api_key": KEY, "oauth_token": TOKEN},
    "no SOCKS": {"api_key": KEY, "proxy": f"socks5://{IN_URL}@127.0.0.1:1"},
    "proxy with a blank": {"api_key": KEY, "proxy": f"http://{IN_URL}@127.0.0.1:1 "},
    "proxy without a host": {"api_key": KEY, "proxy": f"http://{IN_URL}@"},
    "proxy with a bad port": {"api_key": KEY, "proxy": f"http://{IN_URL}@127.0.0.1:x"},
    "proxy with a bad address": {"api_key": KEY, "proxy": f"http://{IN_URL}@999.1.1.1"},
    "password in the base URL": {"api_key": KEY, "base_url": f"https://{IN_URL}@market.invalid"},
    "wrong max_parallel": {"api_key": KEY, "max_parallel": 0},
    "wrong timeout": {"oauth_token": TOKEN, "timeout": 0},
    "wrong integration": {"api_key": KEY, "integration": "\n"},
    "wrong verify": {"api_key": KEY, "verify": "/missing.pem"},
}


@CLIENTS
@pytest.mark.parametrize("how", BAD_SECRETS)
def test_a_client_that_cannot_be_made_tells_nothing(client: type[ChatClient], how: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client(**BAD_SECRETS[how])
    for text in (str(caught.value), repr(caught.value), pickle.dumps(caught.value), caught.value.__dict__):
        assert_clean(text, how)
    assert_error_is_clean(caught.value)


@CLIENTS
@pytest.mark.parametrize("tail", ["\nX", " X", "ключ"])
def test_a_bad_key_in_the_environment_tells_nothing(
    client: type[ChatClient], tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", KEY + tail)
    with pytest.raises(InvalidRequestError, match="YANDEX_MARKET_API_KEY") as caught:
        client()
    assert_error_is_clean(caught.value)


@CLIENTS
def test_a_bad_proxy_in_the_environment_tells_nothing(
    client: type[ChatClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://{IN_URL}@127.0.0.1:1")
    with pytest.raises(InvalidRequestError, match="SOCKS") as caught:
        client()
    assert_error_is_clean(caught.value)


@CLIENTS
def test_a_client_that_is_half_made_can_be_shown(client: type[ChatClient]) -> None:
    # What a debugger does with a client whose constructor has not come to its end.
    half_made = client.__new__(client)
    assert client.__name__ in repr(half_made)


def test_the_mock_server_logs_no_secret_not_even_a_misplaced_one(
    server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    address = server.base_url.removeprefix("http://").split(":")
    path = "/v2/businesses/1/chats/file/send?chatId=2"
    heads = [
        f"POST {path} HTTP/1.1\r\nHost: a\r\nApi-Key: {KEY[:-1]}x\r\nContent-Length: 0",
        f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {KEY}\r\nContent-Length: 0",
        f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {ENCODED}\r\nContent-Length: 0",
        f"POST {path}&api-key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 0",
        f"POST {path} HTTP/1.1\r\nHost: a\r\nApi-Key: {KEY}\0\r\nContent-Length: 0",
        f"POST {path} HTTP/1.1\r\nHost: a\r\nApi-Key {KEY}\r\nContent-Length: 0",
        f"POST {path} HTTP/1.1\r\nHost: a\r\nApi-Key: {KEY}\r\nContent-Length: {KEY}",
        f"{KEY}",
    ]
    for head in heads:
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]  # a loop's own
        assert answer.startswith(b"HTTP/1.1 4")
        assert_clean(answer, "the answer of the mock server")
    server.stop()
    for request in server.requests:
        assert_clean(repr(request), "the repr of a request")
        assert_clean(request.violation, "what broke the contract")
    assert_clean(repr(server), "the repr of the server")
    assert len([record for record in caplog.records if record.name == "yandex_market_chat.testing"]) == len(heads)
