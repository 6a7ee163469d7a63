"""The way to the server: real certificates, real proxies, and what the environment says about both."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from yandex_market_chat import (
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    ResponseTimeoutError,
    RetryPolicy,
    ServerError,
    Timeout,
    UnclearResponseError,
    UnexpectedRefusalError,
)
from yandex_market_chat._route import _context_for
from yandex_market_chat.testing import SCENARIOS, Answer, MockServer

from .conftest import Chat
from .proxy import Proxy

FILE = b"a secret that only the buyer may read " * 100
LARGE = FILE * 1300
TWICE = RetryPolicy(attempts=2)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def certified(ca: trustme.CA, *names: str, **terms: Any) -> ssl.SSLContext:
    """What a server needs that proves to be one of those names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, **terms).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def tls_server(ca: trustme.CA) -> Iterator[MockServer]:
    with MockServer(ssl_context=certified(ca, "127.0.0.1")) as running:
        yield running


@pytest.fixture
def connect_to(mode: str) -> Iterator[Callable[..., Chat]]:
    """Make a client of any server."""
    with ExitStack() as made:

        def make(server: MockServer, **arguments: Any) -> Chat:
            defaults = {"api_key": server.api_key, "base_url": server.base_url, "timeout": 5.0, "retry": TWICE}
            return made.enter_context(Chat(mode, **(defaults | arguments)))

        yield make


@pytest.fixture
def secure(connect_to: Callable[..., Chat], tls_server: MockServer, trusting: ssl.SSLContext) -> Callable[..., Chat]:
    """Make a client of the TLS server that trusts it."""
    return lambda **arguments: connect_to(tls_server, **({"verify": trusting} | arguments))


def untouched(server: MockServer) -> bool:
    """Whether no request reached the server, not even the head of one."""
    return server.requests == ()


# TLS


