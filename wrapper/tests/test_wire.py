"""What stands on the wire: headers, length, cookies, connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import yandex_market_chat
from yandex_market_chat._api import Call
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


@pytest.mark.parametrize("keep_alive", [False, True])
def test_cookies_are_not_kept(keep_alive: bool, connect: Callable[..., Chat], server: MockServer) -> None:
    server.script(*[Answer(200, headers={"Set-Cookie": "session=1; Path=/"})] * 2)
    chat = connect(keep_alive=keep_alive)
    for _ in range(3):
        chat.send(b"x")
    assert [request.headers.values("Cookie") for request in server.requests] == [[], [], []]


@pytest.mark.parametrize(("keep_alive", "connections", "told"), [(False, 3, ["close"]), (True, 1, [])])
def test_connections_are_reused_only_if_asked_for(
    keep_alive: bool, connections: int, told: list[str], connect: Callable[..., Chat], server: MockServer
) -> None:
    chat = connect(keep_alive=keep_alive)
    for _ in range(3):
        chat.send(b"x")
    assert server.connections == connections
    for request in server.requests:
        said = [value for value in request.headers.values("Connection") if value.lower() != "keep-alive"]
        assert said == told


def test_a_body_can_be_iterated_as_any_async_iterator() -> None:
    async def main() -> None:
        body = Call.__new__(Call)
        body._head, body._content, body._tail, body._on_sent = b"a", b"b", b"c", None
        assert [piece async for piece in aiter(aiter(body))] == [b"abc"]

    asyncio.run(main())
