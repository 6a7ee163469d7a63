"""aiogram: the bot against a Bot API on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat.testing import Answer, MarketChat

from .pages import LOST, blocks, load, sends


class BotApi:
    """What the bot needs of Telegram's Bot API, on a port of its own."""

    def __init__(self, *updates: dict[str, Any]) -> None:
        self.updates = list(updates)
        self.replies: list[str] = []
        self.downloads = 0

    async def serve(self, module: Any) -> None:
        """Let the bot have all updates, each when the one before is confirmed; then stop it."""
        from aiogram import Bot
        from aiogram.client.session.aiohttp import AiohttpSession
        from aiogram.client.telegram import TelegramAPIServer
        from aiohttp import web

        async def call(request: web.Request) -> web.Response:
            form = await request.post()
            method = request.match_info["method"]
            result: Any = True
            if method == "getMe":
                result = {"id": 42, "is_bot": True, "first_name": "shop", "username": "shop_bot"}
            elif method == "getUpdates":
                self.updates = self.updates[getattr(self, "given", 0) :]
                self.given = 1
                result = [each | {"update_id": 5} for each in self.updates[:1]]
                if not self.updates:
                    await module.dispatcher.stop_polling()
            elif method == "getFile":
                result = {"file_id": form["file_id"], "file_unique_id": "u", "file_path": "documents/a.pdf"}
            elif method == "sendMessage":
                self.replies.append(str(form["text"]))
                result = {"message_id": 1, "date": 0, "chat": {"id": 1001, "type": "private"}}
            return web.json_response({"ok": True, "result": result})

        async def download(request: web.Request) -> web.Response:
            self.downloads += 1
            return web.Response(body=b"%PDF")

        app = web.Application()
        app.router.add_post("/bot{token}/{method}", call)
        app.router.add_get("/file/bot{token}/{path:.*}", download)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        session = AiohttpSession(api=TelegramAPIServer.from_base(f"http://{host}:{port}"))
        try:
            await asyncio.wait_for(module.main(Bot("42:token", session=session)), 60)
        finally:
            await runner.cleanup()


def document(user: int = 1001, **other: Any) -> dict[str, Any]:
    person = {"id": user, "is_bot": False, "first_name": "Anna"}
    file = {"file_id": "f", "file_unique_id": "u", "file_name": "invoice-7.pdf", "file_size": 4}
    message = {"message_id": 9, "date": 0, "chat": {"id": user, "type": "private"}, "from": person}
    return {"message": message | {"document": file, "caption": "7"} | other}


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BUSINESS_ID", "1")
    monkeypatch.setenv("STAFF", "1001,1002")
    return load("bot", blocks("recipes/aiogram.md", "python")["bot.py"], tmp_path)


def converse(bot: Any, *updates: dict[str, Any]) -> BotApi:
    api = BotApi(*updates)
    asyncio.run(api.serve(bot))
    return api


def test_aiogram_sends_a_document_once(bot: Any, market_chat: MarketChat) -> None:
    replies = converse(bot, document(), document()).replies  # Telegram may deliver an update again
    assert replies == ["Sent.", "Sent before; nothing was sent now."]
    (file,) = market_chat.received
    assert (file.business_id, file.name, file.content) == (1, "invoice-7.pdf", b"%PDF")
    assert market_chat.chats.open(1, order_id=7) == file.chat_id


def test_aiogram_tells_what_was_not_sent(bot: Any, market_chat: MarketChat) -> None:
    market_chat.script(Answer(404), *[Answer(420, example="parallel")] * 4)
    first, second, third = converse(bot, document(), document(), document()).replies
    assert first.startswith("Not sent. Fix this first: ")
    assert second.startswith("Not sent. Try again later: ")
    assert third == "Sent."
    assert len(market_chat.received) == 1


def test_aiogram_does_not_send_again_what_is_unknown(bot: Any, market_chat: MarketChat) -> None:
    market_chat.script(LOST)
    replies = converse(bot, document(), document()).replies
    assert [reply.startswith("Unknown. ") for reply in replies] == [True, True]
    assert sends(market_chat) == 1


def test_aiogram_obeys_the_staff_alone(bot: Any, market_chat: MarketChat) -> None:
    api = converse(
        bot,
        document(user=1003),
        document(caption="hello"),
        document(document={"file_size": 6_000_000, "file_id": "f", "file_unique_id": "v"}),
    )
    assert api.replies == ["Send me a document, with the order's number as its caption.", "Not sent: at most 5 MiB."]
    assert not api.downloads
    assert not market_chat.requests
