"""Requests written by hand, valid and broken, each with the answer it deserves.

Not made by any client and not read from the contract: what is written here is what RFC 9112, RFC 7578 and the
documentation of the API say. Each entry changes one thing of a request that is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

PATH = "/v2/businesses/12345/chats/file/send"
TARGET = f"{PATH}?chatId=67890"
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
CONTENT = b"%PDF-1.7\r\n--\r\n\x00\xff"


class RawRequest(NamedTuple):
    """A request in pieces, and what must come of it."""

    name: str
    status: int
    method: str = "POST"
    target: str = TARGET
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    without: tuple[str, ...] = ()
    version: str = "HTTP/1.1"
    operation: str = "sendFileToChat"

    def encode(self, host: str, key: str, token: str) -> bytes:
        body = form() if self.body is None else self.body
        form_type = f"multipart/form-data; boundary={BOUNDARY}"
        usual = {
            "Host": host,
            "Api-Key": key,
            "Content-Type": form_type if self.operation == "sendFileToChat" else "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        given = {name.lower() for name, _ in self.headers}
        pairs = [(n, v) for n, v in usual.items() if n not in self.without and n.lower() not in given]
        pairs += [(name, value.format(key=key, token=token)) for name, value in self.headers]
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in pairs)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def form(
    content: bytes = CONTENT,
    disposition: str = 'form-data; name="file"; filename="a.pdf"',
    kind: str | None = "application/x-raw",
    boundary: str = BOUNDARY,
    end: str = "--\r\n",
) -> bytes:
    lines = [f"--{boundary}", f"Content-Disposition: {disposition}"]
    lines += [f"Content-Type: {kind}"] if kind is not None else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + f"\r\n--{boundary}{end}".encode()


def _to(business: str = "12345", chat: str = "67890") -> str:
    return f"/v2/businesses/{business}/chats/file/send?chatId={chat}"


_TYPE = "multipart/form-data; boundary="


def valid() -> Iterator[RawRequest]:
    yield RawRequest("plain", 200)
    yield RawRequest("least ids", 200, target=_to("1", "1"))
    yield RawRequest("greatest ids", 200, target=_to(str(2**63 - 1), str(2**63 - 1)))
    yield RawRequest("digits percent-encoded", 200, target=_to("1%32345", "6789%30"))
    yield RawRequest("names of headers in capitals", 200, headers=(("API-KEY", "{key}"),))
    yield RawRequest("names of headers in small letters", 200, headers=(("api-key", "{key}"),))
    yield RawRequest("token", 200, headers=(("Authorization", "Bearer {token}"),), without=("Api-Key",))
    yield RawRequest(
        "token and its business",
        200,
        headers=(("Authorization", "Bearer {token}"), ("X-Business-Id", "12345")),
        without=("Api-Key",),
    )
    yield RawRequest("signed integration", 200, headers=(("X-Market-Integration", "shop/1.0"),))
    yield RawRequest("headers nobody knows", 200, headers=(("X-Request-Id", "1"), ("Cookie", "a=b")))
    yield RawRequest("boundary in quotes", 200, headers=(("Content-Type", f'{_TYPE}"{BOUNDARY}"'),))
    yield RawRequest(
        "type in mixed case", 200, headers=(("Content-Type", f"Multipart/FORM-Data; BOUNDARY={BOUNDARY}"),)
    )
    yield RawRequest(
        "blanks around the boundary", 200, headers=(("Content-Type", f"multipart/form-data ;  boundary={BOUNDARY}"),)
    )
    yield RawRequest(
        "boundary of one character", 200, headers=(("Content-Type", f"{_TYPE}x"),), body=form(b"y", boundary="x")
    )
    yield RawRequest(
        "boundary of strange characters",
        200,
        headers=(("Content-Type", f'{_TYPE}"a\'()+_,-./:=?"'),),
        body=form(boundary="a'()+_,-./:=?"),
    )
    yield RawRequest("no CRLF at the end", 200, body=form(end="--"))
    yield RawRequest("no name of the file", 200, body=form(disposition='form-data; name="file"'))
    yield RawRequest("no type of the file", 200, body=form(kind=None))
    yield RawRequest("name in UTF-8", 200, body=form(disposition='form-data; name="file"; filename="счёт.pdf"'))
    yield RawRequest(
        "escaped quote in the name", 200, body=form(disposition='form-data; name="file"; filename="a%22.pdf"')
    )
    yield RawRequest("disposition in capitals", 200, body=form(disposition='FORM-DATA; NAME="file"; FILENAME="a.pdf"'))
    yield RawRequest("one byte", 200, body=form(b"\x00"))
    yield RawRequest(
        "content that looks like the boundary", 200, body=form(b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n")
    )
    yield RawRequest("HTTP/1.0", 200, version="HTTP/1.0")
    yield RawRequest("something before", 200, body=b"preamble\r\n" + form())
    yield RawRequest("something behind", 200, body=form() + b"epilogue")
    yield RawRequest("filename*", 200, body=form(disposition="form-data; name=\"file\"; filename*=UTF-8''a.pdf"))
    yield from _valid_json()


def broken() -> Iterator[RawRequest]:
    yield from _broken_json()
    yield RawRequest("root", 404, target="/")
    yield RawRequest("without the version", 404, target=TARGET.removeprefix("/v2"))
    yield RawRequest("next version", 404, target=TARGET.replace("/v2", "/v3"))
    yield RawRequest("slash at the end", 404, target=TARGET.replace("send?", "send/?"))
    yield RawRequest("slashes doubled", 404, target=TARGET.replace("/chats", "//chats"))
    yield RawRequest("one step further", 404, target=TARGET.replace("send?", "send/1?"))
    yield RawRequest("chat in the path", 404, target="/v2/businesses/12345/chats/67890/file/send")
    yield RawRequest("campaign for business", 404, target="/v2/campaigns/12345/chats/file/send?chatId=1")
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        yield RawRequest(f"method {method}", 405, method=method)
    yield RawRequest("no credentials", 401, without=("Api-Key",))
    yield RawRequest("empty key", 401, headers=(("Api-Key", ""),))
    yield RawRequest("key after Bearer", 401, headers=(("Api-Key", "Bearer {key}"),))
    yield RawRequest("key in Authorization", 401, headers=(("Authorization", "{key}"),), without=("Api-Key",))
    yield RawRequest("key as token", 401, headers=(("Authorization", "Bearer {key}"),), without=("Api-Key",))
    yield RawRequest("key with one character more", 401, headers=(("Api-Key", "{key}0"),))
    yield RawRequest("key in the query", 401, target=f"{TARGET}&api_key=x", without=("Api-Key",))
    yield RawRequest("another key", 401, headers=(("Api-Key", f"ACMA:{'a' * 40}:{'b' * 8}"),))
    yield RawRequest("two keys", 401, headers=(("Api-Key", "{key}"), ("Api-Key", "{key}")))
    yield RawRequest("another token", 403, headers=(("Authorization", "Bearer other"),), without=("Api-Key",))
    yield RawRequest("Basic", 401, headers=(("Authorization", "Basic YTpi"),), without=("Api-Key",))
    yield RawRequest(
        "token of another business",
        400,
        headers=(("Authorization", "Bearer {token}"), ("X-Business-Id", "1")),
        without=("Api-Key",),
    )
    for text in (
        "0",
        "-1",
        str(2**63),
        str(-(2**63)),
        "9" * 40,
        "abc",
        "",
        "1.0",
        "1e3",
        "0x1",
        "+1",
        "01",
        "%201",
        "1%0A",
        "1,2",
        "%D9%A1",
        "1_0",
        "null",
        "true",
    ):
        yield RawRequest(f"business {text[:12]!r}", 400, target=_to(business=text))
        yield RawRequest(f"chat {text[:12]!r}", 400, target=_to(chat=text))
    yield RawRequest("no chat", 400, target=PATH)
    yield RawRequest("chat without a value", 400, target=f"{PATH}?chatId")
    yield RawRequest("chat in another case", 400, target=f"{PATH}?chatid=67890")
    yield RawRequest("two chats", 400, target=f"{TARGET}&chatId=67890")
    yield RawRequest("no type", 400, without=("Content-Type",))
    for kind in (
        "application/json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "multipart/mixed; boundary=x",
    ):
        yield RawRequest(f"type {kind}", 415, headers=(("Content-Type", kind),))
    yield RawRequest("no boundary", 400, headers=(("Content-Type", "multipart/form-data"),))
    yield RawRequest("empty boundary", 400, headers=(("Content-Type", f'{_TYPE}""'),))
    yield RawRequest("boundary of 71", 400, headers=(("Content-Type", _TYPE + "b" * 71),), body=form(boundary="b" * 71))
    yield RawRequest("another boundary", 400, headers=(("Content-Type", f"{_TYPE}other"),))
    yield RawRequest("no body", 400, body=b"")
    yield RawRequest("the bare file", 400, body=CONTENT)
    yield RawRequest("no end", 400, body=form(end=""))
    yield RawRequest("line feeds only", 400, body=form().replace(b"\r\n", b"\n"))
    yield RawRequest("no disposition", 400, body=form().replace(b"Content-Disposition", b"X-Disposition"))
    yield RawRequest("attachment", 400, body=form(disposition='attachment; name="file"'))
    yield RawRequest("part without a name", 400, body=form(disposition='form-data; filename="a.pdf"'))
    yield RawRequest("part of another name", 400, body=form(disposition='form-data; name="document"; filename="a.pdf"'))
    yield RawRequest("part in capitals", 400, body=form(disposition='form-data; name="File"; filename="a.pdf"'))
    yield RawRequest("bare quote in the name", 400, body=form(disposition='form-data; name="file"; filename="a"b.pdf"'))
    yield RawRequest("name not in UTF-8", 400, body=form().replace(b"a.pdf", b"\xff.pdf"))
    yield RawRequest("type that is none", 400, body=form(kind="pdf"))
    yield RawRequest("empty file", 400, body=form(b""))
    yield RawRequest("too large", 400, body=form(b"x" * (5 * 1024 * 1024 + 1)))
    once = form(end="").removesuffix(f"--{BOUNDARY}".encode())
    yield RawRequest("two files", 400, body=once + form())
    yield RawRequest("a part beside it", 400, body=once + form(b"x", 'form-data; name="comment"', None))
    yield RawRequest("no parts", 400, body=f"--{BOUNDARY}--\r\n".encode())
    yield RawRequest("no host", 400, without=("Host",))
    yield RawRequest("two lengths", 400, headers=(("Content-Length", "1"), ("Content-Length", "2")))
    yield RawRequest("length in words", 400, headers=(("Content-Length", "many"),))
    yield RawRequest(
        "unknown coding of the transfer", 400, headers=(("Transfer-Encoding", "gzip"),), without=("Content-Length",)
    )


#: A usual request of each operation whose body is JSON: its path, its query and the body.
_JSON = {
    "createChat": ("/v2/businesses/12345/chats/new", "", '{"context": {"type": "ORDER", "id": 5436217}}'),
    "getChatHistory": ("/v2/businesses/12345/chats/history", "chatId=67890", "{}"),
}


def _json(operation: str, name: str, status: int, body: str | bytes | None = None, **changes: Any) -> RawRequest:
    path, query, usual = _JSON[operation]
    target = changes.pop("target", f"{path}?{query}" if query else path)
    body = usual if body is None else body
    body = body.encode() if isinstance(body, str) else body
    return RawRequest(f"{operation}: {name}", status, target=target, body=body, operation=operation, **changes)


def _history(query: str) -> str:
    return f"{_JSON['getChatHistory'][0]}?{query}"


def _context(text: str) -> str:
    return f'{{"context": {text}}}'


def _valid_json() -> Iterator[RawRequest]:
    for operation in _JSON:
        yield _json(operation, "plain", 200)
        for kind in ("application/json; charset=utf-8", "Application/JSON"):
            yield _json(operation, f"type {kind}", 200, headers=(("Content-Type", kind),))
        yield _json(operation, "blanks around it", 200, f" \r\n{_JSON[operation][2]}\t\n")
        yield _json(operation, "token", 200, headers=(("Authorization", "Bearer {token}"),), without=("Api-Key",))
    yield _json("createChat", "return", 200, _context('{"type": "RETURN", "id": 1}'))
    yield _json("createChat", "greatest id", 200, _context(f'{{"type": "ORDER", "id": {2**63 - 1}}}'))
    yield _json("createChat", "a field nobody knows", 200, _context('{"type": "ORDER", "id": 1, "x": null}'))
    yield _json("getChatHistory", "from a message", 200, '{"messageIdFrom": 1}')
    yield _json("getChatHistory", "a field nobody knows", 200, '{"x": 1}')
    for limit in ("1", "100"):
        yield _json("getChatHistory", f"limit {limit}", 200, target=_history(f"chatId=67890&limit={limit}"))
    yield _json("getChatHistory", "parameters the other way round", 200, target=_history("limit=5&chatId=67890"))


def _broken_json() -> Iterator[RawRequest]:
    for operation in _JSON:
        for name, body in {
            "no body": "", "cut short": "{", "no quotes": "{a: 1}", "list": "[]", "list of pairs": '[["a", 1]]',
            "text": '"a"', "null": "null", "number": "1", "something behind": _JSON[operation][2] + "}",
            "NaN": '{"a": NaN}', "not in UTF-8": b'{"a": "\xff"}', "form": "context=1",
        }.items():  # fmt: skip
            yield _json(operation, name, 400, body)  # type: ignore[arg-type]  # str and bytes join to Sequence
        yield _json(operation, "no type", 400, without=("Content-Type",))
        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/json"):
            yield _json(operation, f"type {kind}", 415, headers=(("Content-Type", kind),))
        yield _json(operation, "GET", 405, method="GET")
        yield _json(operation, "no key", 401, without=("Api-Key",))
        yield _json(operation, "wrong key", 401, headers=(("Api-Key", "wrong"),))
        business = _JSON[operation][0].replace("12345", "0")
        yield _json(operation, "business 0", 400, target=f"{business}?chatId=67890")
    for text in ("null", "1", '"ORDER"', "[]", "{}", '{"type": "ORDER"}', '{"id": 1}'):
        yield _json("createChat", f"context {text}", 400, _context(text))
    for kind in ("null", '"order"', '"DIRECT"', '"ORDER "', "1", '["ORDER"]'):
        yield _json("createChat", f"type {kind}", 400, _context(f'{{"type": {kind}, "id": 1}}'))
    for number in ("0", "-1", str(2**63), '"5"', "1.5", "true", "null", "[1]"):
        yield _json("createChat", f"id {number[:12]}", 400, _context(f'{{"type": "ORDER", "id": {number}}}'))
        yield _json("getChatHistory", f"from {number[:12]}", 400, f'{{"messageIdFrom": {number}}}')
    yield _json("getChatHistory", "no chat", 400, target=_history("limit=1"))
    for limit in ("0", "101", "-1", "1.5", "", "five", "+5", "05", "true"):
        yield _json("getChatHistory", f"limit {limit!r}", 400, target=_history(f"chatId=67890&limit={limit}"))
    yield _json("getChatHistory", "two limits", 400, target=_history("chatId=67890&limit=1&limit=1"))
    yield _json("getChatHistory", "a token made up", 400, target=_history("chatId=67890&pageToken=x"))
