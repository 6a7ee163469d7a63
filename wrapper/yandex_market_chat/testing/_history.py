"""The pages of a chat's history, and the tokens that lead from one to the next."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import timedelta, timezone
from typing import Final

from ._chats import ChatFile, Context, Key, Message

#: Documented: so many without `limit`.
_PAGE: Final = 50
# As the contract's examples write it. How precise the real ones are is documented nowhere: seconds are the least.
_MOSCOW: Final = timezone(timedelta(hours=3))
#: Made up, as every buyer's name here.
_CUSTOMER: Final = {"name": "Мария И.", "publicId": "y1a2b3c4d5e6f7g8"}


class BadPageTokenError(ValueError):
    """The token is none that led on from a page of this history."""


def page_of(
    key: Key,
    context: Context | None,
    messages: Sequence[Message],
    *,
    limit: int | None,
    token: str | None,
    first: int | None,
    base_url: str,
    alter: Callable[[str, int], tuple[str, int]] | None,
) -> dict[str, object]:
    """Return a page as JSON. messages: those of the chat, in the order of the history; first: `messageIdFrom`."""
    listed = [message for message in messages if first is None or message.message_id >= first]
    if token is not None:
        last = _last(token, key)
        # By place if it is still there: the order may be either way.
        ids = [message.message_id for message in listed]
        if last in ids:
            listed = listed[ids.index(last) + 1 :]
        else:
            raise BadPageTokenError
    shown, more = listed[: limit or _PAGE], listed[limit or _PAGE :]
    return {
        "context": _about(context) | {"customer": _CUSTOMER},
        "messages": [_message(message, base_url, alter) for message in shown],
        "paging": {"nextPageToken": _token(key, shown[-1].message_id)} if more else {},
    }


def _about(context: Context | None) -> dict[str, object]:
    if context is None:
        # Of no order that is known here, so begun by the buyer.
        return {"type": "DIRECT"}
    return {"type": context.about, "orderId" if context.about == "ORDER" else "returnId": context.id}


def _message(message: Message, base_url: str, alter: Callable[[str, int], tuple[str, int]] | None) -> dict[str, object]:
    told: dict[str, object] = {
        "messageId": message.message_id,
        "createdAt": message.at.astimezone(_MOSCOW).isoformat(timespec="seconds"),
        "sender": message.sender,
    }
    if message.text is not None:
        told["message"] = message.text
    if message.files:
        told["payload"] = [_file(file, base_url, alter) for file in message.files]
    return told


def _file(file: ChatFile, base_url: str, alter: Callable[[str, int], tuple[str, int]] | None) -> dict[str, object]:
    name, size = (file.name, file.size) if alter is None else alter(file.name, file.size)
    return {"name": name, "url": f"{base_url}{file.path}", "size": size}


def _token(key: Key, message_id: int) -> str:
    return base64.urlsafe_b64encode(f"after {message_id} of {key[0]} {key[1]}".encode()).decode()


def _last(token: str, key: Key) -> int:
    try:
        words = base64.b64decode(token, b"-_", validate=True).decode().split(" ")
        if words[2:] == ["of", str(key[0]), str(key[1])] and words[0] == "after":
            return int(words[1])
    except (ValueError, binascii.Error, IndexError):
        pass
    raise BadPageTokenError
