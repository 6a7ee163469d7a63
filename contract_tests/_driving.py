"""From a case of schemathesis to a call, through every entrance, to what must be true of what came of it."""

from __future__ import annotations

import copy
import re
from typing import Any
from urllib.parse import unquote

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
from ._call import Call
from ._contract import BY_ID, DOCUMENT
from ._entrances import NAMES, make
from ._settings import SEED, Mode
from ._stage import Act, Stage
from ._strategies import cleaned
from ._wire import check_arrival

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
    of the valid cases could not be driven. No server either: none but the mock is ever to be named in a run.
    """
    cut = copy.deepcopy(DOCUMENT)
    del cut["servers"], cut["components"]["securitySchemes"]
    for item in cut["paths"].values():
        for raw in item.values():
            raw.pop("security", None)
            for content in raw["requestBody"]["content"].values():
                cut["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["additionalProperties"] = (
                    False
                )
    return cut


def load(phases: list[str], modes: list[Mode]) -> Any:
    """The contract as schemathesis holds it, with the expectations made strict: valid is 200, and nothing else is."""
    schema = schemathesis.openapi.from_dict(document(), config=schemathesis.Config(seed=SEED))
    schema.config.generation.update(modes=[schemathesis.GenerationMode(mode) for mode in modes])
    schema.config.phases.update(phases=phases)
    schema.config.checks.positive_data_acceptance.expected_statuses = ["200"]
    schema.config.checks.negative_data_rejection.expected_statuses = ["400", "401", "403", "404"]
    return schema


def drive(stage: Stage, case: schemathesis.Case, name: str, content_type: str) -> None:
    """Send a case through every entrance that can express it, and judge each by wire, by client and by schemathesis."""
    assert case.meta is not None
    mode = case.meta.generation.mode.value
    call = express(case, name, content_type)
    for entrance_name in NAMES:
        entrance = _KINDS[entrance_name]
        why = call if isinstance(call, str) else entrance.expressible(call)
        if isinstance(call, str) or why:
            _counts.unexpressed(mode, entrance.kind, str(why))
            continue
        _counts.expressed(mode, entrance.kind)
        if mode == "positive":
            assert call.valid or len(call.content or b"") in (0, call.operation.max_bytes + 1), (
                "valid by schemathesis only"
            )
        # The generated client takes the names as they are, so it is given what the wrapper makes of them.
        act = stage.act(entrance_name, call if entrance.kind == "wrapper" else _with_clean_name(call))
        check(act)
        validate(case, act)


def check(act: Act) -> None:
    """What wire and client must say of a call."""
    if act.call.valid:
        check_sent(act)
    else:
        check_refused(act)


def check_sent(act: Act) -> None:
    result = act.outcome.get()
    sent_name = act.call.name
    if act.entrance.kind == "wrapper":
        assert type(result) is SentFile
        assert (result.size, result.content_type) == (len(act.call.content or b""), act.call.content_type)
        assert (result.attempts, result.unknown_attempts) == (1, 0)
        sent_name = result.name
        check_sent_name(act.call.name, sent_name)
    check_arrival(act, sent_name)


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
        expected = InvalidRequestError if _complete(act.call) else TypeError
        assert isinstance(act.outcome.error, expected), f"not refused by the wrapper: {act.outcome}"
        assert act.requests == (), "refused, but a request had left"
        return
    if not _complete(act.call):
        assert isinstance(act.outcome.error, TypeError)
        assert act.requests == ()
        return
    if act.requests:
        (request,) = act.requests
        assert (request.status, bool(request.violation)) == (400, True)
    else:
        assert act.outcome.error is not None


def _complete(call: Call) -> bool:
    return call.content is not None and {p.name for p in call.operation.parameters} <= call.values.keys()


def validate(case: schemathesis.Case, act: Act) -> None:
    """Let schemathesis judge the answer that the client was given."""
    if len(act.answers) != 1 or not act.call.content or len(act.call.content) > act.call.operation.max_bytes:
        return
    request = act.requests[0]
    response = act.answers[0].for_schemathesis(list(request.headers), request.body)
    case.validate_response(response, checks=CHECKS)


def express(case: schemathesis.Case, name: str, content_type: str) -> Call | str:
    """The case as a call, or why it cannot be one."""
    operation = BY_ID[case.operation.definition.raw["operationId"]]
    if case.method != operation.method:
        return "another method: a client has no word for it"
    if case.headers or case.cookies:
        return "headers of the caller's own"
    declared = {parameter.name for parameter in operation.parameters}
    given = {**case.path_parameters, **case.query}
    if not given.keys() <= declared:
        return "parameters that are not declared"
    values = {key: _value(value) for key, value in given.items()}
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


def _value(value: Any) -> Any:
    """Coverage cases hold what goes on the wire, as text: a number again where it is one."""
    if isinstance(value, str):
        text = unquote(value)
        return int(text) if re.fullmatch(r"-?(0|[1-9][0-9]*)", text, re.ASCII) else text
    return value


def _with_clean_name(call: Call) -> Call:
    return Call(
        call.operation, call.values, call.content, cleaned(call.name)[:80] or "file.bin", call.content_type, call.extra
    )
