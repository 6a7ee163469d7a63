"""Where to, and whom to trust: arguments and environment, checked."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import ConnectionFailedError, InvalidRequestError, NotFoundError, RetryPolicy
from yandex_market_chat._api import contract
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .handed_over import refused
from .test_arguments import KEY, assert_no_client

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
def test_an_address_that_is_none_is_refused(what: str, mode: str) -> None:
    assert_no_client(mode, "base_url must be", base_url=BAD_URLS[what])
    if what != "broken punycode":  # the name of a proxy is found or not found, as it is
        assert_no_client(mode, "proxy must be", proxy=BAD_URLS[what])


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/market/v2", "/v2/businesses"])
def test_an_address_that_holds_the_beginning_of_the_paths_is_refused(path: str, mode: str) -> None:
    assert_no_client(mode, "must end before /v2", base_url=f"https://api.example.ru{path}")


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
def test_a_base_url_is_only_scheme_host_port_and_path(value: str, mode: str) -> None:
    error = assert_no_client(mode, "base_url must be", base_url=value)
    assert "FAKE" not in str(error)


def test_a_base_url_from_the_environment_is_held_to_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", "api.example.ru")
    assert_no_client(mode, "$YANDEX_MARKET_BASE_URL must be")


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


def test_without_anything_said_it_is_the_documented_server(mode: str) -> None:
    with Chat(mode, api_key=KEY) as chat:
        assert "https://api.partner.market.yandex.ru" in repr(chat.client)


def test_the_contract_names_the_two_documented_servers() -> None:
    named = [server["url"] for server in contract()["servers"]]
    assert named == ["https://api.partner.market.yandex.ru", "https://api.partner.market.yandex.net"]


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "socks5h://127.0.0.1", "socks4://u:FAKE@127.0.0.1"])
def test_a_socks_proxy_is_refused(value: str, mode: str) -> None:
    error = assert_no_client(mode, "SOCKS proxies are not supported", proxy=value)
    assert "FAKE" not in str(error)


def test_a_bad_proxy_is_refused_without_its_password(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ("http://user:FAKE@", "gopher://user:FAKE@h:1", "http://user:FAKE@h:x", "http://user:FÄKE@h"):
        error = assert_no_client(mode, "proxy must be", proxy=bad)
        assert "user" not in str(error)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:FAKE@h")
    error = assert_no_client(mode, "SOCKS")
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


def test_certificates_that_cannot_be_used_are_refused_when_the_client_is_made(mode: str, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    (tmp_path / "binary.pem").write_bytes(bytes(range(256)))
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    for value, words in {
        "missing.pem": "No such file",
        str(tmp_path / "missing.pem"): "No such file",
        tmp_path: str(tmp_path),
        tmp_path / "no.pem": "no.pem",
        str(tmp_path / "binary.pem"): "binary.pem",
        tmp_path / "broken.pem": "broken.pem",
        "": "''",
        "a\0b": "",
    }.items():
        assert_no_client(mode, "verify names a CA file that cannot be used", words, verify=value)
    for wrong in (None, 1, 0, [], b"a.pem"):
        assert_no_client(mode, "verify must be", type(wrong).__name__, verify=wrong)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_certificates_of_the_environment_that_cannot_be_used_are_refused_before_anything_goes_out(
    connect: Callable[..., Chat], server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    chat = connect(base_url=server.base_url.replace("http:", "https:"))
    monkeypatch.setenv(variable, str(tmp_path / "missing" / "here"))
    with refused(server, InvalidRequestError, variable, "missing"):
        chat.send(b"x")


def test_a_certificate_of_the_environment_that_is_broken_is_refused_before_anything_goes_out(
    connect: Callable[..., Chat], server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    chat = connect(base_url=server.base_url.replace("http:", "https:"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "broken.pem"))
    with refused(server, InvalidRequestError, "certificates", "SSL_CERT_FILE"):
        chat.send(b"x")


@pytest.mark.parametrize("value", [True, False, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)], ids=["yes", "no", "context"])
def test_every_other_kind_of_trust_is_taken(value: Any, connect: Callable[..., Chat], server: MockServer) -> None:
    connect(verify=value).send(b"x")
    assert len(server.received) == 1


def test_a_server_is_found_by_its_name(mode: str, server: MockServer) -> None:
    url = server.base_url.replace("127.0.0.1", "localhost")
    with Chat(mode, api_key=server.api_key, base_url=url) as chat:
        chat.send(b"x")
    assert len(server.received) == 1
