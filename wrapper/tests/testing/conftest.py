"""Raw HTTP, written by hand and read by http.client: nothing here is shared with the server or with our own client."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from yandex_market_chat.testing import MockServer

PATH = "/v2/businesses/12345/chats/file/send"
BOUNDARY = "5cd1a7"


def form(content: bytes = b"%PDF-1.7", name: str = "invoice.pdf", boundary: str = BOUNDARY) -> bytes:
    """The usual body: one part `file`."""
    return part(content, f'form-data; name="file"; filename="{name}"', boundary) + f"--{boundary}--\r\n".encode()


def part(content: bytes, disposition: str, boundary: str = BOUNDARY, content_type: str = "application/x-test") -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {content_type}\r\n\r\n"
    return head.encode() + content + b"\r\n"


class Wire:
    """Makes requests as bytes, and connections to send them on."""

    form = staticmethod(form)
    part = staticmethod(part)

    def __init__(self, server: MockServer) -> None:
        self.server = server
        self._open: list[socket.socket] = []

    def request(
        self,
        method: str = "POST",
        target: str = f"{PATH}?chatId=67890",
        body: bytes | None = None,
        *,
        chunks: bool = False,
        version: str = "1.1",
        **headers: str | list[str] | None,
    ) -> bytes:
        """A valid request, but for what is asked for. A header None is left out, a list is sent several times."""
        body = form() if body is None else body
        given: dict[str, str | list[str] | None] = {
            "Host": "market.test",
            "Api-Key": self.server.api_key,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        given |= {"Transfer-Encoding": "chunked"} if chunks else {"Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {target} HTTP/{version}"]
        for name, value in given.items():
            values = [] if value is None else value if isinstance(value, list) else [value]
            lines += [f"{name}: {each}" for each in values]
        if chunks:
            body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def json(self, target: str, value: object, **how: Any) -> bytes:
        """A request with JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
        return self.request(**({"target": target, "body": body, "Content_Type": "application/json"} | how))

    def open(self, business: int, about: str, number: int, **how: Any) -> Any:
        """The answer to createChat."""
        context = {"context": {"type": about, "id": number}}
        return self.send(self.json(f"/v2/businesses/{business}/chats/new", context, **how))

    def history(self, business: int, chat: int, more: str = "", value: object = None, **how: Any) -> Any:
        """The answer to getChatHistory."""
        target = f"/v2/businesses/{business}/chats/history?chatId={chat}{more}"
        return self.send(self.json(target, {} if value is None else value, **how))

    def connect(self, tls: ssl.SSLContext | None = None) -> socket.socket:
        """A connection; what does not happen on it within 5 seconds fails."""
        address = urlsplit(self.server.base_url)
        connection = socket.create_connection((address.hostname, address.port), timeout=5)
        if tls:
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        self._open.append(connection)
        return connection

    def read(self, connection: socket.socket, method: str = "POST") -> http.client.HTTPResponse:
        """The next answer, its body in `.content`."""
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            response.content = response.read()  # type: ignore[attr-defined]
        finally:
            response.close()
        return response

    def send(self, request: bytes, method: str = "POST") -> Any:
        """The answer to one request on a connection of its own."""
        connection = self.connect()
        connection.sendall(request)
        return self.read(connection, method)

    def rest(self, connection: socket.socket) -> bytes:
        """Everything until the server ends the connection."""
        received = b""
        while data := connection.recv(65536):
            received += data
        return received

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


@pytest.fixture
def wire(server: MockServer) -> Iterator[Wire]:
    wire = Wire(server)
    yield wire
    wire.close()


@pytest.fixture
def wire_to() -> Iterator[Callable[[MockServer], Wire]]:
    """A wire to a server of the test's own."""
    made: list[Wire] = []

    def make(server: MockServer) -> Wire:
        made.append(Wire(server))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits until something is true, for at most 5 seconds."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, "did not happen"
            time.sleep(0.002)

    return wait
