"""A call in the words of the contract, and what came of it, whichever client made it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ._contract import Field, Operation, conforms
from ._kinds import Token

#: In the place of a JSON body that is left out of the call.
LEFT_OUT: Final = object()


@dataclass(frozen=True)
class Call:
    """What is asked of a client. A parameter that is not in `values`, or a content None, is left out of the call."""

    operation: Operation
    values: Mapping[str, Any]
    content: bytes | None = field(default=b"%PDF-1.7 \xff\x00", repr=False)
    # Both differ from every default and from what one would guess from the other: a value that gets lost shows.
    name: str = "счёт № 7.pdf"
    content_type: str | None = "application/x-vector"
    extra: Mapping[str, Any] = field(default_factory=dict)
    json: Any = LEFT_OUT

    @property
    def complete(self) -> bool:
        """Whether nothing is left out that the contract requires."""
        if any(field.required and field.name not in self.values for field in self.operation.parameters):
            return False
        if self.operation.body == "form":
            return self.content is not None
        return self.operation.body is None or self.json is not LEFT_OUT

    @property
    def valid(self) -> bool:
        """Whether the contract allows it, as read by these tests; an empty file counts as not: it is undocumented."""
        if not self.complete or self.extra or self.made_up:
            return False
        parameters = {field.name: field for field in self.operation.parameters}
        if not all(name in parameters and parameters[name].kind.allows(self.values[name]) for name in self.values):
            return False
        if self.operation.body == "form":
            return 0 < len(self.content or b"") <= self.operation.max_bytes
        return self.operation.body is None or conforms(self.json, self.operation.schema)

    @property
    def made_up(self) -> bool:
        """Whether it names what only the service can hand out: right by the contract, and refused."""
        return any(isinstance(field.kind, Token) and field.name in self.values for field in self.operation.parameters)

    def given(self) -> Iterator[tuple[Field, Any]]:
        """Each field that the call has, with its value."""
        for each in self.operation.fields:
            node: Any = self.values if each.location != "body" else self.json
            steps = each.steps if each.location == "body" else [each.name]
            for step in steps:
                if not isinstance(node, Mapping) or step not in node:
                    break
                node = node[step]
            else:
                yield each, node

    def __repr__(self) -> str:
        said = [self.operation.id, str(dict(self.values))]
        if self.operation.body == "form":
            size = "no content" if self.content is None else f"{len(self.content)} B {self.content[:40]!r}"
            said += [size, f"{self.name!r} {self.content_type!r} {self.extra or ''}"]
        elif self.operation.body == "json":
            said.append("no body" if self.json is LEFT_OUT else f"{self.json!r}")
        return f"<{' '.join(said)}>"


def usual(operation: Operation, changes: Mapping[str, Any] | None = None, **upload: Any) -> Call:
    """A call with what is required, each field with a value like any other, but for the changes (by name of field)."""
    changes = changes or {}
    values: dict[str, Any] = {}
    json: dict[str, Any] = {}
    for each in operation.fields:
        if each.required or each.name in changes:
            value = changes.get(each.name, each.kind.usual)
            if each.location == "body":
                *above, last = each.steps
                node = json
                for step in above:
                    node = node.setdefault(step, {})
                node[last] = copy.deepcopy(value)
            else:
                values[each.name] = value
    return Call(operation, values, json=json if operation.body == "json" else LEFT_OUT, **upload)


@dataclass(frozen=True)
class Outcome:
    """What the client gave back: either a result or an error."""

    result: Any = None
    error: Exception | None = None

    def get(self) -> Any:
        """The result; the error, if it was one, is raised."""
        if self.error is not None:
            raise self.error
        return self.result
