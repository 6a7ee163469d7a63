"""What the other tests come to only by chance, or in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import logging
import select
import socket
import ssl
import time

import httpcore
import pytest

from yandex_market_chat import ApiError, ChatClient, ChatError, ConnectionLostError, InvalidRequestError, RetryPolicy
from yandex_market_chat._api import Call
from yandex_market_chat._async_network import Backend
from yandex_market_chat._base_client import _begin_as_child
from yandex_market_chat._credentials import Credentials
from yandex_market_chat._exchange import Exchange
from yandex_market_chat._headers import Headers
from yandex_market_chat._network import Backend as SyncBackend
from yandex_market_chat._options import Timeout
from yandex_market_chat._places import Place, Places
from yandex_market_chat._send import Send
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat

KEY = "ACMA:" + "0" * 40 + ":" + "0" * 8


def test_a_server_is_found_by_its_name(colour: str, server: MockServer) -> None:
    url = server.base_url.replace("127.0.0.1", "localhost")
    with Chat(colour, api_key=server.api_key, base_url=url) as chat:
        chat.send(b"x")
    assert len(server.received) == 1


def test_a_connection_is_used_again_where_there_is_no_poll(
    colour: str, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(select, "poll", raising=False)
    with Chat(colour, api_key=server.api_key, base_url=server.base_url, keep_alive=True) as chat:
        chat.send(b"x")
        chat.send(b"y")
    assert len(server.received) == 2


def test_nothing_is_written_to_a_connection_that_has_been_lost() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await Backend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)
            await stream.aclose()
            with Exchange(Credentials(KEY, None, None, {}), Timeout(), time.monotonic() + 5) as exchange:
                with pytest.raises(httpcore.WriteError):
                    await stream.write(bytes(100_000), timeout=1)
                assert exchange.cut

    asyncio.run(main())


def test_a_connection_whose_time_is_up_before_the_handshake_is_closed() -> None:
    """Else it is open until it is collected: httpcore does not know it yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Exchange(Credentials(KEY, None, None, {}), Timeout(), time.monotonic() + 5) as exchange:
            stream = SyncBackend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)
            exchange.deadline = time.monotonic() - 1
            with pytest.raises(httpcore.ConnectTimeout):
                stream.start_tls(ssl.create_default_context(), "localhost", 1)
        assert stream.get_extra_info("socket").fileno() == -1


def test_a_connection_that_ends_in_the_handshake_is_none() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await Backend().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=5)

            async def ended(*_: object, **__: object) -> None:
                """What asyncio gives when the connection ended without an error; it cannot be had at will."""

            asyncio.get_running_loop().start_tls = ended  # type: ignore[method-assign]
            with pytest.raises(httpcore.ConnectError):
                await stream.start_tls(ssl.create_default_context(), "localhost", 1)
            await stream.aclose()

    asyncio.run(main())


def test_an_answer_before_the_whole_file_could_be_written_is_not_taken_for_sent(chat: Chat, server: MockServer) -> None:
    server.script(Answer(200, fault=Fault(early="abrupt")))
    with pytest.raises(ConnectionLostError):
        chat.send(bytes(5 * 1024 * 1024))
    assert not any(request.body_complete for request in server.requests)


def test_a_2xx_after_a_failed_write_is_a_lost_connection() -> None:
    exchange = Exchange(Credentials(KEY, None, None, {}), Timeout(), time.monotonic() + 5)
    exchange.begun = exchange.cut = exchange.heard = True
    exchange._status = 200
    assert "before the whole of it could be written" in str(exchange.outcome().error)  # type: ignore[union-attr]


@pytest.mark.parametrize("length", [20, 53])
def test_a_secret_in_the_middle_of_which_an_answer_breaks_off_is_taken_out(
    chat: Chat, server: MockServer, length: int
) -> None:
    part = server.api_key[:length]
    server.script(Answer(400, f"key {part}", headers={"Content-Length": "1000"}, off_contract=True))
    with pytest.raises(ApiError) as caught:
        chat.send(b"x")
    assert caught.value.body == b"key [removed]"
    assert caught.value.body_truncated


def test_a_token_in_the_place_of_the_proxys_user_is_a_secret_too() -> None:
    credentials = Credentials(KEY, None, "http://token-of-the-proxy@127.0.0.1:1", {})
    assert credentials.redact("said token-of-the-proxy") == "said [removed]"
    assert base64.b64encode(KEY.encode()).decode() not in repr(credentials)


@pytest.mark.parametrize("wrong", ["no", 0, None])
def test_a_flag_is_true_or_false(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="True or False"):
        RetryPolicy(resend_unknown=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="True or False"):
        ChatClient(api_key=KEY, keep_alive=wrong)  # type: ignore[arg-type]


async def awaited(sent: int, total: int) -> None:
    """What nobody would await."""


@pytest.mark.parametrize("wrong", [3, awaited])
def test_progress_is_told_to_a_function(chat: Chat, server: MockServer, wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="on_progress"):
        chat.send(b"x", on_progress=wrong)
    assert server.requests == ()


def test_a_send_interrupted_after_the_ok_is_logged_as_sent(
    server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(record: logging.LogRecord) -> bool:
        if "answered 200" in record.getMessage():
            raise KeyboardInterrupt
        return True

    logger = logging.getLogger("yandex_market_chat")
    logger.addFilter(interrupt)
    try:
        with (
            caplog.at_level(logging.DEBUG, logger="yandex_market_chat"),
            ChatClient(api_key=server.api_key, base_url=server.base_url) as client,
            pytest.raises(KeyboardInterrupt),
        ):
            client.send_file(b"x", business_id=1, chat_id=2)
    finally:
        logger.removeFilter(interrupt)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("sent, then interrupted by KeyboardInterrupt")


def test_a_child_begins_with_places_and_connections_of_its_own(server: MockServer) -> None:
    # In this process, since what a forked one runs is not seen from here; test_life forks for real.
    with ChatClient(api_key=server.api_key, base_url=server.base_url, max_parallel=1, timeout=2.0) as client:
        client._places.ask(1, Place())  # somebody's, in the parent
        _begin_as_child()
        client.send_file(b"x", business_id=1, chat_id=2)
    assert len(server.received) == 1


def test_a_place_that_was_never_asked_for_can_be_given_back() -> None:
    places = Places(1)
    places.give_back(1, Place())
    assert places.idle


def test_an_error_that_was_never_raised_is_completed_too() -> None:
    error = ChatError("made by hand")
    send = Send(time.monotonic)
    send.business_id = 7
    send.__exit__(ChatError, error, None)
    assert error.business_id == 7
    assert error.__traceback__ is None


def test_headers_are_a_mapping() -> None:
    headers = Headers([("A", "1"), ("a", "2"), ("B", "3")])
    assert (len(headers), dict(headers), headers["B"]) == (2, {"a": "1, 2", "b": "3"}, "3")


def test_a_body_can_be_iterated_as_any_async_iterator() -> None:
    async def main() -> None:
        body = Call.__new__(Call)
        body._head, body._content, body._tail, body._on_sent = b"a", b"b", b"c", None
        assert [piece async for piece in aiter(aiter(body))] == [b"abc"]

    asyncio.run(main())
