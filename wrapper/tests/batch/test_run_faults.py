"""What is at fault is the run: the items stay pending, the reason is told, and the next run needs no flag."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator

import pytest
import trustme

from yandex_market_chat import ApiErrorItem, InvalidRequestError, NotFoundError, RetryPolicy, ServerError
from yandex_market_chat.batch import BatchProgress, _engine, _reach, _run
from yandex_market_chat.batch._outcome import is_foreign
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from ..proxy import Proxy
from .conftest import Mailing, chats

PORTAL = b"<html><body>Log in to the network of the hotel</body></html>"
ONCE = RetryPolicy(attempts=1)


def page(status: int, **headers: str) -> Answer:
    """What is no answer of Market's."""
    return Answer(status, PORTAL, headers={"Content-Type": "text/html", **headers}, off_contract=True)


@pytest.fixture
def tls(mailing: Mailing) -> Iterator[Mailing]:
    """The mailing, for a server with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with MockServer(ssl_context=context) as server:
        mailing.server = server
        yield mailing


@pytest.fixture(autouse=True)
def _short_pauses_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reach, "LONGEST_PAUSE", 0.05)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_certificates_that_cannot_be_loaded(
    tls: Mailing, monkeypatch: pytest.MonkeyPatch, variable: str, dry_run: bool
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, str(tls.folder / "missing" / "x.pem"))
    tls.write(*chats(3))
    with pytest.raises(InvalidRequestError, match=variable):
        tls.run(dry_run=dry_run)
    assert not tls.journal.exists()


def test_a_certificate_that_is_refused_ends_it_at_the_first(tls: Mailing) -> None:
    tls.write(*chats(50), *(f"2,{chat},b.pdf" for chat in range(50)[1:]))
    result = tls.run()
    assert (result.left, result.not_sent, result.unknown) == (99, 0, 0)
    assert result.stopped
    assert "CERTIFICATE_VERIFY_FAILED" in result.stopped
    assert tls.server.connections == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n"])
def test_a_proxy_that_says_no_ends_it_at_the_first(tls: Mailing, answer: bytes) -> None:
    tls.write(*chats(50))
    with Proxy(answer=answer) as proxy:
        result = tls.run({"proxy": proxy.url})
        assert len(proxy.requests) == 1
    assert (result.left, result.not_sent) == (50, 0)
    assert result.stopped
    assert answer[9:12].decode() in result.stopped


def test_a_proxy_that_answers_itself(mailing: Mailing) -> None:
    """To a http:// server the proxy could as well be Market."""
    mailing.write(*chats(50))
    with Proxy(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n" + PORTAL) as proxy:
        result = mailing.run({"proxy": proxy.url})
        assert len(proxy.requests) == 1
    assert (result.left, result.not_sent) == (50, 0)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 429, 451])
def test_a_page_that_is_not_markets_ends_it_at_the_first(mailing: Mailing, status: int) -> None:
    for chat in range(1, 51):
        mailing.server.script_for(chat, page(status), page(status))
    mailing.write(*chats(50), *(f"2,{chat},b.pdf" for chat in range(1, 51)))
    result = mailing.run()
    assert (result.left, result.not_sent, result.unknown) == (100, 0, 0)
    assert result.stopped
    assert "not Market's" in result.stopped
    assert str(status) in result.stopped
    assert len(mailing.server.requests) == 1
    mailing.server._service.script._by_chat.clear()
    assert mailing.run().sent == 100


@pytest.mark.parametrize("status", [200, 302, 511])
def test_a_portal_that_may_have_taken_the_file_costs_one_item(mailing: Mailing, status: int) -> None:
    for chat in range(1, 51):
        mailing.server.script_for(chat, *[page(status, Location="http://portal.example/")] * 2)
    mailing.write(*chats(50), *(f"2,{chat},b.pdf" for chat in range(1, 51)))
    result = mailing.run()
    assert (result.left, result.not_sent, result.unknown) == (99, 0, 1)
    assert result.stopped
    assert "not Market's" in result.stopped


