"""The credentials that the server takes, and how they are kept out of what people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

#: `ACMA:`, 40 characters, `:`, 8 characters; what the characters may be is documented nowhere.
API_KEY: Final = re.compile(r"ACMA:[!-9;-~]{40}:[!-9;-~]{8}")
#: RFC 6750, 2.1.
BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

#: Taken if the caller names no others. Fixed, so that they can stand in the settings of a test.
FAKE_API_KEY: Final = "ACMA:FakeKeyOfTheMockServerOpensNothingReal00:NotReal0"
FAKE_OAUTH_TOKEN: Final = "fake-oauth-token-of-the-mock-server"  # noqa: S105 - opens nothing

# By their usual names and not by the contract: a credential that was sent in the wrong header is a secret too.
_SECRET_HEADER = re.compile("key|token|auth|cookie|secret", re.IGNORECASE)


class Headers(tuple[tuple[str, str], ...]):
    """The headers of a request: names and values as they were sent, in the order of the wire.

    A plain tuple of pairs, but for its `repr`, which does not show credentials. Bytes stand as the characters of
    ISO-8859-1, so none is lost.
    """

    __slots__ = ()

    def values(self, name: str) -> list[str]:
        """Return every value of the header, whatever the case of its name."""
        return [value for key, value in self if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """Return the first value of the header, None without one."""
        return next(iter(self.values(name)), None)

    def __repr__(self) -> str:
        return f"Headers({list(self.masked())})"

    __str__ = __repr__

    def masked(self) -> Iterator[tuple[str, str]]:
        """Yield names and values as they may be shown."""
        for name, value in self:
            yield name, "***" if _SECRET_HEADER.search(name) else value


def check_api_key(key: str) -> str:
    """Return `key`, if it has the documented form; a ValueError that does not repeat it otherwise."""
    if API_KEY.fullmatch(key) is None:
        raise ValueError("an API key is ACMA:, 40 characters, a colon and 8 characters")
    return key


def check_oauth_token(token: str) -> str:
    """Return `token`, if it can be sent as a bearer token; a ValueError that does not repeat it otherwise."""
    if BEARER_TOKEN.fullmatch(token) is None:
        raise ValueError("an OAuth token is made of letters, digits and -._~+/, with = at its end only")
    return token
