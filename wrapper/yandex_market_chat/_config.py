"""What a client is told once, at its creation: checked there, and frozen."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from ._errors import InvalidRequestError

DEFAULT_BASE_URL = "https://api.partner.market.yandex.ru"
LONGEST_TIMEOUT = 1_000_000
API_KEY_VARIABLE = "YANDEX_MARKET_API_KEY"
BASE_URL_VARIABLE = "YANDEX_MARKET_BASE_URL"


def refuse(reason: str) -> NoReturn:
    """Raise the error of an argument that is refused here."""
    raise InvalidRequestError._because(reason)


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIMEOUT:
        refuse(f"{name} must be a number of seconds, more than 0 and at most {LONGEST_TIMEOUT}, not {value!r:.100}.")


def check_count(name: str, value: object) -> None:
    """Refuse what is not a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        refuse(f"{name} must be a whole number from 1, not {value!r}.")


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long a send may take, in seconds.

    Args:
        total: bounds everything: waiting for a place, every attempt, the pauses between them. None: no bound.
        connect: for each step of making a connection (TCP, TLS, through a proxy).
        write: for each write.
        read: for each read, so also for the first byte of the answer.

    What it cannot bound, in `ChatClient`: name resolution, and the caller's own blocking `read()`.

    Raises:
        InvalidRequestError: a value is not more than 0, or more than a million seconds.
    """

    total: float | None = 120.0
    connect: float = 5.0
    write: float = 30.0
    read: float = 30.0

    def __post_init__(self) -> None:
        if self.total is not None:
            _check_seconds("Timeout.total", self.total)
        for name in ("connect", "write", "read"):
            _check_seconds(f"Timeout.{name}", getattr(self, name))

    def but(self, other: Timeout | float | None) -> Timeout:
        """Return the timeout that one call asked for: all of it, its total alone, or (None) no change."""
        if other is None or isinstance(other, Timeout):
            return other or self
        _check_seconds("timeout", other)
        return replace(self, total=float(other))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What is repeated without asking.

    Args:
        attempts: requests per send at most, the first one included (from 1). Only what provably did not reach the chat
            is repeated: connections that could not be made, and 420.
        resend_unknown: also repeat when nobody can know whether the file arrived (connection lost, no answer, 5xx). The
            buyer may then get the file more than once: the API has no idempotency key.

    Raises:
        InvalidRequestError: `attempts` is not a whole number from 1.
    """

    attempts: int = 4
    resend_unknown: bool = False

    def __post_init__(self) -> None:
        check_count("RetryPolicy.attempts", self.attempts)


class Credentials:
    """The secret that goes into one request header, and nowhere else.

    Not a dataclass, and slotted: `repr`, `vars`, a debugger's list of locals and pickle show nothing of it.
    """

    __slots__ = ("_header", "_secrets")

    def __init__(self, api_key: str | None, oauth_token: str | None, proxy_password: str | None) -> None:
        if api_key is not None and oauth_token is not None:
            refuse("Both api_key and oauth_token were given; pass at most one.")
        if oauth_token is not None:
            self._header = ("Authorization", f"Bearer {_check_secret('oauth_token', oauth_token)}")
        else:
            source = "api_key"
            if api_key is None:
                source, api_key = f"${API_KEY_VARIABLE}", os.environ.get(API_KEY_VARIABLE)
            if api_key is None:
                refuse(f"No credentials: pass api_key=..., or set {API_KEY_VARIABLE}.")
            self._header = ("Api-Key", _check_secret(source, api_key))
        self._secrets = tuple(filter(None, (self._header[1].removeprefix("Bearer "), proxy_password)))

    def header(self) -> tuple[str, str]:
        """Return the request header that proves who asks."""
        return self._header

    def redact(self, text: str) -> str:
        """Return text from elsewhere without the secrets: a server or proxy may echo what it was sent."""
        for secret in self._secrets:
            text = text.replace(secret, "[removed]")
        return text

    def redact_bytes(self, content: bytes) -> bytes:
        """Do the same for bytes."""
        for secret in self._secrets:
            content = content.replace(secret.encode(), b"[removed]")
        return content

    def __repr__(self) -> str:
        return f"<credentials for {self._header[0]}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials cannot be pickled or copied")


def _check_secret(source: str, value: object) -> str:
    # Never the value in the sentence, not even a part of it.
    if not isinstance(value, str):
        refuse(f"{source} must be a str, not {type(value).__name__}.")
    if not value:
        refuse(f"{source} is empty.")
    if any(not "!" <= character <= "~" for character in value):
        refuse(f"{source} must be printable ASCII without blanks or line breaks (is there a line break at its end?).")
    return value


@dataclass(frozen=True, slots=True)
class Config:
    """The arguments of a client, checked."""

    base_url: str
    timeout: Timeout
    retry: RetryPolicy
    max_file_size: int
    max_parallel: int
    integration: str | None
    keep_alive: bool
    verify: bool | str | ssl.SSLContext
    proxy: str | None = field(repr=False)  # may hold a password
    credentials: Credentials

    @property
    def uses_tls(self) -> bool:
        """Whether a TLS context will be needed."""
        return self.base_url.startswith("https:") or bool(self.proxy and self.proxy.startswith("https:"))


def configure(
    *,
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
) -> Config:
    """Check the arguments of a client and put them together with what the environment says."""
    check_count("max_file_size", max_file_size)
    check_count("max_parallel", max_parallel)
    if not isinstance(retry, RetryPolicy):
        refuse(f"retry must be a RetryPolicy, not {type(retry).__name__}.")
    server = _check_url("base_url", base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)
    if server.username is not None or server.query or server.fragment:
        refuse("base_url must be scheme, host and perhaps port and path, without user, query or fragment.")
    if integration is not None:
        _check_integration(integration)
    via = _proxy_for(server) if proxy is None else proxy
    password = _check_url("proxy", via).password if via else None
    return Config(
        base_url=server.geturl().rstrip("/"),
        timeout=Timeout().but(timeout),
        retry=retry,
        max_file_size=max_file_size,
        max_parallel=max_parallel,
        integration=integration,
        keep_alive=bool(keep_alive),
        verify=_check_verify(verify),
        proxy=via or None,
        credentials=Credentials(api_key, oauth_token, password),
    )


def _check_url(name: str, value: object) -> SplitResult:
    # A proxy's address may hold a password: never the value in the sentence.
    if not isinstance(value, str):
        refuse(f"{name} must be a str, not {type(value).__name__}.")
    parts = None
    if all("!" <= character <= "~" for character in value):
        try:
            parts = urlsplit(value)
            well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            # What a resolver or TLS would refuse later with an error of its own.
            well_formed = well_formed and all(0 < len(label) < 64 for label in _labels(parts))
        except ValueError:
            well_formed = False
        if parts is not None and well_formed:
            return parts
    if name == "proxy" and parts is not None and parts.scheme.startswith("socks"):
        refuse("SOCKS proxies are not supported; use an http:// or https:// proxy.")
    refuse(f"{name} must be an ASCII URL with scheme http or https and a host.")


def _labels(parts: SplitResult) -> list[str]:
    return (parts.hostname or "").removesuffix(".").split(".")


def _check_integration(value: object) -> None:
    if not isinstance(value, str) or not (0 < len(value) <= 100) or any(not " " <= c <= "~" for c in value):
        refuse('integration must be "name/version": printable ASCII, at most 100 characters.')
    if value != value.strip() or not all(value.partition("/")[::2]):
        refuse('integration must be "name/version".')


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
