"""What httpx is used for: its transports. Not its clients, which cost as much again for redirects and cookies."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

import httpcore
import httpx

from . import _async_network, _network
from ._route import Route

T = TypeVar("T")


class Held(Generic[T]):
    """Holds a transport. Slotted, so that `vars` does not go through it to the headers that a proxy is sent."""

    __slots__ = ("guard", "transport")

    def __init__(self, transport: T, guard: AsyncGenerator[None] | None = None) -> None:
        self.transport: T = transport
        self.guard = guard


def make_transport(route: Route) -> httpx.HTTPTransport:
    """Return the transport of a synchronous client."""
    transport = httpx.HTTPTransport(**route.arguments())
    _use(transport._pool, _network.Backend())
    return transport


def make_async_transport(route: Route) -> httpx.AsyncHTTPTransport:
    """Return the transport of an asynchronous client, for one event loop."""
    transport = httpx.AsyncHTTPTransport(**route.arguments())
    _use(transport._pool, _async_network.Backend())
    return transport


def _use(pool: object, backend: httpcore.NetworkBackend | httpcore.AsyncNetworkBackend) -> None:
    # httpx has no argument for it, httpcore's pools have; without it nothing works, as the tests would show.
    vars(pool)["_network_backend"] = backend
