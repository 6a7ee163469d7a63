"""TLS with real certificates, and what the environment says about those that are trusted."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

from yandex_market_chat import (
    ConnectionFailedError,
    ConnectionLostError,
    ResponseTimeoutError,
    RetryPolicy,
    Timeout,
    UnclearResponseError,
)
from yandex_market_chat._route import _context_for
from yandex_market_chat.testing import SCENARIOS, Answer, MockServer

from .conftest import SOON, Chat, certified

FILE = b"a secret that only the buyer may read " * 100
LARGE = FILE * 1300
TWICE = RetryPolicy(attempts=2)


def untouched(server: MockServer) -> bool:
    """Whether no request reached the server, not even the head of one."""
    return server.requests == ()


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
def test_a_change_of_the_environment_is_used_by_the_next_client_that_is_made(
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


def test_a_server_that_asks_for_a_certificate_of_the_client(
    mode: str, ca: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """With TLS 1.3 it says no after the handshake, so the request may have begun."""
    context = certified(ca, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    answered = threading.Event()

    def serve() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True, do_handshake_on_connect=False) as connection:
            with suppress(ssl.SSLError):
                connection.do_handshake()
            answered.wait(SOON)  # closed at once, it would be reset, and its word be lost

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with (
                Chat(mode, api_key="ACMA:" + "k" * 20, base_url=url, verify=trusting) as chat,
                pytest.raises(ConnectionLostError, match=r"; the server asks for a client certificate\)"),
            ):
                chat.send(FILE)
        finally:
            answered.set()
            thread.join()


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


@pytest.mark.parametrize(
    "timeout", [Timeout(total=60.0, connect=0.2), Timeout(total=0.2, connect=60.0)], ids=["connect", "total"]
)
def test_a_handshake_that_takes_too_long_is_not_sent(
    connect_to: Callable[..., Chat], tls_server: MockServer, timeout: Timeout
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "https://{}:{}".format(*listener.getsockname())
        with pytest.raises(ConnectionFailedError) as caught:
            connect_to(tls_server, base_url=url, verify=False, timeout=timeout, retry=RetryPolicy(attempts=1)).send(
                FILE
            )
    assert 0.15 < caught.value.elapsed < SOON


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
        secure(timeout=Timeout(total=1.0)).send(LARGE)
    assert 0.9 < caught.value.elapsed < SOON


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


class Defective(ssl.SSLContext):
    """A context of the caller's own, with a defect."""

    def wrap_bio(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a defect of the caller's")

    wrap_socket = wrap_bio


def test_what_a_context_of_the_callers_raises_is_raised_as_it_is(
    connect_to: Callable[..., Chat], tls_server: MockServer
) -> None:
    with pytest.raises(TypeError, match="a defect of the caller's"):
        connect_to(tls_server, verify=Defective(ssl.PROTOCOL_TLS_CLIENT)).send(FILE)
    assert untouched(tls_server)
