"""Raw requests, valid and broken, and what the server says to each. How it speaks HTTP is in `test_http`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yandex_market_chat.testing import Answer, MockServer

from .conftest import form

LIMIT = 5 * 1024 * 1024
TO = "/v2/businesses/{}/chats/file/send?chatId={}"
TYPE = "multipart/form-data; boundary="
KEY_40, KEY_8 = "k" * 40, "q" * 8
FILE = 'form-data; name="file"; filename="a.pdf"'
ENDS = b"--5cd1a7--\r\n"
LENGTH = str(len(form()))


def one(wire: Any, *parts: bytes) -> bytes:
    return b"".join(parts) + ENDS


def encoded(wire: Any, encoding: str) -> bytes:
    return bytes(
        wire.form().replace(b"Content-Type", f"Content-Transfer-Encoding: {encoding}\r\nContent-Type".encode())
    )


VALID = {
    "plain": lambda w: w.request(),
    "chunked": lambda w: w.request(chunks=True),
    "HTTP/1.0": lambda w: w.request(version="1.0"),
    "bearer token": lambda w: w.request(Api_Key=None, Authorization=f"Bearer {w.server.oauth_token}"),
    "bearer in lower case": lambda w: w.request(Api_Key=None, Authorization=f"bearer {w.server.oauth_token}"),
    "right X-Business-Id": lambda w: w.request(
        Api_Key=None, Authorization=f"Bearer {w.server.oauth_token}", X_Business_Id="12345"
    ),
    "least ids": lambda w: w.request(target=TO.format(1, 1)),
    "greatest ids": lambda w: w.request(target=TO.format(2**63 - 1, 2**63 - 1)),
    "percent-encoded digit": lambda w: w.request(target=TO.format("%31", "%32")),
    "further query": lambda w: w.request(target=TO.format(1, 1) + "&lang=ru"),
    "absolute target": lambda w: w.request(target="http://market.test" + TO.format(1, 1)),
    "quoted boundary": lambda w: w.request(Content_Type=f'{TYPE}"5cd1a7"'),
    "type in capitals": lambda w: w.request(Content_Type="Multipart/Form-Data; Boundary=5cd1a7"),
    "boundary of 70": lambda w: w.request(body=w.form(boundary="b" * 70), Content_Type=TYPE + "b" * 70),
    "no file name": lambda w: w.request(body=one(w, w.part(b"x", 'form-data; name="file"'))),
    "unquoted name": lambda w: w.request(body=one(w, w.part(b"x", "form-data; name=file; filename=a.pdf"))),
    "no final CRLF": lambda w: w.request(body=w.form()[:-2]),
    "one byte": lambda w: w.request(body=w.form(b"x")),
    "limit": lambda w: w.request(body=w.form(b"x" * LIMIT)),
    "preamble": lambda w: w.request(body=b"This is a form.\r\n\r\n--\r\n" + w.form()),
    "empty preamble": lambda w: w.request(body=b"\r\n" + w.form()),
    "epilogue": lambda w: w.request(body=w.form() + b"The end, --5cd1a7 and all\r\n--5cd1a7\r\n"),
    "empty epilogue": lambda w: w.request(body=w.form() + b"\r\n"),
    "semicolon at the end": lambda w: w.request(Content_Type=f"{TYPE}5cd1a7;"),
    "semicolons everywhere": lambda w: w.request(Content_Type="multipart/form-data;; ;boundary=5cd1a7 ;\t; "),
    "further parameter": lambda w: w.request(Content_Type='multipart/form-data; charset="utf-8;"; boundary=5cd1a7'),
    "escaped boundary": lambda w: w.request(Content_Type=f'{TYPE}"5\\c\\d1a7"'),
    "boundary with a blank": lambda w: w.request(body=w.form(boundary="a b=c"), Content_Type=f'{TYPE}"a b=c"'),
    "semicolon in the part": lambda w: w.request(body=one(w, w.part(b"x", f"{FILE};"))),
    "blanks in the part": lambda w: w.request(body=one(w, w.part(b"x", 'form-data ;  name = "file"'))),
    "part in capitals": lambda w: w.request(body=one(w, w.part(b"x", 'FORM-DATA; NAME="file"; FileName="a"'))),
    "folded header": lambda w: w.request(body=one(w, w.part(b"x", 'form-data; name="file";\r\n\tfilename="a.pdf"'))),
    "filename* behind": lambda w: w.request(body=one(w, w.part(b"x", f"{FILE}; filename*=utf-8''a.pdf"))),
    "filename* before": lambda w: w.request(
        body=one(w, w.part(b"x", "form-data; name=file; filename*=utf-8''%D1%91.pdf; filename=a.pdf"))
    ),
    "filename* first": lambda w: w.request(
        body=one(w, w.part(b"x", "form-data; filename*=UTF-8'ru'a.pdf; filename=a.pdf; name=file"))
    ),
    "filename* alone": lambda w: w.request(body=one(w, w.part(b"x", "form-data; name=file; filename*=utf-8''a"))),
    "filename* in pieces": lambda w: w.request(
        body=one(w, w.part(b"x", "form-data; name=file; filename*0=a; filename*1=b"))
    ),
    "7bit": lambda w: w.request(body=encoded(w, "7bit")),
    "8BIT": lambda w: w.request(body=encoded(w, "8BIT")),
    "binary": lambda w: w.request(body=encoded(w, "Binary ")),
    "further header of a part": lambda w: w.request(
        body=w.form().replace(b"Content-Type", b"Content-Length: 8\r\nContent-Type")
    ),
    "archived page": lambda w: w.request(body=one(w, w.part(b"x", FILE, content_type="multipart/related"))),
    "almost boundaries": lambda w: w.request(body=w.form(b"\r\n--5cd1a\r\n--\r\n\r\n5cd1a7--")),
    "every byte": lambda w: w.request(body=w.form(bytes(range(256)))),
}

BROKEN = {
    "root": (404, "no operation", lambda w: w.request(target="/")),
    "unknown path": (404, "no operation", lambda w: w.request(target="/v2/businesses/1/chats/file/sent?chatId=1")),
    "slash at the end": (404, "no operation", lambda w: w.request(target="/v2/businesses/1/chats/file/send/?chatId=1")),
    "path in capitals": (404, "no operation", lambda w: w.request(target="/V2/businesses/1/chats/file/send?chatId=1")),
    "asterisk": (404, "no operation", lambda w: w.request("OPTIONS", "*")),
    "GET": (405, "method of this path is POST", lambda w: w.request("GET")),
    "PUT": (405, "method of this path is POST", lambda w: w.request("PUT")),
    "post": (405, "method of this path is POST", lambda w: w.request("post")),
    "path before method": (404, "no operation", lambda w: w.request("GET", "/")),
    "method before credentials": (405, "method", lambda w: w.request("DELETE", Api_Key=None)),
    "no credentials": (401, "needs Api-Key or Authorization", lambda w: w.request(Api_Key=None)),
    "empty key": (401, "not ACMA:, 40", lambda w: w.request(Api_Key="")),
    "malformed key": (401, "not ACMA:, 40", lambda w: w.request(Api_Key=w.server.api_key[:-1])),
    "key with Bearer": (401, "not ACMA:, 40", lambda w: w.request(Api_Key=f"Bearer {w.server.api_key}")),
    "unknown key": (401, "not one that", lambda w: w.request(Api_Key=f"ACMA:{KEY_40}:{KEY_8}")),
    "two keys": (401, "more than once", lambda w: w.request(Api_Key=[w.server.api_key, w.server.api_key])),
    "unknown token": (403, "not one that", lambda w: w.request(Api_Key=None, Authorization="Bearer abc")),
    "two tokens": (401, "more than once", lambda w: w.request(Api_Key=None, Authorization=["Bearer a", "Bearer a"])),
    "no token": (401, "missing or malformed", lambda w: w.request(Api_Key=None, Authorization="Bearer")),
    "malformed token": (401, "missing or malformed", lambda w: w.request(Api_Key=None, Authorization="Bearer a b")),
    "other scheme": (401, "not Bearer", lambda w: w.request(Api_Key=None, Authorization="Basic YTpi")),
    "key as bearer": (401, "malformed", lambda w: w.request(Api_Key=None, Authorization=f"Bearer {w.server.api_key}")),
    "credentials before parameters": (401, "no credentials", lambda w: w.request(target=TO.format(0, 0), Api_Key=None)),
    "wrong X-Business-Id": (
        400,
        "X-Business-Id differs",
        lambda w: w.request(Api_Key=None, Authorization=f"Bearer {w.server.oauth_token}", X_Business_Id="1"),
    ),
    "business 0": (400, "businessId is below 1", lambda w: w.request(target=TO.format(0, 1))),
    "business -1": (400, "businessId is below 1", lambda w: w.request(target=TO.format(-1, 1))),
    "business 2^63": (400, "businessId is beyond", lambda w: w.request(target=TO.format(2**63, 1))),
    "business of 9000 digits": (400, "businessId is beyond", lambda w: w.request(target=TO.format("9" * 9000, 1))),
    "business text": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("abc", 1))),
    "business empty": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("", 1))),
    "business 1_0": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("1_0", 1))),
    "business Arabic": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("%D9%A1", 1))),
    "business +1": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("+1", 1))),
    "business blank": (400, "businessId is not a plain", lambda w: w.request(target=TO.format("%201", 1))),
    "chat 0": (400, "chatId is below 1", lambda w: w.request(target=TO.format(1, 0))),
    "chat 2^63": (400, "chatId is beyond", lambda w: w.request(target=TO.format(1, 2**63))),
    "chat empty": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, ""))),
    "chat 1.0": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, "1.0"))),
    "chat 1e3": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, "1e3"))),
    "chat +1": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, "%2B1"))),
    "chat 01": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, "01"))),
    "chat newline": (400, "chatId is not a plain", lambda w: w.request(target=TO.format(1, "1%0A"))),
    "no chat": (400, "chatId is missing", lambda w: w.request(target=TO.format(1, 1).partition("?")[0])),
    "chat in other case": (400, "chatId is missing", lambda w: w.request(target=TO.format(1, 1).lower())),
    "two chats": (400, "chatId was given more than once", lambda w: w.request(target=TO.format(1, 1) + "&chatId=1")),
    "parameters before body": (400, "chatId is below 1", lambda w: w.request(target=TO.format(1, 0), body=b"x")),
    "no type": (400, "no Content-Type", lambda w: w.request(Content_Type=None)),
    "JSON": (415, "is not multipart/form-data", lambda w: w.request(Content_Type="application/json")),
    "mixed": (415, "is not multipart/form-data", lambda w: w.request(Content_Type="multipart/mixed; boundary=5cd1a7")),
    "no media type": (415, "is not multipart/form-data", lambda w: w.request(Content_Type="form")),
    "two types": (400, "sent more than once", lambda w: w.request(Content_Type=[f"{TYPE}5cd1a7", f"{TYPE}5cd1a7"])),
    "no boundary": (400, "no boundary", lambda w: w.request(Content_Type="multipart/form-data")),
    "two boundaries": (
        400,
        "more than one boundary",
        lambda w: w.request(Content_Type=f"{TYPE}5cd1a7; boundary=5cd1a7"),
    ),
    "empty boundary": (400, "1 to 70", lambda w: w.request(Content_Type=f'{TYPE}""')),
    "boundary of 71": (400, "1 to 70", lambda w: w.request(Content_Type=TYPE + "b" * 71)),
    "boundary with brackets": (400, "1 to 70", lambda w: w.request(Content_Type=f'{TYPE}"[x]"')),
    "broken parameter": (400, "not of the form", lambda w: w.request(Content_Type=f"{TYPE}5cd1a7; x")),
    "no body": (400, "no line of the body", lambda w: w.request(body=b"")),
    "other boundary": (400, "no line of the body", lambda w: w.request(body=w.form(boundary="other"))),
    "preamble without its line end": (400, "no parts", lambda w: w.request(body=b"x" + w.form())),
    "preamble with a bare LF": (400, "no parts", lambda w: w.request(body=b"x\n" + w.form())),
    "no closing boundary": (400, "not ended by the boundary", lambda w: w.request(body=w.form()[: -len(ENDS) - 2])),
    "closing boundary cut": (400, "end its line", lambda w: w.request(body=w.form()[:-4])),
    "no line end before the epilogue": (400, "follows the closing", lambda w: w.request(body=w.form()[:-2] + b"x")),
    "blank behind the closing boundary": (
        400,
        "follows the closing",
        lambda w: w.request(body=w.form()[:-2] + b" \r\n"),
    ),
    "blank behind a boundary": (
        400,
        "end its line",
        lambda w: w.request(body=w.form().replace(b"5cd1a7\r", b"5cd1a7 \r")),
    ),
    "bare LF": (400, "end its line", lambda w: w.request(body=w.form().replace(b"\r\n", b"\n"))),
    "boundary in content": (400, "end its line", lambda w: w.request(body=w.form(b"a\r\n--5cd1a7b"))),
    "injected part": (
        400,
        "more than one part file",
        lambda w: w.request(body=w.form(b"a\r\n" + w.part(b"b", FILE)[:-2])),
    ),
    "base64": (400, "Content-Transfer-Encoding", lambda w: w.request(body=encoded(w, "base64"))),
    "quoted-printable": (400, "Content-Transfer-Encoding", lambda w: w.request(body=encoded(w, "Quoted-Printable"))),
    "private encoding": (400, "Content-Transfer-Encoding", lambda w: w.request(body=encoded(w, "x-gzip"))),
    "no encoding": (400, "Content-Transfer-Encoding", lambda w: w.request(body=encoded(w, ""))),
    "two encodings": (
        400,
        "more than one",
        lambda w: w.request(body=encoded(w, "binary\r\ncontent-transfer-encoding: binary")),
    ),
    "form in the form": (
        400,
        "several files are several parts",
        lambda w: w.request(body=one(w, w.part(b"x", FILE, content_type="Multipart/Mixed"))),
    ),
    "other form in the form": (
        400,
        "several files are several parts",
        lambda w: w.request(body=one(w, w.part(b"x", FILE, content_type='multipart/parallel;x=y ;Boundary="z"'))),
    ),
    "blank around =": (400, "of the form", lambda w: w.request(Content_Type="multipart/form-data; boundary = 5cd1a7")),
    "unquoted boundary": (400, "of the form", lambda w: w.request(Content_Type=f"{TYPE}a:b")),
    "no value": (400, "of the form", lambda w: w.request(Content_Type=f"{TYPE}5cd1a7; charset=")),
    "no parts": (400, "no parts", lambda w: w.request(body=ENDS)),
    "no headers": (400, "Name: value", lambda w: w.request(body=b"--5cd1a7\r\n\r\n\r\nabc\r\n" + ENDS)),
    "no disposition": (
        400,
        "no Content-Disposition",
        lambda w: w.request(body=b"--5cd1a7\r\nContent-Type: a/b\r\n\r\nabc\r\n" + ENDS),
    ),
    "attachment": (400, "not form-data", lambda w: w.request(body=one(w, w.part(b"x", 'attachment; name="file"')))),
    "no part name": (400, "no name", lambda w: w.request(body=one(w, w.part(b"x", 'form-data; filename="a"')))),
    "name twice": (400, "twice", lambda w: w.request(body=one(w, w.part(b"x", f'{FILE}; name="file"')))),
    "quote in name": (400, "of the form", lambda w: w.request(body=w.form(name='a"b.pdf'))),
    "name not UTF-8": (400, "not UTF-8", lambda w: w.request(body=w.form(name="@@@").replace(b"@@@", b"\xff"))),
    "NUL in name": (400, "control character", lambda w: w.request(body=w.form(name="a\0.pdf"))),
    "folded first header": (
        400,
        "Name: value",
        lambda w: w.request(body=w.form().replace(b"5cd1a7\r\nContent-D", b"5cd1a7\r\n Content-D")),
    ),
    "part type": (400, "not a media type", lambda w: w.request(body=one(w, w.part(b"x", FILE, content_type="pdf")))),
    "long part head": (400, "longer than", lambda w: w.request(body=w.form(name="n" * 20_000))),
    "101 parts": (400, "more than 100", lambda w: w.request(body=one(w, *[w.part(b"x", FILE)] * 101))),
    "two files": (400, "more than one part file", lambda w: w.request(body=one(w, *[w.part(b"x", FILE)] * 2))),
    "other part": (400, "no part file", lambda w: w.request(body=one(w, w.part(b"x", 'form-data; name="doc"')))),
    "part in capitals": (400, "no part file", lambda w: w.request(body=one(w, w.part(b"x", 'form-data; name="File"')))),
    "further part": (
        400,
        "does not know",
        lambda w: w.request(body=one(w, w.part(b"x", FILE), w.part(b"y", 'form-data; name="text"'))),
    ),
    "empty file": (400, "part file is empty", lambda w: w.request(body=w.form(b""))),
    "limit + 1": (400, f"more than {LIMIT} bytes", lambda w: w.request(body=w.form(b"x" * (LIMIT + 1)))),
    "far over the limit": (400, "too big", lambda w: w.request(body=w.form(b"x" * (LIMIT * 2)))),
    "no host": (400, "Host", lambda w: w.request(Host=None)),
    "HTTP/2.0": (400, "not HTTP/1.1", lambda w: w.request(version="2.0")),
    "no request line": (400, "not HTTP/1.1", lambda w: b"\x16\x03\x01\x02\r\n\r\n"),
    "broken header": (400, "not HTTP/1.1", lambda w: w.request(Host="a\r\nApi Key: x")),
    "length not a number": (400, "Content-Length", lambda w: w.request(Content_Length="1_0")),
    "chunked and a length": (400, "both Transfer-Encoding", lambda w: w.request(chunks=True, Content_Length="5")),
    "a huge length, and chunked": (
        400,
        "both Transfer-Encoding",
        lambda w: w.request(chunks=True, Content_Length="9" * 15),
    ),
    "chunked in HTTP/1.0": (400, "HTTP/1.0 does not know", lambda w: w.request(chunks=True, version="1.0")),
    "a length twice": (400, "more than one Content-Length", lambda w: w.request(Content_Length=[LENGTH] * 2)),
    "a list of lengths": (
        400,
        "more than one Content-Length",
        lambda w: w.request(Content_Length=f"{LENGTH}, {LENGTH}"),
    ),
    "two lengths": (400, "Content-Length", lambda w: w.request(Content_Length=["3", "4"])),
    "length of 9000 digits": (400, "Content-Length", lambda w: w.request(Content_Length="9" * 9000)),
    "unknown coding": (400, "Transfer-Encoding", lambda w: w.request(Transfer_Encoding="gzip")),
    "broken chunk": (
        400,
        "not HTTP/1.1",
        lambda w: w.request(body=b"", Content_Length=None, Transfer_Encoding="chunked") + b"zz\r\n",
    ),
    "head of 100 KB": (400, "not HTTP/1.1", lambda w: w.request(X_Long="x" * 100_000)),
}


@pytest.mark.parametrize("name", VALID)
def test_valid(server: MockServer, wire: Any, name: str) -> None:
    answer = wire.send(VALID[name](wire))
    assert (answer.status, json.loads(answer.content)) == (200, {"status": "OK"})
    (request,) = server.requests
    assert (request.status, request.violation, request.body_complete) == (200, None, True)
    assert len(server.received) == 1


@pytest.mark.parametrize("name", BROKEN)
def test_broken(server: MockServer, wire: Any, name: str) -> None:
    status, sentence, make = BROKEN[name]
    answer = wire.send(make(wire))
    envelope = json.loads(answer.content)
    (error,) = envelope["errors"]
    assert (answer.status, envelope["status"]) == (status, "ERROR")
    assert error["code"]
    assert sentence in error["message"]
    assert answer.headers["Content-Type"] == "application/json"
    (request,) = server.requests
    assert (request.status, request.violation) == (status, error["message"])
    assert server.received == ()


def test_refusals_tell_no_secret(server: MockServer, wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "S3cr3t"
    for headers in (
        {"Api_Key": f"ACMA:{secret * 6}1234:{secret}12"},
        {"Api_Key": secret},
        {"Api_Key": f"{secret}\x01\x00"},
        {"Api_Key": None, "Authorization": f"Bearer {secret}"},
        {"Api_Key": None, "Authorization": f"{secret} x"},
        {f"Api Key{secret}": secret},
    ):
        assert secret.encode() not in wire.send(wire.request(**headers)).content
    assert len(server.requests) == 6
    assert secret not in repr(server.requests) + repr(server) + caplog.text + str([vars(r) for r in caplog.records])
    assert any(secret in value for _, value in server.requests[0].headers)


def test_businesses_and_chats(wire_to: Any) -> None:
    with MockServer(businesses={1}, chats={2}) as server:
        wire = wire_to(server)
        assert wire.send(wire.request(target=TO.format(1, 2))).status == 200
        assert wire.send(wire.request(target=TO.format(2, 2))).status == 403
        assert wire.send(wire.request(target=TO.format(1, 1))).status == 404


def test_own_credentials(wire_to: Any) -> None:
    key = f"ACMA:{KEY_40}:{KEY_8}"
    with MockServer(api_keys=[key], oauth_tokens=()) as server:
        wire = wire_to(server)
        assert server.api_key == key
        assert wire.send(wire.request()).status == 200
        assert wire.send(wire.request(Api_Key=None, Authorization="Bearer a")).status == 403
        assert key not in repr(server)
        with pytest.raises(ValueError, match="no OAuth tokens"):
            server.oauth_token  # noqa: B018
    with pytest.raises(ValueError, match="40 characters") as caught:
        MockServer(api_keys=["S3cr3t"])
    assert "S3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "chunked and a length",
        "a huge length, and chunked",
        "chunked in HTTP/1.0",
        "a length twice",
        "a list of lengths",
    ],
)
def test_the_end_of_a_body_told_twice_ends_the_connection(server: MockServer, wire: Any, name: str) -> None:
    _, _, make = BROKEN[name]
    # Also behind a script, and with a request behind it that may be no request.
    server.script(Answer(200))
    for status in (b"200", b"400"):
        connection = wire.connect()
        connection.sendall(make(wire) + wire.request())
        answers = wire.rest(connection)
        assert answers.startswith(b"HTTP/1.1 " + status)
        assert answers.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answers
    assert [bool(request.violation) for request in server.requests] == [True, True]
    assert server.received == ()


STRICT = {
    "filename*": ("has filename*,", "filename* behind"),
    "filename* before filename": ("has filename*,", "filename* before"),
    "filename* alone": ("has filename*,", "filename* alone"),
    "filename* in pieces": ("has filename*0,", "filename* in pieces"),
    "encoding that changes nothing": ("RFC 7578 4.7", "8BIT"),
    "further header of a part": ("has the header Content-Length", "further header of a part"),
    "semicolon in the part": ("a semicolon without", "semicolon in the part"),
}


@pytest.mark.parametrize("name", STRICT)
def test_strict(wire_to: Any, name: str) -> None:
    sentence, usual = STRICT[name]
    with MockServer(strict=True) as server:
        wire = wire_to(server)
        assert wire.send(VALID[usual](wire)).status == 400
        assert sentence in (server.requests[0].violation or "")


def test_strict_takes_what_a_sender_is_to_write(wire_to: Any) -> None:
    usual = [name for name in VALID if name not in {name for _, name in STRICT.values()}]
    with MockServer(strict=True) as server:
        wire = wire_to(server)
        for name in set(usual) - {"filename* first", "7bit", "binary"}:
            assert wire.send(VALID[name](wire)).status == 200, name


@pytest.mark.parametrize("order", ["filename*=utf-8''b.pdf; filename=a.pdf", "filename=a.pdf; filename*=utf-8''b.pdf"])
def test_filename_with_a_star_is_ignored(server: MockServer, wire: Any, order: str) -> None:
    wire.send(wire.request(body=one(wire, wire.part(b"x", f"form-data; name=file; {order}"))))
    assert (server.received[0].name, server.requests[0].violation) == ("a.pdf", None)
