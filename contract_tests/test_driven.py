"""Cases of schemathesis, sent by every client instead of by schemathesis."""

from __future__ import annotations

import hashlib

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st

from . import _counts
from ._call import Call
from ._contract import OPERATIONS, Operation, name_answer
from ._driving import check, check_sent, drive, load
from ._entrances import GENERATED, MODES, NAMES
from ._settings import examples
from ._stage import Stage
from ._strategies import HOSTILE_CONTENTS, HOSTILE_NAMES, PIECES, cleaned, content_types, contents, names

# Read when a case is drawn, so one registration serves every test here.
schemathesis.openapi.format("binary", contents(max(operation.max_bytes for operation in OPERATIONS)))

systematic = load(["examples", "coverage"], ["positive", "negative"])
valid = load(["fuzzing"], ["positive"])
invalid = load(["fuzzing"], ["negative"])


def some_name(case: schemathesis.Case) -> str:
    """A hostile name that depends on the case alone: examples and coverage cannot draw one."""
    body = case.body if isinstance(case.body, dict) else None  # of anything else the repr holds an address
    digest = hashlib.sha256(repr((case.path_parameters, case.query, body)).encode("utf-8", "replace")).digest()
    return HOSTILE_NAMES[digest[0] % len(HOSTILE_NAMES)]


@systematic.parametrize()
@examples(1)
def test_every_example_and_bound_is_sent_or_refused_alike_by_all_clients(case: schemathesis.Case, stage: Stage) -> None:
    _counts.part("driven: examples and coverage")
    drive(stage, case, some_name(case), "application/x-coverage")


@valid.given(name=names(), content_type=content_types())
@valid.parametrize()
@examples(60)
def test_a_valid_case_arrives_as_it_is(case: schemathesis.Case, name: str, content_type: str, stage: Stage) -> None:
    _counts.part("driven: fuzzing, valid")
    drive(stage, case, name, content_type)


@invalid.parametrize()
@examples(120)
def test_an_invalid_case_is_refused_and_by_the_wrapper_before_it_leaves(case: schemathesis.Case, stage: Stage) -> None:
    _counts.part("driven: fuzzing, invalid")
    drive(stage, case, some_name(case), "application/x-invalid")


@pytest.mark.parametrize("entrance", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_a_file_that_looks_like_a_form_arrives_as_it_is(stage: Stage, operation: Operation, entrance: str) -> None:
    for content in (*HOSTILE_CONTENTS, *(b"\r\n"[i % 2 : i % 2 + 1] * size for i, size in enumerate(PIECES))):
        _counts.part("driven: hostile contents")
        check_sent(stage.act(entrance, Call(operation, {p.name: 7 for p in operation.parameters}, content)))


@pytest.mark.parametrize("entrance", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_a_hostile_name_neither_breaks_the_form_nor_gets_lost(
    stage: Stage, operation: Operation, entrance: str
) -> None:
    for name in HOSTILE_NAMES:
        _counts.part("driven: hostile names")
        given_name = name if entrance.startswith("wrapper") else cleaned(name) or "file.bin"
        check_sent(stage.act(entrance, Call(operation, {p.name: 7 for p in operation.parameters}, name=given_name)))


@pytest.mark.parametrize("entrance", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_each_bound_of_each_parameter_holds_from_both_sides(stage: Stage, operation: Operation, entrance: str) -> None:
    middle = {parameter.name: 7 for parameter in operation.parameters}
    for bound in (bound for parameter in operation.parameters for bound in parameter.bounds):
        for value in (bound.inside, bound.outside):
            _counts.part("driven: bounds")
            act = stage.act(entrance, Call(operation, middle | {bound.parameter: value}))
            assert act.call.valid == (value == bound.inside)
            check(act)


@pytest.mark.parametrize("beyond", [-1, 0, 1], ids=["below the limit", "at the limit", "beyond the limit"])
@pytest.mark.parametrize("entrance", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_the_size_limit_holds_from_both_sides(stage: Stage, operation: Operation, entrance: str, beyond: int) -> None:
    _counts.part("driven: sizes")
    content = (b"\r\n--+++\xff\x00" * (operation.max_bytes // 9 + 1))[: operation.max_bytes + beyond]
    act = stage.act(entrance, Call(operation, {p.name: 7 for p in operation.parameters}, content))
    assert act.call.valid == (beyond <= 0)
    check(act)


@given(data=st.data())
@examples(40)
def test_both_clients_send_the_same_request_for_the_same_call(stage: Stage, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    values = {p.name: data.draw(st.integers(p.least, p.greatest)) for p in operation.parameters}
    content = data.draw(st.one_of(st.sampled_from(HOSTILE_CONTENTS), st.binary(min_size=1)))
    call = Call(operation, values, content, cleaned(data.draw(names()))[:80] or "file.bin", data.draw(content_types()))
    seen = set()
    for entrance in NAMES:
        _counts.part("driven: same request")
        (request,) = stage.act(entrance, call).requests
        boundary = (request.headers.get("Content-Type") or "").partition("boundary=")[2]
        body = request.body.replace(boundary.encode(), b"{boundary}") if boundary else request.body
        seen.add((request.method, request.target, body, request.headers.get("Content-Length")))
    assert len(seen) == 1, "the clients differ in more than the listed headers"


@pytest.mark.parametrize("entrance", NAMES)
def test_each_request_has_a_boundary_of_its_own(stage: Stage, entrance: str) -> None:
    (operation, *_) = OPERATIONS
    call = Call(operation, {p.name: 7 for p in operation.parameters})
    boundaries = {stage.act(entrance, call).requests[0].headers.get("Content-Type") for _ in range(20)}
    assert len(boundaries) == 20


def test_all_entry_points_of_the_generated_client_and_both_modes_are_driven() -> None:
    assert len(NAMES) == len(GENERATED) + len(MODES) == 6
