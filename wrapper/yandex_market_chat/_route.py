"""The way to Market: what a client was told of it, checked and put together with what the environment says."""

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ._options import check_flag, refuse
from ._tls import context_for

DEFAULT_BASE_URL = "https://api.partner.market.yandex.ru"
LONGEST_URL = 2000
BASE_URL_VARIABLE = "YANDEX_MARKET_BASE_URL"


class Route:
    """Where the requests of a client go, and on what way; not changed after its creation."""

    def __init__(self, base_url: str | None, proxy: str | None, verify: object, keep_alive: bool) -> None:
        self.verify = _check_verify(verify)
        self.keep_alive = check_flag("keep_alive", keep_alive)
        if base_url is None:
            base_url = os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
        server = _check_url("base_url", base_url)
        if server.username is not None or server.query or server.fragment:
            refuse("base_url must be scheme, host and perhaps port and path, without user, query or fragment.")
        self.base_url = server.geturl().rstrip("/")
        self.url = httpx.URL(self.base_url)
        self.host = self.url.netloc.decode()
        found = _proxy_for(server) if proxy is None else proxy
        via = _check_url("proxy", found) if found else None
        self.proxy = ProxyAddress(via.geturl()) if via else None
        self.uses_tls = "https" in (server.scheme, via.scheme if via else None)

    def arguments(self) -> dict[str, Any]:
        """Return what both colours of transport take. Slow when a TLS context has to be made."""
        # Without a context httpx would read certificates for plain HTTP too; one that trusts anyone needs none.
        context = context_for(self.verify if self.uses_tls else False)
        own_context = context if self.proxy and self.proxy.startswith("https:") else None
        return {
            "verify": context,
            "trust_env": False,  # the environment was read when the client was made
            "proxy": httpx.Proxy(self.proxy, ssl_context=own_context) if self.proxy else None,
            # How many at once is decided by the places, before the transport is asked.
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=None if self.keep_alive else 0),
        }


class ProxyAddress(str):
    """The URL of a proxy; it may hold a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<address of the proxy>"


def _check_url(name: str, value: object) -> SplitResult:
    # A proxy's address may hold a password: never the value in the sentence.
    if not isinstance(value, str):
        refuse(f"{name} must be a str, not {type(value).__name__}.")
    if len(value) <= LONGEST_URL and all("!" <= character <= "~" for character in value):
        with suppress(ValueError, httpx.InvalidURL):
            parts = urlsplit(value)
            # What httpx, a resolver or TLS would refuse later with an error of its own.
            labels = httpx.URL(value).host.removesuffix(".").split(".")
            resolvable = parts.port != 0 and all(0 < len(label) < 64 for label in labels)
            if parts.scheme in ("http", "https") and parts.hostname and resolvable:
                return parts
    socks = name == "proxy" and value.startswith("socks")
    hint = "; SOCKS proxies are not supported" if socks else ""
    return refuse(f"{name} must be an ASCII URL with scheme http or https and a host{hint}.")


def _check_verify(verify: object) -> bool | str | ssl.SSLContext:
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    if not isinstance(verify, str | os.PathLike):
        refuse(f"verify must be True, False, a CA file or an ssl.SSLContext, not {type(verify).__name__}.")
    path = os.fspath(verify)
    # Looked at now, loaded when first needed: a wrong path must not wait for the first send to show.
    problem = None
    try:
        if b"-----BEGIN" not in Path(path).read_bytes():
            problem = "it holds no certificate in PEM form"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    if problem:
        refuse(f"verify names a CA file that cannot be used, {path!r}: {problem}.")
    return path


def _proxy_for(server: SplitResult) -> str | None:
    """Return the proxy that the environment names for this server (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."""
    proxies = getproxies()
    found = proxies.get(server.scheme) or proxies.get("all")
    if not found or proxy_bypass(server.netloc):
        return None
    return found if "://" in found else f"http://{found}"
