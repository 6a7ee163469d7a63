"""What httpx is used for: its transports. Not its clients, which cost as much again for redirects and cookies."""

from __future__ import annotations

import httpcore
import httpx

from ._config import Config
from ._network import BoundedBackend
from ._tls import context_for


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


def make_transport(config: Config) -> httpx.HTTPTransport:
    """Return the transport of a synchronous client."""
    transport = httpx.HTTPTransport(**_arguments(config))  # type: ignore[arg-type]  # a dict of several types
    # httpx has no argument for it, httpcore's pools have; a test fails when this no longer takes effect.
    pool: httpcore.ConnectionPool = transport._pool
    pool._network_backend = BoundedBackend()
    return transport


def make_async_transport(config: Config) -> httpx.AsyncHTTPTransport:
    """Return the transport of an asynchronous client, for one event loop."""
    return httpx.AsyncHTTPTransport(**_arguments(config))  # type: ignore[arg-type]  # a dict of several types
