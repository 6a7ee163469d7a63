"""`make demo`: a real file goes through the public clients to a mock server on a real socket; shown is what arrived."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

from yandex_market_chat import AsyncChatClient, ChatClient, ChatError
from yandex_market_chat.testing import MockServer, ReceivedFile


def write_pdf(path: Path) -> None:
    """Write a small, valid PDF that says what it is."""
    text = b"BT /F1 24 Tf 72 720 Td (Invoice 42: sent by yandex-market-chat) Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    pdf, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    path.write_bytes(pdf + end % (table, len(pdf)))


def show(got: ReceivedFile, original: Path) -> None:
    """Print what the server received, and whether it is the file that was sent."""
    same = got.sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    print(f"  the server received   {got.name}, {got.content_type}, {got.size} bytes")
    print(f"  for                   business {got.business_id}, chat {got.chat_id}")
    print(f"  sha256                {got.sha256} ({'equal to the original' if same else 'NOT THE ORIGINAL'})")
    if not same:
        raise SystemExit("what arrived is not what was sent")


async def send_async(server: MockServer, file: Path) -> None:
    """Send through the asynchronous client."""
    async with AsyncChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
        sent = await chat.send_file(file, business_id=123, chat_id=457)
    print(f"\nAsyncChatClient: {sent.name} sent in {sent.elapsed * 1000:.0f} ms, attempts {sent.attempts}")


def main() -> None:
    """Send the file twice, and once in a way that is refused."""
    with tempfile.TemporaryDirectory() as folder, MockServer() as server:
        file = Path(folder) / "Счёт №42.pdf"
        write_pdf(file)
        print(f"The mock server listens on {server.base_url}")

        with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
            sent = chat.send_file(file, business_id=123, chat_id=456)
        print(f"\nChatClient: {sent.name} sent in {sent.elapsed * 1000:.0f} ms, attempts {sent.attempts}")
        show(server.received[-1], file)

        asyncio.run(send_async(server, file))
        show(server.received[-1], file)

        print("\nWith a key that the server does not know:")
        unknown = "ACMA:" + "0" * 40 + ":" + "0" * 8
        try:
            with ChatClient(api_key=unknown, base_url=server.base_url) as chat:
                chat.send_file(file, business_id=123, chat_id=456)
        except ChatError as error:
            print(f"  {type(error).__name__}: {error}")
        else:
            raise SystemExit("the server took an unknown key")


if __name__ == "__main__":
    main()
