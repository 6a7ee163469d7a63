"""What a send says when a real gateway stands before the server. Run by `make test-gateways`: it needs three of them.

A gateway speaks for itself before and after the origin has taken the file, and does not say which. Whatever it says: no
`NotSentError` once the file has been taken, and never a second copy.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from yandex_market_chat import ChatError, DeliveryUnknownError, NotSentError, Timeout
from yandex_market_chat.testing import SCENARIOS, Answer, Fault, MockServer

from ..conftest import Chat
from . import program
from .apache import APACHE
from .conftest import taken
from .gateway import PATIENCE, Gateway, Kind
from .haproxy import HAPROXY
from .nginx import NGINX

KINDS = (NGINX, HAPROXY, APACHE)
SIZES = {"10 KB": 10 * 1024, "5 MB": 5_000_000}
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """One listener, what the origin does there, and what may come of a send.

    ends:       names of classes.
    taken:      how many copies the origin takes; None: that depends on who is faster.
    origin:     steps of a script.
    stalls:     the client stops in the middle of the file for longer than the gateway waits.
    misspoken:  plain HTTP is spoken to a listener with TLS, and TLS to one without.
    """

    listener: str
    ends: str
    taken: int | None
    origin: tuple[Answer | Fault, ...] = ()
    what: str = ""
    sizes: tuple[str, ...] = tuple(SIZES)
    timeout: Timeout | float = 120.0
    stalls: bool = False
    misspoken: bool = False

    @property
    def name(self) -> str:
        return f"{self.listener}, {self.what or 'as it is'}"


LONG = Answer(200, '{"status": "OK"}' + " " * 2000, {"Content-Type": "application/json"})
EARLY = SCENARIOS["early-refusal-abrupt"]
AFTER = {
    "dropped": SCENARIOS["drop-after-body"],
    "reset": SCENARIOS["reset-after-body"],
    "silent": SCENARIOS["silence-after-body"],
    "cut in its head": SCENARIOS["drop-in-answer"],
}
SMALL = ("10 KB",)
PATIENT = Timeout(total=120, connect=120, write=120, read=0.3)
CASES = [
    # After delivery: the origin has taken the whole file, then fails, and the gateway says something of its own.
    *(Case("impatient", "ServerError", 1, (fault,), f"{what} after delivery") for what, fault in AFTER.items()),
    *(Case("redirect", "UnclearResponseError", 1, (fault,), f"{what} after delivery") for what, fault in AFTER.items()),
    *(
        Case(listener, "UnclearResponseError", 1, (AFTER["dropped"],), "dropped after delivery", SMALL)
        for listener in ("see-other", "temporary", "permanent", "fallback", "page")
    ),
    Case("499", "ServerError", 1, (AFTER["dropped"],), "dropped after delivery", SMALL),
    Case("plain", "ConnectionLostError", 1, (SCENARIOS["short-body"],), "cut in its body"),
    Case("redirect", "ConnectionLostError", 1, (SCENARIOS["short-body"],), "cut in its body"),
    Case("plain", "ServerError ConnectionLostError", 1, (SCENARIOS["not-http"],), "not HTTP after delivery"),
    Case("plain", "ServerError", 1, (Answer(500),), "500 after delivery"),
    Case("redirect-all", "UnclearResponseError", 1, (Answer(500),), "500 after delivery"),
    Case("plain", "ResponseTimeoutError", None, (Fault(delay=1),), "the client gives up", timeout=PATIENT),
    # Before delivery. What is answered before the file is read may be lost with the connection.
    Case("dead", "ServerError ConnectionLostError", 0),
    Case("dead-redirect", "UnclearResponseError ConnectionLostError", 0),
    Case("login", "UnclearResponseError ConnectionLostError", 0),
    Case("upgrade", "UnclearResponseError ConnectionLostError", 0),
    Case("portal", "UnclearResponseError ConnectionLostError", 0),
    Case("empty", "UnclearResponseError ConnectionLostError", 0),
    Case("small", "UnexpectedRefusalError ConnectionLostError", 0),
    Case("denied", "AccessDeniedError ConnectionLostError", 0),
    Case("busy", "UnexpectedRefusalError ConnectionLostError", 0),
    Case("cut", "ConnectionLostError", 0),
    Case("stalled", "UnexpectedRefusalError ServerError ConnectionLostError", 0, stalls=True, sizes=("5 MB",)),
    Case(
        "plain", "BadRequestError ConnectionFailedError ConnectionLostError", 0, what="not its scheme", misspoken=True
    ),
    # The origin refuses, and the gateway hands that on or does not.
    Case("plain", "AuthenticationError", 0, (Answer(401),), "401"),
    Case("redirect-all", "UnclearResponseError", 0, (Answer(404),), "404"),
    Case("plain", "AuthenticationError ServerError ConnectionLostError", 0, (EARLY,), "401 before the file is read"),
    Case(
        "unbuffered", "AuthenticationError ServerError ConnectionLostError", 0, (EARLY,), "401 before the file is read"
    ),
    # All is well.
    *(Case(name, "SentFile", 1) for name in ("plain", "unbuffered", "chunked", "early-hints")),
    # Against Accept-Encoding: identity. Unknown at worst.
    Case("gzip", "SentFile UnclearResponseError", 1, (LONG,), "long enough to be compressed"),
    Case("plain", "SentFile", 1, (Answer(420),), "420 at first", SMALL),
    Case("plain", "SentFile", 1, (SCENARIOS["dripped-answer"],), "dripped", SMALL),
    Case("plain", "SentFile", 1, (Answer.raw(CONTINUE + OK),), "100 unasked", SMALL),
    Case("plain", "SentFile", 1, (Answer.raw(PROCESSING * 3 + OK),), "102 three times", SMALL),
    Case("plain", "SentFile", 1, (Answer.raw(HINTS + OK),), "103", SMALL),
]
CHATS = count(1)
# What is missing is said once, and at once.
for kind in KINDS:
    program.find(kind.command[0])
RUNS = [
    pytest.param(kind, case, mode, scheme, size, id=f"{kind.name}-{case.name}-{mode}-{scheme}-{size}")
    for kind in KINDS
    for case in CASES
    if case.listener in kind.listeners
    for mode in ("sync", "async")
    for scheme in ("http", "https")
    for size in case.sizes
]


class Stall:
    """Stands still once a part of the file has gone out."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, sent: int, total: int) -> None:
        if 0 < sent < total and not self.done:
            self.done = True
            time.sleep(PATIENCE * 2)


