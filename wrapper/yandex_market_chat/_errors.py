"""What can go wrong with a send.

Errors answer two questions: *what happened to the file?* is the base class, *why?* is the class itself.

ChatError
├── NotSentError                    the buyer did not receive the file
│   ├── InvalidRequestError         refused here, nothing went out (also a ValueError)
│   │   └── InvalidFileError
│   │       ├── EmptyFileError
│   │       └── FileTooLargeError
│   ├── ConnectionFailedError       no connection was made, so no request
│   ├── ChatNotOpenedError          the order's chat could not be opened
│   └── WaitTimeoutError            time ran out before anything was in flight
├── LedgerError                     this call sent nothing, an earlier one with the key may have
├── DeliveryUnknownError            nobody can know whether the buyer received the file
│   ├── ConnectionLostError         broken after the request was given to a connection
│   ├── ResponseTimeoutError        no response in time
│   └── InProgressError             another call is sending with the idempotency key
└── ApiError                        Market responded
    ├── BadRequestError             400                              (also NotSentError)
    ├── AuthenticationError         401                              (also NotSentError)
    ├── AccessDeniedError           403                              (also NotSentError)
    ├── NotFoundError               404                              (also NotSentError)
    ├── RateLimitError              420                              (also NotSentError)
    │   ├── ParallelLimitError
    │   └── QuotaExceededError
    ├── ServerError                 5xx, 499                         (also DeliveryUnknownError)
    └── UnexpectedResponseError     any other response
        ├── UnexpectedRefusalError  other 4xx                        (also NotSentError)
        └── UnclearResponseError    2xx but the documented OK, 3xx, 600 and up  (also DeliveryUnknownError)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

from ._headers import Headers
from ._quota import Quota


class ApiErrorItem(NamedTuple):
    """One entry of the `errors` list in Market's response (`ApiErrorDTO` in the API documentation)."""

    code: str | None
    """The error code, an open set of strings; None if the response has none."""
    message: str | None
    """Market's text. It changes over time: show it, do not match on it. None if the response has none."""


class ChatError(Exception):
    """A send that did not end with "sent". Can be pickled, and holds no credential.

    The attributes say which send it was, so you can tell which file each error belongs to.
    """

    # Every attribute has a default in its class and is set afterwards, in one place (`_send.py`): so an error is made
    # from its text alone, and pickles, copies and compares like any other exception.
    business_id: int | None = None
    """The business (cabinet) of the send; None if what was passed is not a valid id."""
    chat_id: int | None = None
    """The chat of the send; None if what was passed is not a valid id, or the chat of the order was not opened."""
    order_id: int | None = None
    """The order of the send, if the call named it."""
    name: str | None = None
    """The file name as sent; None if it was not known yet."""
    size: int | None = None
    """The size of the file in bytes; None if it was not known yet."""
    idempotency_key: str | None = None
    """The key of the call, if it had one."""
    attempts: int = 0
    """How many requests were started, including the last one and those that failed."""
    elapsed: float = 0.0
    """Seconds from the call to the error."""
    retryable: bool = False
    """True if the same call, unchanged, may succeed later and cannot deliver the file twice.

    If False, fix the problem first or, for a `DeliveryUnknownError`, check the chat. True for a `WaitTimeoutError`, a
    `RateLimitError` (420) and the statuses 423 and 429, for a `ConnectionFailedError`, unless the certificate was
    refused or the proxy said no for good, for a `LedgerError`, and for any `DeliveryUnknownError` of a call with an
    idempotency key, unless the client resends what is unknown.
    """

    _reason: str = ""  # the first sentence of the text

    # What a caller reads after the reason: what it means for the file, and what to do. The command prints the same, so
    # no argument of a Python function is named.
    _fate: ClassVar[str] = ""
    _advice: ClassVar[str] = ""

    @classmethod
    def _because(cls, reason: str, *, advice: str = "", **known: Any) -> Self:
        """Return the error whose text says the reason, what it means for the file, and what to do.

        `known` are its attributes, as far as they are known here.
        """
        error = cls(" ".join(part for part in (reason, cls._fate, advice or cls._advice) if part))
        vars(error).update(known, _reason=reason)
        return error


class NotSentError(ChatError):
    """The buyer did not receive the file: sending it again cannot deliver it twice."""

    _fate = "The file was not sent."


class InvalidRequestError(NotSentError, ValueError):
    """An argument was refused here, before anything went out. The text says which and why; fix it first."""

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
    """No connection to Market was made (DNS, network, TLS, proxy), so no request was started.

    Retryable, unless the certificate was refused or the proxy said no for good.
    """

    retryable = True
    _advice = "Check the network, the proxy and the server address, then try again."


class WaitTimeoutError(NotSentError):
    """The total time passed while the send waited for a slot or for the file; nothing was in flight. Retryable."""

    retryable = True
    _advice = "Try again, with a longer timeout if this happens often."


class ChatNotOpenedError(NotSentError):
    """The chat of the order could not be opened, so the file was not sent.

    The connection was lost, no response came, or it was a 5xx or names no chat. Retryable, unless the response would be
    the same again.
    """

    _advice = "Opening a chat is safe to repeat."


class LedgerError(ChatError):
    """The ledger cannot be read or written. This call sent nothing; an earlier call with the key may have. Retryable.

    So it is no `NotSentError`.
    """

    retryable = True
    _fate = "This call sent nothing; an earlier call with the idempotency key may have."
    _advice = "Try again when the ledger can be used."


