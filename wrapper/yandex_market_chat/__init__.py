"""Send a file into a buyer's chat on Yandex Market, and always know what happened to it.

    from yandex_market_chat import ChatClient

    with ChatClient() as chat:  # the key is in YANDEX_MARKET_API_KEY
        sent = chat.send_file("invoice.pdf", business_id=123, chat_id=456)

Unofficial. `AsyncChatClient` is the same for asyncio. What can go wrong, and what it says about the file: `ChatError`.
"""

import importlib
import typing

from ._client import ChatClient
from ._errors import (
    AccessDeniedError,
    ApiError,
    ApiErrorItem,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ChatNotOpenedError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    EmptyFileError,
    FileTooLargeError,
    InProgressError,
    InvalidFileError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    NotSentError,
    ParallelLimitError,
    QuotaExceededError,
    RateLimitError,
    ResponseTimeoutError,
    ServerError,
    UnclearResponseError,
    UnexpectedRefusalError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from ._file import CheckedFile
from ._options import RetryPolicy, Timeout
from ._quota import Quota
from ._send import SentFile
from ._version import __version__
from .shared import Ledger, SharedLimits

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "ApiErrorItem",
    "AsyncChatClient",
    "AuthenticationError",
    "BadRequestError",
    "ChatClient",
    "ChatError",
    "ChatNotOpenedError",
    "CheckedFile",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DeliveryUnknownError",
    "EmptyFileError",
    "FileTooLargeError",
    "InProgressError",
    "InvalidFileError",
    "InvalidRequestError",
    "Ledger",
    "LedgerError",
    "NotFoundError",
    "NotSentError",
    "ParallelLimitError",
    "Quota",
    "QuotaExceededError",
    "RateLimitError",
    "ResponseTimeoutError",
    "RetryPolicy",
    "SentFile",
    "ServerError",
    "SharedLimits",
    "Timeout",
    "UnclearResponseError",
    "UnexpectedRefusalError",
    "UnexpectedResponseError",
    "WaitTimeoutError",
    "__contract_sha256__",
    "__contract_version__",
    "__version__",
]

if typing.TYPE_CHECKING:
    from ._async_client import AsyncChatClient

    __contract_version__: str
    """The version of the contract (`info.version` in `openapi/openapi.yaml`) that the package was made from."""
    __contract_sha256__: str
    """The SHA-256 of that contract, in hexadecimal."""


# Imported when first asked for. AsyncChatClient needs half as much again as all the rest, and most programs use one of
# the two; what names the contract is in the generated client, which is imported with the first send.
_LATER = {"AsyncChatClient": "_async_client", "__contract_version__": "_api", "__contract_sha256__": "_api"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__


# In tracebacks, in pickles and in the interpreter they are what one imports them as.
for _public in [value for name, value in globals().items() if name in __all__ and isinstance(value, type)]:
    _public.__module__ = __name__
