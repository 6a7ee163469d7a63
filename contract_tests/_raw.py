"""Requests as bytes, and answers read without anybody's HTTP client."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RawAnswer:
    """An answer, its headers by their names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(base_url: str, tls: ssl.SSLContext | None = None) -> socket.socket:
    address = urlsplit(base_url)
    port = address.port or (443 if tls else 80)
    connection = socket.create_connection((address.hostname, port), timeout=30)
    return tls.wrap_socket(connection, server_hostname=address.hostname) if tls else connection


def exchange(base_url: str, request: bytes, method: str = "POST", tls: ssl.SSLContext | None = None) -> RawAnswer:
    """Send the bytes on a connection of their own, and read one answer."""
    with connect(base_url, tls) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            body = response.read()
        finally:
            response.close()
    return RawAnswer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