@pytest.mark.parametrize(("kind", "case", "mode", "scheme", "size"), RUNS)
def test_never_not_sent_once_it_is_taken(
    kind: Kind,
    case: Case,
    mode: str,
    scheme: str,
    size: str,
    origins: dict[str, MockServer],
    gateway_of: Callable[[Kind], Gateway],
    trusting: ssl.SSLContext,
    not_sent: list[tuple[str, int, str]],
    record_property: Callable[[str, object], None],
) -> None:
    origin, chat_id = origins[scheme], next(CHATS)
    origin.script_for(chat_id, *case.origin)
    url = gateway_of(kind).url(scheme, case.listener)
    if case.misspoken:
        url = url.replace("https:", "http:") if scheme == "https" else url.replace("http:", "https:")
    end: ChatError | None = None
    with Chat(mode, api_key=origin.api_key, base_url=url, verify=trusting) as chat:
        try:
            progress = Stall() if case.stalls else None
            chat.send(b"x" * SIZES[size], chat_id=chat_id, timeout=case.timeout, on_progress=progress)
        except ChatError as error:
            end = error
    copies, came = taken(origin, chat_id), type(end).__name__ if end else "SentFile"
    status = getattr(end, "status_code", None)
    record_property("came", (kind.name, case.name, f"{came} {status}" if status else came, copies))
    assert copies <= 1
    if isinstance(end, NotSentError):
        not_sent.append((scheme, chat_id, f"{kind.name}, {case.name}"))
        assert copies == 0
    elif end is None:
        assert copies == 1
    else:
        assert isinstance(end, DeliveryUnknownError)
    assert came in case.ends.split()
    assert case.taken in (copies, None)


def test_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "PLACES", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install nginx haproxy apache2-bin"):
        program.find("nginx")
