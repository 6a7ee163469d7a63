"""A mock server of the API, for tests: a real HTTP server on a real socket that holds every request to the contract.

    with MockServer() as server:
        with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
            chat.send_file(b"...", name="invoice.pdf", business_id=123, chat_id=456)
        assert server.received[0].name == "invoice.pdf"

`python -m yandex_market_chat.testing` starts it for any other language.
"""

from ._answer import Answer
from ._credentials import Headers
from ._fault import Fault
from ._journal import ReceivedFile, ReceivedRequest
from ._multipart import Part
from ._scenarios import SCENARIOS
from ._server import MockServer

__all__ = ["SCENARIOS", "Answer", "Fault", "Headers", "MockServer", "Part", "ReceivedFile", "ReceivedRequest"]

# Tracebacks and reprs show the name that people import.
for _public in (Answer, Fault, Headers, MockServer, Part, ReceivedFile, ReceivedRequest):
    _public.__module__ = __name__
