"""A mock server of the API, for tests: a real HTTP server on a real socket that holds every request to the contract.

    with MockServer() as server:
        with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
            chat.send_file(b"...", name="invoice.pdf", business_id=123, chat_id=456)
        assert server.received[0].name == "invoice.pdf"

In pytest the fixture `market_chat` is one, with clients for it (`MarketChat`). `python -m yandex_market_chat.testing`
starts it for any other language.
"""

import dataclasses as _dataclasses
import typing as _typing

from ._answer import Answer
from ._chats import ChatFile, Chats, Message
from ._clock import Clock
from ._credentials import Headers
from ._fault import Fault
from ._journal import ReceivedFile, ReceivedRequest
from ._limits import Limits
from ._market_chat import MarketChat
from ._multipart import Part
from ._scenarios import SCENARIOS
from ._server import MockServer

__all__ = [
    "SCENARIOS",
    "Answer",
    "ChatFile",
    "Chats",
    "Clock",
    "Fault",
    "Headers",
    "Limits",
    "MarketChat",
    "Message",
    "MockServer",
    "Part",
    "ReceivedFile",
    "ReceivedRequest",
]

# Tracebacks and reprs show the name that people import. What annotations mean is known where they are written only.
for _public in (
    *(Answer, ChatFile, Chats, Clock, Fault, Headers, Limits, MarketChat, Message, MockServer, Part),
    *(ReceivedFile, ReceivedRequest),
):
    if _dataclasses.is_dataclass(_public):
        _public.__annotations__ = _typing.get_type_hints(_public)
    _public.__module__ = __name__
