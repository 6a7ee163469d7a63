"""The arguments of a client, checked at its creation and put together with what the environment says."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ._credentials import Credentials
from ._options import RetryPolicy, Timeout, check_count, check_flag, refuse

DEFAULT_BASE_URL = "https://api.partner.market.yandex.ru"
LONGEST_URL = 2000
BASE_URL_VARIABLE = "YANDEX_MARKET_BASE_URL"


class Config:
    """What a client was told; not changed after its creation."""

    def __init__(
        self,
        api_key: str | None,
        oauth_token: str | None,
        base_url: str | None,
        timeout: Timeout | float,
        retry: RetryPolicy,
        max_file_size: int,
        max_parallel: int,
        integration: str | None,
        keep_alive: bool,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext,
        proxy: str | None,
    ) -> None:
        self.timeout = Timeout().but(timeout)
        if not isinstance(retry, RetryPolicy):
            refuse(f"retry must be a RetryPolicy, not {type(retry).__name__}.")
        self.retry = retry
        self.max_file_size = check_count("max_file_size", max_file_size)
        self.max_parallel = check_count("max_parallel", max_parallel)
        self.integration = _check_integration(integration)
        self.keep_alive = check_flag("keep_alive", keep_alive)
        self.verify = _check_verify(verify)
        if base_url is None:
            base_url = os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
        server = _check_url("base_url", base_url)
        if server.username is not None or server.query or server.fragment:
            refuse("base_url must be scheme, host and perhaps port and path, without user, query or fragment.")
        self.base_url = server.geturl().rstrip("/")
        found = _proxy_for(server) if proxy is None else proxy
        via = _check_url("proxy", found) if found else None
        self.credentials = Credentials(api_key, oauth_token, via)
        self.proxy = ProxyAddress(via.geturl()) if via else None
        self.uses_tls = "https" in (server.scheme, via.scheme if via else None)


class ProxyAddress(str):
    """The URL of a proxy; it may hold a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<address of the proxy>"


def _check_url(name: str, value: object) -> SplitResult:
    # A proxy's address may hold a password: never the value in the sentence.
    if not isinstance(value, str):
        refuse(f"{name} must be a str, not {type(value).__name__}.")
    parts = None
    if len(value) <= LONGEST_URL and all("!" <= character <= "~" for character in value):
        try:
            parts = urlsplit(value)
            well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            # What httpx, a resolver or TLS would refuse later with an error of its own.
            well_formed = well_formed and all(0 < len(label) < 64 for label in _labels(httpx.URL(value)))
        except (ValueError, httpx.InvalidURL):
            well_formed = False
        if parts is not None and well_formed:
            return parts
    socks = name == "proxy" and value.startswith("socks")
    hint = "; SOCKS proxies are not supported" if socks else ""
    return refuse(f"{name} must be an ASCII URL with scheme http or https and a host{hint}.")


def _labels(url: httpx.URL) -> list[str]:
    return url.host.removesuffix(".").split(".")


def _check_integration(value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not (0 < len(value) <= 100) or any(not " " <= c <= "~" for c in value):
        refuse('integration must be "name/version": printable ASCII, at most 100 characters.')
    if value != value.strip() or not all(value.partition("/")[::2]):
        refuse('integration must be "name/version".')
    return value


def _check_verify(verify: bool | str | os.PathLike[str] | ssl.SSLContext) -> bool | str | ssl.SSLContext:
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
