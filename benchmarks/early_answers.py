"""How often an answer that comes before the file has been read reaches the caller; else the connection is lost.

The server answers after the head of the request and then either reads on (lingering) or resets the connection (abrupt).
Prints the table that stands in docs/outcomes.md.
"""

from __future__ import annotations

import asyncio

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError
from yandex_market_chat.testing import Answer, Fault, MockServer

RUNS = 30
SIZES = {"1 kB": 1000, "300 kB": 300_000, "5 MB": 5_000_000}


def main() -> None:
    """Measure and print."""
    print(f"| 401 before the file is read, {RUNS} runs | size | sync: the response | async: the response |")
    print("| --- | --- | --- | --- |")
    with MockServer() as server:
        for ending in ("lingering", "abrupt"):
            for size, count in SIZES.items():
                sync = [one(server, ending, bytes(count)) for _ in range(RUNS)].count("AuthenticationError")
                runner = asyncio.Runner()
                both = [runner.run(one_async(server, ending, bytes(count))) for _ in range(RUNS)]
                runner.close()
                print(f"| {ending} | {size} | {sync} | {both.count('AuthenticationError')} |")


def script(server: MockServer, ending: str) -> None:
    """Let the server answer the next request early."""
    server.script(Answer(401, fault=Fault(early="lingering" if ending == "lingering" else "abrupt")))


def one(server: MockServer, ending: str, content: bytes) -> str:
    """Send one file and tell how it ended."""
    script(server, ending)
    with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
        try:
            chat.send_file(content, business_id=1, chat_id=2)
        except ChatError as error:
            return type(error).__name__
    return "SentFile"


async def one_async(server: MockServer, ending: str, content: bytes) -> str:
    """Do the same with the asynchronous client."""
    script(server, ending)
    async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
        try:
            await chat.send_file(content, business_id=1, chat_id=2)
        except ChatError as error:
            return type(error).__name__
    return "SentFile"


if __name__ == "__main__":
    main()
