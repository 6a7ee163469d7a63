"""`make upstream-diff UPSTREAM=path`: where our contract differs from Market's official document, for our operations.

Both documents are read into facts: what an operation says, each with its place. Compared is what bears on callers; what
is not read here (descriptions, examples, template blocks, the vendor's other extensions) is noise by that. Exit status:
0 if nothing that matters differs, 1 if something does, 2 if there is no such document.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from .contract_diff import REDOCLY
from .versions import CONTRACT, TOP

Place = tuple[str, ...]
Facts = dict[Place, str]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SCHEMA = (
    *("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default"),
)
_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
#: What ours says on purpose where theirs says nothing; openapi/README.md explains the decisions.
ON_PURPOSE = {
    r"server https://api\.partner\.market\.yandex\.net": "documented for sellers of Market Yandex Go",
    r"answer \d+, header .*": "the documentation promises these for every answer",
    r"request body, multipart/form-data, additionalProperties": "the page names one field",
    r"request body, multipart/form-data, file, minLength": "what becomes of an empty file is documented nowhere",
}


class Document:
    """An OpenAPI document in one piece."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield path, method and operation, with the parameters of its path."""
        for path, item in self.content["paths"].items():
            for method in _METHODS:
                if method in item:
                    shared = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                    yield path, method, item[method] | {"parameters": shared}

    def follow(self, node: Any) -> Any:
        """Return what a node stands for."""
        while "$ref" in node:
            target: Any = self.content
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def facts(self, operation: Mapping[str, Any]) -> Facts:
        """Return what an operation says to callers."""
        found: Facts = {("deprecated",): str(operation.get("deprecated", False))}
        for server in operation.get("servers", self.content.get("servers", ())):
            found[f"server {server['url']}",] = "named"
        found |= self._security(operation)
        for parameter in map(self.follow, operation["parameters"]):
            place = (f"{parameter['in']} parameter {parameter['name']}",)
            found[place] = "required" if parameter.get("required") else "optional"
            found |= self._schema((*place,), parameter["schema"])
        if "requestBody" in operation:
            body = self.follow(operation["requestBody"])
            found["request body",] = "required" if body.get("required") else "optional"
            found |= self._content("request body", body)
        for status, node in operation["responses"].items():
            answer = self.follow(node)
            found[f"answer {status}",] = "documented"
            found |= self._content(f"answer {status}", answer)
            found |= {(f"answer {status}", f"header {name}"): "documented" for name in answer.get("headers", ())}
        return found | _limits(operation)

    def _security(self, operation: Mapping[str, Any]) -> Facts:
        found: Facts = {}
        for alternative in operation.get("security", self.content.get("security", ())):
            for name, scopes in alternative.items():
                scheme = self.follow(self.content["components"]["securitySchemes"][name])
                credential = f"{scheme['type']} {scheme.get('in', '')} {scheme.get('name', scheme.get('scheme', ''))}"
                found[f"credential {credential.strip()}",] = ", ".join(scopes) or "accepted"
                if scheme["type"] == "apiKey":
                    # Ours stand with the scheme, theirs with the operation.
                    of_key = scheme.get("x-scopes", operation.get("x-auth-scopes", ()))
                    found["scopes of the key",] = ", ".join(sorted(of_key))
        return found

    def _content(self, place: str, node: Mapping[str, Any]) -> Facts:
        found: Facts = {}
        for media_type, content in node.get("content", {}).items():
            found[place, media_type] = "documented"
            found |= self._schema((place, media_type), content["schema"])
        return found

    def _schema(self, place: Place, node: Any, seen: tuple[int, ...] = ()) -> Facts:
        schema = self._whole(node)
        if (mark := id(self.follow(node))) in seen:
            return {}  # a schema within itself has been read
        seen = (*seen, mark)
        kind = schema.get("type", "object" if "properties" in schema else "anything")
        kinds = kind if isinstance(kind, list) else [kind]  # the list of OpenAPI 3.1
        nullable = schema.get("nullable", False) or "null" in kinds
        found: Facts = {
            (*place, "type"): "/".join(each for each in kinds if each != "null"),
            (*place, "nullable"): str(nullable),
        }
        found |= {(*place, bound): str(schema[bound]) for bound in _SCHEMA if bound in schema}
        if "enum" in schema:
            found[*place, "values"] = ", ".join(sorted(map(str, schema["enum"])))
        if schema.get("additionalProperties") is False:
            found[*place, "additionalProperties"] = "forbidden"
        for name, each in schema.get("properties", {}).items():
            found[*place, name] = "required" if name in schema.get("required", ()) else "optional"
            found |= self._schema((*place, name), each, seen)
        if "items" in schema:
            found |= self._schema((*place, "each"), schema["items"], seen)
        for choice in ("oneOf", "anyOf"):
            for number, each in enumerate(schema.get(choice, ()), start=1):
                found[*place, f"{choice} {number}"] = "allowed"
                found |= self._schema((*place, f"{choice} {number}"), each, seen)
        return found

    def _whole(self, node: Any) -> dict[str, Any]:
        """Return a schema with what its `allOf` adds."""
        schema = dict(self.follow(node))
        for part in map(self._whole, schema.pop("allOf", ())):
            properties = part.get("properties", {}) | schema.get("properties", {})
            required = [*part.get("required", ()), *schema.get("required", ())]
            schema = part | schema
            if properties:
                schema |= {"properties": properties, "required": required}
        return schema


