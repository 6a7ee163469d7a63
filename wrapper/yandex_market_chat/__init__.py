"""Send a file into a buyer's chat on Yandex Market, and always know what happened to it.

    from yandex_market_chat import ChatClient

    with ChatClient() as chat:  # the key is in YANDEX_MARKET_API_KEY
        sent = chat.send_file("invoice.pdf", business_id=123, chat_id=456)

Unofficial. `AsyncChatClient` is the same for asyncio. What can go wrong, and what it says about the file: `ChatError`.
"""

import typing

from ._client import ChatClient
from ._errors import (
    AccessDeniedError,
    ApiError,
    ApiErrorItem,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConnectionFailedError,
    ConnectionLostError,
    DeliveryUnknownError,
    EmptyFileError,
    FileTooLargeError,
    InvalidFileError,
    InvalidRequestError,
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
from ._options import RetryPolicy, Timeout
from ._quota import Quota
from ._send import SentFile
from ._version import __contract_sha256__, __contract_version__, __version__

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "ApiErrorItem",
    "AsyncChatClient",
    "AuthenticationError",
    "BadRequestError",
    "ChatClient",
    "ChatError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DeliveryUnknownError",
    "EmptyFileError",
    "FileTooLargeError",
    "InvalidFileError",
    "InvalidRequestError",
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


def __getattr__(name: str) -> type:
    # Made when first asked for: it needs half as much again as all the rest, and most programs use one of the two.
    if name != "AsyncChatClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._async_client import AsyncChatClient

    AsyncChatClient.__module__ = __name__
    globals()[name] = AsyncChatClient
    return AsyncChatClient


# In tracebacks, in pickles and in the interpreter they are what one imports them as.
for _public in [value for name, value in globals().items() if name in __all__ and isinstance(value, type)]:
    _public.__module__ = __name__
