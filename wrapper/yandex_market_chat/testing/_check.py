"""What the contract demands of the head of a request, checked in the order: path, method, credentials, parameters.

A check ends with the refusal that the contract, or the documentation of the API as a whole, has for it. No sentence
here repeats what a credential was.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ._contract import BearerScheme, Contract, KeyScheme, Operation
from ._credentials import API_KEY, BEARER_TOKEN, Headers
from ._multipart import Part
from ._parameters import arguments_of

#: The `code` of the refusals that are documented for the API as a whole; the others have theirs in the contract.
_CODES: Final = {405: "METHOD_NOT_ALLOWED", 415: "UNSUPPORTED_MEDIA_TYPE"}


class Refusal(Exception):  # noqa: N818 - it is what to answer, not something that went wrong here
    """The request is refused with a status; the text says which demand it does not meet.

    `violation` is False if that is no demand of the contract's but the state of things: what a test has revoked, or
    which businesses and chats it says there are.
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = (), *, violation: bool = True
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.violation = violation
        #: Known if the body got as far as being parsed.
        self.parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what: the credentials that are taken, and the businesses, chats and orders that exist (None: all do).

    Credentials come with their scopes; None: with all of them. `strict`: a form has nothing either that every receiver
    ignores.
    """

    api_keys: Mapping[str, Collection[str] | None]
    oauth_tokens: Mapping[str, Collection[str] | None]
    businesses: Collection[int] | None = None
    chats: Collection[int] | None = None
    orders: Collection[int] | None = None
    revoked: set[str] = field(default_factory=set)
    strict: bool = False

    def without_secrets(self, text: str) -> str:
        """Return the text without credentials, which may have been sent where they do not belong."""
        text = API_KEY.sub("***", text)
        for known in (*self.api_keys, *self.oauth_tokens):
            text = text.replace(known, "***")
        return text


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request, understood: the operation, its parameters, and once it has been read, the JSON of its body."""

    operation: Operation
    arguments: Mapping[str, Any]
    value: object = None


def split_target(target: str) -> tuple[str, str]:
    """Split into path and query a request target, also one in absolute form (RFC 9112, 3.2.2)."""
    path, _, query = target.partition("?")
    return re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*://[^/]*", "", path), query


def check_head(contract: Contract, policy: Policy, method: str, target: str, headers: Headers) -> Call:
    """Check everything that does not need the body; raise Refusal."""
    path, query = split_target(target)
    operations = contract.at(path)
    if not operations:
        raise Refusal(404, "no operation of the contract has this path")
    operation = next((candidate for candidate in operations if candidate.method == method), None)
    if operation is None:
        allowed = ", ".join(candidate.method for candidate in operations)
        raise Refusal(405, f"the method of this path is {allowed}", (("Allow", allowed),))
    bearer = _check_credentials(operation, policy, headers)
    try:
        arguments = arguments_of(contract, operation, path, query, headers)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    business = arguments.get("businessId")
    # Documented in words only, for OAuth: the header is optional, but must not contradict the path.
    if bearer and any(value != str(business) for value in headers.values("X-Business-Id")):
        raise Refusal(400, "X-Business-Id differs from businessId in the path")
    if policy.businesses is not None and business not in policy.businesses:
        raise Refusal(403, "the credentials give no access to this businessId", violation=False)
    return Call(operation, arguments)


def error_body(contract: Contract, refusal: Refusal) -> dict[str, object]:
    """Return the error envelope, shaped as the contract's own example for the status."""
    for operation in contract.operations:
        response = operation.responses.get(refusal.status)
        if response is not None:
            example = next(iter(response.examples.values()))
            return {**example, "errors": [{**example["errors"][0], "message": refusal.message}]}
    return {"status": "ERROR", "errors": [{"code": _CODES[refusal.status], "message": refusal.message}]}


def _check_credentials(operation: Operation, policy: Policy, headers: Headers) -> bool:
    """Say whether the request came with a bearer token, which was right, and not with a key."""
    present = [
        (scheme, values)
        for scheme in operation.schemes
        if (values := headers.values(scheme.header if isinstance(scheme, KeyScheme) else "Authorization"))
    ]
    refusals: list[Refusal] = []
    for scheme, values in present:
        if isinstance(scheme, KeyScheme):
            refusal = _refuse_key(scheme, values, policy)
        else:
            refusal = _refuse_bearer(scheme, values, policy)
        if refusal is None:
            return isinstance(scheme, BearerScheme)
        refusals.append(refusal)
    if refusals:
        raise refusals[0]
    if operation.schemes:
        names = " or ".join(s.header if isinstance(s, KeyScheme) else "Authorization" for s in operation.schemes)
        raise Refusal(401, f"the request has no credentials: it needs {names}")
    return False


def _refuse_key(scheme: KeyScheme, values: list[str], policy: Policy) -> Refusal | None:
    header = scheme.header
    if len(values) > 1:
        return Refusal(401, f"the header {header} was sent more than once")
    if API_KEY.fullmatch(values[0]) is None:
        return Refusal(401, f"the value of {header} is not ACMA:, 40 characters, a colon and 8 characters")
    if not _among(values[0], policy.api_keys):
        return Refusal(401, f"the key in {header} is not one that this server takes")
    if values[0] in policy.revoked:
        return Refusal(401, f"the key in {header} has been revoked", violation=False)
    return _refuse_scope(f"the key in {header}", policy.api_keys[values[0]], scheme.scopes)


def _refuse_bearer(scheme: BearerScheme, values: list[str], policy: Policy) -> Refusal | None:
    if len(values) > 1:
        return Refusal(401, "the header Authorization was sent more than once")
    kind, _, token = values[0].partition(" ")
    if kind.lower() != "bearer":
        return Refusal(401, "the scheme of Authorization is not Bearer")
    if BEARER_TOKEN.fullmatch(token) is None:
        return Refusal(401, "the bearer token is missing or malformed")
    if not _among(token, policy.oauth_tokens):
        return Refusal(403, "the bearer token is not one that this server takes")
    if token in policy.revoked:
        return Refusal(403, "the bearer token has been revoked", violation=False)
    return _refuse_scope("the bearer token", policy.oauth_tokens[token], scheme.scopes)


def _refuse_scope(what: str, given: Collection[str] | None, needed: tuple[str, ...]) -> Refusal | None:
    if given is None or not needed or any(scope in given for scope in needed):
        return None
    return Refusal(403, f"{what} has none of the scopes {', '.join(needed)}", violation=False)


def _among(value: str, known: Collection[str]) -> bool:
    return any(hmac.compare_digest(value.encode(), candidate.encode()) for candidate in known)
