"""What the contract demands of the body of a request: a form or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ._check import Call, Policy, Refusal
from ._contract import Form, JsonBody
from ._credentials import Headers
from ._multipart import MultipartError, Part, boundary_of, parse_media_type, parse_multipart
from ._schema import violation

#: The documentation of the API as a whole: the most bytes of a body, where an operation says nothing else.
_MOST_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What a body holds: the parts of a form, or a JSON value."""

    parts: tuple[Part, ...] = ()
    value: object = None


def check_body(call: Call, document: Mapping[str, object], policy: Policy, headers: Headers, body: bytes) -> Content:
    """Return what is in the body, if it is as the contract demands; raise Refusal."""
    declared = call.operation.body
    if declared is None:
        return Content()
    if not body and not declared.required and not headers.values("Content-Type"):
        return Content()
    parameters = _parameters(declared, headers)
    if isinstance(declared, Form):
        return Content(_parts(declared, parameters, policy, body))
    return Content(value=_value(declared, document, body))


def _parameters(declared: Form | JsonBody, headers: Headers) -> list[tuple[str, str]]:
    """Return the parameters of the Content-Type, if that is the declared one."""
    values = headers.values("Content-Type")
    if not values:
        # 415 is for a type that is not the right one; without one there is no body, which is a demand of its own.
        raise Refusal(400, f"the request has no Content-Type; it is to be {declared.media_type}")
    if len(values) > 1:
        raise Refusal(400, "the header Content-Type was sent more than once")
    try:
        media_type, parameters = parse_media_type(values[0])
        if media_type == declared.media_type:
            return parameters
    except MultipartError as error:
        # Whose parameters are broken has the right type anyway.
        if values[0].partition(";")[0].strip().lower() == declared.media_type:
            raise Refusal(400, str(error)) from None
    raise Refusal(415, f"the Content-Type is not {declared.media_type}")


def _value(declared: JsonBody, document: Mapping[str, object], body: bytes) -> object:
    if len(body) > _MOST_BYTES:
        raise Refusal(400, f"the request is too big: a body of JSON has at most {_MOST_BYTES} bytes")
    try:
        # RFC 8259, 8.1: UTF-8, without a mark; `json` alone would take others.
        value: object = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    sentence = violation(value, declared.schema, document, "the body")
    if sentence:
        raise Refusal(400, sentence)
    return value


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _parts(form: Form, parameters: list[tuple[str, str]], policy: Policy, body: bytes) -> tuple[Part, ...]:
    try:
        boundary = boundary_of(parameters)
    except MultipartError as error:
        raise Refusal(400, str(error)) from None
    try:
        parts = parse_multipart(body, boundary, strict=policy.strict)
    except MultipartError as error:
        raise Refusal(400, f"broken multipart: {error}") from None
    problem = _form_problem(form, parts)
    if problem:
        refusal = Refusal(400, problem)
        refusal.parts = parts
        raise refusal
    return parts


def _form_problem(form: Form, parts: tuple[Part, ...]) -> str | None:
    names = [part.name for part in parts]
    for name, declared in form.fields.items():
        if declared.required and name not in names:
            return f"the form has no part {name}"
        if names.count(name) > 1:
            return f"the form has more than one part {name}"
    for part in parts:
        field_of = form.fields.get(part.name)
        if field_of is None:
            return f"the form has a part that the contract does not know; it knows {', '.join(form.fields)}"
        # Undocumented. A file of nothing is a mistake of the sender far more often than a wish.
        if field_of.binary and not part.content:
            return f"the part {part.name} is empty"
        if field_of.max_bytes is not None and len(part.content) > field_of.max_bytes:
            return f"the request is too big: the part {part.name} has more than {field_of.max_bytes} bytes"
    return None
