"""The kinds of values that calls are made of: which are right, which to try, and how each is written in a URL.

Of every field of a call, whatever its name, is known here what a test has to try. A kind that is not here is named by a
test that fails (test_coverage_of_operations.py); it is taught here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

_WIDTHS = {"int32": 31, "int64": 63}
#: Needs every kind of escape that there is in a URL, and says another thing if one is forgotten or made twice.
_TO_BE_ESCAPED = 'a&b=c d+e%41é№/?#"'


class UnknownKindError(Exception):
    """The contract says something that these tests have no word for."""


class Side(NamedTuple):
    """A value that has to be tried, since it stands at the end of what is allowed, and whether it is."""

    name: str
    value: Any
    allowed: bool


@dataclass(frozen=True)
class Kind:
    """What a value of one kind is like; `usual` is one like any other."""

    schema: Mapping[str, Any]

    @property
    def usual(self) -> Any:
        raise NotImplementedError

    @property
    def sides(self) -> tuple[Side, ...]:
        raise NotImplementedError

    def allows(self, value: object) -> bool:
        raise NotImplementedError

    def text(self, value: Any) -> str:
        """The value as it stands in a URL, before it is escaped."""
        return str(value)

    def read(self, text: str) -> Any:
        """The value that a text stands for; the text itself, if for none."""
        return text

    def drawn(self) -> st.SearchStrategy[Any]:
        """Any value that is allowed."""
        raise NotImplementedError


class Integer(Kind):
    @property
    def least(self) -> int:
        lowest = -(1 << _WIDTHS[self.schema["format"]])
        return int(max(lowest, self.schema.get("minimum", lowest)))

    @property
    def greatest(self) -> int:
        highest = (1 << _WIDTHS[self.schema["format"]]) - 1
        return int(min(highest, self.schema.get("maximum", highest)))

    @property
    def usual(self) -> int:
        return min(max(7, self.least), self.greatest)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (
            Side("least", self.least, True),
            Side("below the least", self.least - 1, False),
            Side("greatest", self.greatest, True),
            Side("beyond the greatest", self.greatest + 1, False),
        )

    def allows(self, value: object) -> bool:
        return type(value) is int and self.least <= value <= self.greatest

    def read(self, text: str) -> Any:
        digits = text.removeprefix("-")
        plain = digits.isascii() and digits.isdecimal() and (digits == "0" or digits[0] != "0")
        return int(text) if plain else text

    def drawn(self) -> st.SearchStrategy[int]:
        return st.integers(self.least, self.greatest)


class Boolean(Kind):
    @property
    def usual(self) -> bool:
        return True

    @property
    def sides(self) -> tuple[Side, ...]:
        return Side("true", True, True), Side("false", False, True), Side("neither", "banana", False)

    def allows(self, value: object) -> bool:
        return type(value) is bool

    def text(self, value: Any) -> str:
        return {True: "true", False: "false"}.get(value, str(value))

    def read(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text, text)

    def drawn(self) -> st.SearchStrategy[bool]:
        return st.booleans()


class Text(Kind):
    @property
    def _least(self) -> int:
        return int(self.schema.get("minLength", 0))

    @property
    def _greatest(self) -> int | None:
        return self.schema.get("maxLength")

    @property
    def usual(self) -> str:
        return "usual"[: self._greatest].ljust(self._least, "x")

    @property
    def sides(self) -> tuple[Side, ...]:
        found = []
        if self.allows(_TO_BE_ESCAPED):
            found.append(Side("to be escaped", _TO_BE_ESCAPED, True))
        if self._least:
            found += [Side("shortest", "x" * self._least, True), Side("too short", "x" * (self._least - 1), False)]
        if self._greatest is not None:
            found += [Side("longest", "x" * self._greatest, True), Side("too long", "x" * (self._greatest + 1), False)]
        return tuple(found)

    def allows(self, value: object) -> bool:
        if not isinstance(value, str) or len(value) < self._least:
            return False
        return self._greatest is None or len(value) <= self._greatest

    def drawn(self) -> st.SearchStrategy[str]:
        return st.text(st.characters(codec="utf-8"), min_size=max(1, self._least), max_size=self._greatest)


class Choice(Kind):
    @property
    def usual(self) -> str:
        first: str = self.schema["enum"][0]
        return first

    @property
    def sides(self) -> tuple[Side, ...]:
        return (*(Side(value, value, True) for value in self.schema["enum"]), Side("none of them", "BANANA", False))

    def allows(self, value: object) -> bool:
        return value in self.schema["enum"]

    def drawn(self) -> st.SearchStrategy[str]:
        return st.sampled_from(self.schema["enum"])


class Token(Text):
    """A text that the service hands out (`x-opaque`): one that was made up arrives as it is, and is refused."""

    @property
    def sides(self) -> tuple[Side, ...]:
        return (Side("made up", _TO_BE_ESCAPED, False),)


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """The kind of a schema whose references have been followed; UnknownKindError if it is none of these."""
    kind = schema.get("type")
    if schema.get("nullable") or {"pattern", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        raise UnknownKindError(f"a value with {', '.join(sorted(schema.keys() - {'description', 'example'}))}")
    if kind == "integer" and schema.get("format") in _WIDTHS:
        return Integer(schema)
    if kind == "boolean":
        return Boolean(schema)
    if kind == "string" and schema.get("x-opaque"):
        return Token(schema)
    if kind == "string" and "enum" in schema:
        return Choice(schema)
    if kind == "string" and "format" not in schema:
        return Text(schema)
    raise UnknownKindError(f"a value of type {kind} and format {schema.get('format')}")
