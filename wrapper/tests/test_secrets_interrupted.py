"""A send that is interrupted or cancelled tells no secret either."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from io import BytesIO
from types import FrameType

import pytest

from yandex_market_chat import AsyncChatClient
from yandex_market_chat.testing import Answer, Fault, MockServer

from .conftest import Chat
from .interrupts import interrupted_when, needs_signals
from .marked import KEY, TOKEN, assert_error_is_clean, credentials_of

pytestmark = pytest.mark.usefixtures("watched")


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server that takes the marked credentials."""
    with MockServer(api_keys=[KEY], oauth_tokens=[TOKEN]) as running:
        yield running


def spent_for_a_while() -> Answer:
    told = {"Date": "Thu, 10 Jul 2025 00:30:00 GMT", "X-RateLimit-Resource-Until": "Thu, 10 Jul 2025 00:30:05 GMT"}
    return Answer(420, headers=told | {"X-RateLimit-Resource-Remaining": "0"})


# Long enough to come to the point where there is nothing to do but wait; nothing fails if it is not.
MOMENT = 0.05


INTERRUPTED: dict[str, Answer | Fault] = {
    "while it waits for the answer": Fault(cut="silence", at="after-body"),
    "while it reads the answer": Fault(cut="silence", at="in-answer", after=200),
    "while it writes": Fault(cut="silence", at="before-body"),
    "while it pauses": spent_for_a_while(),
}


@pytest.mark.parametrize("when", INTERRUPTED)
@needs_signals
def test_an_interrupted_send_tells_nothing(server: MockServer, when: str) -> None:
    server.script(INTERRUPTED[when])
    with (
        Chat("sync", api_key=KEY, base_url=server.base_url, timeout=10.0) as chat,
        interrupted_when(lambda: server.requests, after=MOMENT),
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        chat.send(BytesIO(bytes(5_000_000)))
    assert_error_is_clean(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("how", ["cancelled", "timeout of the caller"])
@pytest.mark.parametrize("when", INTERRUPTED)
def test_a_cancelled_send_tells_nothing(server: MockServer, when: str, how: str) -> None:
    server.script(INTERRUPTED[when])

    async def main() -> BaseException:
        client = AsyncChatClient(api_key=KEY, base_url=server.base_url, timeout=10.0)
        try:
            async with asyncio.timeout(None) as until:
                task = asyncio.create_task(client.send_file(BytesIO(bytes(5_000_000)), business_id=1, chat_id=2))
                while not server.requests:
                    await asyncio.sleep(0.002)
                await asyncio.sleep(MOMENT)
                if how == "cancelled":
                    task.cancel()
                else:
                    until.reschedule(asyncio.get_running_loop().time())
                await task
        except (asyncio.CancelledError, TimeoutError) as error:
            return error
        finally:
            await client.aclose()
        raise AssertionError("it was to be interrupted")

    assert_error_is_clean(asyncio.run(main()))
    assert len(server.requests) == 1


@pytest.mark.parametrize("when", ["at the first byte", "at the last byte"])
def test_an_interrupt_out_of_on_progress_tells_nothing(server: MockServer, credential: str, when: str) -> None:
    def on_progress(sent: int, total: int) -> None:
        if sent == (total if when == "at the last byte" else 0):
            raise KeyboardInterrupt

    with (
        Chat("sync", base_url=server.base_url, **credentials_of(credential)) as chat,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        chat.send(b"content", on_progress=on_progress)
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    "function", ["BaseClient._new_attempt", "Request.__init__", "Connection.send", "HTTPConnection.handle_request"]
)
def test_an_interrupt_while_the_key_is_in_somebodys_hands_tells_nothing(server: MockServer, function: str) -> None:
    def interrupt(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_qualname == function:
            raise KeyboardInterrupt

    with Chat("sync", api_key=KEY, base_url=server.base_url) as chat:
        before = sys.getprofile()
        sys.setprofile(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                chat.send(b"content")
        finally:
            sys.setprofile(before)
    assert_error_is_clean(caught.value)
