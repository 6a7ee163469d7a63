"""Every answer that the server gives by itself, checked against the contract by a foreign validator."""

from __future__ import annotations

import ast
import functools
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from inspect import getsource
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from yandex_market_chat.testing import MockServer, _body, _check, _connection, _service
from yandex_market_chat.testing._contract import load_contract

from .test_requests import BROKEN, VALID

DOCUMENT = load_contract().document
#: Declared on no operation; the documentation names them for the API as a whole, with the body of all errors.
IN_WORDS = {405, 415}


def followed(node: dict[str, Any]) -> dict[str, Any]:
    """What a node of the document stands for."""
    while "$ref" in node:
        node = functools.reduce(lambda at, name: at[name], node["$ref"].lstrip("#/").split("/"), DOCUMENT)
    return node


DECLARED = {
    operation["operationId"]: {int(status): followed(response) for status, response in operation["responses"].items()}
    | dict.fromkeys(IN_WORDS, followed(operation["responses"]["400"]))
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
}
REGISTRY = Registry().with_resource("urn:contract", DRAFT202012.create_resource(DOCUMENT))


def breaches(answer: Any, operation: str = "sendFileToChat") -> Iterator[str]:
    """Say everything about an answer that its declaration does not allow."""
    response = DECLARED[operation].get(answer.status)
    if response is None:
        yield f"{answer.status} is not documented"
        return
    ((media_type, content),) = response["content"].items()
    if answer.headers["Content-Type"] != media_type:
        yield f"Content-Type {answer.headers['Content-Type']}"
    yield from complaints(content["schema"], json.loads(answer.content))
    for name, reference in response["headers"].items():
        header = followed(reference)
        (value,) = answer.headers.get_all(name)
        yield from complaints(header["schema"], int(value) if header["schema"]["type"] == "integer" else value)
        if name.endswith("Until"):
            assert parsedate_to_datetime(value) > parsedate_to_datetime(answer.headers["Date"])


def complaints(schema: dict[str, Any], value: object) -> list[str]:
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:contract#/'))
    return [error.message for error in OAS30Validator(absolute, registry=REGISTRY).iter_errors(value)]


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, int]]:
    """Where in the server's code refusals have been made."""
    places: set[tuple[str, int]] = set()
    original = _check.Refusal.__init__

    def record(self: Any, *arguments: Any, **named: Any) -> None:
        caller = sys._getframe(1)
        places.add((caller.f_globals["__name__"], caller.f_lineno))
        original(self, *arguments, **named)

    monkeypatch.setattr(_check.Refusal, "__init__", record)
    return places


def places_of_refusals() -> dict[tuple[str, int], range]:
    """Where refusals can be made: each call, with the lines that it covers."""
    return {
        (module.__name__, node.lineno): range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for module in (_body, _check, _connection, _service)
        for node in ast.walk(ast.parse(getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal"
    }


def test_all_of_them(wire_to: Any, raised: set[tuple[str, int]], until: Any) -> None:
    keys = [f"ACMA:{letter * 40}:{letter * 8}" for letter in "abc"]
    statuses = set()
    with MockServer(
        limits=True,
        api_keys={keys[0]: ["all-methods"], keys[1]: [], keys[2]: ["all-methods"]},
        oauth_tokens={"good": ["market:partner-api"], "revoked": ["market:partner-api"], "scopeless": []},
        businesses={1, 12345, 2**63 - 1},
        chats={1, 2, 67890, 2**63 - 1},
        orders={1},
    ) as server:
        server.clock.set(datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
        server.revoke(keys[2])
        server.revoke("revoked")
        wire = wire_to(server)
        requests = [make(wire) for make in VALID.values()]
        requests += [make(wire) for _, _, make in BROKEN.values()]
        requests += [wire.request(Api_Key=key) for key in keys[1:]]
        requests += [wire.request(Api_Key=None, Authorization=f"Bearer {token}") for token in ("revoked", "scopeless")]
        requests += [wire.request(target=f"/v2/businesses/{b}/chats/file/send?chatId={c}") for b, c in ((1, 9), (9, 1))]
        for request in requests:
            answer = wire.send(request)
            statuses.add(answer.status)
            assert list(breaches(answer)) == [], server.requests[-1]
        more = [
            ("createChat", wire.json("/v2/businesses/1/chats/new", {"context": {"type": "ORDER", "id": order}}))
            for order in (1, 1, 9)
        ]
        server.chats.post(1, 2, "x" * 1000, files=[("", 0), ("a" * 300, 2**31 - 1)], sender="SOMEBODY")
        history = "/v2/businesses/1/chats/history?chatId=2"
        more += [
            ("getChatHistory", wire.json(history + query, body))
            for query in ("", "&limit=1", "&pageToken=x")
            for body in ({}, {"messageIdFrom": 1}, [], b"x", b" " * 600_000)
        ]
        for operation, request in more:
            answer = wire.send(request)
            assert list(breaches(answer, operation)) == [], server.requests[-1]
        cut = wire.connect()
        cut.sendall(wire.request()[:-20])
        cut.shutdown(1)
        assert list(breaches(wire.read(cut))) == []
        open_requests = [wire.connect() for _ in range(4)]
        for connection in open_requests:
            connection.sendall(wire.request()[:-1])
        until(lambda: server.in_flight == 4)
        parallel = wire.send(wire.request())
        server.limits.spend(12345)
        resource = wire.send(wire.request())
        assert [list(breaches(answer)) for answer in (parallel, resource)] == [[], []]
        statuses |= {parallel.status, resource.status}
    assert statuses == set(DECLARED["sendFileToChat"]) - {500}, (
        "a 500 is scripted only: the server has no errors of its own"
    )
    possible = places_of_refusals()
    reached = {
        place for place, lines in possible.items() for name, line in raised if name == place[0] and line in lines
    }
    assert sorted(reached) == sorted(possible), "a refusal that this test does not provoke"


def test_the_validator_would_notice() -> None:
    schema = DECLARED["sendFileToChat"][400]["content"]["application/json"]["schema"]
    assert complaints(schema, {"status": "ERROR", "errors": None}) == []
    for wrong in ({}, {"status": "no"}, {"status": "ERROR", "errors": []}, {"status": "ERROR", "errors": [{}]}):
        assert complaints(schema, wrong)
