"""The TLS contexts of this process: each made once, when first needed, and shared by all clients."""

from __future__ import annotations

import os
import ssl
import threading

import httpx

from ._options import refuse

_lock = threading.Lock()
_contexts: dict[tuple[object, ...], ssl.SSLContext] = {}


def renew_lock() -> None:
    """Forget the lock, in a forked child: it may be held by a thread that only the parent has."""
    global _lock
    _lock = threading.Lock()


def context_for(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    """Return the context for what a client was told to trust.

    True: the certificates that SSL_CERT_FILE or SSL_CERT_DIR name, else those of certifi. False: anyone.

    Raises:
        InvalidRequestError: the certificates cannot be loaded.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    key = _key(verify)
    problem = ""
    with _lock:
        if key not in _contexts:
            try:
                if isinstance(verify, str):
                    _contexts[key] = ssl.create_default_context(cafile=verify)
                else:
                    _contexts[key] = httpx.create_ssl_context(verify=verify)
            except OSError as error:
                problem = str(error)
    if problem:
        where = verify if isinstance(verify, str) else "see SSL_CERT_FILE and SSL_CERT_DIR"
        refuse(f"The certificates to trust cannot be loaded ({where}): {problem}.")
    return _contexts[key]


def _key(verify: bool | str) -> tuple[object, ...]:
    if isinstance(verify, str):
        return (verify, os.stat(verify).st_mtime_ns if os.path.exists(verify) else 0)
    return (verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
