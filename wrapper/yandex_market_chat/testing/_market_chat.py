"""What the pytest fixture `market_chat` is: a server, clients for it, and what was wrong at the end of a test."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any, Final, Self

from .. import AsyncChatClient, ChatClient, Timeout
from ._journal import ReceivedRequest
from ._script import Step
from ._server import MockServer

# Enough for a server next door, and a silence ends soon.
_OPTIONS: Final[dict[str, Any]] = {"timeout": Timeout(total=30, write=2, read=2), "confirm_unknown": 1.0, "proxy": ""}


class MarketChat(MockServer):
    """The fixture `market_chat`: a running `MockServer` with a client of each mode that is set up for it.

    A valid request gets the documented 200, unless an answer or fault was scripted for it (`script`, `script_for`,
    `script_on`). The test fails if a request broke the contract and nothing was scripted for it, and if something
    scripted was not used; `@pytest.mark.market_chat(allow_violations=True, allow_unused=True)` relaxes either.

    The clients wait at most 2 s for each read and write, and 30 s in all, so that a silence soon ends as
    ResponseTimeoutError, and read the history for 1 s after an unknown outcome. Setting or moving the clock makes them
    forget what they know of quotas: a spent quota is renewed by `clock.move(3600)`.
    """

    @cached_property
    def client(self) -> ChatClient:
        """A `ChatClient` of this server, whatever proxies and keys the environment names."""
        return ChatClient(api_key=self.api_key, base_url=self.base_url, **_OPTIONS)

    @cached_property
    def async_client(self) -> AsyncChatClient:
        """An `AsyncChatClient` of this server; usable in one event loop after another."""
        # Nobody closes it: it keeps no connection between two sends, so it holds nothing to be closed.
        return AsyncChatClient(api_key=self.api_key, base_url=self.base_url, **_OPTIONS)

    def start(self) -> Self:
        """Begin to listen; connections are accepted when it returns. RuntimeError if it was started before."""
        super().start()
        self.clock._on_change = self._forget_quotas
        return self

    def _forget_quotas(self) -> None:
        """Let the clients ask again: they measure on a clock of their own, which no test can move."""
        for name in ("client", "async_client"):
            if name in vars(self):
                vars(self)[name]._rules.quotas.forget()

    def stop(self) -> None:
        """End the server and the client."""
        if "client" in vars(self):
            self.client.close()
        super().stop()

    def violations(self) -> tuple[str, ...]:
        """Say, each in a line, what broke the contract without being scripted."""
        present = [request for request in self.requests if request.violation and not request.scripted]
        forgotten = [request for request in self._service.journal.violations if request not in present]
        return tuple(map(_violation, forgotten + present))

    def unused(self) -> tuple[str, ...]:
        """Say, each in a line, what was scripted and not used."""
        return tuple(map(_step, self._service.script.left))


def _violation(request: ReceivedRequest) -> str:
    # Of the query nothing but what the sentence says: it may hold what should have been in a header.
    line = f"{request.method} {request.path}"[:200].strip() or "what was no request"
    return f"{line!r} was answered {request.status or 'nothing'}: {request.violation}"


def _step(scripted: Step) -> str:
    step = scripted.source
    shown = {field.name: getattr(step, field.name) for field in fields(step) if field.name != "off_contract"}
    defaults = {field.name: field.default for field in fields(step)}
    told = ", ".join(
        f"{name}={value!r}"[:100] for name, value in shown.items() if name == "status" or value != defaults[name]
    )
    return f"{type(step).__name__}({told}), on {scripted.operation}"
