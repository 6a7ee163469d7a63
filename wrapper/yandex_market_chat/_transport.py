"""What httpx is used for: its transports. Not its clients, which cost as much again for redirects and cookies."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from ._route import Route

T = TypeVar("T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


@dataclass(slots=True)
class Held(Generic[T]):
    """Holds a transport. Slotted, so that `vars` does not go through it to the headers that a proxy is sent."""

    transport: T
    guard: AsyncGenerator[None] | None = None


def make_transport(kind: type[T], backend: object, route: Route) -> T:
    """Return the transport of a synchronous client, or of an asynchronous one for one event loop."""
    transport = kind(**route.arguments())
    # httpx has no argument for it, httpcore's pools have; without it nothing works, as the tests would show.
    vars(transport._pool)["_network_backend"] = backend
    return transport
