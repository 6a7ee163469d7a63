"""Reads the parameters of a request, as OpenAPI has clients write them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote, unquote_plus

from ._contract import Contract, Operation, Parameter
from ._credentials import Headers
from ._schema import read, read_integer, resolve, violation


def arguments_of(
    contract: Contract, operation: Operation, path: str, query: str, headers: Headers
) -> dict[str, object]:
    """Return the declared parameters that were given, by name; ValueError with a sentence if one is not as declared."""
    arguments: dict[str, object] = {}
    for parameter in operation.parameters:
        texts = _texts(parameter, operation, path, query, headers)
        if texts is not None:
            arguments[parameter.name] = _value(contract, parameter, texts)
        elif parameter.required:
            raise ValueError(f"{parameter.name} is missing")
    return arguments


def glimpse(contract: Contract, path: str, query: str, name: str) -> int | None:
    """Return an integer parameter of a request that nobody has checked yet, if it is there and legible."""
    values = [unquote_plus(value) for value in _in_query(query, name)]
    for operation in contract.at(path):
        values += [value] if (value := _in_path(operation, path).get(name)) else []
    with suppress(ValueError):
        return read_integer(values[0]) if values else None
    return None


def _texts(parameter: Parameter, operation: Operation, path: str, query: str, headers: Headers) -> list[str] | None:
    """Return the text of each of its values; None if it is not there."""
    if parameter.location == "path":
        given = [_in_path(operation, path)[parameter.name]]
    elif parameter.location == "query":
        given = _in_query(query, parameter.name)
    else:
        given = [value.strip(" \t") for value in headers.values(parameter.name)]
    if not given:
        return None
    if not parameter.explodes:
        if len(given) > 1:
            raise ValueError(f"{parameter.name} was given more than once")
        # Before it is decoded: a comma within an item is percent-encoded.
        given = given[0].split(",") if parameter.schema.get("type") == "array" else given
    return [_decoded(value, parameter.location) for value in given]


def _decoded(value: str, location: str) -> str:
    # What is no UTF-8 becomes surrogates, which no schema takes.
    if location == "header":
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    return (unquote if location == "path" else unquote_plus)(value, errors="surrogateescape")


def _in_path(operation: Operation, path: str) -> Mapping[str, str]:
    found = operation.pattern.fullmatch(path)
    return found.groupdict() if found else {}


def _in_query(query: str, name: str) -> list[str]:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return [value for key, _, value in pairs if unquote_plus(key) == name]


def _value(contract: Contract, parameter: Parameter, texts: list[str]) -> object:
    name, schema = parameter.name, parameter.schema
    value: object
    if schema.get("type") == "array":
        items = resolve(schema["items"], contract.document)
        value = [read(text, items, f"{name}[{number}]") for number, text in enumerate(texts)]
    else:
        value = read(texts[0], schema, name)
    sentence = violation(value, schema, contract.document, name)
    if sentence:
        raise ValueError(sentence)
    return value
