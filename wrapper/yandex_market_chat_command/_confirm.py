"""`yandex-market-chat confirm`: whether a file of which nobody knows is in its chat."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import datetime

from yandex_market_chat import ChatClient, ChatError, DeliveryUnknownError

from ._client import client_arguments, error_facts, show_log
from ._output import Status, finish, say, tell
from ._signals import ignore_signals, interrupt_once

_NEEDED = ("business_id", "chat_id", "name", "size", "since")


def how_to_confirm(facts: Mapping[str, object], more: Mapping[str, object]) -> str:
    """Return the sentence that names the command for an unknown send; empty if too little is known of it."""
    if not all(facts.get(name) for name in _NEEDED):
        return ""
    options = {name: facts[name] for name in _NEEDED} | {name: value for name, value in more.items() if value}
    words = (word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value)))
    return f"To look for it in the chat: {shlex.join(('yandex-market-chat', 'confirm', *words))}"


def confirm_one(
    *,
    business_id: int,
    chat_id: int,
    name: str,
    size: int,
    since: datetime,
    api_key_file: str | None,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
    verbose: bool,
) -> Status:
    """Read the chat's history; return the exit status."""
    if verbose:
        show_log()
    interrupt_once()
    name = os.fsencode(name).decode("utf-8", "replace")
    facts: dict[str, object] = {"business_id": business_id, "chat_id": chat_id, "name": name, "size": size}
    facts |= {"since": since.isoformat(), "confirmed_by": None, "message_id": None, "history_read_at": None}
    what, where = f"{name!r}, {size} bytes", f"chat {chat_id} of business {business_id}"
    try:
        with ChatClient(**client_arguments(api_key_file, base_url, timeout)) as chat:
            unknown = DeliveryUnknownError()
            unknown.business_id, unknown.chat_id, unknown.since, unknown.size = business_id, chat_id, since, size
            unknown.name = facts["name"] = chat.check_file(b"-", name=name).name
            found = chat.confirm(unknown)
        ignore_signals()
    except DeliveryUnknownError as error:
        ignore_signals()
        later = error.later or error
        sentence = f"The history of {where} could not be read. {later} So it is still unknown whether it holds {what}."
        say(sentence)
        return finish(Status.UNKNOWN, as_json, {**error_facts(later), **facts, "message": sentence})
    except ChatError as error:
        ignore_signals()
        say(str(error))
        return finish(Status.WRONG_USE, as_json, {**error_facts(error), **facts})
    except KeyboardInterrupt:
        ignore_signals()
        sentence = f"Interrupted: it is still unknown whether {where} holds {what}."
        say(sentence)
        return finish(Status.UNKNOWN, as_json, {**facts, "error": "KeyboardInterrupt", "message": sentence})
    if found is not None:
        facts |= {"confirmed_by": found.confirmed_by, "message_id": found.message_id}
        if not as_json:
            tell(f"Found: message {found.message_id} of {where} holds {what}.")
        return finish(Status.SENT, as_json, facts)
    facts["history_read_at"] = unknown.history_read_at and unknown.history_read_at.isoformat()
    say(f"{where.capitalize()} does not show {what}, which proves nothing: a message may appear late or be renamed.")
    return finish(Status.UNKNOWN, as_json, facts)
