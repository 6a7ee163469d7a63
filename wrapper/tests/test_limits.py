"""The two limits of Market, as its answers tell them: what is read, what is remembered, and when nothing is asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from yandex_market_chat import (
    ApiError,
    BadRequestError,
    ParallelLimitError,
    Quota,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    WaitTimeoutError,
)
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import SOON, Chat

FILE = b"x"
ONCE = RetryPolicy(attempts=1)

# The date of the official example, whose weekday is wrong: it was a Tuesday.
EXAMPLE = "Thu, 10 Jul 2018 00:42:42 GMT"
RESET = datetime(2018, 7, 10, 0, 42, 42, tzinfo=UTC)
DATE = "Tue, 10 Jul 2018 00:12:42 GMT"


def limits(
    remaining: str | None = None, until: str | None = None, *, date: str | None = DATE, limit: str | None = None
) -> dict[str, str]:
    given = {"Limit": limit, "Remaining": remaining, "Until": until}
    headers = {f"X-RateLimit-Resource-{name}": value for name, value in given.items() if value is not None}
    return headers | ({} if date is None else {"Date": date})


def ahead(**distance: float) -> dict[str, str]:
    """A spent quota whose reset is so far ahead of the answer's date, which is now."""
    now = datetime.now(UTC)
    until = format_datetime(now + timedelta(**distance), usegmt=True)
    return limits("0", until, date=format_datetime(now, usegmt=True))


# What is read


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (EXAMPLE, RESET),
        ("Tue, 10 Jul 2018 00:42:42 GMT", RESET),
        ("  Tue, 10 Jul 2018 00:42:42 GMT ", RESET),
        ("tue, 10 jul 2018 00:42:42 gmt", RESET),
        ("TUE, 10 JUL 2018 00:42:42 GMT", RESET),
        ("10 Jul 2018 00:42:42 GMT", RESET),
        ("Tue, 10 Jul 2018 00:42:42", RESET),
        ("Tue, 10 Jul 2018 00:42:42 UTC", RESET),
        ("Tue, 10 Jul 2018 00:42:42 -0000", RESET),
        ("Tue, 10 Jul 2018 03:42:42 +0300", RESET),
        ("Tuesday, 10-Jul-18 00:42:42 GMT", RESET),  # RFC 850
        ("Tue Jul 10 00:42:42 2018", RESET),  # asctime
        ("Tue, 10 Jul 2018 01:13:42 GMT", datetime(2018, 7, 10, 1, 13, 42, tzinfo=UTC)),  # 1 h 1 min ahead
        ("Mon, 09 Jul 2018 00:00:00 GMT", datetime(2018, 7, 9, tzinfo=UTC)),
        ("Tue, 10 Jul 2018 01:13:43 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Mon, 01 Jan 0001 00:00:00 +1200", datetime(2000, 12, 31, 12, tzinfo=UTC)),
        ("Tue, 31 Feb 2018 00:00:00 GMT", None),
        ("Tue, 10 Jul 99999999999999999999 00:00:00 GMT", None),
        ("Tue, 10 Jul 2018 00:42:42 +9999999999", None),
        ("2018-07-10T00:42:42Z", None),
        ("1531183362", None),
        ("soon", None),
        ("", None),
        ("0", None),
        ("Tue, 10 Jul " * 900, None),
        ("9" * 10_000, None),
        ("(" * 10_000, None),
        ("завтра", None),
    ],
)
def test_the_reset_is_read_leniently(chat: Chat, server: MockServer, until: str, expected: datetime | None) -> None:
    server.script(Answer(200, headers=limits("998", until, limit="1000")))
    sent = chat.send(FILE)
    assert sent.quota == chat.quota() == Quota(1000, 998, expected)
    assert expected is None or chat.quota().resets_at.tzinfo is UTC  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("remaining", "limit", "expected"),
    [
        ("998", "1000", Quota(1000, 998, RESET)),
        (" 7 ", "01000", Quota(1000, 7, RESET)),
        ("0", "0", Quota(0, 0, RESET)),
        ("-1", "1000", Quota(1000, None, RESET)),
        ("+5", "1000", Quota(1000, None, RESET)),
        ("1.5", "1e3", Quota(None, None, RESET)),
        ("many", "", Quota(None, None, RESET)),
        ("1_000", "1 000", Quota(None, None, RESET)),
        ("٣", "²", Quota(None, None, RESET)),
        ("9" * 18, "9" * 19, Quota(None, 10**18 - 1, RESET)),
        ("9" * 9000, "9" * 9000, Quota(None, None, RESET)),
        (None, None, Quota(None, None, RESET)),
    ],
)
def test_odd_numbers_are_no_numbers(
    chat: Chat, server: MockServer, remaining: str | None, limit: str | None, expected: Quota
) -> None:
    server.script(Answer(200, headers=limits(remaining, EXAMPLE, limit=limit), off_contract=True))
    assert chat.send(FILE).quota == chat.quota() == expected


