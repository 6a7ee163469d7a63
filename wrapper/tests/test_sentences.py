"""What an error says, word for word: for an attempt without an answer, and for an answer that is not "sent"."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from yandex_market_chat import Quota, QuotaExceededError, Timeout, _attempt
from yandex_market_chat._answer import Answer, error_of, printable, read_errors
from yandex_market_chat._attempt import Attempt, Failure
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._headers import Headers
from yandex_market_chat._steps import SEND_FILE, MakeRequest

NOT_SENT = "The file was not sent."
UNKNOWN = "Nobody can know whether the buyer received the file. Check the chat before resending."
AGAIN = "Check the network, the proxy and the server address, then try again."
REFUSED = "It would fail again: check the certificate or the proxy first."
PEER = "market.invalid:443"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def while_handling(error: Exception, context: Exception) -> Exception:
    error.__context__ = context
    return error


def failure_of(error: Exception, *, started: bool, deadline: float = 1e18, tunnel_response: bytes = b"") -> Failure:
    step = MakeRequest(SEND_FILE, deadline)
    with Attempt(Credentials("ACMA:key", None, None, {}), PEER, Timeout(), step) as attempt:
        attempt.connect_asked = True
        attempt.request_started = started
        attempt.tunnel_response = tunnel_response
        raise error
    outcome = attempt.outcome()
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
@pytest.mark.parametrize("started", [False, True], ids=["not started", "started"])
def test_a_failure_tells_its_class_and_the_first_text_of_its_chain(
    make: Callable[[], Exception], text: str, started: bool
) -> None:
    failure = failure_of(make(), started=started)
    if not started:
        assert str(failure.error) == f"No connection to {PEER} was made ({text}). {NOT_SENT} {AGAIN}"
    elif "Timeout" in text:
        words = f"No complete response came within the time of one read or write ({text})."
        assert str(failure.error) == f"{words} {UNKNOWN}"
    else:
        assert str(failure.error) == f"The connection broke after the request had started ({text}). {UNKNOWN}"
    assert failure.final is False


@pytest.mark.parametrize("how", [caused, while_handling])
def test_a_refused_certificate_says_what_to_check_and_is_not_retryable(
    how: Callable[[Exception, Exception], Exception],
) -> None:
    error = how(httpx.ConnectError("refused"), ssl.SSLCertVerificationError("no"))
    failure = failure_of(error, started=False)
    assert str(failure.error) == f"No connection to {PEER} was made (ConnectError: refused). {NOT_SENT} {REFUSED}"
    assert (failure.final, failure.error.retryable) == (True, False)


@pytest.mark.parametrize(("status", "retryable"), [(302, False), (403, False), (407, False), (502, True), (503, True)])
def test_a_proxy_that_says_no_for_good_is_not_retryable(status: int, retryable: bool) -> None:
    begin = f"HTTP/1.1 {status}".encode()
    failure = failure_of(httpx.ProxyError("no"), started=False, tunnel_response=begin)
    advice = AGAIN if retryable else REFUSED
    assert str(failure.error) == f"No connection to {PEER} was made (ProxyError: no). {NOT_SENT} {advice}"
    assert (failure.final, failure.error.retryable) == (not retryable, retryable)


@pytest.mark.parametrize(
    ("now", "bound"), [(99.9, "the time of one read or write"), (100.0, "the total time"), (100.1, "the total time")]
)
def test_a_timeout_tells_which_bound_was_met(monkeypatch: pytest.MonkeyPatch, now: float, bound: str) -> None:
    monkeypatch.setattr(_attempt.time, "monotonic", lambda: now)
    failure = failure_of(httpx.ReadTimeout(""), started=True, deadline=100.0)
    assert str(failure.error) == f"No complete response came within {bound} (ReadTimeout). {UNKNOWN}"


def said(status: int, *errors: tuple[str, str], trace_id: str | None = None) -> str:
    listed = [{"code": code, "message": message} for code, message in errors]
    headers = Headers([("traceparent", trace_id)] if trace_id else [])
    return str(error_of(Answer(status, headers, json.dumps({"errors": listed}).encode(), False), None))


def test_an_answer_tells_its_first_five_errors() -> None:
    text = said(404, *((letter, letter.lower()) for letter in "ABCDEF"))
    assert text == f"Market answered 404 (A: a; B: b; C: c; D: d; E: e). {NOT_SENT} {ADVICE_404}"


ADVICE_404 = "Check the business id (of the cabinet, not of a campaign), the chat or order id and the server address."


def test_a_number_that_is_read_as_a_code_is_plain_text() -> None:
    (item,) = read_errors(b'{"errors": [{"code": 4.20, "message": 7}]}')
    assert item == ("4.20", "7")
    assert [type(part) for part in item] == [str, str]


NO_OK = ", but not the documented OK"
REDIRECT = ", a redirect, which is never followed"


@pytest.mark.parametrize(
    ("status", "more"),
    [(200, NO_OK), (201, NO_OK), (299, NO_OK), (300, REDIRECT), (302, REDIRECT), (399, REDIRECT), (600, "")],
)
def test_what_neither_confirms_nor_refuses_says_so(status: int, more: str) -> None:
    assert said(status) == f"Market answered {status}{more}. {UNKNOWN}"


ADVICE = {
    400: "Fix what the response names first; the same request will be refused again.",
    401: "Check the API key or token first.",
    403: "Check that the key has the scope communication or all-methods, and that the business id is that of the "
    "cabinet, not of a campaign.",
    404: ADVICE_404,
    405: "Check the server address and what is between here and Market (proxy, gateway).",
    420: "Try again later.",
    423: "Try again later.",
    429: "Try again later.",
}


@pytest.mark.parametrize("status", ADVICE)
def test_a_refusal_says_what_to_do(status: int) -> None:
    assert said(status) == f"Market answered {status}. {NOT_SENT} {ADVICE[status]}"


def test_of_a_quota_that_is_used_up_the_moment_is_told_with_its_zone() -> None:
    quota = Quota(1000, 0, datetime(2025, 7, 10, 0, 42, 42, tzinfo=UTC))
    error = error_of(Answer(420, Headers(), b"", False), quota)
    assert str(error) == f"Market answered 420. {NOT_SENT} Try again after 2025-07-10 00:42:42 UTC."
    assert type(error) is QuotaExceededError
    assert error.resets_at == quota.resets_at


# The command prints the same sentences, and its reader has no attributes, no arguments and no classes.
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 405, 420, 423, 429, 499, 500, 600])
def test_no_sentence_names_what_a_reader_of_the_command_does_not_have(status: int) -> None:
    assert not re.findall(r"\w+_\w+|\w\.\w|[a-z][A-Z]", said(status))


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
    step = MakeRequest(SEND_FILE, time.monotonic() + 5)
    attempt = Attempt(Credentials("ACMA:key", None, None, {}), PEER, Timeout(), step)
    attempt.connect_asked = attempt.request_started = attempt.write_failed = True
    attempt._status = 200
    assert "before the whole of it could be written" in str(attempt.outcome().error)  # type: ignore[union-attr]
