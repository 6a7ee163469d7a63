"""From the server's answer to what it means."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import _errors as errors
from ._credentials import Credentials
from ._headers import Headers
from ._quota import Quota

KEPT_BODY = 1024 * 1024
"""How many bytes of an answer's body are kept."""

_KINDS: dict[int, type[errors.ApiError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.AccessDeniedError,
    404: errors.NotFoundError,
    420: errors.RateLimitError,
    499: errors.ServerError,
}
# A 3xx is none of them: gateways turn their own 502 or 504 into a redirect after Market took the whole file.
_KINDS_BY_CLASS: dict[int, type[errors.ApiError]] = {4: errors.UnexpectedRefusalError, 5: errors.ServerError}
_LATER: dict[str, Any] = {"retryable": True, "advice": "Try again later."}


class Answer(NamedTuple):
    """An answer as it arrived."""

    status_code: int
    headers: Headers
    body: bytes
    body_truncated: bool
    credentials: Credentials | None = None
    """Take the secrets out of what is to be shown. What the answer means is decided before."""


def error_of(answer: Answer, quota: Quota | None) -> errors.ApiError:
    """Return the error that an answer other than "sent" stands for."""
    body, items = answer.body, read_errors(answer.body)
    if answer.credentials is not None:  # each by itself: JSON has more than one way to write a character
        redact = answer.credentials.redact
        body = answer.credentials.redact_end(redact(body)) if answer.body_truncated else redact(body)
        items = tuple(errors.ApiErrorItem(*(part and redact(part) for part in item)) for item in items)
    more = _LATER if answer.status_code in (423, 429) else {}
    return _kind(answer, items, quota)._because(
        _sentence(answer, items),
        status_code=answer.status_code,
        errors=items,
        trace_id=answer.headers.get("traceparent"),
        quota=quota,
        body=body[:KEPT_BODY],
        body_truncated=answer.body_truncated,
        headers=answer.headers,
        **more,
    )


def _kind(answer: Answer, items: Iterable[errors.ApiErrorItem], quota: Quota | None) -> type[errors.ApiError]:
    by_class = _KINDS_BY_CLASS.get(answer.status_code // 100, errors.UnclearResponseError)
    kind = _KINDS.get(answer.status_code, by_class)
    if kind is not errors.RateLimitError:
        return kind
    if quota is not None and quota.remaining == 0 and quota.resets_at is not None:
        return errors.QuotaExceededError
    # Some of the quota is left, so it cannot be that limit. Without headers the wording is the only hint there is.
    left = quota is not None and quota.remaining
    if left or any("parallel" in (item.message or "").lower() for item in items):
        return errors.ParallelLimitError
    return kind


class _Number(str):
    """A number as it was written: there are some that Python makes none of."""

    __slots__ = ()


def read_errors(body: bytes) -> tuple[errors.ApiErrorItem, ...]:
    """Return every code and message that can be read of an answer's body, whatever else is wrong with it."""
    try:
        document = json.loads(body.decode("utf-8-sig", errors="replace"), parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return ()
    listed = document.get("errors") if isinstance(document, dict) else None
    items = []
    for entry in listed if isinstance(listed, list) else [listed]:
        if type(entry) is str:
            items.append(errors.ApiErrorItem(None, entry))
        elif isinstance(entry, dict):
            code, message = _text(entry.get("code")), _text(entry.get("message"))
            if code is not None or message is not None:
                items.append(errors.ApiErrorItem(code, message))
    return tuple(items)


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) else None


def _sentence(answer: Answer, items: tuple[errors.ApiErrorItem, ...]) -> str:
    said = "; ".join(": ".join(part for part in item if part) for item in items[:5])
    sentence = f"Market answered {answer.status_code}"
    if said:
        sentence += f" ({printable(said)})"
    if 200 <= answer.status_code < 300:
        sentence += ", but not the documented OK"
    elif 300 <= answer.status_code < 400:
        sentence += ", a redirect, which is never followed"
    if trace_id := answer.headers.get("traceparent"):
        sentence += f" [trace id {printable(trace_id, 100)}]"
    return sentence + "."


def printable(text: str, most: int = 300) -> str:
    """Return text from elsewhere as one line, not longer than that, without what a terminal or log could not show."""
    words = " ".join(text[: most * 4].split())
    shown = "".join(character if character.isprintable() else "\ufffd" for character in words)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
