"""The contract inverted: schemathesis generates the answers, and both clients have to make sense of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st

from _yandex_market_chat_api import models
from yandex_market_chat import ApiError, SentFile

from . import _counts
from ._contract import ANSWERS, BY_ID, DOCUMENT, OPERATIONS, Operation, Response
from ._driving import each_operation
from ._entrances import names_for, readers_for
from ._replay import check_answered, rendered, replay
from ._settings import SEED, Validity, examples
from ._stage import Stage
from ._strategies import moments

# Not every moment of RFC 3339: one with a leap second, or in small letters, is not what the documentation promises.
schemathesis.openapi.format("date-time", moments())


def inverted(validity: Validity) -> Any:
    """A document in which each documented answer is the body of a request, so that bodies are what gets generated."""
    paths = {
        f"/{operation.id}/{response.status}": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": f"#/components/schemas/{response.schema_name}"}}
                    },
                },
                "responses": {"200": {"description": ""}},
            }
        }
        for operation, response in ANSWERS
    }
    components = {"schemas": DOCUMENT["components"]["schemas"]}
    document = {"openapi": DOCUMENT["openapi"], "info": DOCUMENT["info"], "paths": paths, "components": components}
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config(seed=SEED))
    schema.config.generation.update(modes=[schemathesis.GenerationMode(validity)])
    schema.config.phases.update(phases=["coverage", "fuzzing"])
    return schema


valid, invalid = inverted("positive"), inverted("negative")
#: Every documented answer, with every entrance of its operation.
ANSWERED = [
    pytest.param(operation, response, entrance, id=f"{operation.id}-{response.status}-{entrance}")
    for operation, response in ANSWERS
    for entrance in names_for(operation)
]


def answer_of(case: schemathesis.Case) -> tuple[Operation, Response, bytes] | None:
    """The generated answer; None for the cases that are about the request around it."""
    if case.method != "POST" or "Content-Type" in case.headers or type(case.body).__name__ == "NotSet":
        return None
    _, operation, status = case.path.split("/")
    raw = getattr(case.body, "data", case.body)  # now and then schemathesis means the bytes themselves
    body = raw if isinstance(raw, bytes) else json.dumps(raw, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return BY_ID[operation], BY_ID[operation].responses[int(status)], body


@each_operation(valid, "inverted: valid answers")
@examples(20)
def test_every_answer_that_the_contract_allows_is_understood(case: schemathesis.Case, stage: Stage, part: str) -> None:
    generated = answer_of(case)
    if generated is None:
        return
    operation, response, body = generated
    for entrance in readers_for(operation):
        _counts.part(part)
        act = replay(stage, entrance, operation, response.status, body)
        check_answered(act, response.status, body)
        if act.entrance.kind == "generated":
            parsed = getattr(act.outcome.get(), "parsed", act.outcome.get())
            assert type(parsed) is getattr(models, response.schema_name)
            assert parsed.to_dict() == rendered(json.loads(body), response.schema)
        elif isinstance(act.outcome.error, ApiError):
            listed = json.loads(body).get("errors") or []
            assert [item[0] for item in act.outcome.error.errors] == [item["code"] for item in listed]
            assert [item[1] for item in act.outcome.error.errors] == [item.get("message") for item in listed]


@each_operation(invalid, "inverted: invalid answers")
@examples(15)
def test_no_answer_that_the_contract_forbids_is_lost_or_taken_for_success(
    case: schemathesis.Case, stage: Stage, part: str
) -> None:
    generated = answer_of(case)
    if generated is None:
        return
    operation, response, body = generated
    for entrance in readers_for(operation):
        _counts.part(part)
        check_answered(replay(stage, entrance, operation, response.status, body), response.status, body)


#: Bodies that no schema gives rise to.
BROKEN = (
    b"",
    b"OK",
    b'"OK"',
    b"null",
    b"[]",
    b"{}",
    b'{"status": "OK"',
    b'{"status": "OK"}}',
    b'{"status": "ok"}',
    b'{"status": "OK "}',
    b'{"status": ["OK"]}',
    b'{"status": true}',
    b'{"STATUS": "OK"}',
    b'[{"status": "OK"}]',
    b'[["status", "OK"]]',
    b'{"status": "OK", "x": NaN}',
    b'{"result": {"status": "OK"}}',
    b'{"status": "ERROR"}',
    b'{"status": "ERROR", "status": "OK"}',
    b'{"status": "OK", "status": "ERROR"}',
    b'{"status": "ERROR", "errors": null}',
    b'{"status": "ERROR", "errors": "boom"}',
    b'{"status": "ERROR", "errors": [1, null, [], {"code": 7}]}',
    b'{"status": "ERROR", "errors": {"code": "A"}}',
    b"\xef\xbb\xbf" + b'{"status": "OK"}',
    b'{"status": "\xff"}',
    '{"status": "OK"}'.encode("utf-16"),
    b"<html><body>OK</body></html>",
    b"[" * 5000,
    b"\x00",
    b"NaN",
)


@pytest.mark.parametrize(
    ("operation", "response", "entrance"), [way for way in ANSWERED if way.values[2] in readers_for(way.values[0])]
)
def test_a_body_that_is_not_the_documented_one_is_no_success(
    stage: Stage, operation: Operation, response: Response, entrance: str
) -> None:
    for body in BROKEN:
        _counts.part("inverted: broken bodies")
        check_answered(replay(stage, entrance, operation, response.status, body), response.status, body)


@given(status=st.one_of(st.integers(200, 599), st.just(200)), body=st.one_of(st.binary(), st.sampled_from(BROKEN)))
@examples(60)
def test_whatever_comes_back_is_kept(stage: Stage, status: int, body: bytes) -> None:
    if status in (204, 304):
        body = b""  # by HTTP these have none
    for operation in OPERATIONS:
        for entrance in readers_for(operation):
            _counts.part("inverted: any status, any bytes")
            check_answered(replay(stage, entrance, operation, status, body), status, body)


@pytest.mark.parametrize(("operation", "response", "entrance"), ANSWERED)
def test_each_example_of_the_contract_is_understood(
    stage: Stage, operation: Operation, response: Response, entrance: str
) -> None:
    for example in response.examples.values():
        body = json.dumps(example).encode()
        act = replay(stage, entrance, operation, response.status, body)
        check_answered(act, response.status, body)
        if act.entrance.kind == "wrapper":
            assert isinstance(act.outcome.result, SentFile) == (response.status == 200)
        else:
            assert act.outcome.error is None
