"""`make upstream-diff UPSTREAM=path`: where our contract differs from Market's official document, for our operations.

Both documents are read into facts: what an operation says, each with its place. Compared is what bears on callers; what
is not read here (descriptions, examples, template blocks, the vendor's other extensions) is noise by that. Exit status:
0 if nothing that matters differs; 2 if something does, or if there is no such document, as the last line says. make
ends with 2 whatever a tool ends with, so there is no third status.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

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
#: What the documentation promises an operation that says nothing else (x-resource-limit-config, parallel-limit-value).
_PARALLEL = 4
_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


class OnPurpose(NamedTuple):
    """A difference that is meant: where, what theirs says there (None: nothing), and why ours says something else.

    Both are regular expressions. As soon as theirs says anything else, it is a difference as any other.
    """

    place: str
    theirs: str | None
    why: str


#: Of every operation; openapi/README.md explains the decisions.
EVERYWHERE = (
    OnPurpose(r"server https://api\.partner\.market\.yandex\.net", None, "documented for sellers of Market Yandex Go"),
    OnPurpose(r"answer \d+, header .*", None, "the documentation promises these for every answer"),
)
#: By operation.
ON_PURPOSE = {
    "sendFileToChat": (
        OnPurpose(r"request body, multipart/form-data, additionalProperties", None, "the page names one field"),
    ),
    "createChat": (
        OnPurpose(r"request body, application/json, context", "optional", "without one nothing would be asked for"),
        OnPurpose(r"request body, application/json, orderId", "optional, deprecated.*", "switched off in October 2026"),
    ),
    "getChatHistory": (
        OnPurpose(r"query parameter limit, default", "50", "the generated client would send it always"),
        OnPurpose(r"query parameter pageToken, aliases", "pageToken, page_token", "ours uses the first"),
        OnPurpose(r"answer 200, application/json, result, orderId", "optional, deprecated.*", "the context has it"),
    ),
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
        found: Facts = {("deprecated",): _deprecation(operation) or "no"}
        for server in operation.get("servers", self.content.get("servers", ())):
            found[f"server {server['url']}",] = "named"
        found |= self._security(operation)
        for parameter in map(self.follow, operation["parameters"]):
            place = (f"{parameter['in']} parameter {parameter['name']}",)
            found[place] = _need(parameter.get("required"), parameter, self._whole(parameter["schema"]))
            if aliases := parameter.get("x-aliases"):
                found[*place, "aliases"] = ", ".join(aliases)
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
                    of_key = operation.get("x-scopes", scheme.get("x-scopes", operation.get("x-auth-scopes", ())))
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
        # An enum of theirs that ours leaves open is the same as long as the known values are.
        if values := schema.get("enum", schema.get("x-known-values")):
            found[*place, "values"] = ", ".join(sorted(map(str, values)))
        if schema.get("additionalProperties") is False:
            found[*place, "additionalProperties"] = "forbidden"
        for name, each in schema.get("properties", {}).items():
            found[*place, name] = _need(name in schema.get("required", ()), each, self._whole(each))
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


def _deprecation(*nodes: Mapping[str, Any]) -> str:
    """Say that one of them is deprecated, with the dates and the replacement that are told; nothing if none is."""
    told = [f"{key} {value}" for node in nodes for key, value in node.get("x-deprecation-config", {}).items()]
    deprecated = told or any(node.get("deprecated") for node in nodes)
    return ", ".join(["deprecated", *dict.fromkeys(told)]) if deprecated else ""


def _need(required: Any, *nodes: Mapping[str, Any]) -> str:
    """Say whether something has to be there, and whether it is on its way out."""
    return ", ".join(filter(None, ("required" if required else "optional", _deprecation(*nodes))))


def _limits(operation: Mapping[str, Any]) -> Facts:
    if "x-limits" in operation:
        ours = operation["x-limits"]
        resource = f"{ours['resource']['maximum']} requests in {ours['resource']['window-seconds']} s"
        return {("limit",): resource, ("parallel limit",): str(ours["parallel"]["maximum"])}
    config = operation.get("x-resource-limit-config", {})
    return _resource_limit(config) | {("parallel limit",): str(config.get("parallel-limit-value", _PARALLEL))}


def _resource_limit(config: Mapping[str, Any]) -> Facts:
    tiers = {}
    for tier, theirs in config.items():
        if isinstance(theirs, Mapping):
            seconds = _SECONDS.get(theirs["period"], 0) * theirs.get("period-duration", 1)
            period = f"{seconds} s" if seconds else f"{theirs.get('period-duration', 1)} {theirs['period']}"
            tiers[tier] = f"{theirs['amount']} requests in {period}"
    if len(set(tiers.values())) == 1:
        return {("limit",): next(iter(tiers.values()))}
    return {("limit",): ", ".join(f"{told} ({tier})" for tier, told in tiers.items())} if tiers else {}


def differences(operation: str, ours: Facts, theirs: Facts) -> Iterator[tuple[bool, str]]:
    """Yield whether it matters, and a line; of what only one side has, its parts are not told one by one."""
    exceptions = (*EVERYWHERE, *ON_PURPOSE.get(operation, ()))
    told: set[Place] = set()
    on_purpose: dict[str, list[str]] = {}
    for place in sorted(ours.keys() | theirs.keys(), key=lambda place: (len(place), place)):
        our, their = ours.get(place), theirs.get(place)
        if our == their or any(place[:length] in told for length in range(1, len(place))):
            continue
        if our is None or their is None:
            told.add(place)
        name = ", ".join(place)
        meant = next((one for one in exceptions if re.fullmatch(one.place, name) and _meant(one.theirs, their)), None)
        if meant:
            said = "ours alone" if meant.theirs is None else f"ours {_said(our)}, theirs {_said(their)}"
            on_purpose.setdefault(f"{said}, on purpose: {meant.why}", []).append(name)
        else:
            yield True, f"{name}: ours {_said(our)}, theirs {_said(their)}"
    for reason, names in on_purpose.items():
        more = f", and {len(names) - 1} more like it" if names[1:] else ""
        yield False, f"{names[0]}{more}: {reason}"


def _meant(expected: str | None, fact: str | None) -> bool:
    return fact is expected if expected is None or fact is None else re.fullmatch(expected, fact) is not None


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
        yield from differences(operation["operationId"], ours.facts(operation), theirs.facts(their_operation))
        yield from typed_twins(theirs, their_operation)


def age(path: Path) -> str:
    """Say which state of theirs that is: the commit, if the file is part of a git repository, else when it changed."""
    git = ["git", "-C", str(path.parent)]
    tracked = subprocess.run([*git, "ls-files", "--error-unmatch", path.name], capture_output=True, check=False)
    if tracked.returncode == 0:
        told = subprocess.run(
            [*git, "log", "-1", "--format=commit %H of %cs"], capture_output=True, text=True, check=False
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "."], capture_output=True, text=True, check=False
        )
        if told.stdout:
            return f"{told.stdout.strip()}{', with changes that are not committed' if changed.stdout else ''}"
    changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return f"{path}, last changed on {changed_at:%Y-%m-%d}; it is in no git repository, so its commit is not known"


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
    print(f"upstream-diff: compared with {age(path)}")
    ours = Document(YAML(typ="safe", pure=True).load(TOP / CONTRACT))
    lines = list(compare(ours, theirs))
    for matters, words in lines:
        print(words if matters is None else f"  {'DIFFERS' if matters else 'noted  '}  {words}")
    count = sum(matters is True for matters, _ in lines)
    print(f"upstream-diff: {count or 'no'} differences that matter")
    return 2 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