def test_a_portal_that_comes_later(mailing: Mailing) -> None:
    for chat in range(11, 51):
        mailing.server.script_for(chat, page(403))
    mailing.write(*chats(50))
    result = mailing.run({"max_parallel": 1})
    assert (result.sent, result.left, result.not_sent) == (10, 40, 0)
    assert result.stopped
    assert len(mailing.server.requests) == 10 + _reach.FOREIGN


def test_one_file_that_a_gateway_refuses(mailing: Mailing) -> None:
    mailing.server.script_for(5, page(403))
    mailing.write(*chats(20))
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.not_sent, result.needs_fix, result.stopped) == (19, 1, 1, None)
    assert [row["retryable"] for row in mailing.report() if row["outcome"] == "not sent"] == ["no"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_does_not_burn_the_quota(mailing: Mailing, status: int) -> None:
    for chat in range(1, 101):
        mailing.server.script_for(chat, Answer(status))
    mailing.write(*chats(100), "2,200,a.pdf", "2,201,a.pdf")
    result = mailing.run()
    assert (result.sent, result.left, result.not_sent) == (2, 100, 0)
    assert result.stopped
    assert "business 1: 5 sends in a row were refused" in result.stopped
    assert 5 <= len(mailing.server.requests) - 2 <= 8
    # The next run goes on with all of it.
    mailing.server._service.script._by_chat.clear()
    result = mailing.run()
    assert (result.sent, result.stopped) == (102, None)


@pytest.mark.parametrize("count", [1, 3])
def test_a_refused_key_and_few_items(mailing: Mailing, count: int) -> None:
    for chat in range(1, count + 1):
        mailing.server.script_for(chat, Answer(401))
    mailing.write(*chats(count))
    result = mailing.run()
    assert (result.left, result.not_sent) == (count, 0)
    assert result.stopped
    assert "AuthenticationError" in result.stopped
    assert mailing.run().sent == count


def test_a_key_that_is_revoked_on_the_way(mailing: Mailing) -> None:
    for chat in range(11, 31):
        mailing.server.script_for(chat, Answer(401))
    mailing.write(*chats(30))
    # One at a time: a refusal that comes before a file is taken is the item's own.
    result = mailing.run({"max_parallel": 1})
    assert (result.sent, result.left, result.not_sent) == (10, 20, 0)


@pytest.mark.parametrize("chat", [1, 5, 10])
def test_one_chat_that_is_refused_is_the_items_own(mailing: Mailing, chat: int) -> None:
    mailing.server.script_for(chat, Answer(403))
    mailing.write(*chats(10))
    result = mailing.run()
    assert (result.sent, result.not_sent, result.needs_fix, result.stopped) == (9, 1, 1, None)


def test_no_network_and_again(mailing: Mailing) -> None:
    mailing.write(*chats(50))
    result = mailing.run({"base_url": "http://127.0.0.1:1", "retry": ONCE})
    assert (result.left, result.not_sent) == (50, 0)
    assert result.stopped
    assert "127.0.0.1:1" in result.stopped
    result = mailing.run()
    assert (result.sent, result.stopped) == (50, None)


def test_few_items_and_no_network_end_soon(mailing: Mailing) -> None:
    mailing.write(*chats(2))
    lost: list[int] = []
    mailing.run({"base_url": "http://127.0.0.1:1", "retry": ONCE}, on_progress=lambda each: lost.append(each.done))
    assert set(lost) == {0}
    assert mailing.states() == {"1/1/a.pdf": "pending", "1/2/a.pdf": "pending"}


def test_a_passing_outage_costs_nothing(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is away for some rounds in the middle of the run."""
    monkeypatch.setattr(_reach, "UNREACHED", 1000)
    mailing.write(*chats(20))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mailing.server.script_for(5, Fault(delay=0.2))
        connect = asyncio.BaseEventLoop.create_connection
        rounds: list[int] = []

        def away(loop: asyncio.BaseEventLoop, *arguments: object, **more: object) -> object:
            if len(mailing.server.received) >= 8 and len(rounds) < 12:
                rounds.append(1)
                more |= {"host": "127.0.0.1", "port": closed.getsockname()[1]}
                arguments = arguments[:1]
            return connect(loop, *arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", away)
        result = mailing.run({"retry": ONCE})
    assert (result.sent, result.not_sent, result.stopped) == (20, 0, None)
    assert set(mailing.arrived().values()) == {1}


@pytest.mark.parametrize("outcome", ["500", "drop-after-body"])
def test_many_in_a_row_that_nobody_knows_of_end_it(mailing: Mailing, outcome: str) -> None:
    for chat in range(1, 101):
        mailing.server.script_for(chat, Answer(500) if outcome == "500" else SCENARIOS[outcome])
    mailing.write(*chats(100))
    result = mailing.run()
    assert result.unknown + result.left == 100
    assert _reach.UNKNOWN <= result.unknown <= _reach.UNKNOWN + 3
    assert result.stopped
    assert "10 sends in a row ended unknown" in result.stopped


def test_a_business_whose_sends_end_unknown_is_skipped_and_others_go_on(mailing: Mailing) -> None:
    mailing.write(*(line for chat in range(1, 51) for line in (f"1,{chat},a.pdf", f"2,{chat + 100},a.pdf")))
    for chat in range(1, 51):
        mailing.server.script_for(chat, Answer(500))
    result = mailing.run({"max_parallel": 1})
    assert result.sent == 50
    assert result.stopped
    assert result.stopped.startswith("business 1: 10 sends in a row ended unknown (ServerError)")
    assert (result.unknown, result.left) == (10, 40)


def test_a_client_that_is_closed_on_the_way(mailing: Mailing) -> None:
    mailing.write(*chats(20))

    async def run() -> None:
        async with mailing.client(max_parallel=1) as chat:
            closing: list[asyncio.Task[None]] = []

            def watch(progress: BatchProgress) -> None:
                if progress.sent == 3 and not closing:
                    closing.append(asyncio.create_task(chat.aclose()))

            result = await _engine.send_batch(chat, mailing.manifest, journal=mailing.journal, on_progress=watch)
            assert result.not_sent == result.unknown == 0
            assert result.sent + result.left == 20
            assert result.stopped
            assert "closed" in result.stopped

    asyncio.run(run())
    assert mailing.run().sent == 20


def test_a_disk_that_goes_away(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    mailing.write(*chats(20))

    def read(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(_run, "_read", read)
    result = mailing.run()
    assert (result.left, result.not_sent) == (20, 0)
    assert result.stopped
    assert os.strerror(errno.EIO) in result.stopped


def test_a_reason_is_told_of_each_business(mailing: Mailing) -> None:
    for chat in range(1, 5 * 6 + 1):
        mailing.server.script_for(chat, *[Answer(403)] * 6)
    mailing.write(*(f"{business},{chat},a.pdf" for business in range(1, 7) for chat in range(1, 7)), "9,99,a.pdf")
    result = mailing.run()
    assert (result.sent, result.left) == (1, 36)
    assert result.stopped
    assert result.stopped.count("AccessDeniedError") == 5
    assert result.stopped.endswith("; and others")


@pytest.mark.parametrize(
    ("body", "trace_id", "foreign"),
    [
        (b'{"status": "ERROR", "errors": [{"code": "X", "message": "y"}]}', None, False),
        (b'{"status": "ERROR"}', None, False),
        (b'{"timestamp": 1, "status": 404, "error": "Not Found"}', None, True),
        (b"[]", None, True),
        (b"[" * 100_000, None, True),
        (b"<html>", "00-1", True),
        (b"", None, True),
        (b"", "00-1", False),
    ],
)
def test_whose_response_it_is(body: bytes, trace_id: str | None, foreign: bool) -> None:
    items = (ApiErrorItem("X", "y"),) if b"errors" in body else ()
    for kind, status, expected in (
        (NotFoundError, 404, foreign),
        (ServerError, 502, False),
        (ServerError, 511, foreign),
    ):
        error = kind._because("", status_code=status, body=body, trace_id=trace_id, errors=items)
        assert is_foreign(error) == expected
