"""Ports that nobody else gets before a server begins to listen on them."""

from __future__ import annotations

import socket
import sys


def kept_port() -> tuple[socket.socket, int]:
    """Return what keeps a port, and the port: nobody listens on it, one server may, and no other socket gets it."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
    keeper.bind(("127.0.0.1", 0))
    port = keeper.getsockname()[1]
    if sys.platform != "linux":  # where two sockets are not bound to one port
        keeper.close()
    return keeper, port
