"""From a case of schemathesis to a call, through every entrance, to what must be true of what came of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from yandex_market_chat import InvalidRequestError, SentFile

from . import _counts
from ._call import LEFT_OUT, Call
from ._contract import BY_ID, DOCUMENT, Field, follow
from ._entrances import NAMES, WRAPPER_METHODS, make, thorough_for
from ._kinds import Token
from ._replay import rendered, same_answer
from ._settings import SEED, Validity
from ._stage import Act, Stage
from ._strategies import cleaned
from ._wire import check_arrival, check_target

#: All that schemathesis can say about an answer without sending something of its own.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    positive_data_acceptance,
    negative_data_rejection,
]
_KINDS = {name: make(name) for name in NAMES}


def document() -> dict[str, Any]:
    """The contract, cut to what a call of a client can say.

    No credentials, since each client brings its own, and no further parts, since a typed form has none: left in, 39 %
    of the valid cases could not be driven. No tokens that only the service hands out: any is right by the schema, and
    would be refused. No server either: none but the mock is ever to be named in a run.
    """
    cut = copy.deepcopy(DOCUMENT)
    del cut["servers"], cut["components"]["securitySchemes"]
    for path, item in list(cut["paths"].items()):
        for method, raw in list(item.items()):
            if raw["operationId"] not in BY_ID:
                del item[method]
                continue
            raw.pop("security", None)
            raw["parameters"] = [
                each for each in raw["parameters"] if not follow(follow(each)["schema"]).get("x-opaque")
            ]
            form = raw.get("requestBody", {}).get("content", {}).get("multipart/form-data")
            if form:
                cut["components"]["schemas"][form["schema"]["$ref"].rpartition("/")[2]]["additionalProperties"] = False
        if not item:
            del cut["paths"][path]
    return cut


def load(phases: list[str], validities: list[Validity]) -> Any:
    """The contract as schemathesis holds it, with the expectations made strict: valid is 200, and nothing else is."""
    schema = schemathesis.openapi.from_dict(document(), config=schemathesis.Config(seed=SEED))
    schema.config.generation.update(modes=[schemathesis.GenerationMode(validity) for validity in validities])
    schema.config.phases.update(phases=phases)
    schema.config.checks.positive_data_acceptance.expected_statuses = ["200"]
    schema.config.checks.negative_data_rejection.expected_statuses = ["400", "401", "403", "404"]
    return schema


def each_operation(schema: Any, part: str) -> Callable[[Callable[..., None]], Any]:
    """Parametrise a test by the operations of a schema, each with a node id of its own.

    pytest makes node ids of what it parametrises itself; what schemathesis adds to a name is not among it, and xdist
    runs one of the tests that share an id.
    """
    return lambda test: pytest.mark.parametrize("part", [part])(schema.parametrize()(test))


def drive(stage: Stage, case: schemathesis.Case[Any], name: str, content_type: str) -> None:
    """Send a case through each thorough entrance that can express it; judge it by wire, client and schemathesis."""
    assert case.meta is not None
    validity = case.meta.generation.mode.value
    call = express(case, name, content_type)
    for entrance_name in thorough_for(BY_ID[case.operation.definition.raw["operationId"]]):
        entrance = _KINDS[entrance_name]
        why = call if isinstance(call, str) else entrance.expressible(call)
        if isinstance(call, str) or why:
            _counts.unexpressed(validity, entrance.kind, str(why))
            continue
        _counts.expressed(validity, entrance.kind)
        if validity == "positive":
            assert call.valid or _has_odd_size(call), "valid by schemathesis only"
        # The generated client takes the names as they are, so it is given what the wrapper makes of them.
        act = stage.act(entrance_name, call if entrance.kind == "wrapper" else _with_clean_name(call))
        check(act)
        validate(case, act)


def check(act: Act) -> None:
    """What wire and client must say of a call."""
    if act.call.made_up:
        check_made_up(act)
    elif act.call.valid:
        check_sent(act)
    else:
        check_refused(act)


def check_sent(act: Act) -> None:
    result = act.outcome.get()
    sent_name = act.call.name
    if act.entrance.kind == "wrapper":
        sent_name = RESULTS[WRAPPER_METHODS[act.call.operation.id].name](act)
    else:
        (answer,) = act.answers
        parsed, document = same_answer(act, result, 200, bytes(answer.body)), json.loads(answer.body)
        assert document["status"] == "OK"
        assert parsed.to_dict() == rendered(document, act.call.operation.success.schema)
    check_arrival(act, sent_name)


def _check_sent_file(act: Act) -> str:
    """What send_file says of a file that was sent; the name under which it was."""
    result = act.outcome.result
    assert type(result) is SentFile
    assert (result.size, result.content_type) == (len(act.call.content or b""), act.call.content_type)
    assert (result.attempts, result.unknown_attempts) == (1, 0)
    check_sent_name(act.call.name, result.name)
    return result.name


#: What each method of the wrapper gives back for a documented OK; it returns the name of the file that was sent.
RESULTS: dict[str, Callable[[Act], str]] = {"send_file": _check_sent_file}


def check_made_up(act: Act) -> None:
    """What only the service hands out arrives as it is, and is refused."""
    (request,) = act.requests
    assert request.status == 400
    check_target(request, act.call)
    assert getattr(act.outcome.get(), "status_code", 400) == 400


def check_sent_name(given: str, sent: str) -> None:
    """Of a name everything is sent that may be, and something is sent in any case."""
    wanted = cleaned(given)
    assert sent
    assert len(sent.encode()) <= 255
    if not wanted:
        assert re.fullmatch(r"file\.\w+", sent)
    elif len(wanted.encode()) <= 255:
        assert sent == wanted
    else:
        stem, _, extension = wanted.rpartition(".")
        assert wanted.startswith(sent[: len(sent.rpartition(".")[0] or sent)])
        assert sent.endswith(f".{extension}") or not stem or len(extension.encode()) > 16


def check_refused(act: Act) -> None:
    assert act.files == (), "a call that the contract forbids was delivered"
    if act.entrance.kind == "wrapper":
        # Without chat_id the wrapper asks for an order_id, in a sentence: the types alone cannot say "one of the two".
        expected = InvalidRequestError if act.call.complete else (InvalidRequestError, TypeError)
        assert isinstance(act.outcome.error, expected), f"not refused by the wrapper: {act.outcome}"
        assert act.requests == (), "refused, but a request had left"
        return
    if not act.call.complete:
        assert isinstance(act.outcome.error, TypeError)
        assert act.requests == ()
        return
    if act.requests:
        (request,) = act.requests
        assert (request.status, bool(request.violation)) == (400, True)
    else:
        assert act.outcome.error is not None


def _has_odd_size(call: Call) -> bool:
    """Whether schemathesis, which knows no x-max-bytes, has a word of its own on the size of the file."""
    size = len(call.content or b"")
    return call.operation.body == "form" and call.content is not None and not 0 < size <= call.operation.max_bytes


def validate(case: schemathesis.Case[Any], act: Act) -> None:
    """Let schemathesis judge the answer that the client was given."""
    if len(act.answers) != 1 or _has_odd_size(act.call):
        return
    request = act.requests[0]
    response = act.answers[0].for_schemathesis(list(request.headers), request.body)
    case.validate_response(response, checks=CHECKS)


def express(case: schemathesis.Case[Any], name: str, content_type: str) -> Call | str:
    """The case as a call, or why it cannot be one."""
    operation = BY_ID[case.operation.definition.raw["operationId"]]
    if case.method != operation.method:
        return "another method: a client has no word for it"
    if case.headers or case.cookies:
        return "headers of the caller's own"
    parameters = {field.name: field for field in operation.parameters}
    if any(isinstance(parameters[name].kind, Token) for name in parameters.keys() & {**case.query}.keys()):
        return "a token that was made up"
    given = {**case.path_parameters, **case.query}
    if not given.keys() <= parameters.keys():
        return "parameters that are not declared"
    values = {name: _value(value, parameters[name]) for name, value in given.items()}
    if operation.body == "json":
        missing = type(case.body).__name__ == "NotSet"
        return Call(operation, values, json=LEFT_OUT if missing else case.body)
    if operation.body is None:
        return Call(operation, values)
    body = case.body if isinstance(case.body, dict) else {}
    content = body.get(operation.part)
    if content is None:
        data = None
    elif hasattr(content, "data") and isinstance(content.data, bytes):
        data = content.data
    else:
        return "a file that is not bytes"
    extra = {key: value for key, value in body.items() if key != operation.part}
    return Call(operation, values, data, name, content_type, extra)


def _value(value: Any, field: Field) -> Any:
    """Coverage cases hold what goes on the wire, as text: a value again where it stands for one."""
    if not isinstance(value, str):
        return value
    return field.kind.read(unquote(value) if field.location == "path" else value)


def _with_clean_name(call: Call) -> Call:
    return replace(call, name=cleaned(call.name)[:80] or "file.bin")