def test_an_answer_that_tells_nothing_changes_nothing(chat: Chat, server: MockServer) -> None:
    assert chat.quota() is None
    assert chat.send(FILE).quota is None
    assert chat.quota() is None
    server.script(Answer(200, headers=limits("5", EXAMPLE)))
    chat.send(FILE)
    assert chat.send(FILE).quota is None
    assert chat.quota() == Quota(None, 5, RESET)
    assert chat.quota(business_id=2) is None


@pytest.mark.parametrize(
    "date", [None, "", "today", "Tue, 10 Jul 9999 00:00:00 GMT", "x" * 10_000, "Mon, 01 Jan 0001 00:00:00 +1200"]
)
def test_a_missing_or_absurd_date_keeps_nobody_waiting(
    connect: Callable[..., Chat], server: MockServer, date: str | None
) -> None:
    # Half an hour ago by the only clock that is left, and a month ahead of the oldest date.
    until = format_datetime(datetime.now(UTC) - timedelta(minutes=30), usegmt=True)
    wire = "HTTP/1.1 420 X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in limits("0", until, date=date).items())
    server.script(Answer.raw(wire.encode() + b"Content-Length: 0\r\n\r\n"))
    sent = connect().send(FILE, timeout=60.0)
    assert sent.attempts == 2
    assert sent.elapsed < SOON


@pytest.mark.parametrize(("seconds", "expected"), [(3660, QuotaExceededError), (3661, RateLimitError)])
def test_a_window_that_ends_later_than_an_hour_and_a_minute_from_now_is_none(
    connect: Callable[..., Chat], server: MockServer, seconds: int, expected: type[RateLimitError]
) -> None:
    server.script(Answer(420, BARE, headers=ahead(seconds=seconds)))
    with pytest.raises(RateLimitError) as caught:
        connect(retry=ONCE).send(FILE)
    assert type(caught.value) is expected


# The two kinds of 420

PARALLEL = {"status": "ERROR", "errors": [{"code": "X", "message": "Hit rate limit of 4 PARALLEL requests"}]}
OTHER = {"status": "ERROR", "errors": [{"code": "X", "message": "Текст изменился"}]}
BARE = {"status": "ERROR", "errors": None}


@pytest.mark.parametrize(
    ("remaining", "until", "body", "expected"),
    [
        ("0", EXAMPLE, OTHER, QuotaExceededError),
        ("0", EXAMPLE, BARE, QuotaExceededError),
        # The headers outweigh a wording that changes over time.
        ("0", EXAMPLE, PARALLEL, QuotaExceededError),
        ("5", EXAMPLE, PARALLEL, ParallelLimitError),
        ("5", EXAMPLE, OTHER, ParallelLimitError),
        ("5", None, BARE, ParallelLimitError),
        (None, None, PARALLEL, ParallelLimitError),
        (None, EXAMPLE, PARALLEL, ParallelLimitError),
        ("0", None, PARALLEL, ParallelLimitError),
        ("0", "soon", PARALLEL, ParallelLimitError),
        ("0", "Fri, 31 Dec 9999 23:59:59 GMT", PARALLEL, ParallelLimitError),
        ("-1", EXAMPLE, OTHER, RateLimitError),
        ("0", None, OTHER, RateLimitError),
        ("0", "soon", BARE, RateLimitError),
        ("0", "Fri, 31 Dec 9999 23:59:59 GMT", OTHER, RateLimitError),
        (None, EXAMPLE, OTHER, RateLimitError),
        (None, None, OTHER, RateLimitError),
        (None, None, BARE, RateLimitError),
        (None, None, b"", RateLimitError),
        (None, None, b"parallel", RateLimitError),
        (None, None, b'{"errors": ["4 parallel requests"]}', ParallelLimitError),
    ],
)
def test_the_kind_of_limit_is_told_by_headers_before_words(
    connect: Callable[..., Chat],
    server: MockServer,
    remaining: str | None,
    until: str | None,
    body: dict[str, object] | bytes,
    expected: type[RateLimitError],
) -> None:
    server.script(Answer(420, body, headers=limits(remaining, until), off_contract=True))
    with pytest.raises(RateLimitError, match="The file was not sent") as caught:
        connect(retry=ONCE).send(FILE)
    assert type(caught.value) is expected
    assert getattr(caught.value, "resets_at", None) == (RESET if expected is QuotaExceededError else None)


