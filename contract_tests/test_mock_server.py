"""Tests of the mock server: raw requests, schemathesis with strict expectations, and a vote of foreign parsers."""

from __future__ import annotations

import hashlib
import json
import re
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import assume, given
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import allow_header_conformance, unsupported_method

from yandex_market_chat.testing import MockServer

from . import _counts
from ._contract import BY_ID, OPERATIONS, Operation, conforms, name_answer
from ._driving import CHECKS, each_operation, express, load
from ._parsers import PARSERS, SeenPart
from ._raw import exchange
from ._requests import CONTENT, RawRequest, broken, form, valid
from ._settings import examples
from ._stage import Stage
from ._strategies import HOSTILE_CONTENTS
from ._wire import written

REQUESTS = [*valid(), *broken()]


def test_there_are_enough_requests_of_both_kinds() -> None:
    assert len({request.name for request in REQUESTS}) == len(REQUESTS) >= 60
    assert {request.status for request in REQUESTS} >= {200, 400, 401, 403, 404, 405, 415}


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_there_are_raw_requests_to_every_operation(operation: Operation) -> None:
    statuses = {request.status for request in REQUESTS if request.operation == operation.id}
    missing = {200, 400, 401, 405} - statuses
    assert not missing, f"_requests.py: write down requests to {operation.id} by hand that get {missing}"


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_a_raw_request_gets_what_it_deserves(request_: RawRequest) -> None:
    _counts.part("mock: raw requests")
    with MockServer() as server:
        wire = request_.encode(urlsplit(server.base_url).netloc, server.api_key, server.oauth_token)
        answer = exchange(server.base_url, wire, request_.method)
        assert answer.status == request_.status, answer.body
        assert answer.headers["content-type"] == "application/json"
        assert len(server.received) == (request_.status == 200 and request_.operation == "sendFileToChat")
        if request_.status == 200:
            assert json.loads(answer.body)["status"] == "OK"
            assert conforms(json.loads(answer.body), BY_ID[request_.operation].success.schema)
            assert server.requests[0].violation is None
        else:
            document = json.loads(answer.body)
            assert document["status"] == "ERROR"
            assert document["errors"][0].keys() == {"code", "message"}
            assert server.requests[0].violation == document["errors"][0]["message"]


systematic = load(["examples", "coverage"], ["positive", "negative"])
fuzzed = load(["fuzzing"], ["positive", "negative"])
#: Documented for the API as a whole, and what these cases deserve.
ELSEWHERE = {"Unspecified HTTP method": 405, "Unsupported Content-Type": 415, "Malformed Content-Type": 400}


def judge(stage: Stage, case: schemathesis.Case) -> None:
    server = stage.server
    response = case.call(base_url=server.base_url, headers={"Api-Key": server.api_key})
    assert case.meta is not None
    description = getattr(case.meta.phase.data, "description", None) or ""
    operation = BY_ID[case.operation.definition.raw["operationId"]]
    for beginning, status in ELSEWHERE.items():
        if description.startswith(beginning):
            if operation.body is None and status != 405:
                status = 200  # of a body that is not there, nobody asks the type
            elif status == 400 and operation.body == "json":
                status = 415  # the malformed type is that of a form
            # requests writes no length for QUERY and some others without a body; it is the method that counts.
            assert response.status_code == status, description
            case.validate_response(response, checks=[unsupported_method, allow_header_conformance])
            return
    body = case.body if operation.body == "form" and isinstance(case.body, dict) else {}
    content = getattr(body.get(operation.part), "data", None)
    odd_size = content is not None and not 0 < len(content) <= operation.max_bytes
    expected = 200 if case.meta.generation.mode.is_positive and not odd_size else 400
    if expected == 400 and not odd_size and _is_valid_on_the_wire(case):
        # Schemathesis, which knows the case and not the bytes, would have it refused.
        assert response.status_code == 200, f"{description}: {case!r}"
        return
    if description.startswith("Missing request body") or (expected == 400 and case.media_type is None):
        assert response.status_code in (400, 415)
        return
    assert response.status_code == expected, f"{description}: {case!r}"
    if not odd_size:
        case.validate_response(response, checks=CHECKS)