def _limits(operation: Mapping[str, Any]) -> Facts:
    if "x-limits" in operation:
        ours = operation["x-limits"]["resource"]
        return {("limit",): f"{ours['maximum']} requests in {ours['window-seconds']} s"}
    tiers = {}
    for tier, theirs in operation.get("x-resource-limit-config", {}).items():
        if isinstance(theirs, Mapping):
            seconds = _SECONDS.get(theirs["period"], 0) * theirs.get("period-duration", 1)
            period = f"{seconds} s" if seconds else f"{theirs.get('period-duration', 1)} {theirs['period']}"
            tiers[tier] = f"{theirs['amount']} requests in {period}"
    if len(set(tiers.values())) == 1:
        return {("limit",): next(iter(tiers.values()))}
    return {("limit",): ", ".join(f"{told} ({tier})" for tier, told in tiers.items())} if tiers else {}


def differences(ours: Facts, theirs: Facts) -> Iterator[tuple[bool, str]]:
    """Yield whether it matters, and a line; of what only one side has, its parts are not told one by one."""
    told: set[Place] = set()
    on_purpose: dict[str, list[str]] = {}
    for place in sorted(ours.keys() | theirs.keys(), key=lambda place: (len(place), place)):
        our, their = ours.get(place), theirs.get(place)
        if our == their or any(place[:length] in told for length in range(1, len(place))):
            continue
        if our is None or their is None:
            told.add(place)
        name = ", ".join(place)
        reason = next((why for what, why in ON_PURPOSE.items() if their is None and re.fullmatch(what, name)), None)
        if reason:
            on_purpose.setdefault(reason, []).append(name)
        else:
            yield True, f"{name}: ours {_said(our)}, theirs {_said(their)}"
    for reason, names in on_purpose.items():
        more = f", and {len(names) - 1} more like it" if names[1:] else ""
        yield False, f"{names[0]}{more}: ours alone, on purpose: {reason}"


def _said(fact: str | None) -> str:
    return "says nothing" if fact is None else f"says {fact if len(fact) < 200 else f'{fact[:200]}…'}"


def typed_twins(document: Document, operation: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield a line for each status whose error schema is a typed one, or has such a twin that is not in use yet."""
    for status, node in operation["responses"].items():
        for content in document.follow(node).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            twin = re.sub("^Api(?!Typed)", "ApiTyped", name)
            if name.startswith("ApiTyped"):
                yield True, f"answer {status}: theirs is the typed {name}"
            elif twin != name and twin in document.content["components"]["schemas"]:
                yield False, f"answer {status}: theirs has a typed twin, {twin}, and does not use it here yet"


def bare(path: str) -> str:
    """Return a path without its version and without the names in it, so that the same operation is found."""
    return re.sub(r"\{\w+\}", "{}", re.sub(r"^/v\d+(\.\d+)?/", "/", path))


def compare(ours: Document, theirs: Document) -> Iterator[tuple[bool | None, str]]:
    """Yield whether a line matters (None: it says what the next are about) and the line."""
    named = {(bare(path), method): (path, operation) for path, method, operation in theirs.operations()}
    for path, method, operation in ours.operations():
        yield None, f"{method.upper()} {path}"
        their_path, their_operation = named.get((bare(path), method), ("", {}))
        if not their_operation:
            yield True, "theirs has no such operation"
            continue
        if their_path != path:
            yield True, f"path: ours says {path}, theirs says {their_path}"
        yield from differences(ours.facts(operation), theirs.facts(their_operation))
        yield from typed_twins(theirs, their_operation)


def bundled(path: Path) -> Document:
    """Read a document of one or many files."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.json"
        command = [str(REDOCLY), "bundle", str(path), "--output", str(bundle), "--ext", "json"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode or not bundle.exists():
            raise ValueError(f"{path} cannot be read as an OpenAPI document: {told.stderr.strip()}")
        return Document(json.loads(bundle.read_text(encoding="utf-8")))


def main(arguments: list[str]) -> int:
    """Print the differences."""
    named = Path(arguments[0]) if arguments and arguments[0] else None
    # Their document, or its directory, or a copy of their repository.
    places = (named, named / "openapi.yaml", named / "openapi" / "openapi.yaml") if named else ()
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        what = f"there is no OpenAPI document at {named}" if named else "no document was named"
        print(f"upstream-diff: {what}; make upstream-diff UPSTREAM=path/to/openapi.yaml", file=sys.stderr)
        return 2
    try:
        theirs = bundled(path)
    except ValueError as error:
        print(f"upstream-diff: {error}", file=sys.stderr)
        return 2
    ours = Document(YAML(typ="safe", pure=True).load(TOP / CONTRACT))
    lines = list(compare(ours, theirs))
    for matters, words in lines:
        print(words if matters is None else f"  {'DIFFERS' if matters else 'noted  '}  {words}")
    count = sum(matters is True for matters, _ in lines)
    print(f"upstream-diff: {count or 'no'} differences that matter")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
