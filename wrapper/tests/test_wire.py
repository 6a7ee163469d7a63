"""What stands on the wire: headers, length, cookies, connections."""

from __future__ import annotations

import asyncio
import math
import time

import httpx
import pytest

import yandex_market_chat
from yandex_market_chat._api import request_of
from yandex_market_chat._send import Send
from yandex_market_chat._steps import SEND_FILE, MakeRequest
from yandex_market_chat.testing import Answer, MockServer

from .conftest import Chat
from .handed_over import arrived


def test_the_headers_of_a_request(chat: Chat, server: MockServer) -> None:
    chat.send(b"x")
    (request,) = server.requests
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names)
    boundary = request.body[2 : request.body.index(b"\r\n")].decode()
    assert {name.lower(): value for name, value in request.headers} == {
        "host": server.base_url.removeprefix("http://"),
        "api-key": server.api_key,
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"yandex-market-chat/{yandex_market_chat.__version__}",
        "connection": "close",
        "content-length": str(len(request.body)),
        "content-type": f"multipart/form-data; boundary={boundary}",
    }
    assert request.method == "POST"


@pytest.mark.parametrize("size", [1, 70_000, 5 * 1024 * 1024])
def test_the_length_is_told_and_the_body_is_not_chunked(size: int, chat: Chat, server: MockServer) -> None:
    chat.send(b"x" * size, on_progress=lambda sent, total: None)
    chat.send(b"x" * size)
    for request in server.requests:
        assert request.headers.values("Content-Length") == [str(len(request.body))]
        assert request.headers.values("Transfer-Encoding") == []
        assert request.headers.values("Expect") == []
    assert [part.content for part in arrived(server)] == [b"x" * size] * 2


def test_cookies_are_not_kept(chat: Chat, server: MockServer) -> None:
    server.script(*[Answer(200, headers={"Set-Cookie": "session=1; Path=/"})] * 2)
    for _ in range(3):
        chat.send(b"x")
    assert [request.headers.values("Cookie") for request in server.requests] == [[], [], []]


def test_a_body_can_be_iterated_as_any_async_iterator() -> None:
    async def main() -> None:
        send = Send(time.monotonic, business_id=1, chat_id=2, name="a.txt", content_type="text/plain")
        step = MakeRequest(SEND_FILE, math.inf)
        body = request_of(step, "http://a", httpx.Headers(), send, b"content").stream
        assert isinstance(body, httpx.AsyncByteStream)
        assert b"content" in b"".join([piece async for piece in aiter(aiter(body))])

    asyncio.run(main())
