"""The generated client by itself, through each of its four entry points, against a server on a real socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from io import BytesIO
from typing import Any

import pytest

from _yandex_market_chat_api import AuthenticatedClient
from _yandex_market_chat_api import models as generated_models
from _yandex_market_chat_api._stamp import CONTRACT_SHA256, CONTRACT_VERSION
from _yandex_market_chat_api.api.chats import send_file_to_chat
from _yandex_market_chat_api.models import ApiResponseStatusType, SendFileToChatRequest
from _yandex_market_chat_api.types import File
from yandex_market_chat._api import contract
from yandex_market_chat.testing import Answer, MockServer

from ._contract import BY_ID

DOCUMENTED = BY_ID["sendFileToChat"].responses


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as running:
        yield running


def sync_detailed(client: AuthenticatedClient, body: SendFileToChatRequest) -> Any:
    with client:
        return send_file_to_chat.sync_detailed(1, client=client, body=body, chat_id=2)


def asyncio_detailed(client: AuthenticatedClient, body: SendFileToChatRequest) -> Any:
    async def run() -> Any:
        async with client:
            return await send_file_to_chat.asyncio_detailed(1, client=client, body=body, chat_id=2)

    return asyncio.run(run())


def sync(client: AuthenticatedClient, body: SendFileToChatRequest) -> Any:
    with client:
        return send_file_to_chat.sync(1, client=client, body=body, chat_id=2)


def asyncio_(client: AuthenticatedClient, body: SendFileToChatRequest) -> Any:
    async def run() -> Any:
        async with client:
            return await send_file_to_chat.asyncio(1, client=client, body=body, chat_id=2)

    return asyncio.run(run())


Call = Callable[[AuthenticatedClient, SendFileToChatRequest], Any]


def call(entry: Call, server: MockServer, content: bytes = b"content") -> Any:
    client = AuthenticatedClient(server.base_url, token=server.api_key, prefix="", auth_header_name="Api-Key")
    payload = File(BytesIO(content), file_name="счёт.pdf", mime_type="application/x-invoice")
    return entry(client, SendFileToChatRequest(file=payload))


@pytest.mark.parametrize("entry", [sync_detailed, asyncio_detailed])
@pytest.mark.parametrize("status", sorted(DOCUMENTED))
def test_a_documented_answer_keeps_status_headers_and_body(server: MockServer, entry: Call, status: int) -> None:
    server.script(Answer(status=status, headers={"X-RateLimit-Resource-Remaining": "7"}))
    response = call(entry, server)
    assert response.status_code == status
    assert response.headers["X-RateLimit-Resource-Remaining"] == "7"
    assert type(response.parsed) is getattr(generated_models, DOCUMENTED[status].schema_name)
    assert response.parsed.to_dict() == json.loads(response.content)
    assert response.parsed.status == (ApiResponseStatusType.OK if status == 200 else ApiResponseStatusType.ERROR)


@pytest.mark.parametrize("entry", [sync, asyncio_])
@pytest.mark.parametrize("status", sorted(DOCUMENTED))
def test_a_documented_answer_is_parsed(server: MockServer, entry: Call, status: int) -> None:
    server.script(Answer(status=status))
    parsed = call(entry, server)
    assert type(parsed) is getattr(generated_models, DOCUMENTED[status].schema_name)


@pytest.mark.parametrize("entry", [sync_detailed, asyncio_detailed])
@pytest.mark.parametrize("status", [302, 413, 420, 429, 499, 503, 520])
def test_any_status_gives_a_response(server: MockServer, entry: Call, status: int) -> None:
    server.script(Answer(status=status, body=b'{"status": "ERROR"}', off_contract=True))
    response = call(entry, server)
    assert (response.status_code, response.content) == (status, b'{"status": "ERROR"}')


@pytest.mark.parametrize("entry", [sync_detailed, sync, asyncio_detailed, asyncio_])
@pytest.mark.parametrize(
    "content", [b"%PDF\r\n--+++\r\nContent-Disposition: form-data", b"\r\n--+++--\r\n", bytes(range(256))]
)
def test_a_file_that_looks_like_a_form_arrives_intact(server: MockServer, entry: Call, content: bytes) -> None:
    call(entry, server, content)
    (got,) = server.received
    assert got.content == content
    assert (got.name, got.content_type) == ("счёт.pdf", "application/x-invoice")
    (request,) = server.requests
    assert request.violation is None
    assert len(request.parts) == 1


def test_the_stamp_names_the_contract() -> None:
    assert contract()["info"]["version"] == CONTRACT_VERSION
    packaged = files("_yandex_market_chat_api").joinpath("contract.json").read_bytes()
    assert hashlib.sha256(packaged).hexdigest() == CONTRACT_SHA256