def _is_valid_on_the_wire(case: schemathesis.Case) -> bool:
    """A parameter that nobody declared is not forbidden by OpenAPI; an empty list or object is written as no part."""
    operation = BY_ID[case.operation.definition.raw["operationId"]]
    declared = {parameter.name for parameter in operation.parameters}
    plain = {key: value for key, value in case.query.items() if key in declared}
    copy = case.derive(query=plain)
    if operation.body == "form" and isinstance(case.body, dict):
        copy.body = {name: value for name, value in case.body.items() if value not in ([], {})}
    call = express(copy, "a.bin", "application/x-wire")
    return not isinstance(call, str) and call.valid


@each_operation(systematic, "mock: schemathesis, examples and coverage")
@examples(1)
def test_the_mock_server_keeps_the_contract_for_every_example_and_bound(
    case: schemathesis.Case, stage: Stage, part: str
) -> None:
    _counts.part(part)
    judge(stage, case)


@each_operation(fuzzed, "mock: schemathesis, fuzzing")
@examples(150)
def test_the_mock_server_keeps_the_contract_under_fuzzing(case: schemathesis.Case, stage: Stage, part: str) -> None:
    _counts.part(part)
    judge(stage, case)


token_text = st.text("abcdefghijklmnopqrstuvwxyz0123456789'+_.-", min_size=1, max_size=30)
boundaries = st.one_of(token_text, st.just("+++"), st.just("-" * 10), st.text("ab-", min_size=1, max_size=70))
#: What may stand between quotes; what HTML writes in another way is left to the vectors.
quoted = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "S", "P", "Zs"], exclude_characters='"\\%'), max_size=30
)


@given(data=st.data())
@examples(500)
def test_three_foreign_parsers_read_a_form_as_the_mock_server_does(stage: Stage, data: st.DataObject) -> None:
    boundary = data.draw(boundaries)
    hostile = st.sampled_from([*HOSTILE_CONTENTS, b"\r\n--" + boundary[:-1].encode(), b"--" + boundary.encode()])
    content = data.draw(st.one_of(st.binary(min_size=1), hostile, st.builds(bytes.__add__, st.binary(), hostile)))
    filename, kind = (
        data.draw(quoted.filter(bool)),
        data.draw(st.sampled_from(["a/b", "application/x-vote", "text/plain"])),
    )
    # With CRLF before it, it would be the boundary. Two of the three take a bare LF or CR for a line break as well.
    assume(not re.search(rb"[\r\n]--" + re.escape(boundary.encode()), b"\n" + content))
    _counts.part("mock: vote of three parsers")
    body = form(content, f'form-data; name="file"; filename="{written(filename)}"', kind, boundary)
    content_type = f'multipart/form-data; boundary="{boundary}"'
    truth = SeenPart("file", filename, kind, len(content), hashlib.sha256(content).hexdigest())
    votes = {name: parse(content_type, body) for name, parse in PARSERS.items()}
    assert votes == {name: [truth] for name in PARSERS}
    request = RawRequest("vote", 200, headers=(("Content-Type", content_type),), body=body)
    stage.renew_if_full(len(body))
    server = stage.server
    wire = request.encode(urlsplit(server.base_url).netloc, server.api_key, server.oauth_token)
    assert exchange(server.base_url, wire).status == 200
    file = server.received[-1]
    assert SeenPart("file", file.name, file.content_type, file.size, file.sha256) == truth


@given(data=st.data())
@examples(100)
def test_what_all_foreign_parsers_refuse_or_read_otherwise_is_not_accepted(stage: Stage, data: st.DataObject) -> None:
    """A form that was damaged: the mock server may be stricter than the others, never more lenient than all of them."""
    _counts.part("mock: damaged forms")
    body = bytearray(form(data.draw(st.sampled_from([CONTENT, b"x"])), boundary="x7x"))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(body) - 1))
        if data.draw(st.booleans()):
            del body[position : position + data.draw(st.integers(1, 4))]
        else:
            body[position : position + 1] = data.draw(st.binary(max_size=3))
        assume(body)
    content_type = "multipart/form-data; boundary=x7x"
    request = RawRequest("damaged", 200, headers=(("Content-Type", content_type),), body=bytes(body))
    stage.renew_if_full(len(body))
    server = stage.server
    before = len(server.received)
    wire = request.encode(urlsplit(server.base_url).netloc, server.api_key, server.oauth_token)
    answer = exchange(server.base_url, wire)
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert len(server.received) == before
        return
    file = server.received[-1]
    seen = [part for parse in PARSERS.values() for part in parse(content_type, bytes(body)) or ()]
    assert (file.size, file.sha256) in {(part.size, part.sha256) for part in seen}
