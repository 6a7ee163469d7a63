"""The way to Market: where requests go, through which proxy, and whom TLS trusts.

What a client was told is checked and put together with what the environment says, once, when the client is made. The
certificates alone are loaded when first needed.
"""

import os
import re
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ._options import refuse

DEFAULT_BASE_URL = "https://api.partner.market.yandex.ru"
LONGEST_URL = 2000
BASE_URL_VARIABLE = "YANDEX_MARKET_BASE_URL"
_PORTS = {"http": 80, "https": 443}


class Route:
    """Where the requests of a client go, and on what way; but for the certificates not changed after its creation."""

    def __init__(self, base_url: str | None, proxy: str | None, verify: object) -> None:
        self._verify = _check_verify(verify)
        source, given = "base_url", base_url
        if given is None and (given := os.environ.get(BASE_URL_VARIABLE)):
            source = f"${BASE_URL_VARIABLE}"
        server = _check_url(source, given or DEFAULT_BASE_URL if base_url is None else base_url)
        if server.username is not None:
            refuse(f"{source} must be scheme, host and perhaps port and path, without a user.")
        if re.search("/v2(/|$)", server.path):
            refuse(f"{source} must end before /v2, with which the paths of the API begin.")
        self.base_url = server.geturl().rstrip("/")
        self.host = httpx.URL(self.base_url).netloc.decode()
        variable, found = _proxy_for(server) if proxy is None else ("proxy", proxy)
        via = _check_url(variable, found) if found else None
        self.proxy = ProxyAddress(via.geturl()) if via else None
        self.peer = _peer(server) + (f" through the proxy {_peer(via)}" if via else "")
        self.ready = "https" not in (server.scheme, via.scheme if via else None)
        """Whether nothing has to be loaded any more."""
        self._context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Load the certificates to trust, which may take some 20 to 50 ms.

        Raises:
            InvalidRequestError: they cannot be loaded; the text names the setting at fault.
        """
        if not self.ready:
            self._context = _context_for(self._verify)
            self.ready = True

    def connection(self, pool: Any, backend: object) -> Any:
        """Return a connection, not opened yet, of the kind that a pool of httpcore's makes, on a network of ours."""
        import httpcore  # as httpx does: with the first send

        proxy = None
        if self.proxy is not None:
            url = httpx.URL(self.proxy)
            auth = (url.username.encode(), url.password.encode()) if url.userinfo else None
            context = self._context if url.scheme == "https" else None
            proxy = httpcore.Proxy(str(url), auth, ssl_context=context)
        made = pool(ssl_context=self._context, proxy=proxy, network_backend=backend)
        return made.create_connection(httpcore.URL(self.base_url).origin)


class ProxyAddress(str):
    """The URL of a proxy; it may hold a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<address of the proxy>"


def _peer(address: SplitResult) -> str:
    host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
    return f"{host}:{address.port or _PORTS[address.scheme]}"


def _check_url(source: str, value: object) -> SplitResult:
    # A proxy's address may hold a password: never the value in the sentence.
    if not isinstance(value, str):
        refuse(f"{source} must be a str, not {type(value).__name__}.")
    if len(value) <= LONGEST_URL and all("!" <= character <= "~" for character in value):
        with suppress(ValueError, httpx.InvalidURL):
            parts = urlsplit(value)
            # What httpx, a resolver or TLS would refuse later with an error of its own.
            labels = httpx.URL(value).host.removesuffix(".").split(".")
            usable = parts.port != 0 and all(0 < len(label) < 64 for label in labels) and not set("\"'") & {*value}
            if parts.scheme in _PORTS and parts.hostname and usable and not (parts.query or parts.fragment):
                return parts
    hint = "; SOCKS proxies are not supported" if value.startswith("socks") else ""
    if source.lower().endswith("_proxy"):
        hint += ". To go without a proxy, unset it, or list the server in NO_PROXY"
    elif source == "proxy":
        hint += '. proxy="" goes without'
    return refuse(
        f"{source} must be an ASCII URL with scheme http or https and a host, without query or fragment{hint}."
    )


def _proxy_for(server: SplitResult) -> tuple[str, str | None]:
    """Return the variable and the value that name the proxy for this server (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)."""
    proxies = getproxies()
    scheme = server.scheme if proxies.get(server.scheme) else "all"
    found = proxies.get(scheme)
    covered = any(_covers(entry, server) for entry in proxies.get("no", "").split(","))
    if not found or covered or proxy_bypass(server.netloc):  # what else the system says
        return "", None
    # Lower case comes first, as for urllib.
    names = [name for name in sorted(os.environ, reverse=True) if name.lower() == f"{scheme}_proxy"]
    return f"${names[0]}" if names else "the system's proxy", found if "://" in found else f"http://{found}"


def _covers(entry: str, server: SplitResult) -> bool:
    """Whether an entry of NO_PROXY covers a server: "*", an address, a network, or a name that may have a port."""
    entry, host = entry.strip().lower(), (server.hostname or "").rstrip(".")
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    with suppress(ValueError):
        parts = urlsplit(f"//{entry}")
        name = (parts.hostname or "").removeprefix("*").strip(".")
        same = host == name or host.endswith(f".{name}")
        return entry == "*" or (bool(name) and same and parts.port in (None, server.port or _PORTS[server.scheme]))
    return False


# What TLS trusts: each context is made once in a process, and shared by all clients.

_lock = threading.Lock()


def renew_lock() -> None:
    """Forget the lock, in a forked child: it may be held by a thread that only the parent has."""
    global _lock
    _lock = threading.Lock()


def _check_verify(verify: object) -> Any:
    # By what it does: truststore, injected, puts another class in the place of ssl.SSLContext.
    if isinstance(verify, bool) or callable(getattr(verify, "wrap_bio", None)):
        return verify
    if not isinstance(verify, str | os.PathLike):
        refuse(f"verify must be True, False, a CA file or an ssl.SSLContext, not {type(verify).__name__}.")
    return _context_for(os.fspath(verify))


def _context_for(verify: Any) -> ssl.SSLContext:
    """Return the context for what a client was told to trust. True: $SSL_CERT_FILE or $SSL_CERT_DIR, else certifi."""
    if not isinstance(verify, bool | str):
        return verify  # type: ignore[no-any-return]  # a context of the caller's
    settings = [_usable("SSLKEYLOGFILE", partial(open, mode="ab"))]
    if verify is True:
        settings += [_usable("SSL_CERT_FILE", open), _usable("SSL_CERT_DIR", os.scandir)]
    try:
        with _lock:
            changed = os.stat(verify).st_mtime_ns if isinstance(verify, str) else 0
            return _make_context(verify, changed, *settings)
    except (OSError, ValueError) as error:
        what = f"verify names a CA file that cannot be used, {verify!r}" if isinstance(verify, str) else "SSL_CERT_FILE"
        refuse(f"The certificates to trust cannot be loaded: {what}: {getattr(error, 'strerror', None) or error}.")


def _usable(variable: str, look: Callable[[str], Any]) -> str | None:
    value = os.environ.get(variable)
    try:
        for path in (value or "").split(os.pathsep) if variable.endswith("DIR") else [value]:
            if path:
                look(path).close()
    except OSError as error:
        refuse(f"${variable} names {value!r}, which cannot be used: {error.strerror}.")
    return value


@cache
def _make_context(verify: bool | str, changed: int, *settings: str | None) -> ssl.SSLContext:
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return httpx.create_ssl_context(verify=verify)
