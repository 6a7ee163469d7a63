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
from io import BytesIO
from typing import Any, ClassVar

from _yandex_market_chat_api import AuthenticatedClient
from _yandex_market_chat_api.types import File
from yandex_market_chat import AsyncChatClient, ChatClient, RetryPolicy, Timeout
from yandex_market_chat.testing import MockServer

from ._call import Call, Outcome
from ._contract import Operation

#: Which method of the wrapper's clients serves which operation.
WRAPPER_METHODS = {"sendFileToChat": "send_file"}

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
        # Whatever a client raises is what the tests are to judge: to let some of it pass here would be a judgement.
        except Exception as error:
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
        defaults = {"token": server.api_key, "prefix": "", "auth_header_name": "Api-Key", "timeout": _PATIENCE}
        self._client = AuthenticatedClient(server.base_url, verify_ssl=_TLS, **(defaults | options))

    def close(self) -> None:
        if self.mode == "sync":
            self._client.get_httpx_client().close()
        else:
            self._loop.run(self._client.get_async_httpx_client().aclose())

    def expressible(self, call: Call) -> str | None:
        return "the contract allows no part beside the file, so its type has none" if call.extra else None

    def _send(self, call: Call) -> Any:
        module = module_of(call.operation)
        arguments: dict[str, Any] = {snake(name): value for name, value in call.values.items()}
        if call.content is not None:
            request = typing.get_type_hints(module._get_kwargs)["body"]
            file = File(BytesIO(call.content), file_name=call.name, mime_type=call.content_type)
            arguments["body"] = request(**{snake(call.operation.part): file})
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
        defaults = {"base_url": server.base_url, "timeout": Timeout(_PATIENCE), "retry": RetryPolicy(attempts=1)}
        if "oauth_token" not in options:
            defaults["api_key"] = server.api_key
        self._client: Any = (ChatClient if self.mode == "sync" else AsyncChatClient)(**(defaults | options))

    def close(self) -> None:
        if self.mode == "sync":
            self._client.close()
        else:
            self._loop.run(self._client.aclose())

    def expressible(self, call: Call) -> str | None:
        return "the wrapper sends the one part and nothing beside it" if call.extra else None

    def _send(self, call: Call) -> Any:
        arguments: dict[str, Any] = {snake(name): value for name, value in call.values.items()}
        if call.content is not None:
            arguments["file"] = call.content
        method = getattr(self._client, WRAPPER_METHODS[call.operation.id])
        done = method(name=call.name, content_type=call.content_type, **arguments)
        return done if self.mode == "sync" else self._loop.run(done)


def module_of(operation: Operation) -> Any:
    """The generated module of an operation."""
    return importlib.import_module(f"_yandex_market_chat_api.api.{snake(operation.tag)}.{snake(operation.id)}")


GENERATED = ("sync_detailed", "sync", "asyncio_detailed", "asyncio")
MODES = ("sync", "async")
NAMES = (*(f"generated.{entry_point}" for entry_point in GENERATED), *(f"wrapper.{mode}" for mode in MODES))


def make(name: str) -> Entrance:
    kind, _, which = name.partition(".")
    return GeneratedEntrance(which) if kind == "generated" else WrapperEntrance(which)
