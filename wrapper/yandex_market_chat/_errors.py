"""What can go wrong with a send.

Two questions have two answers: *what happened to the file?* is the base class, *why?* is the class itself.

ChatError
├── NotSentError                    the buyer has not got the file
│   ├── InvalidRequestError         refused here, nothing went out (also a ValueError)
│   │   └── InvalidFileError
│   │       ├── EmptyFileError
│   │       └── FileTooLargeError
│   ├── ConnectionFailedError       no connection was made, so no request
│   └── WaitTimeoutError            time ran out before anything was in flight
├── DeliveryUnknownError            nobody can know whether the buyer has the file
│   ├── ConnectionLostError         broken after the request was given to a connection
│   └── ResponseTimeoutError        no answer in time
└── ApiError                        Market answered
    ├── BadRequestError             400                              (also NotSentError)
    ├── AuthenticationError         401                              (also NotSentError)
    ├── AccessDeniedError           403                              (also NotSentError)
    ├── NotFoundError               404                              (also NotSentError)
    ├── RateLimitError              420                              (also NotSentError)
    │   ├── ParallelLimitError
    │   └── QuotaExceededError
    ├── ServerError                 5xx, 499                         (also DeliveryUnknownError)
    └── UnexpectedResponseError     any other answer
        ├── UnexpectedRefusalError  4xx, 3xx but 303                 (also NotSentError)
        └── UnclearResponseError    2xx but the documented OK, 303, 600 and up  (also DeliveryUnknownError)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from ._headers import Headers

if TYPE_CHECKING:
    from ._quota import Quota


class ApiErrorItem(NamedTuple):
    """One entry of the `errors` list in Market's answer (`ApiErrorDTO` in the API documentation)."""

    code: str | None
    """The error code, an open set of strings; None where the answer has none."""
    message: str | None
    """Market's text. It changes over time: show it, do not match on it. None where the answer has none."""


class ChatError(Exception):
    """A send that did not end with "sent". Can be pickled, and holds no credential.

    The attributes tell which send it was, so that one error among many can be put to its file.
    """

    # Every attribute has a default in its class and is set afterwards, in one place (`_send.py`): so an error is made
    # from its text alone, and pickles, copies and compares like any other exception.
    business_id: int | None = None
    """The business (cabinet) of the send; None if what was passed is no valid id."""
    chat_id: int | None = None
    """The chat of the send; None if what was passed is no valid id."""
    name: str | None = None
    """The file name as sent; None if it was not known yet."""
    size: int | None = None
    """The size of the file in bytes; None if it was not known yet."""
    attempts: int = 0
    """How many requests were begun, the failed ones and the last included."""
    elapsed: float = 0.0
    """Seconds from the call to the error."""

    # What a caller reads after the reason: what it means for the file, and what to do.
    _fate: ClassVar[str] = ""
    _advice: ClassVar[str] = ""

    @classmethod
    def _because(cls, reason: str, **known: object) -> Self:
        """Return the error whose text says the reason, what it means for the file, and what to do.

        `known` are its attributes, as far as they are known here.
        """
        error = cls(" ".join(part for part in (reason, cls._fate, cls._advice) if part))
        vars(error).update(known)
        return error


class NotSentError(ChatError):
    """The buyer has not got the file: sending it again cannot send it twice."""

    _fate = "The file was not sent."


class InvalidRequestError(NotSentError, ValueError):
    """An argument was refused here, before anything went out. The text says which and why."""

    _fate = "Nothing was sent."


class InvalidFileError(InvalidRequestError):
    """The file cannot be sent: not a regular file, not binary, closed, or not a file at all. Nothing went out."""

    _fate = "The file was not sent."


class EmptyFileError(InvalidFileError):
    """The file has no bytes. Nothing went out."""


class FileTooLargeError(InvalidFileError):
    """The file is larger than `max_file_size`. Nothing went out."""

    limit: int = 0
    """The largest size that is sent, in bytes."""


