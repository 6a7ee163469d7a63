"""`make contract-diff`: what changed in the contract since its last release, and the `info.version` that it asks for.

The rules are those of `redocly diff`, with three of our own on top of it. It does not see the values for tools that
openapi/README.md lists. It rates as wording whatever breaks no old caller, also an answer that got narrower: here only
what no caller can notice is wording. And it is experimental: tests/test_contract_diff.py holds its verdicts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from .versions import CHANGELOG, CONTRACT, RELEASED_CONTRACT, TOP, Impact, contract_version

REDOCLY = TOP / ".venv" / "node_modules" / ".bin" / "redocly"
_IMPACTS = {"major": Impact.BREAKING, "minor": Impact.ADDITION, "patch": Impact.WORDING}
#: Those of redocly's changes without a rule that no caller can notice; `key` is the name of a component.
_WORDING = {"description", "summary", "example", "examples", "title", "externalDocs", "key", "contact", "license"}
#: What redocly says of a changed version is reported once at the end, for all changes.
_VERSION = "#/info"


class Change(NamedTuple):
    """One change: what it means, in words, the rule that says so, and where."""

    impact: Impact
    words: str
    rule: str
    where: str


def changes(released: Path, current: Path) -> list[Change]:
    """Return what differs between two contracts; breaking changes first."""
    command = [str(REDOCLY), "diff", str(released), str(current), "--format", "json", "--fail-on", "none"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"redocly diff ended with status {told.returncode}: {told.stderr.strip()}")
    found = [change for raw in json.loads(told.stdout)["changes"] for change in _read(raw)]
    found += _values_for_tools(*(YAML(typ="safe", pure=True).load(path) for path in (released, current)))
    return sorted(set(found), key=lambda change: (-change.impact, change.where, change.words))


def _read(raw: dict[str, Any]) -> Iterator[Change]:
    where = raw["path"].removeprefix("#/").removeprefix("paths/").replace("~1", "/").replace("~0", "~")
    name = raw.get("property")
    if (raw["path"] == _VERSION and name == "version") or str(name).startswith("x-"):
        return
    for verdict in raw["verdicts"]:
        yield Change(_IMPACTS[verdict["impact"]], verdict["message"], verdict["ruleId"], where)
    if not raw["verdicts"]:
        impact = _IMPACTS[raw["impact"]]
        if impact is Impact.WORDING and name not in _WORDING:
            impact = Impact.ADDITION
        changed = f"`{name}` changed" if name else f"{raw['typeName']} `{_name(raw)}` was {raw['kind']}"
        old, new = (json.dumps(_value(raw.get(side)), ensure_ascii=False) for side in ("base", "revision"))
        words = f"{changed} from {old} to {new}." if name and len(old + new) < 160 else f"{changed}."
        yield Change(impact, words, "", where)


def _name(raw: dict[str, Any]) -> Any:
    """Return what an added or removed part is called; one of a list by the name in it."""
    step = raw["path"].rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    value = _value(raw.get("revision")) or _value(raw.get("base"))
    return value.get("name", step) if step.isdigit() and isinstance(value, dict) else step


def _value(side: dict[str, Any] | None) -> Any:
    return None if side is None else side.get("value")


def _values_for_tools(released: Any, current: Any) -> Iterator[Change]:
    """Compare the `x-` values: more is an addition, less is breaking, anything else counts as breaking."""
    old, new = dict(_extensions(released, "")), dict(_extensions(current, ""))
    for where in sorted(old.keys() | new.keys()):
        before, after = old.get(where), new.get(where)
        if before == after:
            continue
        grown = before is None
        if isinstance(before, int) and isinstance(after, int):
            grown = after > before
        elif isinstance(before, list) and isinstance(after, list):
            grown = set(before) < set(after)
        impact = Impact.ADDITION if grown else Impact.BREAKING
        key = next(step for step in where.split("/") if step.startswith("x-"))
        yield Change(impact, f"`{key}` changed from {before} to {after}.", "value-for-tools", where)


def _extensions(node: Any, where: str, *, inside: bool = False) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            path = f"{where}/{key}".lstrip("/")
            yield from _extensions(value, path, inside=inside or str(key).startswith("x-"))
    elif inside:
        yield where, node


def report(found: list[Change]) -> Iterator[str]:
    """Lines for people; the same change in several places is one line."""
    places: dict[tuple[Impact, str, str], list[str]] = {}
    for change in found:
        places.setdefault((change.impact, change.words, change.rule), []).append(change.where)
    for (impact, words, rule), where in places.items():
        more = f", and {len(where) - 1} more places" if len(where) > 1 else ""
        yield f"  {impact.name.lower():9} {words}{f' [{rule}]' if rule else ''}\n            at {where[0]}{more}"


def main() -> str | None:
    """Print the changes; return what is wrong with the version, if anything."""
    if not (TOP / RELEASED_CONTRACT).exists():
        print(f"contract-diff: no contract has been released yet ({RELEASED_CONTRACT}), so nothing is compared")
        return None
    try:
        found = changes(TOP / RELEASED_CONTRACT, TOP / CONTRACT)
    except RuntimeError as error:
        return f"contract-diff: {error}"
    released, version = contract_version(TOP / RELEASED_CONTRACT), contract_version(TOP / CONTRACT)
    impact = max((change.impact for change in found), default=Impact.NONE)
    print(f"contract-diff: changes since the released contract {released}: {len(found) or 'none'}")
    print(*report(found), sep="\n", end="\n" if found else "")
    asked = released.after(impact)
    if version < asked:
        return (
            f"contract-diff: {impact.name.lower()}: info.version must be {asked} or higher, and is {version}; set it "
            f"in {CONTRACT}, run `make generate`, and say in a section of {CHANGELOG} what it means for callers"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
