"""What the commands need of the client: its arguments, its log, and its errors as facts."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from yandex_market_chat import (
    ApiError,
    ChatError,
    DeliveryUnknownError,
    InvalidRequestError,
    Quota,
    QuotaExceededError,
    Timeout,
)  # fmt: skip

API_KEY_VARIABLE = "YANDEX_MARKET_API_KEY"
BASE_URL_VARIABLE = "YANDEX_MARKET_BASE_URL"
DEFAULT_BASE_URL = "https://api.partner.market.yandex.ru"
LARGEST_KEY_FILE = 10_000


def client_arguments(
    api_key_file: str | None,
    base_url: str | None,
    timeout: float | None,
    *,
    confirm: bool = True,
    ledger: str | None = "",
) -> dict[str, Any]:
    """Return what a client is made from. InvalidRequestError if the key cannot be read."""
    arguments: dict[str, Any] = {"base_url": base_url, "ledger": ledger}
    if api_key_file is not None:
        arguments["api_key"] = _read_key(api_key_file)
    elif API_KEY_VARIABLE not in os.environ:
        raise InvalidRequestError(f"No API key: set {API_KEY_VARIABLE}, or pass --api-key-file. Nothing was sent.")
    if timeout is not None:
        arguments["timeout"] = Timeout(total=timeout)
    if not confirm:
        arguments["confirm_unknown"] = 0.0
    return arguments


def server_address(base_url: str | None) -> str:
    """Return where requests go, as `--help` says."""
    return (base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).rstrip("/")


def _read_key(file: str) -> str:
    # Never the content in a sentence.
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(LARGEST_KEY_FILE)
    except (OSError, ValueError) as error:
        # Nor the argument: it may be the key itself.
        reason = getattr(error, "strerror", None) or "that is no path"
        raise InvalidRequestError(f"The file of --api-key-file cannot be read: {reason}. Nothing was sent.") from None
    # Editors begin it with a mark, and leave blanks and line breaks at its end.
    key = content.decode(errors="replace").strip("\ufeff\u200b\xa0 \t\r\n")
    what = ""
    if "\0" in key:
        what = "is UTF-16, as PowerShell writes it; save it as UTF-8"
    elif not key:
        what = "is empty; it is to hold the key alone"
    elif "\n" in key:
        what = "has more than one line; it is to hold the key alone"
    elif not all("!" <= character <= "~" for character in key):
        what = "holds blanks or what is not printable ASCII; it is to hold the key alone"
    if what:
        raise InvalidRequestError(f"--api-key-file {file!r} {what}. Nothing was sent.")
    return key


def show_log() -> None:
    """Write the client's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("yandex_market_chat")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def quota_facts(quota: Quota | None) -> dict[str, object] | None:
    """Return a quota as JSON has it."""
    if quota is None:
        return None
    resets_at = quota.resets_at and quota.resets_at.isoformat()
    return {"limit": quota.limit, "remaining": quota.remaining, "resets_at": resets_at}


def error_facts(error: ChatError) -> dict[str, object]:
    """Return what an error tells of its send, as JSON has it."""
    names = ("business_id", "chat_id", "order_id", "name", "size", "attempts", "elapsed", "retryable")
    facts = {"error": type(error).__name__, "message": str(error), **{name: getattr(error, name) for name in names}}
    if isinstance(error, ApiError):
        items = [{"code": item.code, "message": item.message} for item in error.errors]
        facts |= {"status_code": error.status_code, "errors": items, "trace_id": error.trace_id}
        facts["quota"] = quota_facts(error.quota)
    if isinstance(error, QuotaExceededError):
        facts |= {"resets_at": error.resets_at and error.resets_at.isoformat(), "operation": error.operation}
    if isinstance(error, DeliveryUnknownError):
        facts |= {name: (at := getattr(error, name)) and at.isoformat() for name in ("since", "history_read_at")}
    return facts
