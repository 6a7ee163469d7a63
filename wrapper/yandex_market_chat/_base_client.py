"""What both clients are made of, but for the waiting: their arguments, what they know, and how a send begins."""

import logging
import os
import ssl
import typing
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from inspect import iscoroutinefunction
from weakref import WeakSet

import httpx

from ._attempt import Attempt
from ._claims import Claims
from ._credentials import Credentials
from ._delivery import deliver
from ._errors import DeliveryUnknownError, InvalidRequestError
from ._file import File, look_at, name_and_type
from ._options import Options, RetryPolicy, Timeout, refuse
from ._quota import Quota, Quotas
from ._route import Route, renew_lock
from ._send import Send, SentFile, log_safely
from ._slots import Slots
from ._steps import SEND_FILE, MakeRequest, Rules, Steps
from ._version import __version__
from .shared import Ledger, SharedLimits, entry_of, ledger_of, limits_of

Progress = Callable[[int, int], object]
Verify = bool | str | os.PathLike[str] | ssl.SSLContext

LARGEST_ID = 2**63 - 1  # int64 in the contract


class BaseClient:
    """The arguments, and all that needs no waiting."""

    def __init__(
        self,
        *misplaced: typing.Never,
        api_key: str | None = None,
        oauth_token: str | None = None,
        base_url: str | None = None,
        timeout: Timeout | float = Timeout(),  # noqa: B008  frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        confirm_unknown: float = 20.0,
        max_file_size: int = 5 * 1024 * 1024,
        max_parallel: int = 4,
        shared_limits: str | os.PathLike[str] | SharedLimits | None = None,
        ledger: str | os.PathLike[str] | Ledger | None = None,
        integration: str | None = None,
        verify: Verify = True,
        proxy: str | None = None,
    ) -> None:
        """Make a client. Cheap: no connection is opened and no certificate loaded before the first send.

        Args:
            misplaced: nothing: all arguments have names.
            api_key: the key of the cabinet, "ACMA:…", with the scope `communication` or `all-methods`. Default: the
                environment variable YANDEX_MARKET_API_KEY.
            oauth_token: an OAuth token instead (outdated, still accepted by Market). At most one of the two.
            base_url: scheme, host, perhaps port and path. Default: the environment variable YANDEX_MARKET_BASE_URL,
                else https://api.partner.market.yandex.ru. Sellers of Market Yandex Go use
                https://api.partner.market.yandex.net.
            timeout: a `Timeout`, or the total in seconds.
            retry: what is repeated without asking.
            confirm_unknown: seconds for which the chat's history is read after an unknown outcome, within the total;
                0: never. Whether reading it marks messages as read in the cabinet is not documented.
            max_file_size: in bytes. The documentation says "5 MB", and does not say which.
            max_parallel: requests at once per business (Market allows 4, over all clients of the cabinet). Businesses
                do not wait for each other.
            shared_limits: one quota and four slots per business for all processes: a path or file:/path (one machine),
                redis://, rediss:// or unix:// (needs the extra `redis`), or `SharedLimits`. Default: the environment
                variable YANDEX_MARKET_SHARED_LIMITS, else none; "": none in any case.
            ledger: remembers what became of each `idempotency_key`: a path or sqlite:////path (one machine),
                postgresql:// (needs the extra `postgres`), or a `Ledger`. Default: the environment variable
                YANDEX_MARKET_LEDGER, else none; "": none in any case.
            integration: "name/version" of the calling software, for the seller's log at Market (X-Market-Integration).
            verify: True (certificates of SSL_CERT_FILE, SSL_CERT_DIR or certifi), a CA file, an `ssl.SSLContext`, or
                False to trust anyone.
            proxy: an http:// or https:// URL; "" for none. Default: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
                NO_PROXY say when the client is made.

        Raises:
            InvalidRequestError: an argument, or what the environment says in its place, cannot be used.
        """
        if misplaced:
            del misplaced  # most likely the key, which no frame of an error may show
            raise TypeError(f"{type(self).__name__} takes no positional arguments: pass the key as api_key=...")
        try:
            self._options = Options(
                Timeout().but(timeout), retry, confirm_unknown, max_file_size, max_parallel, integration
            )
            self._route = Route(base_url, proxy, verify)
            headers = {"Host": self._route.host} | _request_headers(integration)
            self._credentials = Credentials(api_key, oauth_token, self._route.proxy, headers)
            limits = limits_of(shared_limits, self._route.host)
            self._ledger = ledger_of(ledger)
        except InvalidRequestError as error:
            # A traceback may be shown with the locals of its frames: this one's must not hold a secret.
            del api_key, oauth_token, base_url, proxy, shared_limits, ledger
            raise error.with_traceback(None) from None
        self._rules = Rules(retry, Quotas(), Claims(), OrderedDict(), confirm_unknown=confirm_unknown, limits=limits)
        self._closed = False
        self._slots = Slots(self._options.max_parallel)
        _clients.add(self)

    def quota(self, business_id: int) -> Quota | None:
        """Return the hourly quota of a business, as the server told it last.

        Args:
            business_id: the id of the business (the cabinet), from 1 to 2^63-1.

        Returns:
            The quota; None if no response for this business has told it yet. No request is made.

        Raises:
            InvalidRequestError: `business_id` is no valid id.
        """
        return self._rules.quotas.of((SEND_FILE, _checked_id("business_id", business_id)))

    def _check_usable(self) -> None:
        if self._closed:
            refuse(f"This {type(self).__name__} is closed; make a new one.")

    def _begin(
        self,
        send: Send,
        business_id: int,
        timeout: Timeout | float | None,
        *,
        chat_id: int | None = None,
        order_id: int | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Check what a send was told, but for the file."""
        self._check_usable()
        try:
            if (chat_id is None) == (order_id is None):
                refuse("Pass either chat_id or order_id.")
            if chat_id is None:
                send.order_id = _checked_id("order_id", order_id)
            else:
                send.chat_id = _checked_id("chat_id", chat_id)
        finally:  # so that the error about the one tells the other
            send.business_id = _checked_id("business_id", business_id)
        send.timeout = self._options.timeout.but(timeout)
        if send.timeout.total is not None:
            send.deadline = send.started + send.timeout.total
        if on_progress is not None:
            if not callable(on_progress) or iscoroutinefunction(on_progress):
                refuse("on_progress must be a function (not async) of two numbers.")
            send.on_sent = _reporter(send, on_progress)
        send.entry = entry_of(self._ledger, send, idempotency_key, resend=self._options.retry.resend_unknown)

    def _delivery(self, send: Send) -> Steps[SentFile]:
        step = deliver if send.entry is None else send.entry.deliver
        return step(send, self._rules, send.deadline)

    def _look_at(self, send: Send, file: object, name: str | None, content_type: str | None) -> File:
        """Check all of the file that can be checked before it is read."""
        send.name, send.content_type = name_and_type(file, name, content_type)
        found = look_at(file, self._options.max_file_size)
        send.size = found.size or 0
        return found

    def _begin_confirming(self, send: Send, error: object, timeout: Timeout | float | None) -> DeliveryUnknownError:
        if not isinstance(error, DeliveryUnknownError) or not (
            error.chat_id and isinstance(error.name, str) and error.name and isinstance(error.size, int) and error.size
        ):
            refuse("error must be a DeliveryUnknownError of send_file, with business_id, chat_id, name and size.")
        if not isinstance(error.since, datetime) or error.since.utcoffset() is None:
            refuse("error.since must be the moment when the attempt began, with its time zone.")
        key = error.idempotency_key  # the ledger knows which messages confirm other keys
        business_id = typing.cast(int, error.business_id)
        self._begin(send, business_id, timeout, chat_id=error.chat_id, idempotency_key=key)
        send.name, send.size, send.content_type = error.name, error.size, error.content_type
        send.order_id, send.attempts, send.unknown_attempts = error.order_id, error.attempts, error.unknown_attempts
        return error

    def _new_attempt(self, send: Send, step: MakeRequest, content: bytes) -> tuple[Attempt, httpx.Request]:
        """Return the record of an attempt, which is there before anything of the attempt is, and its request."""
        from ._api import request_of  # when first needed: as long as all else of the import takes

        send.attempt = Attempt(self._credentials, self._route.peer, send.timeout, step)
        return send.attempt, request_of(step, self._route.base_url, self._credentials.headers, send, content)

    def __repr__(self) -> str:
        if not hasattr(self, "_closed"):  # shown in the traceback of a refused argument
            return f"<{type(self).__name__} not made>"
        return f"<{type(self).__name__} {self._route.base_url}{' closed' if self._closed else ''}>"


_clients: WeakSet[BaseClient] = WeakSet()


def _begin_as_child() -> None:
    """Let go of what belongs to the parent of a forked process: slots, and locks that another thread held."""
    renew_lock()
    for client in list(_clients):
        client._slots = Slots(client._options.max_parallel)
        client._rules.quotas.renew_lock()
        client._rules.claims.renew_lock()


# Windows has it not: there nothing forks.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_as_child)


def _request_headers(integration: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"yandex-market-chat/{__version__}",
        "Connection": "close",  # keep-alive is not supported, the documentation says
    }
    return headers | ({"X-Market-Integration": integration} if integration is not None else {})


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
            log_safely(logging.ERROR, text, type(error).__name__, extra=send.describe())

    return on_sent
