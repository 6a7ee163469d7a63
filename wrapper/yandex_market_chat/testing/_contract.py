"""The contract as the server reads it: operations with their paths, parameters, forms, credentials and answers.

Everything comes from the packaged document; nothing of it is repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from .._api import contract
from ._schema import Schema, resolve

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter; `location` is path, query or header."""

    name: str
    location: str
    required: bool
    schema: Schema


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
    form: Form | None
    schemes: tuple[KeyScheme | BearerScheme, ...]
    responses: Mapping[int, Response]
    limits: LimitNumbers | None

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

    @property
    def max_body(self) -> int:
        """The most bytes that the files of a valid request can have, over all operations."""
        sizes = [
            field.max_bytes or 0
            for operation in self.operations
            if operation.form
            for field in operation.form.fields.values()
        ]
        return max(sizes, default=0)


@cache
def load_contract() -> Contract:
    """Read the packaged contract."""
    document = contract()
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
    return Operation(
        id=node["operationId"],
        method=method.upper(),
        path=path,
        parameters=tuple(
            Parameter(raw["name"], raw["in"], raw.get("required", False), resolve(raw["schema"], document))
            for raw in declared
        ),
        form=_form(document, resolve(node["requestBody"], document)) if "requestBody" in node else None,
        schemes=tuple(_schemes(document, node)),
        responses={
            int(status): _response(document, int(status), resolve(raw, document))
            for status, raw in node["responses"].items()
        },
        limits=_limits(node["x-limits"]) if "x-limits" in node else None,
    )


def _limits(node: Mapping[str, Any]) -> LimitNumbers:
    return LimitNumbers(
        parallel=node["parallel"]["maximum"],
        resource=node["resource"]["maximum"],
        window_seconds=node["resource"]["window-seconds"],
    )


def _form(document: Mapping[str, Any], body: Mapping[str, Any]) -> Form | None:
    for media_type, content in body["content"].items():
        if media_type == "multipart/form-data":
            schema = resolve(content["schema"], document)
            properties = {name: resolve(raw, document) for name, raw in schema["properties"].items()}
            fields = {
                name: Field(
                    name,
                    required=name in schema.get("required", ()),
                    binary=raw.get("format") == "binary",
                    max_bytes=raw.get("x-max-bytes"),
                )
                for name, raw in properties.items()
            }
            return Form(media_type, body.get("required", False), fields)
    return None


def _schemes(document: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[KeyScheme | BearerScheme]:
    for alternative in node.get("security", document.get("security", ())):
        for name, scopes in alternative.items():
            scheme = resolve(document["components"]["securitySchemes"][name], document)
            if scheme["type"] == "apiKey":
                yield KeyScheme(scheme["name"], tuple(node.get("x-scopes", ())))
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
    return Response(
        status,
        media_type,
        content.get("schema", {}),
        examples,
        {name: resolve(raw["schema"], document) for name, raw in headers.items()},
    )
