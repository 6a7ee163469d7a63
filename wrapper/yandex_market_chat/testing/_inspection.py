"""The inspection address: what arrived, for people and for programs in any language.

It is beside the API, not in it: looking is not noted, uses up no script and counts for no limit. What was uploaded is
hostile: a file is a download without a type that a browser would run, under a policy that would not let it run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from ._chats import Chats, Context, Key, Message
from ._check import Policy, split_target
from ._credentials import Headers
from ._journal import Journal, ReceivedFile, ReceivedRequest
from ._page import MOST_SHOWN, STYLE_HASH, ShownChat, ShownFile, ShownMessage, page
from ._reader import Head
from ._reply import Pairs, Reply, json_reply

#: No path of the API begins so; a test holds the contract to it.
PREFIX: Final = "/_inspection/"

_FILE = re.compile(re.escape(PREFIX) + r"files/([1-9][0-9]{0,17})-[0-9a-f]{16}")

# No script, no frame, nothing from elsewhere.
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE_POLICY: Final = f"{_NOTHING}; img-src 'self'; style-src '{STYLE_HASH}'"
_FILE_POLICY: Final = f"{_NOTHING}; sandbox"
_ALWAYS: Final[Pairs] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)

#: Pictures by their first bytes, whatever the sender calls them. No SVG: that is a document that can have scripts.
_PICTURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)


class Inspection:
    """Answers GET and HEAD below `PREFIX`, and the request for an icon that comes with them."""

    def __init__(self, journal: Journal, chats: Chats, policy: Policy) -> None:
        self._journal = journal
        self._chats = chats
        self._policy = policy

    def reply(self, head: Head) -> Reply | None:
        """Return the answer; None if this is not a request to look at something."""
        path, _ = split_target(head.target)
        # A browser that shows anything of this asks for the icon too.
        if head.method not in ("GET", "HEAD") or not f"{path}/".startswith((PREFIX, "/favicon.ico/")):
            return None
        if path in (PREFIX, PREFIX[:-1]):
            return self._page()
        if path == f"{PREFIX}received.json":
            return self._json()
        found = _FILE.fullmatch(path)
        for number, file in self._journal.numbered() if found else ():
            if found and path == url_of(number, file) and number == int(found.group(1)):
                return _download(file)
        return _text(404, f"Nothing to look at here. There is {PREFIX} and {PREFIX}received.json.")

    def encode(self, reply: Reply, *, to_head: bool) -> bytes:
        """Return the bytes of the answer."""
        return reply.encode(to_head=to_head, close=True, now=datetime.now(UTC), more=_ALWAYS)

    def _page(self) -> Reply:
        received = dict(self._journal.numbered())
        about, messages = self._chats._kept()
        shown = [self._shown_message(message, received) for message in messages[:MOST_SHOWN]]
        # Those with the newest messages first; behind them what was opened and is empty, the newest first as well.
        order = dict.fromkeys([message.chat for message in shown] + [*about][::-1][:MOST_SHOWN])
        chats = [ShownChat(key, _told(about.get(key)), [m for m in shown if m.chat == key]) for key in order]
        headers = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _PAGE_POLICY), _FRESH)
        return Reply(200, headers, page(chats, len(messages)).encode("utf-8", "replace"))

    def _shown_message(self, message: Message, received: Mapping[int, ReceivedFile]) -> ShownMessage:
        files: list[ShownFile] = []
        for file in message.files:
            taken = received.get(file.number or 0)
            link = file.path if taken is not None and taken.kept else None
            told = None if taken is None else self._without_secrets(taken.content_type)
            sha256 = None if taken is None else taken.sha256
            picture = taken is not None and _picture(taken) is not None
            files.append(ShownFile(self._without_secrets(file.name), file.size, told, link, sha256, picture))
        chat = (message.business_id, message.chat_id)
        return ShownMessage(chat, message.sender, self._without_secrets(message.text), files, message.at)

    def _json(self) -> Reply:
        files = [self._file(number, file) for number, file in self._journal.numbered()]
        requests = [self._request(request) for request in self._journal.requests]
        about, messages = self._chats._kept()
        by_chat: dict[Key, list[Message]] = {key: [] for key in about}
        for message in reversed(messages):
            by_chat.setdefault((message.business_id, message.chat_id), []).append(message)
        chats = [self._chat(key, about.get(key), listed) for key, listed in by_chat.items()]
        policy = ("Content-Security-Policy", _FILE_POLICY)
        return json_reply(200, {"files": files, "requests": requests, "chats": chats}, (policy, _FRESH))

    def _chat(self, key: Key, context: Context | None, messages: list[Message]) -> dict[str, object]:
        return {
            "business_id": key[0],
            "chat_id": key[1],
            "about": None if context is None else context.about,
            "about_id": None if context is None else context.id,
            "messages": [
                {
                    "message_id": message.message_id,
                    "sender": self._without_secrets(message.sender),
                    "text": self._without_secrets(message.text),
                    "files": [{"name": self._without_secrets(f.name), "size": f.size} for f in message.files],
                    "sent_at": message.at.isoformat(),
                }
                for message in messages
            ],
        }

    def _file(self, number: int, file: ReceivedFile) -> dict[str, object]:
        return {
            "number": number,
            "business_id": file.business_id,
            "chat_id": file.chat_id,
            "name": self._without_secrets(file.name),
            "content_type": self._without_secrets(file.content_type),
            "size": file.size,
            "sha256": file.sha256,
            "received_at": file.at.isoformat(),
            "url": url_of(number, file) if file.kept else None,
            "headers": self._headers(file.headers),
        }

    def _request(self, request: ReceivedRequest) -> dict[str, object]:
        return {
            "operation": request.operation,
            "method": self._without_secrets(request.method),
            "path": self._without_secrets(request.path),
            "query": self._without_secrets(request.query),
            "status": request.status,
            "violation": request.violation,
            "scripted": request.scripted,
            "received_at": request.at.isoformat(),
        }

    def _headers(self, headers: Headers) -> list[list[str | None]]:
        return [[self._without_secrets(name), self._without_secrets(value)] for name, value in headers.masked()]

    def _without_secrets(self, text: str | None) -> str | None:
        # Bytes that are no UTF-8 would not be JSON.
        return text and self._policy.without_secrets(text).encode("utf-8", "replace").decode()


_FRESH: Final = ("Cache-Control", "no-store")


def _told(context: Context | None) -> str:
    return "" if context is None else f", {context.about.lower()} {context.id}"


def url_of(number: int, file: ReceivedFile) -> str:
    """Return the path of a file that was taken."""
    # With the checksum, so that a browser can keep the file and not mistake it for one of an earlier server.
    return f"{PREFIX}files/{number}-{file.sha256[:16]}"


def _picture(file: ReceivedFile) -> str | None:
    try:
        content = file.content
    except LookupError:
        return None
    return next((media_type for begin, media_type in _PICTURES if begin.match(content)), None)


def _download(file: ReceivedFile) -> Reply:
    try:
        content = file.content
    except LookupError:
        return _text(410, f"The server no longer keeps this file. Its sha256: {file.sha256}")
    # RFC 6266 and RFC 8187; what a browser makes of separators and dots in it is the browser's own care.
    name = quote((file.name or "file").encode("utf-8", "replace"), safe="")
    headers = (
        ("Content-Type", _picture(file) or "application/octet-stream"),
        ("Content-Disposition", f"attachment; filename*=UTF-8''{name}"),
        ("Content-Security-Policy", _FILE_POLICY),
        ("Cache-Control", "private, max-age=3600, immutable"),
    )
    return Reply(200, headers, content)


def _text(status: int, sentence: str) -> Reply:
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Security-Policy", _FILE_POLICY), _FRESH)
    return Reply(status, headers, f"{sentence}\n".encode())