class ConnectionFailedError(NotSentError):
    """No connection to Market was made (name, network, TLS, proxy), so no request was begun."""

    _advice = "Check the network, the proxy and the base URL, then send it again."


class WaitTimeoutError(NotSentError):
    """The total time passed while the send waited for its turn or for the file; nothing was in flight."""

    _advice = "Send it again, with a longer Timeout.total if this happens often."


class DeliveryUnknownError(ChatError):
    """Nobody can know whether the buyer has the file: look into the chat before sending it again."""

    later: ChatError | None = None
    """The failure of a later attempt, if there was one; it cannot undo that this one may have arrived."""

    _fate = "Nobody can know whether the buyer got the file."
    _advice = "Look into the chat before sending it again."


class ConnectionLostError(DeliveryUnknownError):
    """The connection broke after the request had been begun."""


class ResponseTimeoutError(DeliveryUnknownError):
    """The request had been begun, and no answer came in time."""


class ApiError(ChatError):
    """Market, or something between here and Market, answered."""

    status_code: int = 0
    """The HTTP status."""
    errors: tuple[ApiErrorItem, ...] = ()
    """What could be read of the `errors` list of the answer; empty if nothing could."""
    trace_id: str | None = None
    """The `traceparent` of the answer: the request id to quote to Market's support."""
    quota: Quota | None = None
    """The allowance as this answer told it; None if it told none."""
    body: bytes = b""
    """The body of the answer as received, at most the first mebibyte."""
    body_truncated: bool = False
    """True if the body was longer than what is kept, or broke off."""
    headers: Mapping[str, str] = Headers()
    """The headers of the answer, found under any spelling of their names."""


class BadRequestError(ApiError, NotSentError):
    """400: Market found wrong data in the request. Sending the same again will be refused again."""

    _advice = "Mend what the answer names; the same request will be refused again."


class AuthenticationError(ApiError, NotSentError):
    """401: the API key or token is missing, wrong or revoked."""

    _advice = "Check the API key."


class AccessDeniedError(ApiError, NotSentError):
    """403: the credentials are valid but not for this: wrong scope, or no access to this business."""

    _advice = (
        "Check that the key has the scope communication or all-methods, and that business_id is the id of the business "
        "(the cabinet), not that of a campaign."
    )


class NotFoundError(ApiError, NotSentError):
    """404: Market knows no such business or chat."""

    _advice = "Check business_id (the cabinet, not a campaign) and chat_id."


class RateLimitError(ApiError, NotSentError):
    """420: a limit was hit, and the answer does not tell which. Market never uses 429."""

    _advice = "Send it again later."


class ParallelLimitError(RateLimitError):
    """420: too many requests at once for this business (4, over all tokens, processes and hosts of the cabinet)."""

    _advice = "Send it again in a moment, or use one client with a lower max_parallel."


class QuotaExceededError(RateLimitError):
    """420: the hourly allowance of the business (1 000 requests) is spent.

    With `attempts` 0 nothing was asked: an earlier answer had told it. Then `body` is empty.
    """

    resets_at: datetime | None = None
    """When the allowance is renewed, in UTC, as Market told it."""

    _advice = "Send it again after resets_at."


class ServerError(ApiError, DeliveryUnknownError):
    """5xx or 499: Market failed, or gave up, while it had the request."""


class UnexpectedResponseError(ApiError):
    """An answer that is not documented for this operation; always one of its two subclasses."""


class UnexpectedRefusalError(UnexpectedResponseError, NotSentError):
    """An undocumented 4xx, or a redirect (never followed): the request was not processed."""

    _advice = "Check base_url and what stands between here and Market (proxy, gateway)."


class UnclearResponseError(UnexpectedResponseError, DeliveryUnknownError):
    """An answer that neither confirms nor refuses.

    A 2xx that is not the documented OK (a 200 whose body says ERROR among them), 303, or a status from 600 on.
    """
