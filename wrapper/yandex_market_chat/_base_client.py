"""What both clients are made of, but for the waiting: their arguments, what they know, and how a send begins."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from ._api import build_request
from ._config import Config
from ._delivery import Rules
from ._file import FileLike, look_at, name_and_type
from ._options import RetryPolicy, Timeout, refuse
from ._places import Places
from ._quota import Allowances, Quota
from ._send import Send, logger
from ._version import __version__

Progress = Callable[[int, int], object]
Trace = Callable[[str, dict[str, Any]], None]
AsyncTrace = Callable[[str, dict[str, Any]], Awaitable[None]]

LARGEST_ID = 2**63 - 1  # int64 in the contract


class BaseClient:
    """The arguments, and all that needs no waiting."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        oauth_token: str | None = None,
        base_url: str | None = None,
        timeout: Timeout | float = Timeout(),  # noqa: B008  frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        max_file_size: int = 5 * 1024 * 1024,
        max_parallel: int = 4,
        integration: str | None = None,
        keep_alive: bool = False,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
    ) -> None:
        told = (api_key, oauth_token, base_url, timeout, retry, max_file_size, max_parallel, integration, keep_alive)
        self._config = Config(*told, verify, proxy)
        self._allowances = Allowances()
        self._rules = Rules(
            retry=self._config.retry, allowances=self._allowances, clock=time.monotonic, today=lambda: datetime.now(UTC)
        )
        self._closed = False
        self._start_anew()

    def _start_anew(self) -> None:
        """Forget places and connections: at the beginning, and in a forked child, whose parent goes on using them."""
        self._process = os.getpid()
        self._places = Places(self._config.max_parallel)
        self._forget_connections()

    def _forget_connections(self) -> None:
        raise NotImplementedError

    def _check_usable(self) -> None:
        if self._closed:
            refuse(f"This {type(self).__name__} is closed; make a new one.")
        if self._process != os.getpid():
            self._start_anew()

    def quota(self, business_id: int) -> Quota | None:
        """Return the hourly allowance of a business, as the server told it last.

        Args:
            business_id: the id of the business (the cabinet), from 1 to 2^63-1.

        Returns:
            The allowance; None if no answer for this business has told it yet. No request is made.

        Raises:
            InvalidRequestError: `business_id` is no valid id.
        """
        return self._allowances.of(_checked_id("business_id", business_id))

    def _begin(
        self,
        send: Send,
        file: FileLike | AsyncIterable[bytes],
        business_id: int,
        chat_id: int,
        name: str | None,
        content_type: str | None,
        timeout: Timeout | float | None,
        on_progress: Progress | None,
    ) -> None:
        """Check all that can be checked before the send's turn comes."""
        self._check_usable()
        send.business_id = _checked_id("business_id", business_id)
        send.chat_id = _checked_id("chat_id", chat_id)
        send.timeout = self._config.timeout.but(timeout)
        if send.timeout.total is not None:
            send.deadline = send.started + send.timeout.total
        send.name, send.content_type = name_and_type(file, name, content_type)
        send.file = look_at(file, self._config.max_file_size)
        send.size = send.file.size or 0
        if on_progress is not None:
            send.on_sent = _reporter(send, on_progress)

    def _request(self, send: Send, content: bytes, trace: Trace | AsyncTrace) -> httpx.Request:
        name, value = self._config.credentials.header()
        headers = {
            name: value,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"yandex-market-chat/{__version__}",
        }
        if self._config.integration:
            headers["X-Market-Integration"] = self._config.integration
        if not self._config.keep_alive:
            headers["Connection"] = "close"
        return build_request(
            self._config.base_url,
            headers,
            business_id=send.business_id,
            chat_id=send.chat_id,
            content=content,
            name=send.name,
            content_type=send.content_type,
            on_sent=send.on_sent,
            extensions={
                "timeout": {name: getattr(send.timeout, name) for name in ("connect", "read", "write")},
                "trace": trace,
            },
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._config.base_url}{' closed' if self._closed else ''}>"


def _checked_id(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(f"{name} must be an int, not {type(value).__name__}.")
    if not 1 <= value <= LARGEST_ID:
        refuse(f"{name} must be from 1 to {LARGEST_ID}.")
    return value


def _reporter(send: Send, report: Progress) -> Callable[[int], None]:
    failed = False

    def on_sent(sent: int) -> None:
        nonlocal failed
        if failed:
            return
        try:
            report(sent, send.size)
        except Exception as error:  # the caller's own code: whatever it raises must not turn a sent file into an error
            failed = True
            logger.error("on_progress raised %s and is not called again for this file", type(error).__name__)

    return on_sent
