"""The six ways to make a call: the four entry points of the generated client, and the wrapper in both modes.

An entrance is opened to one server and used for many calls. Those of the generated client are found by the names that
the generator gives them, so a new operation has its entrances; those of the wrapper are a table: a person named them.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import ssl
import typing
from abc import abstractmethod
from collections.abc import Mapping
from enum import Enum
from io import BytesIO
from typing import Any, ClassVar, NamedTuple

import pytest

from _yandex_market_chat_api import AuthenticatedClient
from _yandex_market_chat_api.types import File
from yandex_market_chat import AsyncChatClient, ChatClient, RetryPolicy, Timeout
from yandex_market_chat.testing import MockServer

from ._call import LEFT_OUT, Call, Outcome
from ._contract import Operation


class Method(NamedTuple):
    """A method of the wrapper's clients: which argument is which field of the operation; what it decides itself."""

    name: str
    arguments: Mapping[str, str]
    decided: Mapping[str, str]  # fields that are no argument, and why


#: Which method of the wrapper's clients serves which operation.
WRAPPER_METHODS = {"sendFileToChat": Method("send_file", {"businessId": "business_id", "chatId": "chat_id"}, {})}
#: The operations that no method serves, and why.
WITHOUT_METHOD = {
    "createChat": "open_chat takes an order, not a context: wrapper/tests/test_open_chat.py drives it",
    "getChatHistory": "confirm asks for one file, not for pages: wrapper/tests/test_confirming_later.py drives it",
}

_PATIENCE = 10.0
# Made once: reading the machine's certificates takes longer than ten sends, and nothing here speaks TLS.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class Entrance:
    """One way to make a call."""

    kind: ClassVar[str]

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode

    @abstractmethod
    def open(self, server: MockServer, loop: asyncio.Runner, **options: Any) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _send(self, call: Call) -> Any: ...

    @abstractmethod
    def expressible(self, call: Call) -> str | None:
        """Why the call cannot be put into the words of this client; None if it can."""

    def send(self, call: Call) -> Outcome:
        try:
            return Outcome(result=self._send(call))
        # The generated client raises KeyError, ValueError and more for a response that it does not expect.
        except Exception as error:  # whatever it is, it is the outcome, and the tests judge it
            return Outcome(error=error)

    def __repr__(self) -> str:
        return self.name


class GeneratedEntrance(Entrance):
    """An entry point of the generated client."""

    kind = "generated"

    def __init__(self, entry_point: str) -> None:
        self.detailed = entry_point.endswith("_detailed")
        self._entry_point = entry_point
        super().__init__(f"generated.{entry_point}", "async" if entry_point.startswith("asyncio") else "sync")

    def open(self, server: MockServer, loop: asyncio.Runner, **options: Any) -> None:
        self._loop = loop
        defaults: dict[str, Any] = {
            "token": server.api_key,
            "prefix": "",
            "auth_header_name": "Api-Key",
            "timeout": _PATIENCE,
        }
        self._client = AuthenticatedClient(server.base_url, verify_ssl=_TLS, **(defaults | options))

    def close(self) -> None:
        if self.mode == "sync":
            self._client.get_httpx_client().close()
        else:
            self._loop.run(self._client.get_async_httpx_client().aclose())

    def expressible(self, call: Call) -> str | None:
        if call.extra:
            return "the contract allows no part beside the file, so its type has none"
        if call.json is not LEFT_OUT and not isinstance(call.json, dict):
            return "a body that is no object, so none of its type"
        return None

    def _send(self, call: Call) -> Any:
        module = module_of(call.operation)
        hints = typing.get_type_hints(module._get_kwargs)
        arguments = {snake(name): _typed(value, hints[snake(name)]) for name, value in call.values.items()}
        if call.operation.body == "form" and call.content is not None:
            file = File(BytesIO(call.content), file_name=call.name, mime_type=call.content_type)
            arguments["body"] = _one_of(hints["body"], object)(**{snake(call.operation.part): file})
        if call.operation.body == "json" and call.json is not LEFT_OUT:
            arguments["body"] = _one_of(hints["body"], object).from_dict(call.json)
        entry_point = getattr(module, self._entry_point)
        if self.mode == "sync":
            return entry_point(client=self._client, **arguments)
        return self._loop.run(entry_point(client=self._client, **arguments))


