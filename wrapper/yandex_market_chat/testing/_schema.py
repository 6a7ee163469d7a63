"""Checks a value against a schema of the contract: the part of OpenAPI 3.0's schema language that the contract uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TYPE_NAMES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "a list",
    "object": "an object",
}

Schema = Mapping[str, Any]

# What is understood or says nothing about validity. Anything else in a schema must fail loudly: a keyword that is
# skipped in silence is a demand of the contract that nobody checks.
_CHECKED: Final = {"type", "format", "enum", "nullable", "required", "properties", "items", "minItems", "minimum"}
_SILENT: Final = {"title", "description", "example", "default"}


def resolve(node: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `node` stands for: itself, or what its `$ref` within the document points at."""
    while "$ref" in node:
        target: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def violation(value: object, schema: Schema, document: Mapping[str, Any], where: str) -> str | None:
    """Say, after `where`, the first thing about a JSON value that the schema forbids; None if it is valid.

    Fields that are not declared are allowed, as in OpenAPI.
    """
    schema = resolve(schema, document)
    unknown = [key for key in schema if key not in _CHECKED | _SILENT and not key.startswith("x-")]
    if unknown:
        raise NotImplementedError(f"the contract uses a schema keyword that is not understood here: {unknown[0]}")
    if value is None and schema.get("nullable", False):
        return None
    wanted = schema.get("type")
    if wanted is not None and not _has_type(value, wanted):
        return f"{where} is not {_TYPE_NAMES[wanted]}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is not one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, int):
        return _number_violation(value, schema, where)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return f"{where} has fewer than {schema['minItems']} items"
        inner = [(f"{where}[{number}]", item, schema.get("items", {})) for number, item in enumerate(value)]
    elif isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"{where}.{missing[0]} is missing"
        declared = schema.get("properties", {})
        inner = [(f"{where}.{name}", value[name], declared[name]) for name in declared if name in value]
    else:
        return None
    found = (violation(item, item_schema, document, path) for path, item, item_schema in inner)
    return next((sentence for sentence in found if sentence), None)


def bounds(schema: Schema) -> tuple[int | None, int | None]:
    """Return the least and the greatest integer that the schema allows, by `minimum` and by `format`."""
    width = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    least: int | None = schema.get("minimum")
    if width is None:
        return least, None
    return max(-(1 << width), -(1 << width) if least is None else least), (1 << width) - 1


def _number_violation(value: int, schema: Schema, where: str) -> str | None:
    least, greatest = bounds(schema)
    if least is not None and value < least:
        return f"{where} is below {least}"
    if greatest is not None and value > greatest:
        return f"{where} is beyond {greatest}"
    return None


def _has_type(value: object, name: str) -> bool:
    # In Python a bool is an int; in JSON it is not.
    if isinstance(value, bool):
        return name == "boolean"
    classes: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "array": list,
        "object": dict,
    }
    return isinstance(value, classes.get(name, ()))
