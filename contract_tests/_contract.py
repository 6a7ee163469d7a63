"""The contract as these tests read it: from the hand-written document, by nobody else's reading.

Everything here is told per operation and by kind, so that a further one meets every test by being written down. What
these tests have no word for is kept in `Operation.unknown`, and such an operation meets the one test that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from ruamel.yaml import YAML

from ._kinds import Kind, UnknownKindError, kind_of

TOP = Path(__file__).resolve().parents[1]
DOCUMENT: dict[str, Any] = YAML(typ="safe", pure=True).load(TOP / "openapi" / "openapi.yaml")

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_FORM, _JSON = "multipart/form-data", "application/json"


def follow(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a node of the document stands for."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].lstrip("#/").split("/"):
            target = target[step]
        node = target
    return node


def conforms(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether a JSON value is what a schema of the document allows."""
    whole = {**schema, "components": DOCUMENT["components"]}
    valid: bool = OAS30Validator(whole, format_checker=oas30_format_checker).is_valid(value)
    return valid


@dataclass(frozen=True)
class Field:
    """One value of a call: a parameter, or a property of a JSON body, whose name has dots in it (`context.id`)."""

    name: str
    location: str  # path, query or body
    required: bool
    kind: Kind

    @property
    def steps(self) -> list[str]:
        """Where it stands in the body."""
        return self.name.split(".")


@dataclass(frozen=True)
class Response:
    """A documented answer."""

    status: int
    schema_name: str
    schema: Mapping[str, Any]
    examples: Mapping[str, Any]
    headers: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """One operation; its body is a form with one file, a JSON object, or nothing."""

    id: str
    tag: str
    method: str
    path: str
    fields: tuple[Field, ...]
    body: Literal["form", "json"] | None
    schema: Mapping[str, Any]  # of the body
    part: str  # the name of the file's part; empty: no form
    max_bytes: int
    repeatable: bool | None  # None: nobody has said
    responses: Mapping[int, Response]
    raw: Mapping[str, Any]
    unknown: tuple[str, ...]

    @property
    def parameters(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.location != "body")

    @property
    def success(self) -> Response:
        return self.responses[200]


def _parameters(raw: Mapping[str, Any]) -> Iterator[Field]:
    for parameter in map(follow, raw.get("parameters", ())):
        if parameter["in"] not in ("path", "query"):
            raise UnknownKindError(f"{parameter['name']} in {parameter['in']}")
        kind = kind_of(follow(parameter["schema"]))
        yield Field(parameter["name"], parameter["in"], parameter.get("required", False), kind)


def _properties(schema: Mapping[str, Any], above: str = "", *, required: bool = True) -> Iterator[Field]:
    """The fields of a JSON body, those of an object within it, too."""
    if schema.get("type") != "object" or schema.get("nullable"):
        raise UnknownKindError(f"{above or 'a body'} of type {schema.get('type')}")
    for name, raw in schema.get("properties", {}).items():
        inner, needed = follow(raw), required and name in schema.get("required", ())
        if inner.get("type") == "object":
            yield from _properties(inner, f"{above}{name}.", required=needed)
        else:
            yield Field(f"{above}{name}", "body", needed, kind_of(inner))


def _file(form: Mapping[str, Any]) -> tuple[str, int]:
    parts = {name: follow(raw) for name, raw in form["properties"].items()}
    if len(parts) != 1:
        raise UnknownKindError(f"a form with the parts {', '.join(parts)}")
    ((part, file),) = parts.items()
    if file.get("format") != "binary" or "x-max-bytes" not in file:
        raise UnknownKindError(f"the part {part}, which is no file with x-max-bytes")
    return part, file["x-max-bytes"]


def _responses(raw: Mapping[str, Any]) -> Iterator[Response]:
    for status, node in raw.items():
        answer = follow(node)
        content = answer["content"][_JSON]
        examples = {name: follow(example)["value"] for name, example in content.get("examples", {}).items()}
        if "example" in content:
            examples[""] = content["example"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        yield Response(int(status), name, follow(content["schema"]), examples, tuple(answer.get("headers", ())))


def _operation(path: str, method: str, raw: Mapping[str, Any]) -> Operation:
    fields: list[Field] = []
    unknown: list[str] = []
    content = follow(raw.get("requestBody", {})).get("content", {})
    schema = follow(next(iter(content.values()))["schema"]) if content else {}
    body: Literal["form", "json"] | None = None
    part, max_bytes = "", 0
    try:
        fields += _parameters(raw)
        if list(content) == [_FORM]:
            body = "form"
            part, max_bytes = _file(schema)
        elif list(content) == [_JSON]:
            body = "json"
            fields += _properties(schema)
        elif content:
            raise UnknownKindError(f"a body of type {', '.join(content)}")
    except UnknownKindError as error:
        unknown.append(str(error))
    return Operation(
        id=raw["operationId"],
        tag=raw["tags"][0],
        method=method.upper(),
        path=path,
        fields=tuple(fields),
        body=body,
        schema=schema,
        part=part,
        max_bytes=max_bytes,
        repeatable=raw.get("x-repeatable"),
        responses={response.status: response for response in _responses(raw["responses"])},
        raw=raw,
        unknown=tuple(unknown),
    )


#: Every operation of the document, and those that these tests can call.
DECLARED = tuple(
    _operation(path, method, item[method])
    for path, item in DOCUMENT["paths"].items()
    for method in _METHODS
    if method in item
)
OPERATIONS = tuple(operation for operation in DECLARED if not operation.unknown)
BY_ID = {operation.id: operation for operation in OPERATIONS}
#: Those that send a file, and those that send JSON.
UPLOADS = tuple(operation for operation in OPERATIONS if operation.body == "form")
JSON = tuple(operation for operation in OPERATIONS if operation.body == "json")
#: Every documented answer of every operation.
ANSWERS = tuple((operation, response) for operation in OPERATIONS for response in operation.responses.values())


def name_answer(value: object) -> str | None:
    """For `ids` of parametrised tests."""
    if isinstance(value, Operation):
        return value.id
    if isinstance(value, Response):
        return str(value.status)
    if isinstance(value, Field):
        return value.name
    return None
