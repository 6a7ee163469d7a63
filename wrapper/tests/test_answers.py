"""Whatever the server answers: the class that the tree names, what the answer held, and which send it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from yandex_market_chat import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConnectionLostError,
    DeliveryUnknownError,
    NotFoundError,
    NotSentError,
    ParallelLimitError,
    Quota,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    UnclearResponseError,
    UnexpectedRefusalError,
)
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOLD = {
    "Date": "Thu, 10 Jul 2025 00:30:00 GMT",
    "traceparent": TRACE,
    "X-Own": "its value",
    "X-RateLimit-Resource-Limit": "1000",
    "X-RateLimit-Resource-Remaining": "998",
    "X-RateLimit-Resource-Until": "Thu, 10 Jul 2025 00:42:42 GMT",
}
UNTIL = datetime(2025, 7, 10, 0, 42, 42, tzinfo=UTC)
REFUSED = b'{"status": "ERROR", "errors": [{"code": "A", "message": "first"}, {"code": "B"}]}'
MEBIBYTE = 1024 * 1024

# Each line holds but for what a later one says.
TREE: dict[int, type[ApiError]] = {
    **dict.fromkeys([*range(200, 400), 600, 999], UnclearResponseError),
    **dict.fromkeys(range(400, 499), UnexpectedRefusalError),
    **dict.fromkeys(range(499, 600), ServerError),
    400: BadRequestError,
    401: AuthenticationError,
    403: AccessDeniedError,
    404: NotFoundError,
    420: ParallelLimitError,  # for there is something left of the hourly quota
}
WITHOUT_BODY = (204, 304)  # RFC 9110: whatever is sent, it is not a body
FATES = {
    NotSentError: "The file was not sent.",
    DeliveryUnknownError: "Nobody can know whether the buyer received the file.",
}


@pytest.fixture
def chat(connect: Callable[..., Chat]) -> Chat:
    """A client that asks once."""
    return connect(retry=RetryPolicy(attempts=1))


def refused(chat: Chat, **arguments: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        chat.send(b"content", **arguments)
    return caught.value


def fate_of(kind: type[ApiError]) -> type[Exception]:
    (fate,) = [base for base in FATES if issubclass(kind, base)]
    return fate


def said(error: ApiError) -> list[tuple[str | None, str | None]]:
    return [(item.code, item.message) for item in error.errors]


def answer_of(status: int) -> Answer:
    if status != 600:
        return Answer(status, REFUSED, TOLD, off_contract=True)
    head = "".join(f"{name}: {value}\r\n" for name, value in TOLD.items())
    return Answer.raw(f"HTTP/1.1 600 Own\r\n{head}Content-Length: {len(REFUSED)}\r\n\r\n".encode() + REFUSED)


def test_every_status_has_its_class_and_nothing_of_the_answer_is_lost(chat: Chat, server: MockServer) -> None:
    assert set(TREE) == {*range(200, 601), 999}
    for status, kind in TREE.items():
        server.script(answer_of(status))
        error = refused(chat, business_id=status + 10_000, chat_id=status, name=f"{status}.pdf")
        assert type(error) is kind, status
        assert error.status_code == status
        assert (error.business_id, error.chat_id, error.name, error.size) == (
            status + 10_000,
            status,
            f"{status}.pdf",
            len(b"content"),
        )
        assert error.attempts == 1
        assert 0 < error.elapsed < 10
        assert error.headers["X-Own"] == error.headers["x-own"] == error.headers["X-OWN"] == "its value"
        assert error.headers["date"] == TOLD["Date"]
        assert error.trace_id == TRACE
        assert error.quota == Quota(1000, 998, UNTIL)
        assert (error.body, error.body_truncated) == (b"" if status in WITHOUT_BODY else REFUSED, False)
        assert said(error) == ([] if status in WITHOUT_BODY else [("A", "first"), ("B", None)])
        what_happened, fate, what_to_do = str(error).partition(FATES[fate_of(kind)])
        assert f"answered {status}" in what_happened
        assert TRACE in what_happened
        assert ("A: first" in what_happened) is (status not in WITHOUT_BODY)
        assert fate
        assert len(what_to_do.split()) >= 3
    assert len(server.requests) == len(TREE)


@pytest.mark.parametrize("status", [100, 101, 103])
def test_an_interim_answer_and_no_more_leaves_the_delivery_unknown(chat: Chat, server: MockServer, status: int) -> None:
    server.script(Answer.raw(b"HTTP/1.1 %d Interim\r\n\r\n" % status))
    with pytest.raises(DeliveryUnknownError):
        chat.send(b"content")
    assert len(server.requests) == 1


def test_interim_answers_before_the_last_one_are_passed_over(chat: Chat, server: MockServer) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    server.script(Answer.raw(interim + b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'))
    assert chat.send(b"content").attempts == 1


BODIES: dict[str, tuple[str | bytes, list[tuple[str | None, str | None]], bool]] = {
    # name: body, what can be read of its errors, whether it is the OK if the status is 200
    "documented OK": ('{"status": "OK"}', [], True),
    "extra fields": ('{"status": "OK", "result": {"id": [1]}, "errors": null}', [], True),
    "OK with errors": ('{"status": "OK", "errors": [{"code": "A", "message": "b"}]}', [("A", "b")], True),
    "BOM": ('\ufeff{"status": "OK"}', [], True),
    "BOM and errors": ('\ufeff{"status": "ERROR", "errors": [{"code": "A"}]}', [("A", None)], False),
    "documented error": ('{"status": "ERROR", "errors": [{"code": "A", "message": "b"}]}', [("A", "b")], False),
    "errors missing": ('{"status": "ERROR"}', [], False),
    "errors null": ('{"status": "ERROR", "errors": null}', [], False),
    "errors empty": ('{"status": "ERROR", "errors": []}', [], False),
    "errors a string": ('{"status": "ERROR", "errors": "text"}', [(None, "text")], False),
    "errors an object": ('{"status": "ERROR", "errors": {"code": "A", "message": "b"}}', [("A", "b")], False),
    "errors a number": ('{"status": "ERROR", "errors": 7}', [], False),
    "errors true": ('{"status": "ERROR", "errors": true}', [], False),
    "strings": ('{"status": "ERROR", "errors": ["a", "b"]}', [(None, "a"), (None, "b")], False),
    "nulls": ('{"status": "ERROR", "errors": [null, null]}', [], False),
    "lists": ('{"status": "ERROR", "errors": [[{"code": "A"}]]}', [], False),
    "no code": ('{"status": "ERROR", "errors": [{"message": "b"}]}', [(None, "b")], False),
    "code null": ('{"status": "ERROR", "errors": [{"code": null, "message": "b"}]}', [(None, "b")], False),
    "code a number": ('{"status": "ERROR", "errors": [{"code": 42, "message": "b"}]}', [("42", "b")], False),
    "code a fraction": ('{"status": "ERROR", "errors": [{"code": 4.20, "message": "b"}]}', [("4.20", "b")], False),
    "code a list": ('{"status": "ERROR", "errors": [{"code": ["A"], "message": "b"}]}', [(None, "b")], False),
    "message an object": ('{"status": "ERROR", "errors": [{"code": "A", "message": {}}]}', [("A", None)], False),
    "empty item": ('{"status": "ERROR", "errors": [{}, {"code": "A"}]}', [("A", None)], False),
    "mixed": ('{"status": "ERROR", "errors": [null, 7, {"code": "A"}, "b"]}', [("A", None), (None, "b")], False),
    "status missing": ('{"errors": [{"code": "A"}]}', [("A", None)], False),
    "status unknown": ('{"status": "ACCEPTED"}', [], False),
    "status in small letters": ('{"status": "ok"}', [], False),
    "status null": ('{"status": null}', [], False),
    "status true": ('{"status": true}', [], False),
    "status a list": ('{"status": ["OK"]}', [], False),
    "status an object": ('{"status": {"OK": "OK"}}', [], False),
    "empty object": ("{}", [], False),
    "a list": ('[{"status": "OK"}]', [], False),
    "a list of pairs": ('[["status", "OK"]]', [], False),
    "a pair of letters": ('["status"]', [], False),
    "pairs in a string": ('"status"', [], False),
    "an object in a string": (r'"{\"status\": \"OK\"}"', [], False),
    "in a result": ('{"result": {"status": "OK"}}', [], False),
    "status in a list of pairs beside it": ('{"x": [["status", "OK"]]}', [], False),
    "status given twice": ('{"status": "ERROR", "status": "OK"}', [], False),
    "status given twice, escaped": (r'{"status": "OK", "\u0073tatus": "OK"}', [], False),
    "NaN": ('{"status": "OK", "x": NaN}', [], False),
    "Infinity": ('{"status": "OK", "x": [-Infinity]}', [], False),
    "status in blanks": ('{"status": " OK "}', [], False),
    "name in capitals": ('{"STATUS": "OK"}', [], False),
    "single quotes": ("{'status': 'OK'}", [], False),
    "a comma too many": ('{"status": "OK",}', [], False),
    "a comment": ('{"status": "OK"} // sent', [], False),
    "JSON with a prefix": (')]}\'\n{"status": "OK"}', [], False),
    "JSON lines": ('{"status": "OK"}\n{"status": "OK"}\n', [], False),
    "blanks around": (' \r\n\t{"status" : "OK" }\n', [], True),
    "escaped": (r'{"\u0073tatus": "\u004fK"}', [], True),
    "a list of pairs in an extra field": ('{"status": "OK", "x": [["status", "ERROR"]]}', [], True),
    "a string": ('"OK"', [], False),
    "null": ("null", [], False),
    "cut short": ('{"status": "OK"', [], False),
    "two documents": ('{"status": "OK"}{"status": "OK"}', [], False),
    "nested": ("[" * 100_000 + "]" * 100_000, [], False),
    "nested beside the OK": ('{"status": "OK", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", [], False),
    "not UTF-8": (
        b'{"status": "ERROR", "errors": [{"code": "A", "message": "\xcf\xf0"}]}',
        [("A", "\ufffd" * 2)],
        False,
    ),
    "OK and not UTF-8": (b'{"status": "OK", "x": "\xcf\xf0"}', [], False),
    "HTML": ("<html><body>OK</body></html>", [], False),
    "empty": ("", [], False),
    "blank": (" \r\n", [], False),
    "zeros": (b"\0" * 100, [], False),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_kept_and_read_as_far_as_it_can_be(chat: Chat, server: MockServer, name: str) -> None:
    text, errors, is_ok = BODIES[name]
    body = text.encode() if isinstance(text, str) else text
    kinds = {400: BadRequestError, 500: ServerError, 418: UnexpectedRefusalError, 200: UnclearResponseError}
    for status, kind in kinds.items():
        server.script(Answer(status, body, off_contract=True))
        if status == 200 and is_ok:
            assert chat.send(b"content").attempts == 1
            continue
        error = refused(chat)
        assert type(error) is kind
        assert (error.body, error.body_truncated) == (body, False)
        assert said(error) == errors


@pytest.mark.parametrize("status", [200, 201, 202, 206, 226])
def test_the_documented_ok_counts_for_200_alone(chat: Chat, server: MockServer, status: int) -> None:
    server.script(Answer(status, '{"status": "OK"}', off_contract=True))
    if status == 200:
        chat.send(b"content")
    else:
        assert type(refused(chat)) is UnclearResponseError


OK = b'{"status": "OK"}'


@pytest.mark.parametrize(
    ("headers", "body", "is_ok"),
    [
        ({"Content-Type": "text/plain"}, OK, True),
        ({"Content-Type": "text/html; charset=windows-1251"}, OK, True),
        ({"Content-Type": ""}, OK, True),
        # `identity` was asked for, so what arrives is taken as it is.
        ({"Content-Encoding": "gzip"}, OK, True),
        ({"Content-Encoding": "br, unknown"}, OK, True),
        ({"Content-Encoding": "gzip"}, gzip.compress(OK, mtime=0), False),
        ({"Content-Encoding": "deflate"}, b"\xff\xfe", False),
    ],
)
def test_what_the_headers_say_of_the_body_does_not_matter(
    chat: Chat, server: MockServer, headers: dict[str, str], body: bytes, is_ok: bool
) -> None:
    server.script(Answer(200, body, headers, off_contract=True), Answer(400, body, headers, off_contract=True))
    if is_ok:
        chat.send(b"content")
    else:
        assert refused(chat).body == body
    error = refused(chat)
    assert type(error) is BadRequestError
    assert error.body == body


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_no_redirect_is_followed(chat: Chat, server: MockServer, status: int) -> None:
    with MockServer() as elsewhere:
        for headers in (
            {"Location": f"{elsewhere.base_url}/v2/stolen"},
            {"Location": "/v2/here"},
            {"Location": ""},
            {},
        ):
            server.script(Answer(status, "", headers, off_contract=True))
            error = refused(chat)
            assert type(error) is TREE[status]
            assert error.headers.get("location") == headers.get("Location")
        assert (len(server.requests), elsewhere.connections) == (4, 0)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_of_a_long_body_the_first_mebibyte_is_kept(chat: Chat, server: MockServer, status: int) -> None:
    for size in (MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE):
        body = b'{"status": "OK", "x": "' + b"x" * (size - 25) + b'"}'
        server.script(Answer(status, body, off_contract=True))
        if (status, size) == (200, MEBIBYTE):
            chat.send(b"content")
            continue
        error = refused(chat)
        assert type(error) is TREE[status]
        assert error.body == body[:MEBIBYTE]
        assert error.body_truncated is (size > MEBIBYTE)


def test_of_an_answer_that_breaks_off_the_status_line_decides_but_for_2xx(chat: Chat, server: MockServer) -> None:
    statuses = (200, 201, 299, 301, 303, 400, 401, 403, 404, 499, 500, 503, 599, 999)
    for status in statuses:
        broken = Fault(cut="drop", at="in-answer", after=250)
        server.script(Answer(status, b"x" * 1000, off_contract=True, fault=broken))
        if 200 <= status < 300:
            with pytest.raises(ConnectionLostError):
                chat.send(b"content")
            continue
        error = refused(chat)
        assert type(error) is TREE[status]
        assert error.body_truncated
        assert 0 < len(error.body) < 250
    assert len(server.requests) == len(statuses)


DATE = {"Date": TOLD["Date"]}
SPENT = {"X-RateLimit-Resource-Remaining": "0"}
UNTIL_HEADER = "X-RateLimit-Resource-Until"


@pytest.mark.parametrize(
    ("kind", "headers", "example", "resets_at"),
    [
        (QuotaExceededError, DATE | SPENT | {UNTIL_HEADER: TOLD[UNTIL_HEADER]}, None, UNTIL),
        # The example of the documentation, in which the weekday is wrong.
        (
            QuotaExceededError,
            {"Date": "Tue, 10 Jul 2018 00:30:00 GMT", UNTIL_HEADER: "Thu, 10 Jul 2018 00:42:42 GMT"} | SPENT,
            None,
            datetime(2018, 7, 10, 0, 42, 42, tzinfo=UTC),
        ),
        (QuotaExceededError, DATE | SPENT | {UNTIL_HEADER: TOLD[UNTIL_HEADER]}, "parallel", UNTIL),
        (ParallelLimitError, TOLD, None, UNTIL),
        (ParallelLimitError, TOLD, "resource", UNTIL),
        (ParallelLimitError, {}, "parallel", None),
        (RateLimitError, {}, "resource", None),
        (RateLimitError, {}, None, None),
        (RateLimitError, SPENT, None, None),
        (RateLimitError, DATE | {UNTIL_HEADER: TOLD[UNTIL_HEADER]}, None, UNTIL),
        # No window of an hour ends so late.
        (RateLimitError, DATE | SPENT | {UNTIL_HEADER: "Thu, 10 Jul 2025 02:00:00 GMT"}, None, None),
        (RateLimitError, DATE | SPENT | {UNTIL_HEADER: "Fri, 31 Dec 9999 23:59:59 -2359"}, None, None),
        (RateLimitError, DATE | SPENT | {UNTIL_HEADER: "soon"}, None, None),
        (RateLimitError, {"X-RateLimit-Resource-Remaining": "-1", UNTIL_HEADER: ""}, None, None),
        (RateLimitError, {"X-RateLimit-Resource-Remaining": "9" * 5000}, None, None),
    ],
)
def test_the_headers_tell_which_limit_was_hit(
    chat: Chat,
    server: MockServer,
    kind: type[RateLimitError],
    headers: dict[str, str],
    example: str | None,
    resets_at: datetime | None,
) -> None:
    body = None if example else ""
    server.script(Answer(420, body, headers, example=example, off_contract=True))
    error = refused(chat)
    assert type(error) is kind
    assert (error.quota.resets_at if error.quota else None) == resets_at
    if isinstance(error, QuotaExceededError):
        assert error.resets_at == resets_at


HOSTILE = {
    "line breaks": "a\r\nINFO forged line\n\u2028b\x85c",
    "escapes": "\x1b[2J\x1b]0;title\x07\x9b31mred",
    "controls": "".join(map(chr, [*range(32), *range(127, 160)])),
    "bidirectional overrides": "\u202egnp.exe\u202c\u2066\u200f",
    "lone surrogates": "\udfff\ud800 \udc80",
    "no characters": "\ufffe\uffff\U0010ffff\ue000",
    "100 kB": "long " * 20_000,
    "braces and percents": "%s %(x)s {0} {x}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_the_server_says_is_shown_short_and_printable_and_kept_whole(
    chat: Chat, server: MockServer, name: str
) -> None:
    text = HOSTILE[name]
    body = json.dumps({"status": "ERROR", "errors": [{"code": text, "message": text}]})
    long = json.dumps({"status": "ERROR", "errors": [{"code": "A", "message": text[:100]}] * 100})
    for status in (200, 302, 400, 420, 500):
        server.script(*(Answer(status, answer, off_contract=True) for answer in (body, long)))
        error, other = refused(chat), refused(chat)
        assert said(error) == [(text, text)]
        assert said(other) == [("A", text[:100])] * 100
        for shown in (str(error), str(other)):
            assert shown.isprintable()
            assert 50 < len(shown) < 1000
            assert shown.encode()
            assert FATES[fate_of(type(error))] in shown


def test_a_trace_id_is_shown_short_and_printable_and_kept_whole(chat: Chat, server: MockServer) -> None:
    for trace in ("\x1b[31mred", "\u202eabc", "x" * 10_000):
        server.script(Answer(401, headers={"traceparent": trace}))
        error = refused(chat)
        assert (error.trace_id or "").encode("latin-1") == trace.encode()
        assert str(error).isprintable()
        assert len(str(error)) < 1000


def test_an_answer_without_the_extras_has_none(chat: Chat, server: MockServer) -> None:
    server.script(Answer.raw(b"HTTP/1.1 400\r\nContent-Length: 0\r\n\r\n"))
    error = refused(chat)
    assert (error.trace_id, error.quota, error.errors, error.body) == (None, None, (), b"")
    assert dict(error.headers) == {"content-length": "0"}


def test_headers_of_one_name_are_joined(chat: Chat, server: MockServer) -> None:
    server.script(Answer(400, headers=[("X-Own", "a"), ("x-own", "b"), ("X-Bytes", "\xff".encode().decode())]))
    error = refused(chat)
    assert error.headers["X-OWN"] == "a, b"
    assert "X-Own" in error.headers
    assert "X-Other" not in error.headers
    assert error.headers["x-bytes"].encode("latin-1").decode() == "\xff"
