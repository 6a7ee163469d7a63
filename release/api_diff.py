"""`make api-diff`: what changed in the public Python interface since the last release, and the version it asks for.

The interface is a list of facts, each a name and what is said of it, read from the source without importing it. A fact
that is gone or says something else breaks somebody; a new one is an addition, but for a parameter without a default.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import griffe

from .versions import (
    CHANGELOG,
    CONTRACT,
    PYPROJECT,
    TOP,
    VERSION_MODULE,
    Impact,
    Version,
    contract_version,
    package_version,
    sections,
)

PACKAGE = "yandex_market_chat"
SNAPSHOT = "wrapper/released_interface.json"
#: Special methods that callers rely on; the others are private.
_SPECIAL = {"__init__", "__call__", "__enter__", "__aenter__", "__iter__", "__aiter__", "__len__", "__getitem__"}
_NO_DEFAULT = ", required"


def interface(top: Path = TOP) -> dict[str, str]:
    """Return the facts about everything that a public package names in `__all__`."""
    loader = griffe.GriffeLoader(search_paths=[top / "wrapper", top / "generated"], allow_inspection=False)
    loader.load("_yandex_market_chat_api")
    package = loader.load(PACKAGE)
    loader.resolve_aliases(implicit=True, external=False)
    public = dict(_public(package))
    homes = {_home(thing): name for name, thing in public.items()}
    return {name: fact for path, thing in public.items() for name, fact in _facts(path, thing, homes)}


def _public(package: Any) -> Iterator[tuple[str, Any]]:
    if package.exports is not None:
        for name in map(str, package.exports):
            yield f"{package.path}.{name}", package[name]
    for name, module in package.modules.items():
        if not name.startswith("_"):
            yield from _public(module)


def _home(thing: Any) -> str:
    return str((thing.final_target if thing.is_alias else thing).path)


def _facts(path: str, alias: Any, homes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    thing = alias.final_target if alias.is_alias else alias
    kind = " ".join(sorted(thing.labels & {"async", "classmethod", "staticmethod", "property"}))
    if thing.is_function:
        yield path, f"{kind} function -> {_written(thing.returns, thing)}".lstrip()
        yield from _parameters(path, thing)
    elif thing.is_attribute:
        # Names of enums and the like say what they are by their value; a version is to change.
        value = "" if thing.annotation or path.endswith("__") else f" = {_written(thing.value, thing)}"
        yield path, f"{kind or 'attribute'}: {_written(thing.annotation, thing)}{value}"
    elif thing.is_class:
        yield path, "class"
        for base in _bases(thing, homes):
            yield f"{path} is a {base}", "base"
            if base == "NamedTuple":
                yield f"{path} in order", ", ".join(thing.attributes)
        for name, member in thing.all_members.items():
            # Members of a public base are listed with that base.
            inherited = member.is_alias and _home(member.final_target.parent) in homes
            if (not name.startswith("_") or name in _SPECIAL) and not inherited:
                yield from _facts(f"{path}.{name}", member, homes)


def _bases(cls: Any, homes: Mapping[str, str]) -> Iterator[str]:
    """Yield the bases that people can know: public ones, and those of other packages; private ones stand for theirs."""
    for base in cls.bases:
        path = base if isinstance(base, str) else base.canonical_path
        known = next((found for found in cls.mro() if _home(found) == path), None)
        if known is None:
            yield str(base)
        elif path in homes:
            yield homes[path]
        else:
            yield from _bases(known, homes)


def _parameters(path: str, function: Any) -> Iterator[tuple[str, str]]:
    plain = "staticmethod" in function.labels or not function.parent.is_class
    for place, parameter in enumerate(list(function.parameters)[0 if plain else 1 :]):
        if parameter.name.startswith("_"):
            continue
        where = parameter.kind.value
        if "variadic" not in where and "keyword-only" not in where:
            where += f" {place}"
        default = _NO_DEFAULT if parameter.default is None else f" = {_written(parameter.default, function)}"
        yield f"{path}({parameter.name})", f"{where}: {_written(parameter.annotation, function)}{default}"


def _written(expression: Any, where: Any) -> str:
    """Return an annotation or a default as it is written, with what the private names of ours in it stand for."""
    if expression is None or isinstance(expression, str):
        return str(expression or "")
    return "".join(piece if isinstance(piece, str) else _alias(piece, where) for piece in expression.iterate(flat=True))


def _alias(name: Any, where: Any) -> str:
    path = name.canonical_path.split(".")
    if path[0] == PACKAGE and path[1:]:
        found = where.modules_collection[path[0]]
        for step in path[1:]:
            if step not in found.members:
                return str(name)
            found = found.members[step]
        found = found.final_target if found.is_alias else found
        if found.is_attribute and found.parent.is_module and found.value is not None:
            return f"({_written(found.value, found)})"
    return str(name)


def compare(released: Mapping[str, str], current: Mapping[str, str]) -> list[tuple[Impact, str]]:
    """Return what differs, breaking changes first, each with a line for people."""
    found = [(Impact.BREAKING, f"gone: {name} ({released[name]})") for name in released.keys() - current.keys()]
    found += [
        (Impact.BREAKING, f"changed: {name} from ({fact}) to ({current[name]})")
        for name, fact in released.items()
        if name in current and current[name] != fact
    ]
    for name in current.keys() - released.keys():
        owner, _, parameter = name.partition("(")
        required = parameter and owner in released and current[name].endswith(_NO_DEFAULT)
        impact = Impact.BREAKING if required else Impact.ADDITION
        found.append((impact, f"new: {name} ({current[name]})"))
    return sorted(found, key=lambda each: (-each[0], each[1]))


def snapshot(top: Path = TOP) -> str:
    """Return the text of the snapshot as a release writes it."""
    versions = {"version": str(package_version(top)), "contract": str(contract_version(top / CONTRACT))}
    return json.dumps(versions | {"interface": interface(top)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> str | None:
    """Print the changes; return what is wrong with version or changelog, if anything."""
    current = interface()
    if not (TOP / SNAPSHOT).exists():
        print(f"api-diff: no interface has been released yet ({SNAPSHOT}); it has {len(current)} facts by now")
        return None
    old = json.loads((TOP / SNAPSHOT).read_text(encoding="utf-8"))
    released, version = Version.parse(old["version"]), package_version()
    found = compare(old["interface"], current)
    print(f"api-diff: changes of the public interface since {released}: {len(found) or 'none'}")
    for impact, words in found:
        print(f"  {impact.name.lower():9} {words}")
    impact = max((impact for impact, _ in found), default=Impact.NONE)
    contracts = Version.parse(old["contract"]), contract_version(TOP / CONTRACT)
    if contracts[0][:2] != contracts[1][:2]:
        print(f"  addition  the contract went from {contracts[0]} to {contracts[1]}, which is no patch of the package")
        impact = max(impact, Impact.ADDITION)
    asked = released.after(impact)
    if version < asked:
        return (
            f"api-diff: {impact.name.lower()}: the version must be {asked} or higher, and is {version}; set it in "
            f"{PYPROJECT} and {VERSION_MODULE}, and say in a new section of {CHANGELOG} what it means for callers"
        )
    if impact and sections()[0].version < asked:
        return f"api-diff: {impact.name.lower()}: {CHANGELOG} needs a section for {version}"
    return None


if __name__ == "__main__":
    sys.exit(main())
