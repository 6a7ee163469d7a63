"""The contract as these tests read it: from the hand-written document, by nobody else's reading.

Everything here is told per operation, so that a second one meets every test by being written down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

TOP = Path(__file__).resolve().parents[1]
DOCUMENT: dict[str, Any] = YAML(typ="safe", pure=True).load(TOP / "openapi" / "openapi.yaml")

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_WIDTHS = {"int32": 31, "int64": 63}


def follow(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a node of the document stands for."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].lstrip("#/").split("/"):
            target = target[step]
        node = target
    return node


class Bound(NamedTuple):
    """One end of what a parameter may be."""

    parameter: str
    name: str  # least or greatest
    inside: int
    outside: int


@dataclass(frozen=True)
class Parameter:
    """A declared integer parameter, with the ends of what it may be."""

    name: str
    location: str
    least: int
    greatest: int

    @property
    def bounds(self) -> tuple[Bound, Bound]:
        return (
            Bound(self.name, "least", self.least, self.least - 1),
            Bound(self.name, "greatest", self.greatest, self.greatest + 1),
        )

    def allows(self, value: object) -> bool:
        return type(value) is int and self.least <= value <= self.greatest


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
    """One operation that sends one file."""

    id: str
    tag: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    part: str
    max_bytes: int
    responses: Mapping[int, Response]

    def allows(self, values: Mapping[str, object]) -> bool:
        return all(parameter.allows(values.get(parameter.name)) for parameter in self.parameters)

    def target(self, values: Mapping[str, object]) -> tuple[str, str]:
        """Path and query of a call, by hand: ids are plain digits, so nothing needs encoding."""
        path = re.sub(r"\{(\w+)\}", lambda found: str(values[found.group(1)]), self.path)
        query = "&".join(f"{p.name}={values[p.name]}" for p in self.parameters if p.location == "query")
        return path, query


def _parameter(raw: Mapping[str, Any]) -> Parameter:
    schema = follow(raw["schema"])
    if schema["type"] != "integer" or schema.get("format") not in _WIDTHS:
        raise NotImplementedError(f"{raw['name']}: only int32 and int64 have bounds here; teach Parameter the new kind")
    width = _WIDTHS[schema["format"]]
    greatest = min((1 << width) - 1, schema.get("maximum", (1 << width) - 1))
    return Parameter(raw["name"], raw["in"], max(-(1 << width), schema.get("minimum", -(1 << width))), greatest)


def _responses(raw: Mapping[str, Any]) -> Iterator[Response]:
    for status, node in raw.items():
        answer = follow(node)
        content = answer["content"]["application/json"]
        examples = {name: follow(example)["value"] for name, example in content.get("examples", {}).items()}
        if "example" in content:
            examples[""] = content["example"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        yield Response(int(status), name, follow(content["schema"]), examples, tuple(answer.get("headers", ())))


def _operation(path: str, method: str, raw: Mapping[str, Any]) -> Operation:
    form = follow(raw["requestBody"]["content"]["multipart/form-data"]["schema"])
    ((part, file),) = form["properties"].items()
    return Operation(
        id=raw["operationId"],
        tag=raw["tags"][0],
        method=method.upper(),
        path=path,
        parameters=tuple(_parameter(follow(parameter)) for parameter in raw["parameters"]),
        part=part,
        max_bytes=follow(file)["x-max-bytes"],
        responses={response.status: response for response in _responses(raw["responses"])},
    )


OPERATIONS = tuple(
    _operation(path, method, item[method])
    for path, item in DOCUMENT["paths"].items()
    for method in _METHODS
    if method in item
)
BY_ID = {operation.id: operation for operation in OPERATIONS}
#: Every documented answer of every operation.
ANSWERS = tuple((operation, response) for operation in OPERATIONS for response in operation.responses.values())


def name_answer(value: object) -> str | None:
    """For `ids` of parametrised tests."""
    if isinstance(value, Operation):
        return value.id
    if isinstance(value, Response):
        return str(value.status)
    return None