class WrapperEntrance(Entrance):
    """The wrapper in one mode."""

    kind = "wrapper"

    def __init__(self, mode: str) -> None:
        super().__init__(f"wrapper.{mode}", mode)

    def open(self, server: MockServer, loop: asyncio.Runner, **options: Any) -> None:
        self._loop = loop
        # What arrived is compared with what one call asks for: no history is read after it.
        defaults = {"base_url": server.base_url, "timeout": Timeout(_PATIENCE), "retry": RetryPolicy(attempts=1)}
        defaults["confirm_unknown"] = 0
        if "oauth_token" not in options:
            defaults["api_key"] = server.api_key
        self._client: Any = (ChatClient if self.mode == "sync" else AsyncChatClient)(**(defaults | options))

    def close(self) -> None:
        if self.mode == "sync":
            self._client.close()
        else:
            self._loop.run(self._client.aclose())

    def expressible(self, call: Call) -> str | None:
        if call.extra:
            return "the wrapper sends the one part and nothing beside it"
        arguments = WRAPPER_METHODS[call.operation.id].arguments
        decided = [(field, value) for field, value in call.given() if field.name not in arguments]
        if any(not field.required or value != field.kind.usual for field, value in decided):
            return "what the method has no argument for"
        return None

    def _send(self, call: Call) -> Any:
        method = WRAPPER_METHODS[call.operation.id]
        arguments = {
            method.arguments[field.name]: value for field, value in call.given() if field.name in method.arguments
        }
        if call.operation.body == "form":
            arguments |= {"name": call.name, "content_type": call.content_type}
            if call.content is not None:
                arguments["file"] = call.content
        done = getattr(self._client, method.name)(**arguments)
        return done if self.mode == "sync" else self._loop.run(done)


def module_of(operation: Operation) -> Any:
    """The generated module of an operation."""
    return importlib.import_module(f"_yandex_market_chat_api.api.{snake(operation.tag)}.{snake(operation.id)}")


def _one_of(hint: Any, base: type) -> Any:
    """The class that a hint names, beside those that say that there need be none."""
    for each in typing.get_args(hint) or (hint,):
        if isinstance(each, type) and issubclass(each, base) and each.__name__ != "Unset":
            return each
    return None


def _typed(value: Any, hint: Any) -> Any:
    """A value as the generated client wants it: a member where it has an enum."""
    choice = _one_of(hint, Enum)
    return value if choice is None else choice(value)


GENERATED = ("sync_detailed", "sync", "asyncio_detailed", "asyncio")
MODES = ("sync", "async")
NAMES = (*(f"generated.{entry_point}" for entry_point in GENERATED), *(f"wrapper.{mode}" for mode in MODES))


def names_for(operation: Operation) -> tuple[str, ...]:
    """The entrances that an operation has."""
    return NAMES if operation.id in WRAPPER_METHODS else NAMES[: len(GENERATED)]


def thorough_for(operation: Operation) -> tuple[str, ...]:
    """Those of its entrances that return the whole answer; `sync` and `asyncio` call them, and throw half away."""
    return tuple(name for name in names_for(operation) if not name.endswith(("generated.sync", "generated.asyncio")))


def readers_for(operation: Operation) -> tuple[str, ...]:
    """One entrance for each code that reads an answer: all four of the generated client share theirs."""
    return tuple(name for name in names_for(operation) if name == NAMES[0] or name.startswith("wrapper"))


def ways(operations: tuple[Operation, ...], kind: str = "") -> list[Any]:
    """Each operation with each of its entrances, for `parametrize(("operation", "entrance"), ...)`."""
    return [
        pytest.param(operation, name, id=f"{operation.id}-{name}")
        for operation in operations
        for name in names_for(operation)
        if name.startswith(kind)
    ]


def make(name: str) -> Entrance:
    kind, _, which = name.partition(".")
    return GeneratedEntrance(which) if kind == "generated" else WrapperEntrance(which)