class DeliveryUnknownError(ChatError):
    """Nobody can know whether the buyer received the file: check the chat before resending."""

    since: datetime | None = None
    """When the first unknown attempt began, in UTC, by the clock of this machine."""
    unknown_attempts: int = 1
    """How many attempts may have delivered the file; more than 1 with `resend_unknown` only."""
    content_type: str = ""
    """The type as sent."""
    history_read_at: datetime | None = None
    """When the chat's history was read whole, in UTC, without finding the file: which proves nothing. None: never."""
    _owner: str = ""  # which send it was: the same message confirms it each time
    later: ChatError | None = None
    """The failure of a later attempt, or of reading the history for `confirm`; it cannot undo that this one may have
    arrived."""

    _fate = "Nobody can know whether the buyer received the file."
    _advice = "Check the chat before resending."


class ConnectionLostError(DeliveryUnknownError):
    """The connection broke after the request had started. Check the chat before resending."""


class ResponseTimeoutError(DeliveryUnknownError):
    """The request had started, and no response came in time. Check the chat before resending."""


class InProgressError(DeliveryUnknownError):
    """Another process, or another call of this one, is sending with this idempotency key right now. Retryable.

    This call sent nothing. If the other one's process died, the key is unknown when the lease of its claim has passed.
    """

    retryable = True
    _fate = "This call sent nothing."
    _advice = "Try again in a moment."


class ApiError(ChatError):
    """Market, or something between here and Market, responded."""

    status_code: int = 0
    """The HTTP status."""
    errors: tuple[ApiErrorItem, ...] = ()
    """What could be read of the `errors` list of the response; empty if nothing could."""
    trace_id: str | None = None
    """The `traceparent` of the response: the request id to quote to Market's support."""
    quota: Quota | None = None
    """The quota according to this response; None if it says nothing about it."""
    body: bytes = b""
    """The body of the response as received, at most the first mebibyte."""
    body_truncated: bool = False
    """True if the body was longer than what is kept, or broke off."""
    headers: Mapping[str, str] = Headers()
    """The headers of the response; their names are case-insensitive."""


class BadRequestError(ApiError, NotSentError):
    """400: Market found wrong data in the request. The file was not sent; the same request will be refused again."""

    _advice = "Fix what the response names first; the same request will be refused again."


class AuthenticationError(ApiError, NotSentError):
    """401: the API key or token is missing, wrong or revoked. The file was not sent; check the key first."""

    _advice = "Check the API key or token first."


class AccessDeniedError(ApiError, NotSentError):
    """403: the key or token is valid, but lacks the scope or the access to this business. The file was not sent."""

    _advice = (
        "Check that the key has the scope communication or all-methods, and that the business id is that of the "
        "cabinet, not of a campaign."
    )


class NotFoundError(ApiError, NotSentError):
    """404: Market knows no such business or chat. The file was not sent; check the ids and the server address."""

    _advice = "Check the business id (of the cabinet, not of a campaign), the chat or order id and the server address."


class RateLimitError(ApiError, NotSentError):
    """420: a limit was hit, and the response does not say which. The file was not sent. Retryable.

    Market never uses 429 (API documentation).
    """

    retryable = True
    _advice = "Try again later."


class ParallelLimitError(RateLimitError):
    """420: too many requests at once for this business. The file was not sent. Retryable, in a moment.

    Market allows 4, over all tokens, processes and hosts of the cabinet (API documentation).
    """

    _advice = "Try again in a moment, or make fewer requests at once."


class QuotaExceededError(RateLimitError):
    """420: the hourly quota of the business (1 000 requests) is used up. The file was not sent.

    Retryable, after `resets_at`. With `attempts` 0 no request was made, since an earlier response had said so; then
    `body` is empty.
    """

    resets_at: datetime | None = None
    """When the quota is renewed, in UTC, according to Market."""
    operation: str | None = None
    """Whose quota it is, by its name in the API documentation: "sendFileToChat", "createChat" or "getChatHistory"."""

    _advice = "Try again when the quota has been renewed."

    @classmethod
    def _because(cls, reason: str, *, quota: Quota | None = None, **known: Any) -> Self:
        if quota and quota.resets_at:
            advice = f"Try again after {quota.resets_at:%Y-%m-%d %H:%M:%S %Z}."
            known = {"advice": advice, "resets_at": quota.resets_at} | known
        return super()._because(reason, quota=quota, **known)


class ServerError(ApiError, DeliveryUnknownError):
    """5xx or 499: Market failed, or gave up, while it had the request. Check the chat before resending."""


class UnexpectedResponseError(ApiError):
    """A response that is not documented for this operation; always one of its two subclasses."""


class UnexpectedRefusalError(UnexpectedResponseError, NotSentError):
    """An undocumented 4xx: the request was refused. The file was not sent. Retryable if it is 423 or 429."""

    _advice = "Check the server address and what is between here and Market (proxy, gateway)."


class UnclearResponseError(UnexpectedResponseError, DeliveryUnknownError):
    """A response that neither confirms nor refuses. Check the chat before resending.

    A 2xx that is not the documented OK (including a 200 whose body says ERROR), a redirect (never followed: gateways
    turn their own 502 or 504 into one after Market took the file), or a status from 600 on.
    """
