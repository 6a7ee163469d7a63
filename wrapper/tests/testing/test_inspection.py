"""The inspection address: what it shows, what it hides, and that looking changes nothing."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from yandex_market_chat.testing import SCENARIOS, MockServer
from yandex_market_chat.testing._contract import load_contract
from yandex_market_chat.testing._inspection import PREFIX

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PICTURES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "image/gif": b"GIF89a" + bytes(20),
    "image/webp": b"RIFF\n\0\0\0WEBPVP8 " + bytes(20),
}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HOSTILE = ("<img src=x onerror=alert(1)>.html", "&lt;b&gt;'`", "</title><script>alert(1)</script>", "a\u202egnp.js")


class Inspector:
    def __init__(self, wire: Any) -> None:
        self._wire = wire

    def get(self, target: str, method: str = "GET") -> Any:
        return self._wire.send(self._wire.request(method, target, b"", Api_Key=None, Content_Type=None), method)

    def json(self) -> Any:
        return json.loads(self.get(f"{PREFIX}received.json").content)

    def page(self) -> str:
        answer = self.get(PREFIX)
        assert answer.status == 200
        page: str = answer.content.decode()
        return page

    def send(self, content: bytes, name: str = "a.png", business: int = 1, chat: int = 2, **headers: Any) -> None:
        target = f"/v2/businesses/{business}/chats/file/send?chatId={chat}"
        body = self._wire.form(content, name.replace('"', "%22"))
        assert self._wire.send(self._wire.request(target=target, body=body, **headers)).status == 200


@pytest.fixture
def inspector(wire: Any) -> Inspector:
    return Inspector(wire)


class Tags(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for known, attributes in self.tags if known == tag]


def test_looking_changes_nothing(server: MockServer, inspector: Inspector) -> None:
    server.limits.enabled = True
    server.script(SCENARIOS["gateway-page"])
    for target in (PREFIX, PREFIX[:-1], f"{PREFIX}received.json", f"{PREFIX}nothing", "/favicon.ico"):
        inspector.get(target)
        inspector.get(target, "HEAD")
    assert (server.requests, server.most_in_flight, len(server.script_left)) == ((), 0, 1)


def test_it_is_not_the_api(server: MockServer, inspector: Inspector) -> None:
    assert server.inspection_url == server.base_url + PREFIX
    assert not any(f"{path}/".startswith(PREFIX) for path in load_contract().document["paths"])
    assert "traceparent" not in inspector.get(PREFIX).headers
    # A client that takes it for the API is told so, and it is a violation.
    for method in ("POST", "PUT", "OPTIONS"):
        assert inspector.get(PREFIX, method).status == 404
    assert inspector.get("/_inspectionx").status == 404
    assert [request.violation for request in server.requests] == ["no operation of the contract has this path"] * 4


def test_json(inspector: Inspector, wire: Any) -> None:
    inspector.send(PNG, "счёт.png", X_Market_Integration="shop/1")
    wire.send(wire.request(target="/v2/businesses/1/chats/file/send?chatId=0"))
    wire.send(b"\x16\x03\x01\r\n\r\n")
    received = inspector.json()
    (file,) = received["files"]
    told = {name: file[name] for name in ("number", "business_id", "chat_id", "name", "content_type", "size", "sha256")}
    assert told == {
        "number": 1,
        "business_id": 1,
        "chat_id": 2,
        "name": "счёт.png",
        "content_type": "application/x-test",
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }
    assert file["received_at"].endswith("+00:00")
    assert ["X-Market-Integration", "shop/1"] in file["headers"]
    assert ["Api-Key", "***"] in file["headers"]
    assert inspector.get(file["url"]).content == PNG
    assert [request["status"] for request in received["requests"]] == [200, 400, 400]
    assert [request["violation"] for request in received["requests"]][1] == "chatId is below 1"


def test_the_document_names_the_fields(inspector: Inspector) -> None:
    inspector.send(PNG)
    document = (Path(__file__).parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")
    for kind, (entry,) in inspector.json().items():
        (listed,) = re.findall(rf"^- `{kind}`: (.*?)(?=^- |^## |\Z)", document, re.MULTILINE | re.DOTALL)
        assert re.findall(r"`(\w+)`", listed) == list(entry)


def test_no_credentials(server: MockServer, inspector: Inspector, wire: Any) -> None:
    inspector.send(PNG, f"{server.api_key}.png", X_Note=server.oauth_token, Cookie="C00kie")
    unknown = f"ACMA:{'u' * 40}:{'u' * 8}"
    wire.send(wire.request("GET", f"/{unknown}?key={server.api_key}", Authorization="Bearer S3cr3t"))
    everything = inspector.page() + json.dumps(inspector.json())
    for secret in (server.api_key, server.oauth_token, unknown, "C00kie", "S3cr3t"):
        assert secret not in everything
    assert everything.count("***") >= 6


def test_page_by_chat_newest_first(inspector: Inspector) -> None:
    for business, chat, name in ((1, 2, "a"), (1, 3, "b"), (1, 2, "c"), (4, 2, "d")):
        inspector.send(PNG, name, business, chat)
    tags = Tags(inspector.page())
    shown = [text for text in tags.texts if text.startswith("Business") or len(text) == 1]
    assert shown == [
        "Business 4, chat 2", "d", "Business 1, chat 2", "c", "a", "Business 1, chat 3", "b"
    ]  # fmt: skip
    assert len(tags.attributes("img", "src")) == 4
    assert tags.attributes("meta", "http-equiv")[1] == "refresh"
    assert "script" not in {tag for tag, _ in tags.tags}


def test_empty_page(inspector: Inspector) -> None:
    assert "None yet" in inspector.page()


def test_page_of_chats(server: MockServer, inspector: Inspector, wire: Any) -> None:
    wire.open(1, "ORDER", 77)
    chat = json.loads(wire.open(1, "RETURN", 78).content)["result"]["chatId"]
    inspector.send(PNG, "a.png", 1, chat)
    server.chats.post(1, chat, "Thanks", files=[("put in.jpg", 12)])
    server.chats.post(4, 2, "Hello")
    tags = Tags(inspector.page())
    shown = [re.sub(r",? ?2[\d-]+ [\d:]+ UTC$", "", text) for text in tags.texts if text and "{" not in text]
    assert shown[shown.index("Business 4, chat 2") :] == [
        "Business 4, chat 2", "Hello", "CUSTOMER",
        f"Business 1, chat {chat}, return 78", "Thanks", "CUSTOMER", "put in.jpg", "12 bytes, CUSTOMER",
        "a.png", f"application/x-test, {len(PNG)} bytes",
        f"Business 1, chat {chat - 1}, order 77", "Empty."
    ]  # fmt: skip
    assert len(tags.attributes("a", "href")) == len(tags.attributes("img", "src")) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts(server: MockServer, inspector: Inspector, text: str) -> None:
    server.chats.post(1, 2, text, sender=text, files=[(text, 1)])
    page = inspector.page()
    assert {tag for tag, _ in Tags(page).tags}.isdisjoint({"script", "img", "b"})
    assert page.count("</title>") == 1
    assert inspector.json()["chats"][0]["messages"][0]["text"] == text


def test_chats_as_json(server: MockServer, inspector: Inspector, wire: Any) -> None:
    server.clock.set(datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
    chat = json.loads(wire.open(1, "ORDER", 77).content)["result"]["chatId"]
    server.chats.post(1, chat, f"My key is {server.api_key}", sender="SUPPORT")
    inspector.send(PNG, "a.png", 1, chat)
    inspector.send(PNG, "b.png", 3, 4)
    opened, other = inspector.json()["chats"]
    first, second = opened.pop("messages")
    assert opened == {"business_id": 1, "chat_id": chat, "about": "ORDER", "about_id": 77}
    assert (first["sender"], first["text"], first["files"]) == ("SUPPORT", "My key is ***", [])
    assert first["sent_at"].startswith("2026-01-01T12:3")
    assert (second["sender"], second["text"]) == ("PARTNER", None)
    assert second["files"] == [{"name": "a.png", "size": len(PNG)}]
    assert (other["about"], other["about_id"], len(other["messages"])) == (None, None, 1)
    assert [request["operation"] for request in inspector.json()["requests"]] == [
        "createChat", "sendFileToChat", "sendFileToChat"
    ]  # fmt: skip


def test_only_200_are_shown(inspector: Inspector) -> None:
    for number in range(203):
        inspector.send(PNG, f"{number}.png")
    page = inspector.page()
    assert page.count("<li>") == 200
    assert "3 older ones are not shown" in page
    assert "<bdi>202.png" in page


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(inspector: Inspector, name: str) -> None:
    inspector.send(PNG, name)
    tags = Tags(inspector.page())
    assert [tag for tag, _ in tags.tags] == [
        "html", "head", "meta", "meta", "title", "style", "body", "h1", "h2", "ul", "li", "a", "bdi", "small", "img"
    ]  # fmt: skip
    assert all(not attribute.startswith("on") for _, attributes in tags.tags for attribute in attributes)
    assert name.replace("\u202e", "\\u202e") in tags.texts
    headers = inspector.get(inspector.json()["files"][0]["url"]).headers
    assert headers.get_all("Content-Disposition") == [headers["Content-Disposition"]]
    kind, _, given = headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(given)) == ("attachment", name)
    assert given.isascii()


def test_hostile_type(inspector: Inspector, wire: Any) -> None:
    body = wire.part(SVG, 'form-data; name="file"', content_type="text/html;<script>=1") + b"--5cd1a7--\r\n"
    wire.send(wire.request(body=body))
    assert "script" not in {tag for tag, _ in Tags(inspector.page()).tags}


@pytest.mark.parametrize(
    ("content", "served_as"),
    [(content, media_type) for media_type, content in PICTURES.items()]
    + [(SVG, "application/octet-stream"), (b"<script>alert(1)</script>", "application/octet-stream")],
)
def test_uploads_are_downloads(inspector: Inspector, content: bytes, served_as: str) -> None:
    inspector.send(content, "a.svg")
    answer = inspector.get(inspector.json()["files"][0]["url"])
    assert (answer.status, answer.content) == (200, content)
    assert answer.headers["Content-Type"] == served_as
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert len(Tags(inspector.page()).attributes("img", "src")) == (served_as != "application/octet-stream")


@pytest.mark.parametrize("target", [PREFIX, f"{PREFIX}received.json", f"{PREFIX}nothing", "/favicon.ico"])
def test_nothing_can_run(inspector: Inspector, target: str) -> None:
    headers = inspector.get(target).headers
    policy = dict(each.partition(" ")[::2] for each in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Cache-Control"] == "no-store"


def test_what_there_is_not(inspector: Inspector) -> None:
    inspector.send(PNG)
    url = inspector.json()["files"][0]["url"]
    number = url.rpartition("/")[2]
    for wrong in (f"2{number[1:]}", f"{number[:-1]}{'0' if number[-1] != '0' else '1'}", "1", "", "../received.json"):
        answer = inspector.get(f"{PREFIX}files/{wrong}")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert inspector.get(url, "HEAD").content == b""


def test_what_is_no_longer_kept(wire_to: Any, until: Any) -> None:
    with MockServer(keep_bytes=0) as server:
        wire = wire_to(server)
        inspector = Inspector(wire)
        inspector.send(PNG)
        until(lambda: not server.received[0].kept)
        (file,) = server.received
        assert inspector.json()["files"][0]["url"] is None
        assert f"no longer kept, sha256 {file.sha256}" in inspector.page()
        answer = inspector.get(f"{PREFIX}files/1-{file.sha256[:16]}")
        assert (answer.status, file.sha256 in answer.content.decode()) == (410, True)