@pytest.mark.parametrize("way", ["path", "str", "context", "environment"])
def test_a_known_authority_is_trusted(
    connect_to: Callable[..., Chat],
    tls_server: MockServer,
    ca: trustme.CA,
    trusting: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    pem = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    if way == "environment":
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    verify = {"path": pem, "str": str(pem), "context": trusting, "environment": True}[way]
    assert connect_to(tls_server, verify=verify).send(FILE).attempts == 1
    assert tls_server.received[0].content == FILE


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_change_of_the_environment_is_heeded_by_the_next_client_that_is_made(
    tmp_path: Path, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    made = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        monkeypatch.setenv(variable, str(folder / "ca.pem" if variable == "SSL_CERT_FILE" else folder))
        made += [_context_for(True), _context_for(True)]
    assert made[0] is made[1]
    assert made[2] is made[3]
    assert made[0] is not made[2]


def stranger(ca: trustme.CA) -> ssl.SSLContext:
    return certified(trustme.CA(), "127.0.0.1")


def namesake(ca: trustme.CA) -> ssl.SSLContext:
    return certified(ca, "api.partner.market.yandex.ru", "127.0.0.2")


def expired(ca: trustme.CA) -> ssl.SSLContext:
    return certified(ca, "127.0.0.1", not_after=datetime.now(UTC) - timedelta(hours=1))


IMPOSTORS = pytest.mark.parametrize("impostor", [stranger, namesake, expired])


@IMPOSTORS
def test_a_refused_certificate_is_not_sent_and_not_repeated(
    connect_to: Callable[..., Chat], ca: trustme.CA, trusting: ssl.SSLContext, impostor: Callable[..., ssl.SSLContext]
) -> None:
    with MockServer(ssl_context=impostor(ca)) as server:
        with pytest.raises(ConnectionFailedError, match="certificate") as caught:
            connect_to(server, verify=trusting).send(FILE)
        assert caught.value.attempts == server.connections == 1
        assert untouched(server)


def test_by_default_no_private_authority_is_trusted(connect_to: Callable[..., Chat], tls_server: MockServer) -> None:
    with pytest.raises(ConnectionFailedError, match="certificate"):
        connect_to(tls_server).send(FILE)
    assert untouched(tls_server)


@IMPOSTORS
def test_without_verification_anyone_is_trusted(
    connect_to: Callable[..., Chat], ca: trustme.CA, impostor: Callable[..., ssl.SSLContext]
) -> None:
    with MockServer(ssl_context=impostor(ca)) as server:
        connect_to(server, verify=False).send(FILE)
        assert len(server.received) == 1


def test_a_plain_server_at_an_https_url_gets_no_request(connect_to: Callable[..., Chat], server: MockServer) -> None:
    with pytest.raises(ConnectionFailedError) as caught:
        connect_to(server, base_url=server.base_url.replace("http:", "https:"), verify=False).send(FILE)
    assert caught.value.attempts == 2
    # It sees the first bytes of TLS and takes them for a broken request.
    assert {(request.method, request.body) for request in server.requests} <= {("", b"")}


def test_a_tls_server_at_an_http_url_is_unknown(connect_to: Callable[..., Chat], tls_server: MockServer) -> None:
    with pytest.raises(ConnectionLostError) as caught:
        connect_to(tls_server, base_url=tls_server.base_url.replace("https:", "http:")).send(FILE)
    assert caught.value.attempts == 1
    assert untouched(tls_server)


@pytest.mark.parametrize("timeout", [Timeout(total=2.0, connect=0.2), Timeout(total=0.2)], ids=["connect", "total"])
def test_a_handshake_that_takes_too_long_is_not_sent(
    connect_to: Callable[..., Chat], tls_server: MockServer, timeout: Timeout
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "https://{}:{}".format(*listener.getsockname())
        with pytest.raises(ConnectionFailedError) as caught:
            connect_to(tls_server, base_url=url, verify=False, timeout=timeout, retry=RetryPolicy(attempts=1)).send(
                FILE
            )
    assert 0.15 < caught.value.elapsed < 1.5


def test_a_handshake_that_is_given_up_leaves_no_connection_open(
    connect_to: Callable[..., Chat], tls_server: MockServer
) -> None:
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = "https://{}:{}".format(*listener.getsockname())
            chat = connect_to(tls_server, base_url=url, verify=False, timeout=0.1, retry=RetryPolicy(attempts=1))
            with pytest.raises(ConnectionFailedError):
                chat.send(FILE)
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(0.3)
                while accepted.recv(65536):
                    pass
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.parametrize("name", ["drop-before-body", "drop-after-body", "reset-after-body", "drop-in-answer"])
def test_a_cut_after_the_handshake_is_unknown(secure: Callable[..., Chat], tls_server: MockServer, name: str) -> None:
    tls_server.script(SCENARIOS[name])
    with pytest.raises(ConnectionLostError):
        secure().send(LARGE)
    assert len(tls_server.requests) == 1


def test_a_large_file_goes_through_tls(secure: Callable[..., Chat], tls_server: MockServer) -> None:
    secure().send(LARGE)
    assert tls_server.received[0].content == LARGE


@pytest.mark.parametrize("name", ["silence-in-body", "silence-after-body", "dripped-answer"])
def test_the_total_bounds_a_send_through_tls(secure: Callable[..., Chat], tls_server: MockServer, name: str) -> None:
    tls_server.script(SCENARIOS[name])
    with pytest.raises(ResponseTimeoutError) as caught:
        secure(timeout=Timeout(total=0.3)).send(LARGE)
    assert 0.25 < caught.value.elapsed < 1.5


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


@pytest.mark.parametrize("timeout", [Timeout(total=2.0, connect=0.2), Timeout(total=0.2)], ids=["connect", "total"])
def test_a_silent_proxy_is_not_sent_in_time(
    secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy], timeout: Timeout
) -> None:
    via = proxy(silent=True)
    with pytest.raises(ConnectionFailedError) as caught:
        secure(proxy=via.url, timeout=timeout, retry=RetryPolicy(attempts=1)).send(FILE)
    assert tls_server.connections == 0
    assert 0.15 < caught.value.elapsed < 1.5


def test_the_total_bounds_a_tunnel_that_drips(
    mode: str, secure: Callable[..., Chat], tls_server: MockServer, proxy: Callable[..., Proxy]
) -> None:
    via = proxy(drip=0.002)
    with pytest.raises(ChatError) as caught:
        secure(proxy=via.url, timeout=Timeout(total=0.4), retry=RetryPolicy(attempts=1)).send(FILE)
    if not (mode == "sync" and via.url.startswith("https:")):  # httpcore's TLS in TLS has a bound for each read only
        assert 0.35 < caught.value.elapsed < 1.0
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


@pytest.mark.parametrize("exceptions", ["127.0.0.2", "example.com", "7.0.0.1", ""])
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


def test_no_redirect_leads_elsewhere(secure: Callable[..., Chat], tls_server: MockServer) -> None:
    with MockServer() as elsewhere:
        for status in (301, 302, 307, 308):
            tls_server.script(Answer(status, headers={"Location": elsewhere.base_url + "/"}, off_contract=True))
            with pytest.raises(UnclearResponseError):
                secure().send(FILE)
        assert elsewhere.connections == 0
    assert len(tls_server.requests) == 4


def test_a_context_from_before_truststore_was_injected_is_taken(
    secure: Callable[..., Chat], trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "SSLContext", type("SSLContext", (ssl.SSLContext,), {}))
    assert not isinstance(trusting, ssl.SSLContext)
    assert secure().send(FILE).attempts == 1
