"""Cases of schemathesis, sent by every client instead of by schemathesis."""

from __future__ import annotations

import hashlib

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st

from . import _counts
from ._call import usual
from ._contract import OPERATIONS, UPLOADS, Operation, name_answer
from ._driving import check, check_sent, drive, each_operation, load
from ._entrances import GENERATED, MODES, NAMES, names_for, ways
from ._kinds import Text, Token
from ._settings import examples
from ._stage import Stage
from ._strategies import HOSTILE_CONTENTS, HOSTILE_NAMES, HOSTILE_TEXTS, PIECES, cleaned, content_types, contents, names

# Read when a case is drawn, so one registration serves every test here.
schemathesis.openapi.format("binary", contents(max((operation.max_bytes for operation in UPLOADS), default=0)))

systematic = load(["examples", "coverage"], ["positive", "negative"])
valid = load(["fuzzing"], ["positive"])
invalid = load(["fuzzing"], ["negative"])


def some_name(case: schemathesis.Case) -> str:
    """A hostile name that depends on the case alone: examples and coverage leave no room for a drawn one."""
    body = case.body if isinstance(case.body, dict) else None  # of anything else the repr holds an address
    digest = hashlib.sha256(repr((case.path_parameters, case.query, body)).encode("utf-8", "replace")).digest()
    return HOSTILE_NAMES[digest[0] % len(HOSTILE_NAMES)]


@each_operation(systematic, "driven: examples and coverage")
@examples(1)
def test_every_example_and_bound_is_sent_or_refused_alike_by_all_clients(
    case: schemathesis.Case, stage: Stage, part: str
) -> None:
    _counts.part(part)
    drive(stage, case, some_name(case), "application/x-coverage")


@each_operation(valid, "driven: fuzzing, valid")
@valid.given(name=names(), content_type=content_types())
@examples(60)
def test_a_valid_case_arrives_as_it_is(
    case: schemathesis.Case, name: str, content_type: str, stage: Stage, part: str
) -> None:
    _counts.part(part)
    drive(stage, case, name, content_type)


@each_operation(invalid, "driven: fuzzing, invalid")
@examples(120)
def test_an_invalid_case_is_refused_and_by_the_wrapper_before_it_leaves(
    case: schemathesis.Case, stage: Stage, part: str
) -> None:
    _counts.part(part)
    drive(stage, case, some_name(case), "application/x-invalid")


@pytest.mark.parametrize(("operation", "entrance"), ways(UPLOADS))
def test_a_file_that_looks_like_a_form_arrives_as_it_is(stage: Stage, operation: Operation, entrance: str) -> None:
    for content in (*HOSTILE_CONTENTS, *(b"\r\n"[i % 2 : i % 2 + 1] * size for i, size in enumerate(PIECES))):
        _counts.part("driven: hostile contents")
        check_sent(stage.act(entrance, usual(operation, content=content)))


@pytest.mark.parametrize(("operation", "entrance"), ways(UPLOADS))
def test_a_hostile_name_neither_breaks_the_form_nor_gets_lost(
    stage: Stage, operation: Operation, entrance: str
) -> None:
    for name in HOSTILE_NAMES:
        _counts.part("driven: hostile names")
        given_name = name if entrance.startswith("wrapper") else cleaned(name) or "file.bin"
        check_sent(stage.act(entrance, usual(operation, name=given_name)))


@pytest.mark.parametrize(("operation", "entrance"), ways(OPERATIONS))
def test_each_bound_of_each_field_holds_from_both_sides(stage: Stage, operation: Operation, entrance: str) -> None:
    for field, which in _counts.sides(operation, entrance.partition(".")[0]):
        _counts.part("driven: bounds")
        (found,) = [each for each in operation.fields if each.name == field]
        sides = {side.name: side for side in found.kind.sides}
        call = usual(operation, {field: sides[which].value} if which in sides else {})
        assert call.valid == (which not in sides or sides[which].allowed)
        check(stage.act(entrance, call))


@pytest.mark.parametrize(("operation", "entrance"), ways(OPERATIONS))
def test_what_is_optional_may_be_given_all_at_once(stage: Stage, operation: Operation, entrance: str) -> None:
    _counts.part("driven: optional fields")
    words = {field for field, _ in _counts.sides(operation, entrance.partition(".")[0])}
    optional = [
        field
        for field in operation.fields
        if not field.required and field.name in words and not isinstance(field.kind, Token)
    ]
    check(stage.act(entrance, usual(operation, {field.name: field.kind.usual for field in optional})))


@pytest.mark.parametrize(("operation", "entrance"), ways(OPERATIONS))
def test_a_text_arrives_as_it_is_whatever_stands_in_it(stage: Stage, operation: Operation, entrance: str) -> None:
    for field in operation.fields:
        for text in HOSTILE_TEXTS if isinstance(field.kind, Text) else ():
            call = usual(operation, {field.name: text})
            if entrance.startswith("generated") and (call.valid or call.made_up):
                _counts.part("driven: hostile texts")
                check(stage.act(entrance, call))


@pytest.mark.parametrize("beyond", [-1, 0, 1], ids=["below the limit", "at the limit", "beyond the limit"])
@pytest.mark.parametrize(("operation", "entrance"), ways(UPLOADS))
def test_the_size_limit_holds_from_both_sides(stage: Stage, operation: Operation, entrance: str, beyond: int) -> None:
    _counts.part("driven: sizes")
    content = (b"\r\n--+++\xff\x00" * (operation.max_bytes // 9 + 1))[: operation.max_bytes + beyond]
    act = stage.act(entrance, usual(operation, content=content))
    assert act.call.valid == (beyond <= 0)
    check(act)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
@given(data=st.data())
@examples(40)
def test_both_clients_send_the_same_request_for_the_same_call(
    stage: Stage, operation: Operation, data: st.DataObject
) -> None:
    changes = {
        field.name: data.draw(field.kind.drawn())
        for field in operation.fields
        if field.required or data.draw(st.booleans())
    }
    upload = {
        "content": data.draw(st.one_of(st.sampled_from(HOSTILE_CONTENTS), st.binary(min_size=1))),
        "name": cleaned(data.draw(names()))[:80] or "file.bin",
        "content_type": data.draw(content_types()),
    }
    call = usual(operation, changes, **(upload if operation.body == "form" else {}))
    seen = set()
    for entrance in names_for(operation):
        _counts.part("driven: same request")
        (request,) = stage.act(entrance, call).requests
        boundary = (request.headers.get("Content-Type") or "").partition("boundary=")[2]
        body = request.body.replace(boundary.encode(), b"{boundary}") if boundary else request.body
        seen.add((request.method, request.target, body, request.headers.get("Content-Length")))
    assert len(seen) == 1, "the clients differ in more than the listed headers"


@pytest.mark.parametrize(("operation", "entrance"), ways(UPLOADS))
def test_each_request_has_a_boundary_of_its_own(stage: Stage, operation: Operation, entrance: str) -> None:
    call = usual(operation)
    boundaries = {stage.act(entrance, call).requests[0].headers.get("Content-Type") for _ in range(20)}
    assert len(boundaries) == 20


def test_all_entry_points_of_the_generated_client_and_both_modes_are_driven() -> None:
    assert len(NAMES) == len(GENERATED) + len(MODES) == 6
