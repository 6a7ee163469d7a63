"""Where calls are made: a mock server, the six entrances to it, and the record of what a call did on the wire."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from yandex_market_chat.testing import Answer, Fault, MockServer, ReceivedFile, ReceivedRequest

from . import _counts
from ._call import Call, Outcome
from ._entrances import Entrance, make
from ._recording import RecordedAnswer

# A server keeps what it received; a new one now and then keeps the memory small and the search in the journal short.
_ACTS_PER_SERVER = 100
_BYTES_PER_SERVER = 16 * 1024 * 1024


@dataclass(frozen=True)
class Act:
    """One call through one entrance: what the client said, and what the wire says."""

    entrance: Entrance
    call: Call
    outcome: Outcome
    requests: tuple[ReceivedRequest, ...]
    files: tuple[ReceivedFile, ...]
    answers: tuple[RecordedAnswer, ...]
    base_url: str
    api_key: str


class Stage:
    """Makes calls. One per process, since what is dear (servers, clients, an event loop) is kept from test to test."""

    def __init__(self, answers: list[RecordedAnswer], **server: Any) -> None:
        self._answers = answers
        self._options = server
        self._loop = asyncio.Runner()
        self._server: MockServer | None = None
        self._entrances: dict[tuple[str, str], Entrance] = {}
        self._acts = self._bytes = 0

    @property
    def server(self) -> MockServer:
        if self._server is None:
            self._server = MockServer(**self._options).start()
        return self._server

    def act(self, name: str, call: Call, *script: Answer | Fault, **options: Any) -> Act:
        """Make the call through the entrance of that name, with that next on the server's script."""
        self.renew_if_full(len(call.content or b""))
        server, entrance = self.server, self._entrance(name, options)
        del self._answers[:]
        requests, files = len(server.requests), len(server.received)
        server.script_on(call.operation.id, *script)
        outcome = entrance.send(call)
        self._settle(server)
        act = Act(
            entrance,
            call,
            outcome,
            server.requests[requests:],
            server.received[files:],
            tuple(self._answers),
            server.base_url,
            server.api_key,
        )
        if server.script_left or any(request.status is None for request in act.requests):
            self.renew()  # what is left over must not meet the next call
        self._count(act)
        return act

    def renew(self) -> None:
        """Begin with a new server and new clients at the next call."""
        for entrance in self._entrances.values():
            entrance.close()
        self._entrances.clear()
        if self._server is not None:
            self._server.stop()
        self._server = None
        self._acts = self._bytes = 0

    def close(self) -> None:
        self.renew()
        self._loop.close()

    def renew_if_full(self, size: int) -> None:
        """To be told before something of that size is sent."""
        self._acts += 1
        self._bytes += size
        if self._acts > _ACTS_PER_SERVER or self._bytes > _BYTES_PER_SERVER:
            self.renew()

    def _entrance(self, name: str, options: dict[str, Any]) -> Entrance:
        key = name, repr(sorted(options.items()))
        if key not in self._entrances:
            entrance = make(name)
            entrance.open(self.server, self._loop, **options)
            self._entrances[key] = entrance
        return self._entrances[key]

    @staticmethod
    def _settle(server: MockServer) -> None:
        """Wait until nothing more can be noted of what was sent; a server that was told to be silent never ends."""
        end = time.monotonic() + 0.2
        while server.in_flight and time.monotonic() < end:
            time.sleep(0.001)

    @staticmethod
    def _count(act: Act) -> None:
        operation, kind, mode = act.call.operation, act.entrance.kind, act.entrance.mode
        for answer in act.answers:
            _counts.status(operation.id, kind, mode, answer.status)
        given = {field.name: value for field, value in act.call.given()}
        for field in operation.fields:
            if field.name not in given:
                _counts.side(operation.id, kind, mode, field.name, "left out")
                continue
            for side in field.kind.sides:
                if type(given[field.name]) is type(side.value) and given[field.name] == side.value:
                    _counts.side(operation.id, kind, mode, field.name, side.name)
