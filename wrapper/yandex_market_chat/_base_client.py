"""What both clients are made of, but for the waiting: their arguments, what they know, and how a send begins."""

import logging
import os
import ssl
import time
import typing
from collections.abc import AsyncIterable, Callable
from datetime import UTC, datetime
from functools import cache
from inspect import iscoroutinefunction
from weakref import WeakSet

import httpx

from ._credentials import Credentials
from ._delivery import Rules
from ._errors import InvalidRequestError
from ._file import File, FileLike, look_at, name_and_type
from ._options import RetryPolicy, Timeout, check_count, check_integration, refuse
from ._places import Places
from ._quota import Allowances, Quota
from ._route import Route
from ._send import Send, tell
from ._tls import renew_lock
from ._transport import make_request
from ._version import __version__

if typing.TYPE_CHECKING:
    from ._api import Call

Progress = Callable[[int, int], object]

LARGEST_ID = 2**63 - 1  # int64 in the contract


class BaseClient:
    """The arguments, and all that needs no waiting."""

    _forget_connections: Callable[[], None]
    """Of each colour: begin without connections."""

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
        refused: InvalidRequestError | None = None
        try:
            self._timeout = Timeout().but(timeout)
            if not isinstance(retry, RetryPolicy):
                refuse(f"retry must be a RetryPolicy, not {type(retry).__name__}.")
            self._max_file_size = check_count("max_file_size", max_file_size)
            self._max_parallel = check_count("max_parallel", max_parallel)
            self._route = Route(base_url, proxy, verify, keep_alive)
            headers = {"Host": self._route.host} | _headers(integration, keep_alive)
            self._credentials = Credentials(api_key, oauth_token, self._route.proxy, headers)
        except InvalidRequestError as error:
            refused = error
        # A traceback may be shown with the locals of its frames: this one's must not hold a secret.
        del api_key, oauth_token, base_url, proxy
        if refused is not None:
            raise refused.with_traceback(None)
        self._allowances = Allowances()
        self._rules = Rules(retry, self._allowances, time.monotonic, lambda: datetime.now(UTC))
        self._closed = False
        self._inherited: list[object] = []
        self._start_anew()
        _clients.add(self)

    def _start_anew(self) -> None:
        """Begin without places and connections: at the beginning, and in a forked child."""
        self._places = Places(self._max_parallel)
        self._forget_connections()
        self._allowances.renew_lock()

    def _check_usable(self) -> None:
        if self._closed:
            refuse(f"This {type(self).__name__} is closed; make a new one.")

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
        self, send: Send, business_id: int, chat_id: int, timeout: Timeout | float | None, on_progress: Progress | None
    ) -> None:
        """Check what a send was told, but for the file."""
        self._check_usable()
        try:
            send.chat_id = _checked_id("chat_id", chat_id)
        finally:  # so that the error about the one tells the other
            send.business_id = _checked_id("business_id", business_id)
        send.timeout = self._timeout.but(timeout)
        if send.timeout.total is not None:
            send.deadline = send.started + send.timeout.total
        if on_progress is not None:
            if not callable(on_progress) or iscoroutinefunction(on_progress):
                refuse("on_progress must be a function (not async) of two numbers.")
            send.on_sent = _reporter(send, on_progress)

    def _look_at(
        self, send: Send, file: FileLike | AsyncIterable[bytes], name: str | None, content_type: str | None
    ) -> File:
        """Check all of the file that can be checked before it is read."""
        send.name, send.content_type = name_and_type(file, name, content_type)
        found = look_at(file, self._max_file_size)
        send.size = found.size or 0
        return found

    def _request(self, send: Send, content: bytes) -> httpx.Request:
        call = _call_type()(send.business_id, send.chat_id, send.name, content, send.content_type, send.on_sent)
        return make_request(self._route.url, self._credentials.headers, call, send.timeout)

    def __repr__(self) -> str:
        if not hasattr(self, "_closed"):  # shown in the traceback of a refused argument
            return f"<{type(self).__name__} not made>"
        return f"<{type(self).__name__} {self._route.base_url}{' closed' if self._closed else ''}>"


@cache
def _call_type() -> "type[Call]":
    from ._api import Call  # when first needed: as long as all else of the import takes

    return Call


_clients: WeakSet[BaseClient] = WeakSet()


def _begin_as_child() -> None:
    """Let go of what belongs to the parent of a forked process: locks that another thread held, places, connections."""
    renew_lock()
    for client in list(_clients):
        # Kept, not closed: the parent goes on using them, and asyncio would take them out of what both watch.
        client._inherited.append(vars(client).copy())
        client._start_anew()


# Windows has it not: there nothing forks.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_as_child)


def _headers(integration: str | None, keep_alive: bool) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"yandex-market-chat/{__version__}",
    }
    if integration is not None:
        headers["X-Market-Integration"] = check_integration(integration)
    return headers if keep_alive else headers | {"Connection": "close"}


def _checked_id(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(f"{name} must be an int, not {type(value).__name__}.")
    if not 1 <= value <= LARGEST_ID:
        refuse(f"{name} must be from 1 to {LARGEST_ID}.")
    return int.__index__(value)  # of a subclass the plain number, whatever it prints as


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
            text = "on_progress raised %s and is not called again for this file"
            tell(logging.ERROR, text, type(error).__name__, extra=send.describe())

    return on_sent
