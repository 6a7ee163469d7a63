"""The server's memory: which order has which chat, and what was said in it. Bounded, and safe from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ._clock import Clock

#: Hostile clients can open and send without end: beyond these the oldest are forgotten.
_MOST_CHATS: Final = 10_000
_MOST_MESSAGES: Final = 20_000
_MOST_CHARACTERS: Final = 4 * 1024 * 1024
# Far from the ids that people make up for their tests.
_FIRST_CHAT: Final = 1_000_001
_FIRST_MESSAGE: Final = 3001

#: What a chat can be opened for.
About = Literal["ORDER", "RETURN"]
#: A chat: its business and its own id.
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChatFile:
    """A file in a message, as the chat's history shows it."""

    name: str
    """As it was sent; empty if it had none."""
    size: int
    """In bytes."""
    number: int | None = field(default=None, repr=False, compare=False)
    """In the list of received files, the first being 1; None if the test has put it in."""
    path: str = field(default="", repr=False, compare=False)
    """Of its URL in the history; the host is that of the server."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a chat.

    Attributes:
        business_id: of the chat.
        chat_id: where it is.
        message_id: grows from message to message over all chats.
        sender: PARTNER, CUSTOMER, MARKET or SUPPORT; a test may say others.
        text: None beside files.
        files: empty beside a text.
        at: when it was sent, by the server's clock, in UTC.
    """

    message_id: int
    business_id: int
    chat_id: int
    sender: str
    text: str | None
    files: tuple[ChatFile, ...]
    at: datetime
    since: float = field(repr=False, compare=False)
    """When it was sent, on a clock that the history's lag is measured with."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a chat was opened for."""

    about: About
    id: int


class Chats:
    """The chats of a server: what was opened, what was sent, and what the test puts in. Used from any thread.

    Args:
        lag: seconds after which a message appears in the history, by the server's clock, so `clock.move` shortens the
            wait; counted when the history is read, so that a test can set it to `math.inf` and back to 0.
        alter: what the history makes of a file: called with its name and size, returns both; None: as sent.
        newest_first: the order of the history, which is documented nowhere; the oldest come first by default.

    The latest 20 000 messages are kept, fewer if their texts and names have more than 4 Mi characters, and the latest
    10 000 chats that were opened.
    """

    def __init__(self, clock: Clock, listed: Collection[int] = ()) -> None:
        self.lag = 0.0
        self.alter: Callable[[str, int], tuple[str, int]] | None = None
        self.newest_first = False
        self._clock = clock
        self._listed = listed
        self._lock = threading.Lock()
        self._opened: dict[tuple[int, About, int], int] = {}
        self._contexts: dict[Key, Context] = {}
        self._messages: dict[Key, deque[Message]] = {}
        # Of all chats, as they came: the oldest goes first.
        self._latest: deque[tuple[Key, int]] = deque()
        self._characters = 0
        self._next_chat = _FIRST_CHAT
        self._next_message = _FIRST_MESSAGE

    def open(self, business_id: int, *, order_id: int | None = None, return_id: int | None = None) -> int:
        """Return the id of the chat of an order or of a return, new or existing, as createChat does.

        ValueError unless exactly one of the two is given.
        """
        if (order_id is None) == (return_id is None):
            raise ValueError("a chat is that of an order or that of a return: give one of order_id and return_id")
        if order_id is not None:
            return self._open(business_id, Context("ORDER", order_id))
        return self._open(business_id, Context("RETURN", return_id or 0))

    def post(
        self,
        business_id: int,
        chat_id: int,
        text: str | None = None,
        *,
        files: Iterable[tuple[str, int]] = (),
        sender: str = "CUSTOMER",
        at: datetime | None = None,
    ) -> Message:
        """Put a message into a chat, as if somebody had sent it: a buyer, or a person in the cabinet (PARTNER).

        files: name and size of each. at: an aware moment; default: now, by the server's clock. ValueError if there is
        neither a text nor a file, or if `at` is naive.
        """
        listed = tuple(ChatFile(name, size) for name, size in files)
        if text is None and not listed:
            raise ValueError("a message has a text, files, or both")
        if at is not None and at.tzinfo is None:
            raise ValueError("at is an aware moment: datetime(..., tzinfo=UTC)")
        return self._add((business_id, chat_id), sender, text, listed, at)

    def messages(self, business_id: int, chat_id: int) -> tuple[Message, ...]:
        """Return the messages of a chat, the oldest first: also those that the history does not show yet."""
        with self._lock:
            return tuple(self._messages.get((business_id, chat_id), ()))

    # For the server

    def _take(self, key: Key, file: ChatFile) -> None:
        """Make a message of a file that was sent."""
        self._add(key, "PARTNER", None, (file,), None)

    def _open(self, business: int, context: Context, chat: int | None = None) -> int:
        """Return the chat, new or existing; `chat`: the id that it has been told to have."""
        order = (business, context.about, context.id)
        with self._lock:
            known = self._opened.get(order)
            if known is not None and chat in (None, known):
                return known
            chat = self._new_chat(business) if chat is None else chat
            self._opened[order] = chat
            self._contexts[business, chat] = context
            if len(self._opened) > _MOST_CHATS:
                del self._opened[next(iter(self._opened))]
            if len(self._contexts) > _MOST_CHATS:
                del self._contexts[next(iter(self._contexts))]
            return chat

    def _new_chat(self, business: int) -> int:
        while True:
            chat, self._next_chat = self._next_chat, self._next_chat + 1
            key = (business, chat)
            if chat not in self._listed and key not in self._messages and key not in self._contexts:
                return chat

    def _has(self, key: Key) -> bool:
        """Say whether the chat was opened, or has messages."""
        with self._lock:
            return key in self._contexts or key in self._messages

    def _context(self, key: Key) -> Context | None:
        with self._lock:
            return self._contexts.get(key)

    def _shown(self, key: Key) -> list[Message]:
        """Return what the history shows by now, in its order."""
        now, lag = self._clock._elapsed(), self.lag
        shown = [message for message in self.messages(*key) if lag <= 0 or now - message.since >= lag]
        return shown[::-1] if self.newest_first else shown

    def _kept(self) -> tuple[dict[Key, Context | None], list[Message]]:
        """Return all chats with what they are about, and all messages, the newest first."""
        with self._lock:
            messages = sorted(
                (message for chat in self._messages.values() for message in chat),
                key=lambda message: message.message_id,
                reverse=True,
            )
            about: dict[Key, Context | None] = dict.fromkeys(self._messages)
            return about | self._contexts, messages

    def _add(
        self, key: Key, sender: str, text: str | None, files: tuple[ChatFile, ...], at: datetime | None
    ) -> Message:
        with self._lock:
            message = Message(
                self._next_message, *key, sender, text, files, at or self._clock.now(), self._clock._elapsed()
            )
            self._next_message += 1
            self._messages.setdefault(key, deque()).append(message)
            self._latest.append((key, _characters(message)))
            self._characters += _characters(message)
            while len(self._latest) > _MOST_MESSAGES or self._characters > _MOST_CHARACTERS:
                self._forget()
            return message

    def _forget(self) -> None:
        key, characters = self._latest.popleft()
        self._characters -= characters
        self._messages[key].popleft()
        if not self._messages[key]:
            del self._messages[key]

    def __repr__(self) -> str:
        with self._lock:
            return f"<Chats: {len(self._contexts)} opened, {len(self._latest)} messages>"


def _characters(message: Message) -> int:
    return len(message.text or "") + sum(len(file.name) + len(file.path) for file in message.files)
