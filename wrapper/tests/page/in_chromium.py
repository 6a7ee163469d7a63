"""The page of the inspection as a browser sees it. Run by `make test-page`, not by `make test`: it needs Chromium."""

from __future__ import annotations

import http.server
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import ChatClient
from yandex_market_chat.testing import MockServer

from .chromium import Chromium

# Whatever ran would say so in the console, which no policy forbids.
RAN = "console.log('RAN ' + document.location.pathname);"
SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="{RAN}"><script>{RAN}</script>'
    f'<image href="x:" onerror="{RAN}"/></svg>'
)
HTML = f'<!DOCTYPE html><script>{RAN}</script><img src=\'x:\' onerror="{RAN}"><body onload="{RAN}">'
NAME = f'<img src="x:" onerror="{RAN}"><script>{RAN}</script>.png'.replace("/", "\N{DIVISION SLASH}")


def png(width: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x20\x80\xff" * width) * width
    head = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


@pytest.fixture
def chat(server: MockServer) -> Iterator[ChatClient]:
    with ChatClient(api_key=server.api_key, base_url=server.base_url, proxy="") as chat:
        yield chat


def shows(width: int) -> str:
    picture = f"[...document.images].some(image => image.complete && image.naturalWidth === {width})"
    return f"document.readyState === 'complete' && {picture}"


def test_a_new_picture_appears_by_itself(chromium: Chromium, server: MockServer, chat: ChatClient) -> None:
    chromium.go(server.inspection_url)
    chromium.until("document.body.textContent.includes('None yet')")
    for width in (11, 12):
        chat.send_file(png(width), name=f"{width}.png", business_id=1, chat_id=2)
        chromium.until(shows(width))
    # In one expression: the page may be replaced between two.
    shown = "[document.images.length, ...['h2', 'bdi'].map(tag => document.querySelector(tag).textContent)]"
    assert chromium.until(f"{shows(12)} && {shown}") == [2, "Business 1, chat 2", "12.png"]
    assert len(server.requests) == 2, "looking is no request to the API"


def test_hostile_files_run_nothing(chromium: Chromium, server: MockServer, chat: ChatClient) -> None:
    for content, name in ((SVG, "a.svg"), (HTML, "a.html"), (SVG, "a.png"), (HTML, NAME)):
        media_type = "image/svg+xml" if content == SVG else "text/html"
        chat.send_file(content.encode(), name=name, content_type=media_type, business_id=1, chat_id=2)
    chat.send_file(png(13), name=NAME, business_id=1, chat_id=3)
    chromium.events.clear()
    chromium.go(server.inspection_url)
    hostile = "document.querySelectorAll('script, [onerror], [onload], iframe').length"
    name = "document.querySelector('bdi').textContent"
    links = "[...document.links].map(link => link.href)"
    found, shown, links = chromium.until(f"{shows(13)} && [{hostile}, {name}, {links}]")
    assert (found, shown, len(links)) == (0, NAME, 5)
    for link in links:
        # Opened by hand, each is a download, which is denied here.
        assert chromium.go(link) == "net::ERR_ABORTED"
        chromium.listen(0.3)
    with elsewhere(embedding(links)) as address:
        chromium.go(address)
        chromium.until(f"document.title === 'embedded' && document.querySelectorAll('iframe').length === {len(links)}")
        chromium.listen(1)
    assert "RAN" not in chromium.said()


@pytest.mark.parametrize(("content", "media_type"), [(SVG, "image/svg+xml"), (HTML, "text/html")])
def test_they_would_run_if_served_as_they_say(chromium: Chromium, content: str, media_type: str) -> None:
    chromium.events.clear()
    with elsewhere(content.encode(), media_type) as address:
        assert chromium.go(address) is None
        chromium.listen(1)
    assert "RAN" in chromium.said()


def test_a_hostile_name_would_run_if_it_were_not_escaped(chromium: Chromium) -> None:
    chromium.events.clear()
    with elsewhere(f"<!DOCTYPE html><meta charset=utf-8>{NAME}".encode()) as address:
        chromium.go(address)
        chromium.listen(1)
    assert "RAN" in chromium.said()


def embedding(links: list[str]) -> bytes:
    tags = "".join(f'<iframe src="{link}"></iframe><object data="{link}"></object>' for link in links)
    return f"<!DOCTYPE html><title>embedded</title>{tags}".encode()


class elsewhere:  # noqa: N801 - used like a function
    """A careless server of another origin, with one document."""

    def __init__(self, content: bytes, media_type: str = "text/html") -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        Chromium(tmp_path)
