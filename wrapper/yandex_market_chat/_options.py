"""The options of a client that have a type of their own, and how an argument is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NoReturn

from ._errors import InvalidRequestError

LONGEST_TIMEOUT = 1_000_000
# No blanks at either end, and something on each side of the first slash.
_INTEGRATION = re.compile("(?! )[ -.0-~]+/[ -~]*[!-~]")


def refuse(reason: str) -> NoReturn:
    """Raise the error of an argument that is refused here."""
    raise InvalidRequestError._because(reason)


def _check_seconds(name: str, value: object, instead: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIMEOUT:
        refuse(f"{name} must be a number of seconds{instead}, more than 0 and at most {LONGEST_TIMEOUT}.")


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        refuse(f"{name} must be a whole number from 1.")


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long a send may take, in seconds.

    Args:
        total: for everything: waiting for a slot, every attempt, the pauses between them. None: no limit.
        connect: for each step of making a connection (TCP, TLS, through a proxy).
        write: until the system takes more of the request; a slow line does not count as a broken one.
        read: for each read, so also for the first byte of the response.

    With `ChatClient` it cannot limit name resolution, your own blocking `read()`, and TLS through an https:// proxy,
    where each read has its own limit only.

    Raises:
        InvalidRequestError: a value is not a number, not more than 0, or more than a million seconds.
    """

    total: float | None = 120.0
    connect: float = 5.0
    write: float = 30.0
    read: float = 30.0

    def __post_init__(self) -> None:
        for name in ("total", "connect", "write", "read"):
            if name != "total" or self.total is not None:
                _check_seconds(f"The {name} timeout", getattr(self, name))

    def but(self, other: Timeout | float | None) -> Timeout:
        """Return the timeout that one call asked for: all of it, its total alone, or (None) no change."""
        if other is None or isinstance(other, Timeout):
            return other or self
        _check_seconds("timeout", other, " (or a Timeout)")
        return replace(self, total=float(other))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What a send repeats by itself.

    Args:
        attempts: the most requests per send, including the first one (from 1). Only what provably did not reach the
            chat is repeated: connections that could not be made, and 420.
        resend_unknown: also repeat when nobody can know whether the file arrived (connection lost, no response, 3xx,
            5xx). The buyer may then receive the file more than once: the API has no idempotency key.

    Raises:
        InvalidRequestError: `attempts` is not a whole number from 1, or `resend_unknown` not True or False.
    """

    attempts: int = 4
    resend_unknown: bool = False

    def __post_init__(self) -> None:
        check_count("RetryPolicy.attempts", self.attempts)
        if not isinstance(self.resend_unknown, bool):  # "no" is as true as "yes"
            refuse("RetryPolicy.resend_unknown must be True or False.")


@dataclass(frozen=True, slots=True)
class Options:
    """What a client was told, but for where requests go and who asks, in the order of its arguments.

    A new one is a field and its check here, and an argument of `BaseClient`, which documents it.
    """

    timeout: Timeout
    retry: RetryPolicy
    confirm_unknown: float
    max_file_size: int
    max_parallel: int
    integration: str | None

    def __post_init__(self) -> None:
        if not isinstance(self.retry, RetryPolicy):
            refuse(f"retry must be a RetryPolicy, not {type(self.retry).__name__}.")
        check_count("max_file_size", self.max_file_size)
        check_count("max_parallel", self.max_parallel)
        if self.confirm_unknown != 0 or isinstance(self.confirm_unknown, bool):
            _check_seconds("confirm_unknown", self.confirm_unknown, " (0: never)")
        named = self.integration
        # It stands in a header.
        if named is not None and not (isinstance(named, str) and len(named) <= 100 and _INTEGRATION.fullmatch(named)):
            refuse('integration must be "name/version": printable ASCII, at most 100 characters.')
