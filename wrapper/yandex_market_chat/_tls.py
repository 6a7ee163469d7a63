"""The TLS contexts of this process: each made once, when first needed, and shared by all clients."""

import os
import ssl
import threading
from functools import cache

import httpx

from ._options import refuse

_lock = threading.Lock()


def renew_lock() -> None:
    """Forget the lock, in a forked child: it may be held by a thread that only the parent has."""
    global _lock
    _lock = threading.Lock()


def context_for(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    """Return the context for what a client was told to trust. May read certificates, for some 20 to 50 ms.

    True: the certificates that SSL_CERT_FILE or SSL_CERT_DIR name, else those of certifi. False: anyone.

    Raises:
        InvalidRequestError: the certificates cannot be loaded.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        with _lock:
            if isinstance(verify, str):
                return _context_of_file(verify, os.stat(verify).st_mtime_ns)
            return _context_of_environment(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    except OSError as error:
        where = verify if isinstance(verify, str) else "see SSL_CERT_FILE and SSL_CERT_DIR"
        refuse(f"The certificates to trust cannot be loaded ({where}): {error}.")


@cache
def _context_of_file(path: str, changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path)


@cache
def _context_of_environment(verify: bool, *variables: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=verify)