@pytest.mark.parametrize("step", [{"example": "parallel"}, {"body": OTHER}], ids=["parallel", "untold"])
def test_other_limits_than_the_hourly_one_are_waited_out_shortly(
    chat: Chat, server: MockServer, step: dict[str, object]
) -> None:
    server.script(Answer(420, headers=limits("5", EXAMPLE), **step))  # type: ignore[arg-type]
    sent = chat.send(FILE, timeout=60.0)
    assert sent.attempts == 2
    assert sent.elapsed < SOON


# The hourly one


def test_a_reset_in_time_is_waited_for(chat: Chat, server: MockServer) -> None:
    # A date has whole seconds, so the wait is up to one: here none, since the reset is that very second.
    server.script(Answer(420, headers=ahead(seconds=0), example="resource"))
    assert chat.send(FILE).attempts == 2


def test_a_reset_too_late_is_told_at_once(chat: Chat, server: MockServer) -> None:
    server.script(Answer(420, headers=limits("0", EXAMPLE, limit="1000"), example="resource"))
    with pytest.raises(QuotaExceededError, match=r"after 2018-07-10 00:42:42 UTC\.$") as caught:
        chat.send(FILE, timeout=60.0)
    error = caught.value
    assert (error.resets_at, error.quota) == (RESET, Quota(1000, 0, RESET))
    assert (error.attempts, error.status_code, len(error.errors)) == (1, 420, 1)
    assert error.elapsed < SOON
    assert len(server.requests) == 1


KNOWN = (
    r"^The hourly quota of sendFileToChat is spent, as an earlier response told; Market was not asked\. "
    r"The file was not sent\. Try again after 2018-07-10 00:42:42 UTC\.$"
)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 420, 500])
def test_a_spent_quota_is_not_asked_again(chat: Chat, server: MockServer, status: int) -> None:
    server.script(Answer(status, headers=limits("0", EXAMPLE)))
    with nullcontext() if status == 200 else pytest.raises(ApiError):
        chat.send(FILE)
    assert chat.quota() == Quota(None, 0, RESET)
    for _ in range(3):
        with pytest.raises(QuotaExceededError, match=KNOWN) as caught:
            chat.send(FILE)
        error = caught.value
        assert (error.attempts, error.status_code, error.body, error.errors) == (0, 420, b"", ())
        assert (error.resets_at, error.size, error.business_id, error.operation) == (RESET, 1, 1, "sendFileToChat")
    assert len(server.requests) == 1
    # Another business has a quota of its own.
    assert chat.send(FILE, business_id=2).attempts == 1
    assert len(server.requests) == 2


def test_it_is_asked_again_after_the_reset(chat: Chat, server: MockServer) -> None:
    server.script(Answer(400, headers=ahead(seconds=-1)))
    with pytest.raises(BadRequestError):
        chat.send(FILE)
    assert chat.quota().remaining == 0  # type: ignore[union-attr]
    assert chat.send(FILE).attempts == 1
    assert len(server.requests) == 2


def test_an_answer_on_its_way_while_the_last_of_the_quota_goes_is_no_news(chat: Chat, server: MockServer) -> None:
    server.script(Answer(200, headers=limits("3", EXAMPLE)), Answer(200, headers=limits("4", EXAMPLE)))
    chat.send(FILE)
    assert chat.send(FILE).quota == Quota(None, 4, RESET)
    assert chat.quota() == Quota(None, 3, RESET)
    server.script(Answer(200, headers=limits("9", "Mon, 09 Jul 2018 23:42:42 GMT")))
    chat.send(FILE)
    assert chat.quota() == Quota(None, 3, RESET)
    later = "Tue, 10 Jul 2018 01:00:00 GMT"
    server.script(Answer(200, headers=limits("999", later)))
    chat.send(FILE)
    assert chat.quota() == Quota(None, 999, datetime(2018, 7, 10, 1, tzinfo=UTC))


def test_an_error_of_the_connection_tells_nothing_of_the_quota(chat: Chat, server: MockServer) -> None:
    server.script(Answer(500, headers=limits("0", EXAMPLE), fault=Fault(cut="drop", at="in-answer", after=20)))
    with pytest.raises(Exception, match="Nobody can know"):
        chat.send(FILE)
    assert chat.quota() is None
    assert chat.send(FILE).attempts == 1


def test_only_without_any_attempt_is_it_a_wait_that_ran_out(chat: Chat, server: MockServer) -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        chat.send(FILE, timeout=1e-9)
    assert caught.value.attempts == 0
    assert server.connections == 0
