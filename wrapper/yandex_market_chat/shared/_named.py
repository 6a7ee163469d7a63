"""What a client, or else the environment, names: shared limits, a ledger."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from .._errors import InvalidRequestError
from .._options import refuse

T = TypeVar("T")
_made: dict[tuple[str, str], Any] = {}


def named(value: Any, argument: str, kind: type[T], make: Callable[[str], T], kinds: str) -> T | None:
    """Return what an argument names, or else its environment variable; "" is none, whatever the environment says.

    Those that name the same thing by the same text get the same object.
    """
    name = argument
    if value is None:
        name = f"YANDEX_MARKET_{argument.upper()}"
        value = os.environ.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, kind):
        return value
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip():
        refuse(f"{name} must be {kinds}.")
    if (argument, text) not in _made:
        refused = ""
        try:
            _made[argument, text] = make(text)
        except InvalidRequestError as error:
            refused = error._reason
        if refused:
            del value, text  # a URL may hold a password
            refuse(f"{name}: {refused}")
    found: T = _made[argument, text]
    return found
