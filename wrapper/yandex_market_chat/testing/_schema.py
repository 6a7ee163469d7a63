"""Checks values against schemas of the contract: the part of OpenAPI 3.0's schema language that is understood here.

A value comes from JSON, or as the text of a parameter (`read`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
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
_CHECKED: Final = {
    *("type", "format", "enum", "nullable", "required", "properties", "items", "minItems", "maxItems", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"),
}
_SILENT: Final = {"title", "description", "example", "default", "deprecated", "readOnly", "writeOnly", "externalDocs"}

# No sign, no leading zero, no digit but ASCII's, nothing around it: how a client writes a number, not what some server
# would put up with.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(rf"{_INTEGER.pattern}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# No bound in the contract has more digits.
_MOST_DIGITS: Final = 40
# RFC 3339, 5.6: seconds and the offset are not to be left out.
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(?:[0-5]\d|60)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def resolve(node: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `node` stands for: itself, or what its `$ref` within the document points at."""
    while "$ref" in node:
        target: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def understand(schema: Schema, document: Mapping[str, Any]) -> None:
    """Raise NotImplementedError if something in the schema, or in one below it, could not be checked."""
    known: set[int] = set()
    waiting = [schema]
    while waiting:
        node = resolve(waiting.pop(), document)
        if id(node) in known:
            continue
        known.add(id(node))
        unknown = [key for key in node if key not in _CHECKED | _SILENT and not key.startswith("x-")]
        if unknown:
            raise NotImplementedError(f"the contract uses a schema keyword that is not understood here: {unknown[0]}")
        waiting += [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else ())]


def read(text: str, schema: Schema, where: str) -> object:
    """Return what the text of a parameter stands for, by the type of its schema; ValueError with a sentence."""
    wanted = schema.get("type")
    if wanted == "integer":
        return read_integer(text, where)
    if wanted == "number":
        if _NUMBER.fullmatch(text) is None:
            raise ValueError(f"{where} is not a plain decimal number")
        return float(text) if _INTEGER.fullmatch(text) is None else read_integer(text, where)
    if wanted == "boolean":
        if text not in ("true", "false"):
            raise ValueError(f"{where} is not true or false")
        return text == "true"
    try:
        # What was no UTF-8 has been decoded to surrogates.
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} is not UTF-8") from None
    return text


def read_integer(text: str, where: str = "") -> int:
    """Return the integer, as far as bounds can tell it from others; ValueError with a sentence if it is none."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{where} is not a plain decimal integer")
    return int(text[:_MOST_DIGITS])


def violation(value: object, schema: Schema, document: Mapping[str, Any], where: str) -> str | None:
    """Say, after `where`, the first thing about a JSON value that the schema forbids; None if it is valid.

    Fields that are not declared are allowed, as in OpenAPI.
    """
    schema = resolve(schema, document)
    if value is None and schema.get("nullable", False):
        return None
    wanted = schema.get("type")
    if wanted is not None and not _has_type(value, wanted):
        return f"{where} is not {_TYPE_NAMES[wanted]}"
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        return f"{where} is not one of {', '.join(_shown(allowed) for allowed in schema['enum'])}"
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _number_violation(value, schema, where)
    if isinstance(value, str):
        return _text_violation(value, schema, where)
    if isinstance(value, list):
        sentence = _list_violation(value, schema, where)
        inner = ((f"{where}[{number}]", item, schema.get("items", {})) for number, item in enumerate(value))
    elif isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        sentence = f"{where}.{missing[0]} is missing" if missing else None
        declared = schema.get("properties", {})
        inner = ((f"{where}.{name}", value[name], declared[name]) for name in declared if name in value)
    else:
        return None
    return sentence or _first(violation(item, item_schema, document, path) for path, item, item_schema in inner)


def bounds(schema: Schema) -> tuple[int | float | None, int | float | None]:
    """Return the least and the greatest number that the schema allows, by `minimum`, `maximum` and `format`."""
    least, greatest = schema.get("minimum"), schema.get("maximum")
    width = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    if width is None:
        return least, greatest
    low, high = -(1 << width), (1 << width) - 1
    return low if least is None else max(low, least), high if greatest is None else min(high, greatest)


def _number_violation(value: float, schema: Schema, where: str) -> str | None:
    least, greatest = bounds(schema)
    if least is not None and value < least:
        return f"{where} is below {least}"
    if greatest is not None and value > greatest:
        return f"{where} is beyond {greatest}"
    if schema.get("exclusiveMinimum", False) and value == least:
        return f"{where} is not above {least}"
    if schema.get("exclusiveMaximum", False) and value == greatest:
        return f"{where} is not below {greatest}"
    if "multipleOf" in schema and not _is_multiple(value, schema["multipleOf"]):
        return f"{where} is not a multiple of {schema['multipleOf']}"
    return None


def _is_multiple(value: float, of: float) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    # Of what is written in decimals: 0.3 is a multiple of 0.1.
    return Decimal(repr(value)) % Decimal(repr(of)) == 0 if math.isfinite(value) else False


def _text_violation(value: str, schema: Schema, where: str) -> str | None:
    if len(value) < schema.get("minLength", 0):
        return f"{where} has fewer than {schema['minLength']} characters"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        return f"{where} has more than {schema['maxLength']} characters"
    if "pattern" in schema and _ecmascript(schema["pattern"]).search(value) is None:
        return f"{where} does not match {schema['pattern']}"
    if schema.get("format") == "date-time" and not _is_date_time(value):
        return f"{where} is not a date-time of RFC 3339 with its offset"
    if schema.get("format") == "date" and not _is_date(value):
        return f"{where} is not a date of RFC 3339"
    return None


def _ecmascript(pattern: str) -> re.Pattern[str]:
    # There `$` is the very end, and `\d` and `\w` are ASCII's.
    return re.compile(re.sub(r"(?<!\\)\$(?=$|[|)])", r"\\Z", pattern), re.ASCII)


def _is_date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text)
    # Without the seconds, which `datetime` takes for wrong in a leap second.
    return found is not None and _is_readable(f"{found[1]}T{found[2]}{found[3].upper()}", datetime)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _is_readable(text, date)


def _is_readable(text: str, kind: type[date]) -> bool:
    try:
        kind.fromisoformat(text)
    except ValueError:
        return False
    return True


def _list_violation(value: list[object], schema: Schema, where: str) -> str | None:
    if len(value) < schema.get("minItems", 0):
        return f"{where} has fewer than {schema['minItems']} items"
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        return f"{where} has more than {schema['maxItems']} items"
    written = [json.dumps(item, sort_keys=True) for item in value] if schema.get("uniqueItems", False) else []
    if len(set(written)) < len(written):
        return f"{where} has an item twice"
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


def _same(value: object, allowed: object) -> bool:
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _first(sentences: Iterator[str | None]) -> str | None:
    return next((sentence for sentence in sentences if sentence), None)
