"""One of several processes that are all handed all keys: `python sender.py JSON`. Prints what became of each as JSON.

It does what a queue does: what is retryable comes again later, a few times.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import deque
from typing import Any

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError, Ledger

Keys = deque[tuple[str, int]]


def arguments(told: dict[str, Any], key: str) -> dict[str, Any]:
    chat = 1000 + int(key)
    return {"file": key.encode(), "name": f"{key}.pdf", "business_id": 1, "chat_id": chat, "idempotency_key": key}


def note(error: ChatError, key: str, tries: int, keys: Keys, ended: dict[str, str]) -> None:
    ended[key] = type(error).__name__
    if error.retryable and tries > 1:
        keys.append((key, tries - 1))
        time.sleep(0.005)


def main(told: dict[str, Any]) -> dict[str, str]:
    where = told["ledger"]
    make = Ledger.postgres if where.startswith("postgresql:") else Ledger.sqlite
    client: dict[str, Any] = {"api_key": told["key"], "base_url": told["url"], "ledger": make(where, **told["options"])}
    client |= {"timeout": 20.0, "confirm_unknown": told["confirm"]}
    ended: dict[str, str] = {}
    order = list(told["keys"])
    random.Random(told["seed"]).shuffle(order)
    keys: Keys = deque((key, told["tries"]) for key in order)

    async def in_tasks() -> None:
        async with AsyncChatClient(**client) as chat:

            async def task() -> None:
                while keys:
                    key, tries = keys.popleft()
                    try:
                        await chat.send_file(**arguments(told, key))
                        ended[key] = "SentFile"
                    except ChatError as error:
                        note(error, key, tries, keys, ended)

            await asyncio.gather(task(), task())

    if told["mode"] == "tasks":
        asyncio.run(in_tasks())
    else:
        with ChatClient(**client) as chat:
            while keys:
                key, tries = keys.popleft()
                try:
                    chat.send_file(**arguments(told, key))
                    ended[key] = "SentFile"
                except ChatError as error:
                    note(error, key, tries, keys, ended)
    return ended


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
