"""A batch in a folder of its own, for a server on a real socket."""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import AsyncChatClient
from yandex_market_chat.batch import BatchResult, ManifestError, send_batch
from yandex_market_chat.testing import MockServer

HEADER = "business_id,chat_id,file"


class Mailing:
    """Files, a manifest and a journal."""

    def __init__(self, folder: Path, server: MockServer) -> None:
        self.folder, self.server = folder, server
        self.manifest = folder / "manifest.csv"
        self.journal = folder / "journal.sqlite"
        for name in "abc":
            (folder / f"{name}.pdf").write_bytes(f"%PDF {name}".encode())

    def write(self, *lines: str, header: str | None = HEADER) -> None:
        """Write the manifest."""
        self.manifest.write_text("\n".join([*([header] if header else []), *lines]) + "\n", encoding="utf-8")

    def client(self, **arguments: Any) -> AsyncChatClient:
        defaults: dict[str, Any] = {"api_key": self.server.api_key, "base_url": self.server.base_url, "timeout": 5.0}
        defaults["confirm_unknown"] = 0.2  # one look
        return AsyncChatClient(**(defaults | arguments))

    async def send(self, client: dict[str, Any] | None = None, **arguments: Any) -> BatchResult:
        async with self.client(**(client or {})) as chat:
            return await send_batch(chat, self.manifest, **({"journal": self.journal} | arguments))

    def run(self, client: dict[str, Any] | None = None, **arguments: Any) -> BatchResult:
        return asyncio.run(self.send(client, **arguments))

    def faults(self) -> list[tuple[int, str]]:
        """What is wrong with the manifest; and nothing has come of it."""
        with pytest.raises(ManifestError) as caught:
            self.run()
        assert not self.server.requests
        assert "Nothing was sent" in str(caught.value)
        return [(fault.line, fault.reason) for fault in caught.value.faults]

    def states(self) -> dict[str, str]:
        """The state of each key in the journal."""
        return dict(self.sql("SELECT key, state FROM item ORDER BY id"))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        journal = sqlite3.connect(self.journal, isolation_level=None)
        try:
            return journal.execute(statement).fetchall()
        finally:
            journal.close()

    def report(self) -> list[dict[str, str]]:
        with (self.folder / "report.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, delimiter=";"))

    def arrived(self) -> Counter[tuple[int, int]]:
        """How many files arrived in each chat."""
        return Counter((file.business_id, file.chat_id) for file in self.server.received)


@pytest.fixture
def mailing(tmp_path: Path, server: MockServer) -> Mailing:
    return Mailing(tmp_path, server)


def chats(count: int, business: int = 1, file: str = "a.pdf") -> Iterable[str]:
    """Lines for the first so many chats of a business."""
    return (f"{business},{chat},{file}" for chat in range(1, count + 1))
