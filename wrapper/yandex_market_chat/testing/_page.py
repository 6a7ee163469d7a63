"""The page of the inspection: the chats as a person wants to see them. It has no script at all."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

_REFRESH: Final = 2  # seconds
#: Messages, the newest.
MOST_SHOWN: Final = 200
_LONGEST_TEXT: Final = 200

_STYLE: Final = (
    "body{font:15px/1.4 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h2{font-size:1rem;margin:2rem 0 .5rem;border-bottom:1px solid #ccc}"
    "ul{list-style:none;margin:0;padding:0}li{margin:.5rem 0;overflow-wrap:anywhere}"
    "img{display:block;max-width:20rem;max-height:15rem;margin:.25rem 0;border:1px solid #ccc}"
    "small{color:#666}"
)
#: What the page's policy allows besides pictures.
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# Control, format (such as the overrides of direction), surrogate, private and unassigned; line and paragraph ends.
_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file of a message. Of one that was received: its type, where it can be had if it is kept, and its sha256."""

    name: str | None
    size: int
    content_type: str | None
    link: str | None
    sha256: str | None
    picture: bool


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as it may be shown."""

    chat: tuple[int, int]
    sender: str
    text: str | None
    files: Sequence[ShownFile]
    at: datetime


@dataclass(frozen=True, slots=True)
class ShownChat:
    """A chat with what it is about, which may be nothing, and its messages, the newest first."""

    key: tuple[int, int]
    about: str
    messages: Sequence[ShownMessage]


def page(chats: Sequence[ShownChat], messages: int) -> str:
    """Return the page for these chats; of so many messages not all are shown. What others chose is escaped."""
    sections = [
        f"<h2>Business {chat.key[0]}, chat {chat.key[1]}{chat.about}</h2>\n"
        f"<ul>\n{''.join(map(_item, chat.messages)) or '<li>Empty.</li>'}</ul>\n"
        for chat in chats
    ]
    hidden = messages - sum(len(chat.messages) for chat in chats)
    if hidden > 0:
        sections.append(f"<p>{hidden} older ones are not shown.</p>\n")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        # Not by a script, so that the policy can forbid all of them.
        f'<meta http-equiv="refresh" content="{_REFRESH}">'
        f"<title>Chats ({messages} messages)</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Chats</h1>\n{''.join(sections) or '<p>None yet.</p>'}</body></html>\n"
    )


def _item(message: ShownMessage) -> str:
    # What the server took came from the seller; that goes without saying.
    sender = "" if message.sender == "PARTNER" else f"{_shown(message.sender)}, "
    when = f"{sender}{message.at:%Y-%m-%d %H:%M:%S} UTC"
    files = "".join(_file(file, when) for file in message.files)
    text = f"<bdi>{_shown(message.text)}</bdi> <small>{when}</small>" if message.text is not None else ""
    return f"<li>{text}{files}</li>\n"


def _file(file: ShownFile, when: str) -> str:
    name = f"<bdi>{_shown(file.name) or 'without a name'}</bdi>"
    kind = f"{_shown(file.content_type) or 'no type'}, " if file.sha256 else ""
    told = f"{kind}{file.size} bytes, {when}"
    if file.link is None:
        lost = f"; no longer kept, sha256 {file.sha256}" if file.sha256 else ""
        return f"{name} <small>{told}{lost}</small>"
    picture = f'<img src="{file.link}" alt="" loading="lazy">' if file.picture else ""
    return f'<a href="{file.link}">{name}</a> <small>{told}</small>{picture}'


def _shown(text: str | None) -> str:
    visible = (
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _INVISIBLE else character
        for character in (text or "")[:_LONGEST_TEXT]
    )
    return escape("".join(visible))
