"""The page of the inspection: the chats as a person wants to see them. It has no script at all."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ._journal import ReceivedFile

_REFRESH: Final = 2  # seconds
_MOST_SHOWN: Final = 200
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
class Entry:
    """A file, its name as it may be shown, where it can be had, and whether it is a picture."""

    name: str | None
    file: ReceivedFile
    url: str
    picture: bool


def page(entries: Sequence[Entry]) -> str:
    """Return the page for these files, newest first. Everything that a sender chose is escaped."""
    chats: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries[:_MOST_SHOWN]:
        chats.setdefault((entry.file.business_id, entry.file.chat_id), []).append(entry)
    sections = [
        f"<h2>Business {business}, chat {chat}</h2>\n<ul>\n{''.join(map(_item, files))}</ul>\n"
        for (business, chat), files in chats.items()
    ]
    hidden = len(entries) - _MOST_SHOWN
    if hidden > 0:
        sections.append(f"<p>{hidden} older ones are not shown.</p>\n")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        # Not by a script, so that the policy can forbid all of them.
        f'<meta http-equiv="refresh" content="{_REFRESH}">'
        f"<title>Received files ({len(entries)})</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Received files</h1>\n{''.join(sections) or '<p>None yet.</p>'}</body></html>\n"
    )


def _item(entry: Entry) -> str:
    file = entry.file
    name = f"<bdi>{_shown(entry.name) or 'without a name'}</bdi>"
    told = f"{_shown(file.content_type) or 'no type'}, {file.size} bytes, {file.at:%Y-%m-%d %H:%M:%S} UTC"
    if not file.kept:
        return f"<li>{name} <small>{told}; no longer kept, sha256 {file.sha256}</small></li>\n"
    picture = f'<img src="{entry.url}" alt="" loading="lazy">' if entry.picture else ""
    return f'<li><a href="{entry.url}">{name}</a> <small>{told}</small>{picture}</li>\n'


def _shown(text: str | None) -> str:
    visible = (
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _INVISIBLE else character
        for character in (text or "")[:_LONGEST_TEXT]
    )
    return escape("".join(visible))
