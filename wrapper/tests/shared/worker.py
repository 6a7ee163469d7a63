"""One of several processes that send for one business: `python worker.py JSON`. Prints its outcomes as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from typing import Any

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError, SharedLimits


def limits(told: dict[str, Any]) -> SharedLimits:
    where, options = told["limits"], told.get("options", {})
    return (SharedLimits.redis if where.startswith("redis") else SharedLimits.file)(where, **options)


def main(told: dict[str, Any]) -> dict[str, Any]:
    client = {"api_key": told["key"], "base_url": told["url"], "confirm_unknown": 0.0, "shared_limits": limits(told)}
    time.sleep(max(0.0, told.get("at", 0.0) - time.time()))  # all begin together, however long each took to start
    end, outcomes, longest = time.monotonic() + told["seconds"], Counter[str](), [0.0]

    def note(began: float, outcome: str) -> None:
        outcomes[outcome] += 1
        longest[0] = max(longest[0], time.monotonic() - began)

    def send(chat: ChatClient) -> None:
        while (began := time.monotonic()) < end:
            try:
                chat.send_file(b"x", business_id=1, chat_id=2, timeout=told.get("total", 15.0))
                note(began, "SentFile")
            except ChatError as error:
                note(began, type(error).__name__)
                time.sleep(0.02)

    async def send_in_tasks() -> None:
        async with AsyncChatClient(**client) as chat:

            async def task() -> None:
                while (began := time.monotonic()) < end:
                    try:
                        await chat.send_file(b"x", business_id=1, chat_id=2, timeout=told.get("total", 15.0))
                        note(began, "SentFile")
                    except ChatError as error:
                        note(began, type(error).__name__)
                        await asyncio.sleep(0.02)

            await asyncio.gather(*(task() for _ in range(4)))

    cpu = time.process_time()
    if told["mode"] == "tasks":
        asyncio.run(send_in_tasks())
    else:
        with ChatClient(**client) as chat:
            threads = [threading.Thread(target=send, args=(chat,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return {"outcomes": outcomes, "longest": longest[0], "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
