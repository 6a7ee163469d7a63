"""Many files, each at most once, on machines that restart: what `yandex-market-chat send-batch` does, from Python.

    from yandex_market_chat import AsyncChatClient
    from yandex_market_chat.batch import send_batch

    async def main() -> None:
        async with AsyncChatClient() as chat:
            result = await send_batch(chat, "mailing.csv", journal="mailing.sqlite")
        print(result.sent, "sent,", result.unknown, "unknown,", result.left, "left:", result.stopped)

The manifest says what goes where, the journal what became of it. Nothing beside the standard library is needed for it.
"""

from ._engine import send_batch
from ._journal import JournalError, JournalInUseError
from ._manifest import BatchError, ManifestError, ManifestFault
from ._result import BatchProgress, BatchResult, BusinessProgress, Duplicate

__all__ = [
    "BatchError",
    "BatchProgress",
    "BatchResult",
    "BusinessProgress",
    "Duplicate",
    "JournalError",
    "JournalInUseError",
    "ManifestError",
    "ManifestFault",
    "send_batch",
]

# In tracebacks, in pickles and in the interpreter they are what one imports them as.
for _public in (
    BatchError, BatchProgress, BatchResult, BusinessProgress, Duplicate, JournalError, JournalInUseError, ManifestError,
    ManifestFault,
):  # fmt: skip
    _public.__module__ = __name__
