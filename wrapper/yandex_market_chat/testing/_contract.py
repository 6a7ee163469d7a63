"""The contract as the server reads it: operations with their paths, parameters, forms, credentials and answers.

Everything comes from the packaged document; nothing of it is repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, Literal

from .._api import contract
from ._schema import Schema, resolve, understand

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


#: What the server can do by itself: take a file into a chat, open a chat, read a history out; else it says the example.
Kind = Literal["send", "open", "history", "other"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter; `location` is path, query or header.

    A list that `explodes` is written as one parameter for each item, any other with commas between them.
    """

    name: str
    location: str
    required: bool
    schema: Schema
    explodes: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A part that a form may have; `max_bytes` is the contract's `x-max-bytes`, None without one."""

    name: str
    required: bool
    binary: bool
    max_bytes: int | None


@dataclass(frozen=True, slots=True)
class Form:
    """The request body of an operation, if that is a form."""

    media_type: str
    required: bool
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class JsonBody:
    """The request body of an operation, if that is JSON."""

    media_type: str
    required: bool
    schema: Schema


@dataclass(frozen=True, slots=True)
class KeyScheme:
    """Credentials in a header of their own, which need one of the scopes (`x-scopes`; none: any will do)."""

    header: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BearerScheme:
    """Credentials as `Authorization: Bearer …`, which need one of the scopes."""

    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitNumbers:
    """The contract's `x-limits`: requests at once, and requests in a window, both per business."""

    parallel: int
    resource: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Response:
    """A documented answer; the schema is that of its JSON body."""

    status: int
    media_type: str | None
    schema: Schema
    examples: Mapping[str, Any]
    headers: Mapping[str, Schema]


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Form | JsonBody | None
    schemes: tuple[KeyScheme | BearerScheme, ...]
    responses: Mapping[int, Response]
    limits: LimitNumbers | None
    kind: Kind

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the path of a request, still percent-encoded; its groups are the path parameters."""
        pieces = re.split(r"\{(\w+)\}", self.path)
        return re.compile(
            "".join(f"(?P<{piece}>[^/]*)" if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces))
        )

    @property
    def success(self) -> Response:
        """The answer to a valid request: the first documented 2xx."""
        return self.responses[min(status for status in self.responses if 200 <= status <= 299)]


@dataclass(frozen=True)
class Contract:
    """The whole document, and its operations."""

    document: Mapping[str, Any]
    operations: tuple[Operation, ...]

    def at(self, path: str) -> tuple[Operation, ...]:
        """Return the operations whose path this is, by whatever method."""
        return tuple(operation for operation in self.operations if operation.pattern.fullmatch(path))

    def asked(self, method: str, path: str) -> Operation | None:
        """Return the operation that a request is about, by its method if the path has several; None if none is."""
        operations = self.at(path)
        return next((operation for operation in operations if operation.method == method), next(iter(operations), None))

    def operation(self, operation_id: str) -> Operation:
        """Return an operation by its id; ValueError with those that there are."""
        for operation in self.operations:
            if operation.id == operation_id:
                return operation
        known = ", ".join(operation.id for operation in self.operations)
        raise ValueError(f"the contract has no operation {operation_id!r}; it has {known}")

    @cached_property
    def send(self) -> Operation:
        """The operation that takes a file into a chat: what this server is for."""
        return next(operation for operation in self.operations if operation.kind == "send")

    @property
    def max_body(self) -> int:
        """The most bytes that the files of a valid request can have, over all operations."""
        sizes = [
            field.max_bytes or 0
            for operation in self.operations
            if isinstance(operation.body, Form)
            for field in operation.body.fields.values()
        ]
        return max(sizes, default=0)


@cache
def load_contract() -> Contract:
    """Read the packaged contract."""
    return read_contract(contract())


def read_contract(document: Mapping[str, Any]) -> Contract:
    """Read a contract; NotImplementedError for what it demands and nobody here could check."""
    operations = (
        _operation(document, path, method, item)
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    )
    return Contract(document, tuple(operations))


def _operation(document: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]) -> Operation:
    node = item[method]
    declared = [resolve(raw, document) for raw in (*item.get("parameters", ()), *node.get("parameters", ()))]
    body = _body(document, resolve(node["requestBody"], document)) if "requestBody" in node else None
    responses = {
        int(status): _response(document, int(status), resolve(raw, document))
        for status, raw in node["responses"].items()
    }
    return Operation(
        id=node["operationId"],
        method=method.upper(),
        path=path,
        parameters=tuple(_parameter(document, raw) for raw in declared),
        body=body,
        schemes=tuple(_schemes(document, node)),
        responses=responses,
        limits=_limits(node["x-limits"]) if "x-limits" in node else None,
        kind=_kind(document, body, responses),
    )


def _kind(document: Mapping[str, Any], body: Form | JsonBody | None, responses: Mapping[int, Response]) -> Kind:
    """Tell by what goes in and comes out, so that nothing depends on a name."""
    if isinstance(body, Form):
        return "send" if any(field.binary for field in body.fields.values()) else "other"
    answer = next((response.schema for status, response in responses.items() if 200 <= status <= 299), {})
    result = _properties(document, _properties(document, answer).get("result", {}))
    if "messages" in result:
        return "history"
    asked = _properties(document, body.schema) if body else {}
    return "open" if "context" in asked and "chatId" in result else "other"


def _properties(document: Mapping[str, Any], schema: Schema) -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = resolve(schema, document).get("properties", {})
    return found


def _parameter(document: Mapping[str, Any], raw: Mapping[str, Any]) -> Parameter:
    name, location = raw["name"], raw["in"]
    usual = "form" if location == "query" else "simple"
    if location not in ("path", "query", "header") or "schema" not in raw or raw.get("style", usual) != usual:
        raise NotImplementedError(f"{name}: parameters are in path, query or header, with a schema and the usual style")
    schema = resolve(raw["schema"], document)
    understand(schema, document)
    items = resolve(schema["items"], document) if schema.get("type") == "array" else schema
    if items.get("type") in ("array", "object"):
        raise NotImplementedError(f"{name}: a parameter is one value, or a list of them")
    explodes = items is not schema and location == "query" and raw.get("explode", True)
    return Parameter(name, location, raw.get("required", False), schema, explodes)


def _limits(node: Mapping[str, Any]) -> LimitNumbers:
    return LimitNumbers(
        parallel=node["parallel"]["maximum"],
        resource=node["resource"]["maximum"],
        window_seconds=node["resource"]["window-seconds"],
    )


def _body(document: Mapping[str, Any], body: Mapping[str, Any]) -> Form | JsonBody:
    required = body.get("required", False)
    for media_type, content in body["content"].items():
        schema = resolve(content["schema"], document)
        if media_type == "multipart/form-data":
            return Form(media_type, required, _fields(document, schema))
        if media_type == "application/json":
            understand(schema, document)
            return JsonBody(media_type, required, schema)
    raise NotImplementedError(f"a body is a form or JSON, not {', '.join(body['content'])}")


def _fields(document: Mapping[str, Any], schema: Schema) -> Mapping[str, Field]:
    properties = {name: resolve(raw, document) for name, raw in schema["properties"].items()}
    return {
        name: Field(
            name,
            required=name in schema.get("required", ()),
            binary=raw.get("format") == "binary",
            max_bytes=raw.get("x-max-bytes"),
        )
        for name, raw in properties.items()
    }


def _schemes(document: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[KeyScheme | BearerScheme]:
    for alternative in node.get("security", document.get("security", ())):
        for name, scopes in alternative.items():
            scheme = resolve(document["components"]["securitySchemes"][name], document)
            if scheme["type"] == "apiKey":
                yield KeyScheme(scheme["name"], tuple(node.get("x-scopes", scheme.get("x-scopes", ()))))
            else:
                yield BearerScheme(tuple(scopes))


def _response(document: Mapping[str, Any], status: int, node: Mapping[str, Any]) -> Response:
    contents: dict[str, Any] = node.get("content", {})
    media_type = next(iter(contents), None)
    content: dict[str, Any] = contents[media_type] if media_type else {}
    examples = {name: resolve(raw, document)["value"] for name, raw in content.get("examples", {}).items()}
    if "example" in content:
        examples = {"": content["example"], **examples}
    headers = {name: resolve(raw, document) for name, raw in node.get("headers", {}).items()}
    schemas = {name: resolve(raw["schema"], document) for name, raw in headers.items()}
    for schema in (content.get("schema", {}), *schemas.values()):
        understand(schema, document)
    return Response(status, media_type, content.get("schema", {}), examples, schemas)
