"""Parameters of every type that a contract may have, on a server of a contract that has them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from yandex_market_chat.testing import MockServer, _service
from yandex_market_chat.testing._contract import load_contract, read_contract

PATH = "/v2/businesses/{businessId}/chats/file/send"
TO = "/v2/businesses/1/chats/file/send?chatId=1"


def with_parameters(*parameters: dict[str, Any], **schemas: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(dict(load_contract().document))
    for name, schema in schemas.items():
        document["paths"][PATH]["post"]["parameters"].append({"name": name, "in": "query", "schema": schema})
    document["paths"][PATH]["post"]["parameters"] += parameters
    return document


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, wire_to: Any) -> Iterator[Any]:
    """Starts a server of a contract; a wire to it."""
    servers: list[MockServer] = []

    def start(document: dict[str, Any]) -> Any:
        monkeypatch.setattr(_service, "load_contract", lambda: read_contract(document))
        servers.append(MockServer().start())
        return wire_to(servers[-1])

    yield start
    for server in servers:
        server.stop()


NO_TEXT = "%ED%A0%80"
INT = {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100}
OPEN = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True}
CODE = {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-zё]+$"}
LIST = {"type": "array", "minItems": 1, "maxItems": 3, "uniqueItems": True, "items": INT}
MOMENT = {"type": "string", "format": "date-time"}

#: Schema, what is taken, and what is refused with which words.
TYPES: dict[str, tuple[dict[str, Any], list[str], dict[str, str]]] = {
    "boolean": (
        {"type": "boolean"},
        ["true", "false", "%74rue"],
        dict.fromkeys(["banana", "True", "FALSE", "1", "0", "yes", "", "null", "true%20"], "x is not true or false"),
    ),
    "one boolean": ({"type": "boolean", "enum": [True]}, ["true"], {"false": "x is not one of true", "1": "true or"}),
    "integer": (
        INT,
        ["1", "100"],
        {"0": "below 1", "101": "beyond 100", "-1": "below 1", "1.0": "plain", "1e1": "plain", "007": "plain", "": "x"},
    ),
    "int32": ({"type": "integer", "format": "int32"}, [str(2**31 - 1), str(-(2**31))], {str(2**31): "beyond"}),
    "multiple": ({"type": "integer", "multipleOf": 5}, ["0", "-10"], {"7": "multiple of 5", "5.0": "plain"}),
    "few integers": ({"type": "integer", "enum": [1, 5]}, ["5"], {"2": "not one of 1, 5", "15": "not one"}),
    "number": (
        {"type": "number", "minimum": -1.5, "maximum": 2},
        ["-1.5", "2", "0.1", "1e-3", "2E0", "-0"],
        {"2.01": "beyond 2", "-2": "below -1.5", ".5": "plain", "1.": "plain", "+1": "x", "NaN": "plain"},
    ),
    "open number": (OPEN, ["0.5"], {"0": "not above 0", "1": "not below 1", "-1": "below", "2": "beyond"}),
    "multiple of a fraction": ({"type": "number", "multipleOf": 0.1}, ["0.3", "7", "1e2"], {"0.35": "multiple of 0.1"}),
    "text": (
        CODE,
        ["ab", "%D1%91%D1%91%D1%91", "abc"],
        {
            "a": "fewer than 2",
            "": "fewer than 2",
            "abcd": "more than 3",
            "aB": "does not match",
            "ab%0A": "does not match",
            NO_TEXT: "not UTF-8",
            "%FF%FF": "not UTF-8",
        },
    ),
    "any text": ({"type": "string"}, ["", "%00", "a%26b%3D+", "%D1%91"], {NO_TEXT: "not UTF-8"}),
    "digits": ({"type": "string", "pattern": r"^\d{2}$|^x\$$"}, ["12", "x$"], {"%D9%A1%D9%A1": "match"}),
    "few texts": ({"type": "string", "enum": ["A", "b"]}, ["A", "b"], {"a": "not one of A, b", "": "not one"}),
    "moment": (
        MOMENT,
        ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789%2B03:00", "2016-12-31T23:59:60Z"],
        {"2026-01-01": "date-time", "2026-01-01T00:00:00": "offset", "2026-13-01T00:00:00Z": "x"},
    ),
    "date": ({"type": "string", "format": "date"}, ["2024-02-29"], {"2026-02-29": "not a date"}),
    "list": (
        LIST,
        ["5", "5&x=6&x=7"],
        {
            "5&x=5": "an item twice",
            "1&x=2&x=3&x=4": "more than 3 items",
            "5&x=0": "x[1] is below 1",
            "5,6": "x[0] is not a plain",
            "": "x[0] is not a plain",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_types(serve: Any, name: str) -> None:
    schema, taken, refused = TYPES[name]
    wire = serve(with_parameters(x=schema))
    for text in taken:
        answer = wire.send(wire.request(target=f"{TO}&x={text}"))
        assert (answer.status, wire.server.requests[-1].violation) == (200, None), text
    for text, sentence in refused.items():
        answer = wire.send(wire.request(target=f"{TO}&x={text}"))
        (error,) = json.loads(answer.content)["errors"]
        assert (answer.status, error["message"]) == (400, wire.server.requests[-1].violation), text
        assert sentence in error["message"], text
    assert wire.send(wire.request(target=TO)).status == 200


def test_commas_in_a_list(serve: Any) -> None:
    texts = {"type": "array", "items": {"type": "string", "maxLength": 3}}
    wire = serve(
        with_parameters(
            {"name": "q", "in": "query", "explode": False, "schema": texts},
            {"name": "X-List", "in": "header", "required": True, "schema": {"type": "array", "items": INT}},
        )
    )
    for query, header, sentence in (
        ("&q=a,b%2Cc,abc", "1,100", None),
        ("&q=a,b,c,abcd", "1", "q[3] has more than 3"),
        ("&q=a&q=b", "1", "q was given more than once"),
        ("", "1,0", "X-List[1] is below 1"),
        ("", None, "X-List is missing"),
    ):
        wire.send(wire.request(target=TO + query, X_List=header))
        violation = wire.server.requests[-1].violation
        assert sentence in violation if sentence else violation is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "not": {"enum": ["a"]}},
        {"type": "array", "items": {"type": "string", "oneOf": []}},
        {"type": "object", "properties": {}},
        {"type": "array", "items": {"type": "array", "items": {}}},
    ],
)
def test_what_nobody_here_can_check_fails_at_once(schema: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match=r"not understood|one value, or a list"):
        read_contract(with_parameters(x=schema))


def test_other_styles_fail_at_once() -> None:
    for wrong in ({"style": "pipeDelimited"}, {"in": "cookie"}, {"content": {}, "schema": None}):
        raw = {"name": "x", "in": "query", "schema": {"type": "string"}} | wrong
        with pytest.raises(NotImplementedError, match="the usual style"):
            read_contract(with_parameters({key: value for key, value in raw.items() if value is not None}))
