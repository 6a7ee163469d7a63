"""The vectors: read from their one file, and translated for what is tested."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from yandex_market_chat.testing import MockServer

from ._call import Call
from ._contract import BY_ID

FILE = Path(__file__).with_name("vectors.json")
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CALLS: list[dict[str, Any]] = VECTORS["calls"]
ANSWERS: list[dict[str, Any]] = VECTORS["answers"]
#: Answers as bytes, head and all: whole, cut short, and what is none.
WIRES: list[dict[str, Any]] = VECTORS["wires"]

#: Of the documented form, and opening nothing.
WRONG_KEY = "ACMA:" + "w" * 40 + ":" + "w" * 8
WRONG_TOKEN = "w" * 39
BOUNDARY = "5cd1a7"


def content_of(vector: dict[str, Any]) -> bytes:
    given = vector["call"]["content"]
    if "text" in given:
        text: str = given["text"]
        return text.encode()
    if "base64" in given:
        return base64.b64decode(given["base64"])
    pattern = given["repeat"].encode()
    content: bytes = (pattern * (given["size"] // len(pattern) + 1))[: given["size"]]
    return content


def first_call_of(operation: str) -> dict[str, Any]:
    """The call that an answer is given to: the usual one of its operation."""
    return next(vector for vector in CALLS if vector["operation"] == operation)


def call_of(vector: dict[str, Any]) -> Call:
    call = vector["call"]
    if "json" in call:
        return Call(BY_ID[vector["operation"]], call["values"], json=call["json"])
    if "content" not in call:
        return Call(BY_ID[vector["operation"]], call["values"])
    return Call(BY_ID[vector["operation"]], call["values"], content_of(vector), call["name"], call["content_type"])


def body_of(vector: dict[str, Any], boundary: str) -> bytes:
    """The body of the vector, byte for byte; placeholders are filled in one pass, so no content is taken for one."""
    raw: bytes = vector["wire"].get("body", "").encode()
    if "content" not in vector["call"]:
        return raw
    fillings = {b"{boundary}": boundary.encode(), b"{content}": content_of(vector)}
    return re.sub(rb"\{(?:boundary|content)\}", lambda found: fillings[found.group()], raw)


def credentials_of(vector: dict[str, Any], key: str, token: str) -> tuple[str, str]:
    """The header that proves who asks, or fails to."""
    return {
        "key": ("Api-Key", key),
        "wrong key": ("Api-Key", WRONG_KEY),
        "token": ("Authorization", f"Bearer {token}"),
        "wrong token": ("Authorization", f"Bearer {WRONG_TOKEN}"),
    }[vector["call"]["credentials"]]


def request_of(vector: dict[str, Any], host: str, key: str, token: str) -> bytes:
    """The request of the vector, written by hand."""
    wire, body = vector["wire"], body_of(vector, BOUNDARY)
    name, value = credentials_of(vector, key, token)
    target = f"{wire['path']}?{wire['query']}" if wire["query"] else wire["path"]
    kind = f"multipart/form-data; boundary={BOUNDARY}" if "content" in vector["call"] else "application/json"
    lines = [f"{wire['method']} {target} HTTP/1.1", f"Host: {host}", f"{name}: {value}", "Connection: close"]
    if body:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def wrapper_options(vector: dict[str, Any], server: MockServer) -> dict[str, Any]:
    """The credentials as arguments of the wrapper's clients."""
    name, value = credentials_of(vector, server.api_key, server.oauth_token)
    return {"api_key": value} if name == "Api-Key" else {"oauth_token": value.removeprefix("Bearer ")}


def generated_options(vector: dict[str, Any], server: MockServer) -> dict[str, Any]:
    """The credentials as arguments of the generated client."""
    name, value = credentials_of(vector, server.api_key, server.oauth_token)
    prefix, _, token = value.rpartition(" ")
    return {"auth_header_name": name, "prefix": prefix, "token": token}
