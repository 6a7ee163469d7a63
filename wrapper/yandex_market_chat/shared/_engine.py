"""Where the state of shared limits lies. An engine reads, decides and writes if nobody wrote meanwhile; no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

PATIENCE = 0.5
"""Seconds that one call may take. Nothing is tried again within it: the keeper does, while it serves others."""

T = TypeVar("T")
Decide = Callable[[str | None, float], tuple[str | None, T]]
"""From the state and the engine's time to the new state (None: as it was) and a result. May be called again."""


class EngineError(Exception):
    """The engine cannot be used now. Its text holds no secret."""


class Engine(Protocol):
    """One of them."""

    def update(self, key: str, decide: Decide[T]) -> T:
        """Replace the state of a key by what is decided, in one step; raise an `EngineError` if that is impossible."""
        ...
