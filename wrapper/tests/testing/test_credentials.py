"""Keys and tokens that are revoked, or have the wrong scope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yandex_market_chat.testing import MockServer
from yandex_market_chat.testing._contract import load_contract

KEY, OTHER = (f"ACMA:{letter * 40}:{letter * 8}" for letter in "ab")
(SEND,) = [operation for operation in load_contract().operations if operation.id == "sendFileToChat"]
KEY_SCHEME, BEARER_SCHEME = SEND.schemes


def test_revoked(server: MockServer, wire: Any) -> None:
    assert wire.send(wire.request()).status == 200
    server.revoke(server.api_key)
    answer = wire.send(wire.request())
    assert (answer.status, json.loads(answer.content)["errors"][0]["message"]) == (
        401,
        "the key in Api-Key has been revoked",
    )
    bearer = {"Api_Key": None, "Authorization": f"Bearer {server.oauth_token}"}
    assert wire.send(wire.request(**bearer)).status == 200
    server.revoke(server.oauth_token)
    answer = wire.send(wire.request(**bearer))
    assert (answer.status, b"the bearer token has been revoked" in answer.content) == (403, True)
    assert [request.violation for request in server.requests] == [None] * 4
    with pytest.raises(ValueError, match="no key or token") as caught:
        server.revoke(KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("scope", KEY_SCHEME.scopes)
def test_scopes_of_keys(wire_to: Any, scope: str) -> None:
    with MockServer(api_keys={KEY: ["offers-and-cards", scope], OTHER: ["offers-and-cards"]}) as server:
        wire = wire_to(server)
        assert server.api_key == KEY
        assert wire.send(wire.request()).status == 200
        answer = wire.send(wire.request(Api_Key=OTHER))
        assert answer.status == 403
        assert b"none of the scopes communication, all-methods" in answer.content
        assert OTHER.encode() not in answer.content
        # What the test itself says of its keys is no demand of the contract; a key that nobody made is none of them.
        assert server.requests[-1].violation is None
        wire.send(wire.request(Api_Key=f"ACMA:{'c' * 40}:{'c' * 8}"))
        assert server.requests[-1].violation == "the key in Api-Key is not one that this server takes"


def test_scopes_of_tokens(wire_to: Any) -> None:
    (scope,) = BEARER_SCHEME.scopes
    with MockServer(oauth_tokens={"good": [scope], "bad": []}) as server:
        wire = wire_to(server)
        for token, status in (("good", 200), ("bad", 403)):
            assert wire.send(wire.request(Api_Key=None, Authorization=f"Bearer {token}")).status == status
