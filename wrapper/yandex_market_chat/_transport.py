"""What httpx is used for: its requests and its transports. Not its clients, which cost as much again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import httpx

from ._options import Timeout
from ._route import Route

if TYPE_CHECKING:
    from ._api import Call

T = TypeVar("T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


def make_transport(kind: type[T], backend: object, route: Route) -> T:
    """Return the transport of a synchronous client, or of an asynchronous one for one event loop."""
    from ._connections import Connections  # with httpcore, which httpx too imports here

    transport = kind(**route.arguments())
    # httpx has no arguments for these two. Were they elsewhere, nothing would work, as the tests would show.
    vars(transport._pool)["_network_backend"] = backend
    vars(transport)["_pool"] = Connections(transport._pool)
    return transport


def make_request(url: httpx.URL, headers: httpx.Headers, call: Call, timeout: Timeout) -> httpx.Request:
    """Return the request of an attempt, from what all requests of a client have in common and what this one has.

    By httpx alone URL and headers would be read anew each time, which takes longer than all else of it.
    """
    seconds = {"connect": timeout.connect, "read": timeout.read, "write": timeout.write}
    request = httpx.Request(call.method, url, headers=headers, stream=call, extensions={"timeout": seconds})
    parts = url._uri_reference
    request.url._uri_reference = parts._replace(path=parts.path.rstrip("/") + call.path, query=call.query)
    request.headers._list += [(name.encode(), name.lower().encode(), value.encode()) for name, value in call.headers]
    return request
