"""What httpx is used for: its transports. Not its clients, which cost as much again for redirects and cookies."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

import httpcore
import httpx

from . import _async_network, _network
from ._config import Config
from ._tls import context_for

T = TypeVar("T")


def _arguments(config: Config) -> dict[str, object]:
    """Return what both colours of transport take. Slow when a TLS context has to be made: see `_tls.is_ready`."""
    # Without a context httpx would read certificates for plain HTTP too; one that trusts anyone needs none.
    context = context_for(config.verify if config.uses_tls else False)
    proxy = None
    if config.proxy is not None:
        own_context = context if config.proxy.startswith("https:") else None
        proxy = httpx.Proxy(config.proxy, ssl_context=own_context)
    return {
        "verify": context,
        "trust_env": False,  # the environment was read when the client was made
        "proxy": proxy,
        # How many at once is decided by the places, before the transport is asked.
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=None if config.keep_alive else 0),
    }


class Held(Generic[T]):
    """Holds a transport. Slotted, so that `vars` does not go through it to the headers that a proxy is sent."""

    __slots__ = ("guard", "transport")

    def __init__(self, transport: T, guard: AsyncGenerator[None] | None = None) -> None:
        self.transport: T = transport
        self.guard = guard


def make_transport(config: Config) -> httpx.HTTPTransport:
    """Return the transport of a synchronous client."""
    transport = httpx.HTTPTransport(**_arguments(config))  # type: ignore[arg-type]  # a dict of several types
    _use(transport._pool, _network.Backend())
    return transport


def make_async_transport(config: Config) -> httpx.AsyncHTTPTransport:
    """Return the transport of an asynchronous client, for one event loop."""
    transport = httpx.AsyncHTTPTransport(**_arguments(config))  # type: ignore[arg-type]  # a dict of several types
    _use(transport._pool, _async_network.Backend())
    return transport


def _use(pool: object, backend: httpcore.NetworkBackend | httpcore.AsyncNetworkBackend) -> None:
    # httpx has no argument for it, httpcore's pools have; without it nothing works, as the tests would show.
    vars(pool)["_network_backend"] = backend
