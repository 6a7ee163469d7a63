"""What a request must look like on the wire, worked out from the call alone, and compared with what arrived."""

from __future__ import annotations

import hashlib
import json
import re
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from yandex_market_chat import __version__
from yandex_market_chat.testing import ReceivedRequest

from ._call import Call
from ._parsers import by_python_multipart
from ._stage import Act

#: The header list of the generated client: names in the order of the wire, and what the value must match.
GENERATED_HEADERS = {
    "Host": "{host}",
    "Accept": r"\*/\*",
    "Accept-Encoding": r"gzip, deflate(, \w+)*",
    "Connection": "keep-alive",
    "User-Agent": re.escape(f"python-httpx/{httpx.__version__}"),
    "Api-Key": "{key}",
}
#: What the kind of the body adds.
BODY_HEADERS: dict[str | None, dict[str, str]] = {
    "form": {"Content-Length": "{length}", "Content-Type": r"multipart/form-data; boundary=[0-9a-f]{{32}}"},
    "json": {"Content-Type": "application/json", "Content-Length": "{length}"},
    None: {},
}
#: What the wrapper changes on purpose; everything else must be as the generated client sends it.
WRAPPER_DIFFERENCES = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # an answer is small, and its bytes are kept as they came
    "Connection": "close",  # the documentation: keep-alive is not supported
    "User-Agent": re.escape(f"yandex-market-chat/{__version__}"),
}
# Their order means nothing in HTTP; it is checked anyway, as part of the bytes.
_WRAPPER_ORDER = (
    "Host", "Accept", "Accept-Encoding", "User-Agent", "Connection", "Api-Key", "Content-Length", "Content-Type"
)  # fmt: skip


def check_arrival(act: Act, sent_name: str) -> None:
    """The one request of a valid call is exactly the one that the contract describes, and its file arrived once."""
    assert len(act.requests) == 1, f"{len(act.requests)} requests for one call"
    request, call = act.requests[0], act.call
    assert request.violation is None
    check_target(request, call)
    check_headers(act, request)
    check_body(request, call, sent_name)
    if call.operation.body != "form":
        assert act.files == ()
        return
    (file,) = act.files
    assert call.content is not None
    assert (file.size, file.sha256) == (len(call.content), hashlib.sha256(call.content).hexdigest())
    # HTML's way of writing a quote and the ends of lines cannot tell these three from the real thing; and httpx doubles
    # a backslash, which in HTML's way stands for itself.
    meant = sent_name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
    assert file.name == meant.replace("\\", "\\\\")
    assert file.content_type == call.content_type
    assert {"businessId": file.business_id, "chatId": file.chat_id} == call.values


def check_target(request: ReceivedRequest, call: Call) -> None:
    """Method, path and query, read back by the standard library."""
    assert request.method == call.operation.method
    in_path = {field.name: quote(field.kind.text(value), safe="") for field, value in call.given()}
    assert request.path == re.sub(r"\{(\w+)\}", lambda found: in_path[found.group(1)], call.operation.path)
    asked = [(field.name, field.kind.text(value)) for field, value in call.given() if field.location == "query"]
    assert request.target.isascii()
    assert parse_qsl(request.query, keep_blank_values=True, strict_parsing=bool(asked), errors="strict") == asked


def expected_headers(act: Act) -> dict[str, str]:
    headers = GENERATED_HEADERS | BODY_HEADERS[act.call.operation.body]
    if act.entrance.kind == "wrapper":
        changed = headers | WRAPPER_DIFFERENCES
        headers = {name: changed[name] for name in _WRAPPER_ORDER if name in changed}
    return headers


def check_headers(act: Act, request: ReceivedRequest) -> None:
    expected = expected_headers(act)
    assert [name.lower() for name, _ in request.headers] == [name.lower() for name in expected]
    facts = {"host": urlsplit(act.base_url).netloc, "key": act.api_key, "length": str(len(request.body))}
    for (name, value), pattern in zip(request.headers, expected.values(), strict=True):
        assert re.fullmatch(pattern.format(**facts), value), f"{name}: {value}"


def check_body(request: ReceivedRequest, call: Call, sent_name: str) -> None:
    assert request.body_complete
    if call.operation.body is None:
        assert request.body == b""
        return
    if call.operation.body == "json":
        assert json.loads(request.body.decode("utf-8")) == call.json
        return
    content_type = request.headers.get("Content-Type")
    assert content_type is not None
    seen = by_python_multipart(content_type, request.body)
    assert seen is not None, "an independent parser cannot read the form"
    assert call.content is not None
    assert [part._replace(filename=None) for part in seen] == [
        (call.operation.part, None, call.content_type, len(call.content), hashlib.sha256(call.content).hexdigest())
    ]
    assert request.body == expected_body(call, sent_name, content_type.partition("boundary=")[2])


def expected_body(call: Call, sent_name: str, boundary: str) -> bytes:
    """The form, byte for byte: RFC 7578, with names as HTML writes them (WHATWG, "multipart form data")."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{call.operation.part}"; filename="{written(sent_name)}"\r\n'
        f"Content-Type: {call.content_type}\r\n\r\n"
    )
    return head.encode() + (call.content or b"") + f"\r\n--{boundary}--\r\n".encode()


def written(name: str) -> str:
    r"""A file name as it stands between the quotes: `"` and control characters percent-encoded, `\` doubled."""
    return "".join(
        "%22"
        if character == '"'
        else "\\\\"
        if character == "\\"
        else f"%{ord(character):02X}"
        if character < " " and character != "\x1b"
        else character
        for character in name
    )
