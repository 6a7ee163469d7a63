"""Proxies: tunnels, forwarding, what they refuse, and where the environment names them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import trustme

from yandex_market_chat import (
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    RetryPolicy,
    ServerError,
    Timeout,
    UnexpectedRefusalError,
)
from yandex_market_chat.testing import SCENARIOS, MockServer

from .conftest import SOON, Chat, certified
from .proxy import Proxy
from .test_tls import FILE, LARGE, stranger, untouched

# Proxies


@pytest.fixture(params=["http proxy", "https proxy"])
def proxy(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[Callable[..., Proxy]]:
    """Make a proxy of either kind."""
    with ExitStack() as running:
        tls = certified(ca, "127.0.0.1") if request.param == "https proxy" else None
        yield lambda **arguments: running.enter_context(Proxy(tls=tls, **arguments))


def test_a_tunnel_shows_the_proxy_neither_key_nor_file(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy]
) -> None:
    via = proxy()
    secure(proxy=via.url).send(LARGE)
    assert tls_server.received[0].content == LARGE
    (request,) = via.requests
    assert (request.method, f"https://{request.target}") == ("CONNECT", tls_server.base_url)
    assert "api-key" not in request.headers
    for secret in (tls_server.api_key.encode(), FILE[:20], b"chatId", b"file.bin"):
        assert secret not in via.seen
    assert len(via.seen) > len(LARGE)


def test_a_plain_server_is_reached_by_forwarding(
    connect_to: Callable[..., Chat], server: MockServer, trusting: ssl.SSLContext, proxy: Callable[..., Proxy]
) -> None:
    via = proxy()
    connect_to(server, proxy=via.url, verify=trusting).send(FILE)
    assert server.received[0].content == FILE
    (request,) = via.requests
    assert request.method == "POST"
    assert request.target.startswith(server.base_url)


@pytest.mark.parametrize("target", ["https", "http"])
def test_a_proxy_gets_its_user_and_password(
    connect_to: Callable[..., Chat],
    server: MockServer,
    tls_server: MockServer,
    trusting: ssl.SSLContext,
    proxy: Callable[..., Proxy],
    target: str,
) -> None:
    via = proxy(credentials="user:p@ss/w:rd")
    to = server if target == "http" else tls_server
    url = via.url.replace("://", "://user:p%40ss%2Fw%3Ard@")
    connect_to(to, proxy=url, verify=trusting).send(FILE)
    assert [request.credentials for request in via.requests] == ["user:p@ss/w:rd"]
    assert not [name for name, _ in to.requests[0].headers if name.lower().startswith("proxy")]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 407 %s\r\n\r\n", "407"),
        (b"HTTP/1.1 403 Forbidden\r\nX-Echo: %s\r\n\r\n%s", "403"),
        (b"HTTP/1.1 302 %s\r\nLocation: https://127.0.0.1/\r\n\r\n", "302"),
    ],
)
def test_a_proxy_that_says_no_is_not_asked_again(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy], answer: bytes, sentence: str
) -> None:
    via = proxy(answer=answer.replace(b"%s", b"not for user:p@ss/w:rd"))
    with pytest.raises(ConnectionFailedError, match=sentence) as caught:
        secure(proxy=via.url.replace("://", "://user:p%40ss%2Fw%3Ard@")).send(FILE)
    assert caught.value.attempts == len(via.requests) == 1
    assert tls_server.connections == 0
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("hangs up", b""),
        ("garbage", b"\x15\x03\x01\x00\x02\x02\x16"),
        ("half an answer", b"HTTP/1.1 200 Conn"),
        ("finds nobody", b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
        ("has waited for the request", b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
        ("has too many to ask for", b"HTTP/1.1 429 Too Many Requests\r\n\r\n"),
        ("waits for nobody", b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 2\r\n\r\nno"),
    ],
)
def test_a_proxy_that_finds_no_way_is_asked_again(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy], fault: str, answer: bytes
) -> None:
    via = proxy(answer=answer)
    with pytest.raises(ConnectionFailedError) as caught:
        secure(proxy=via.url).send(FILE)
    assert caught.value.attempts == len(via.requests) == 2
    assert tls_server.connections == 0


def test_a_tunnel_that_ends_before_the_handshake_is_not_sent(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy]
) -> None:
    via = proxy(cut_tunnel=True)
    with pytest.raises(ConnectionFailedError) as caught:
        secure(proxy=via.url).send(FILE)
    assert caught.value.attempts == len(via.requests) == 2
    assert untouched(tls_server)


def test_a_tunnel_that_ends_after_the_request_is_unknown(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy]
) -> None:
    tls_server.script(SCENARIOS["silence-after-body"])
    via = proxy(cut_when=lambda: any(request.body_complete for request in tls_server.requests))
    with pytest.raises(ConnectionLostError) as caught:
        secure(proxy=via.url).send(FILE)
    assert caught.value.attempts == len(via.requests) == len(tls_server.requests) == 1


@pytest.mark.parametrize(
    "timeout", [Timeout(total=60.0, connect=0.2), Timeout(total=0.2, connect=60.0)], ids=["connect", "total"]
)
def test_a_silent_proxy_is_not_sent_in_time(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy], timeout: Timeout
) -> None:
    via = proxy(silent=True)
    with pytest.raises(ConnectionFailedError) as caught:
        secure(proxy=via.url, timeout=timeout, retry=RetryPolicy(attempts=1)).send(FILE)
    assert tls_server.connections == 0
    assert 0.15 < caught.value.elapsed < SOON


def test_the_total_bounds_a_tunnel_that_drips(
    mode: str, secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy]
) -> None:
    via = proxy(drip=0.002)
    with pytest.raises(ChatError) as caught:
        secure(proxy=via.url, timeout=Timeout(total=0.4), retry=RetryPolicy(attempts=1)).send(FILE)
    if not (mode == "sync" and via.url.startswith("https:")):  # httpcore's TLS in TLS has a bound for each read only
        assert 0.35 < caught.value.elapsed < SOON
    assert tls_server.received == ()


def test_a_proxy_that_refuses_is_not_sent(secure: Callable[..., Chat], tls_server: MockServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())
    with pytest.raises(ConnectionFailedError) as caught:
        secure(proxy=url).send(FILE)
    assert caught.value.attempts == 2
    assert tls_server.connections == 0


def test_a_proxy_with_a_refused_certificate_gets_no_request(
    secure: Callable[..., Chat], tls_server: MockServer, ca: trustme.CA
) -> None:
    with Proxy(tls=stranger(ca)) as via:
        with pytest.raises(ConnectionFailedError, match="certificate") as caught:
            secure(proxy=via.url).send(FILE)
        assert caught.value.attempts == 1
        assert (via.requests, tls_server.connections) == ([], 0)


def test_a_server_with_a_refused_certificate_gets_no_request_through_a_proxy(
    connect_to: Callable[..., Chat], ca: trustme.CA, trusting: ssl.SSLContext, proxy: Callable[..., Proxy]
) -> None:
    via = proxy()
    with MockServer(ssl_context=stranger(ca)) as server:
        with pytest.raises(ConnectionFailedError) as caught:
            connect_to(server, verify=trusting, proxy=via.url).send(FILE)
        assert caught.value.attempts == len(via.requests) >= 1
        assert untouched(server)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", UnexpectedRefusalError),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", ServerError),
        (b"", ConnectionLostError),
        (b"garbage\r\n\r\n", ConnectionLostError),
    ],
)
def test_what_a_forwarding_proxy_says_is_the_answer_to_the_request(
    connect_to: Callable[..., Chat], server: MockServer, answer: bytes, expected: type[ChatError]
) -> None:
    # It has the file, in plain text: only its word says that it did not pass it on.
    with Proxy(answer=answer) as via:
        with pytest.raises(expected) as caught:
            connect_to(server, proxy=via.url).send(FILE)
        assert caught.value.attempts == len(via.requests) == 1
    assert server.connections == 0


def test_a_forwarding_proxy_that_finds_nobody_is_unknown(connect_to: Callable[..., Chat], server: MockServer) -> None:
    server.stop()
    with Proxy() as via, pytest.raises(DeliveryUnknownError) as caught:
        connect_to(server, proxy=via.url).send(FILE)
    assert caught.value.attempts == 1


# The environment


@pytest.mark.parametrize(
    ("target", "variable"),
    [
        ("https", "HTTPS_PROXY"),
        ("https", "https_proxy"),
        ("https", "ALL_PROXY"),
        ("http", "HTTP_PROXY"),
        ("http", "http_proxy"),
        ("http", "all_proxy"),
    ],
)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_environment_names_the_proxy(
    connect_to: Callable[..., Chat],
    server: MockServer,
    tls_server: MockServer,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    variable: str,
    scheme: str,
) -> None:
    to = server if target == "http" else tls_server
    with Proxy(credentials="user:password") as via:
        monkeypatch.setenv(variable, f"{scheme}user:password@{via.address}")
        connect_to(to, verify=trusting).send(FILE)
        assert len(via.requests) == 1
    assert len(to.received) == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": "{}"},
        {"HTTPS_PROXY": "{}", "NO_PROXY": "127.0.0.1"},
        {"HTTPS_PROXY": "{}", "NO_PROXY": "example.com, 127.0.0.1"},
        {"HTTPS_PROXY": "{}", "NO_PROXY": ".0.0.1"},
        {"HTTPS_PROXY": "{}", "NO_PROXY": "0.0.1"},
        {"HTTPS_PROXY": "{}", "NO_PROXY": "*"},
        {"https_proxy": "{}", "no_proxy": "127.0.0.1"},
        {"ALL_PROXY": "{}", "no_proxy": "*"},
        {"HTTPS_PROXY": ""},
    ],
    ids=str,
)
def test_the_environment_excepts_the_server_from_the_proxy(
    secure: Callable[..., Chat], tls_server: MockServer, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    with Proxy() as via:
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(via.url))
        secure().send(FILE)
        assert via.requests == []
    assert len(tls_server.received) == 1


def test_an_exception_may_name_the_port(
    secure: Callable[..., Chat], tls_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(tls_server.base_url.rpartition(":")[2])
    with Proxy() as via:
        monkeypatch.setenv("HTTPS_PROXY", via.url)
        for excepted, asked in ((port, 0), (port % 65535 + 1, 1)):
            monkeypatch.setenv("NO_PROXY", f"127.0.0.1:{excepted}")
            secure().send(FILE)
            assert len(via.requests) == asked


@pytest.mark.parametrize("exceptions", ["127.0.0.2", "example.com", "7.0.0.1", "", "[example.com", "127.0.0.1:port"])
def test_exceptions_for_others_leave_the_proxy_in_place(
    secure: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    with Proxy() as via:
        monkeypatch.setenv("HTTPS_PROXY", via.url)
        monkeypatch.setenv("NO_PROXY", exceptions)
        secure().send(FILE)
        assert len(via.requests) == 1


@pytest.mark.parametrize("with_other", [False, True])
def test_an_argument_wins_over_the_environment(
    secure: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch, with_other: bool
) -> None:
    with Proxy() as named, Proxy() as other:
        monkeypatch.setenv("HTTPS_PROXY", named.url)
        secure(proxy=other.url if with_other else "").send(FILE)
        assert (len(named.requests), len(other.requests)) == (0, int(with_other))


def test_a_change_of_the_environment_does_not_reach_a_client_that_is_there(
    secure: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as via:
        chat = secure()
        monkeypatch.setenv("HTTPS_PROXY", via.url)
        chat.send(FILE)
        assert via.requests == []
