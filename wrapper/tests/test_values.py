"""The objects themselves: frozen, compared, shown."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from yandex_market_chat import Quota, RetryPolicy, SentFile, Timeout
from yandex_market_chat._headers import Headers
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .test_arguments import KEY

FROZEN: dict[str, Callable[[], Any]] = {
    "Timeout": lambda: Timeout(total=1.5, connect=2, write=3, read=4),
    "RetryPolicy": lambda: RetryPolicy(attempts=2, resend_unknown=True),
    "Quota": lambda: Quota(1000, 7, None),
    "SentFile": lambda: SentFile(
        business_id=1,
        chat_id=2,
        order_id=None,
        name="счёт.pdf",
        size=3,
        content_type="application/pdf",
        attempts=1,
        unknown_attempts=0,
        elapsed=0.5,
        trace_id=None,
        quota=Quota(1000, 7, None),
    ),
}
REPRS = {
    "Timeout": "Timeout(total=1.5, connect=2, write=3, read=4)",
    "RetryPolicy": "RetryPolicy(attempts=2, resend_unknown=True)",
    "Quota": "Quota(limit=1000, remaining=7, resets_at=None)",
    "SentFile": "SentFile(business_id=1, chat_id=2, order_id=None, name='счёт.pdf', size=3, "
    "content_type='application/pdf', attempts=1, unknown_attempts=0, elapsed=0.5, trace_id=None, "
    "quota=Quota(limit=1000, remaining=7, resets_at=None), "
    "confirmed_by='response', message_id=None, from_ledger=False)",
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_value_is_frozen_compares_and_shows_what_it_is(name: str) -> None:
    value, same = FROZEN[name](), FROZEN[name]()
    assert (value == same, value is same, hash(value) == hash(same)) == (True, False, True)
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    assert repr(value) == REPRS[name]
    for field in value.__dataclass_fields__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(value, field)
    with pytest.raises((AttributeError, TypeError)):
        value.another = 1
    assert value == same


def test_values_that_differ_are_not_equal() -> None:
    assert Timeout() == Timeout(120.0, 5.0, 30.0, 30.0) != Timeout(60)
    assert RetryPolicy() == RetryPolicy(4, False) != RetryPolicy(4, True)
    assert Quota(1000, 7, None) != Quota(1000, 8, None)


def test_the_repr_of_a_client_tells_where_it_sends_and_whether_it_is_closed(
    mode: str, connect: Callable[..., Chat], server: MockServer
) -> None:
    name = "ChatClient" if mode == "sync" else "AsyncChatClient"
    chat = connect(base_url=f"{server.base_url}/prefix/")
    assert repr(chat.client) == f"<{name} {server.base_url}/prefix>"
    with Chat(mode, api_key=KEY, base_url=server.base_url) as closed:
        pass
    assert repr(closed.client) == f"<{name} {server.base_url} closed>"


def test_an_unknown_argument_is_a_type_error(mode: str, chat: Chat, server: MockServer) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        Chat(mode, api_key=KEY, retries=3)
    with pytest.raises(TypeError, match="positional argument"):
        type(chat.client)(KEY)
    with pytest.raises(TypeError, match="unexpected keyword argument 'filename'"):
        chat.send(b"x", filename="a.pdf")
    with pytest.raises(TypeError, match="positional argument"):
        chat.client.send_file(b"x", 1, 2)
    assert server.connections == 0


def test_headers_are_a_mapping() -> None:
    headers = Headers([("A", "1"), ("a", "2"), ("B", "3")])
    assert (len(headers), dict(headers), headers["B"]) == (2, {"a": "1, 2", "b": "3"}, "3")
