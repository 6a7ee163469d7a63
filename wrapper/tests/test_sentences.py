"""What an error says, word for word: for an attempt without an answer, and for an answer that is not "sent"."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable

import httpx
import pytest
from yandex_market_chat._exchange import Exchange, Failure

from yandex_market_chat import Timeout, _exchange
from yandex_market_chat._answer import Answer, error_of, printable, read_errors
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._headers import Headers

NOT_SENT = "The file was not sent."
UNKNOWN = "Nobody can know whether the buyer got the file. Look into the chat before sending it again."
AGAIN = "Check the network, the proxy and the base URL, then send it again."
REFUSED = "It would fail again: check the certificate (verify, SSL_CERT_FILE) or the proxy."


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def while_handling(error: Exception, context: Exception) -> Exception:
    error.__context__ = context
    return error


def failure_of(error: Exception, *, begun: bool, deadline: float = 1e18) -> Failure:
    with Exchange(Credentials("ACMA:key", None, None, {}), Timeout(), deadline) as exchange:
        exchange.begun = begun
        raise error
    outcome = exchange.outcome()
    assert isinstance(outcome, Failure)
    return outcome


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: httpx.ConnectError("no route"), "ConnectError: no route"),
        (lambda: httpx.ConnectTimeout("at 0x7f0000000000"), "ConnectTimeout"),
        (lambda: caused(httpx.ConnectError(""), OSError("unreachable")), "ConnectError: unreachable"),
        (lambda: while_handling(httpx.ConnectError(""), OSError("unreachable")), "ConnectError: unreachable"),
        (lambda: caused(httpx.ConnectError(""), OSError()), "ConnectError"),
        (lambda: OSError(), "OSError"),
    ],
    ids=["its own text", "a timeout", "that of its cause", "that of its context", "none anywhere", "none at all"],
)
@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
def test_a_failure_tells_its_class_and_the_first_text_of_its_chain(
    make: Callable[[], Exception], text: str, begun: bool
) -> None:
    failure = failure_of(make(), begun=begun)
    if not begun:
        assert str(failure.error) == f"No connection was made ({text}). {NOT_SENT} {AGAIN}"
    elif "Timeout" in text:
        words = f"No complete answer came within the time of one read or write ({text})."
        assert str(failure.error) == f"{words} {UNKNOWN}"
    else:
        assert str(failure.error) == f"The connection broke after the request had been begun ({text}). {UNKNOWN}"
    assert failure.final is False


@pytest.mark.parametrize("make", [httpx.ProxyError, ssl.SSLCertVerificationError])
@pytest.mark.parametrize("how", [caused, while_handling])
def test_a_refusal_that_would_come_again_says_what_to_check(
    make: type[Exception], how: Callable[[Exception, Exception], Exception]
) -> None:
    failure = failure_of(how(httpx.ConnectError("refused"), make("no")), begun=False)
    assert str(failure.error) == f"No connection was made (ConnectError: refused). {NOT_SENT} {REFUSED}"
    assert failure.final is True


@pytest.mark.parametrize(
    ("now", "bound"), [(99.9, "the time of one read or write"), (100.0, "the total time"), (100.1, "the total time")]
)
def test_a_timeout_tells_which_bound_was_met(monkeypatch: pytest.MonkeyPatch, now: float, bound: str) -> None:
    monkeypatch.setattr(_exchange.time, "monotonic", lambda: now)
    failure = failure_of(httpx.ReadTimeout(""), begun=True, deadline=100.0)
    assert str(failure.error) == f"No complete answer came within {bound} (ReadTimeout). {UNKNOWN}"


def said(status: int, *errors: tuple[str, str], trace_id: str | None = None) -> str:
    listed = [{"code": code, "message": message} for code, message in errors]
    headers = Headers([("traceparent", trace_id)] if trace_id else [])
    return str(error_of(Answer(status, headers, json.dumps({"errors": listed}).encode(), False), None))


def test_an_answer_tells_its_first_five_errors() -> None:
    text = said(404, *((letter, letter.lower()) for letter in "ABCDEF"))
    assert text == f"Market answered 404 (A: a; B: b; C: c; D: d; E: e). {NOT_SENT} {ADVICE_404}"


ADVICE_404 = "Check business_id (the cabinet, not a campaign) and chat_id."


def test_a_number_that_is_read_as_a_code_is_plain_text() -> None:
    (item,) = read_errors(b'{"errors": [{"code": 4.20, "message": 7}]}')
    assert item == ("4.20", "7")
    assert [type(part) for part in item] == [str, str]


@pytest.mark.parametrize(("status", "confirms"), [(200, False), (201, False), (299, False), (300, None), (500, None)])
def test_a_2xx_that_is_not_the_ok_says_that_it_confirms_nothing(status: int, confirms: bool | None) -> None:
    more = "" if confirms is None else ", which does not confirm the delivery"
    assert said(status).startswith(f"Market answered {status}{more}. ")


@pytest.mark.parametrize(("length", "shown"), [(100, "x" * 100), (101, "x" * 99 + "…")])
def test_a_trace_id_is_shown_up_to_100_characters(length: int, shown: str) -> None:
    assert said(500, trace_id="x" * length) == f"Market answered 500 [trace id {shown}]. {UNKNOWN}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 299 + "…"),
        ("a \r\n\t b", "a b"),
        ("a\x1bb", "a\ufffdb"),
        # No more than four times as much is looked at, since it may be very long.
        ("a" + " " * 1198 + "b", "a b"),
        ("a" + " " * 1199 + "b", "a"),
    ],
    ids=["300 characters", "301 characters", "blanks", "no character to show", "1200 with blanks", "1201 with blanks"],
)
def test_what_comes_from_elsewhere_is_one_short_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_2xx_after_a_failed_write_is_a_lost_connection() -> None:
    exchange = Exchange(Credentials("ACMA:key", None, None, {}), Timeout(), time.monotonic() + 5)
    exchange.begun = exchange.cut = exchange.heard = True
    exchange._status = 200
    assert "before the whole of it could be written" in str(exchange.outcome().error)  # type: ignore[union-attr]
