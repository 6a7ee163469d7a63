"""FastAPI: the endpoint behind a real uvicorn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from yandex_market_chat.testing import Answer, Fault, MarketChat

from .pages import LOST, blocks, load, sends


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the page's service, which uvicorn runs."""
    import uvicorn

    module = load("shop", blocks("recipes/fastapi.md", "python")["shop.py"], tmp_path)
    server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def upload(shop: httpx.Client, key: str = "order-7-invoice", content: bytes = b"%PDF") -> tuple[int, dict[str, Any]]:
    files = {"file": ("invoice-7.pdf", content)}
    response = shop.post("/businesses/1/orders/7/files", files=files, headers={"Idempotency-Key": key})
    assert ("Retry-After" in response.headers) == (response.status_code in (409, 503, 504))
    return response.status_code, response.json()


def test_fastapi_sends_an_upload_once(shop: httpx.Client, market_chat: MarketChat) -> None:
    for again in (False, True):
        status, told = upload(shop)
        assert (status, told["delivery"], told["sent_before"]) == (200, "sent", again)
    (file,) = market_chat.received
    assert (file.business_id, file.name, file.content) == (1, "invoice-7.pdf", b"%PDF")


@pytest.mark.parametrize(("answer", "status"), [(400, 422), (404, 422), (401, 502), (403, 502), (420, 503)])
def test_fastapi_tells_what_was_not_sent(shop: httpx.Client, market_chat: MarketChat, answer: int, status: int) -> None:
    for _ in range(4 if answer == 420 else 1):
        market_chat.script(Answer(answer, example="parallel") if answer == 420 else Answer(answer))
    assert upload(shop)[0] == status
    assert not market_chat.received
    assert upload(shop)[1]["delivery"] == "sent"


def test_fastapi_refuses_a_bad_request(shop: httpx.Client, market_chat: MarketChat) -> None:
    for content in (b"", bytes(5 * 1024 * 1024 + 1)):
        status, told = upload(shop, content=content)
        assert (status, told["delivery"]) == (422, "not sent")
    assert shop.post("/businesses/1/orders/7/files", files={"file": ("a.pdf", b"%PDF")}).status_code == 422  # no key
    assert upload(shop)[0] == 200
    assert upload(shop, content=b"another")[0] == 422
    assert len(market_chat.received) == 1


def test_fastapi_does_not_send_again_what_is_unknown(shop: httpx.Client, market_chat: MarketChat) -> None:
    market_chat.script(LOST)
    for _ in range(3):
        status, told = upload(shop)
        assert (status, told["delivery"]) == (504, "unknown")
    assert sends(market_chat) == 1


def test_fastapi_finds_later_what_was_unknown(shop: httpx.Client, market_chat: MarketChat) -> None:
    market_chat.script(Fault(cut="reset", at="after-body", taken=True))
    market_chat.chats.lag = 1000
    assert upload(shop)[0] == 504
    market_chat.chats.lag = 0
    assert upload(shop)[0] == 200
    assert sends(market_chat) == 1


def test_fastapi_tells_who_comes_second(shop: httpx.Client, market_chat: MarketChat) -> None:
    market_chat.script(Fault(delay=1.0))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(upload, shop)
        while not market_chat.in_flight and not first.done():
            time.sleep(0.01)
        assert upload(shop)[0] == 409
        assert first.result()[0] == 200
    assert sends(market_chat) == 1


def test_fastapi_needs_a_ledger_that_works(shop: httpx.Client, market_chat: MarketChat, tmp_path: Path) -> None:
    upload(shop)
    for path in tmp_path.glob("sent.sqlite*"):
        path.unlink()
    status, told = upload(shop, "another")
    assert (status, told["delivery"]) == (503, "unknown")
    assert len(market_chat.received) == 1
