"""The gateways and their origins, and the table of what came of each send."""

from __future__ import annotations

import ssl
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from yandex_market_chat.testing import MockServer

from .gateway import Gateway, Kind, own_address, running


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def origins(ca: trustme.CA) -> Iterator[dict[str, MockServer]]:
    """One in clear and one with TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    with MockServer(keep_bytes=0) as http, MockServer(keep_bytes=0, ssl_context=tls) as https:
        yield {"http": http, "https": https}


@pytest.fixture(scope="module")
def not_sent(origins: dict[str, MockServer]) -> Iterator[list[tuple[str, int, str]]]:
    """Scheme, chat and name of what ended as not sent; judged again once no gateway can deliver any more."""
    said: list[tuple[str, int, str]] = []
    yield said
    for scheme, chat_id, name in said:
        assert taken(origins[scheme], chat_id) == 0, name


@pytest.fixture(scope="module")
def gateway_of(
    ca: trustme.CA, origins: dict[str, MockServer], not_sent: list[tuple[str, int, str]]
) -> Iterator[Callable[[Kind], Gateway]]:
    """Run each gateway from when it is first asked for."""
    ports = {scheme: int(origin.base_url.rpartition(":")[2]) for scheme, origin in origins.items()}
    gateways: dict[str, Gateway] = {}
    with ExitStack() as stack:

        def gateway(kind: Kind) -> Gateway:
            if kind.name not in gateways:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{kind.name}-")))
                folder.chmod(0o755)  # for one that gives up being root
                address = own_address()
                certificate = folder / "certificate.pem"
                ca.issue_cert(address).private_key_and_cert_chain_pem.write_to_path(str(certificate))
                gateways[kind.name] = stack.enter_context(running(kind, folder, address, certificate, ports))
            return gateways[kind.name]

        yield gateway


def taken(origin: MockServer, chat_id: int) -> int:
    """Count the copies that the origin has taken whole, whatever it then said, unless it refused them itself."""
    target = f"/chats/file/send?chatId={chat_id}"
    requests = (request for request in origin.requests if request.target.endswith(target))
    return sum(request.body_complete and (request.status or 0) // 100 != 4 for request in requests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell for each gateway and case how the sends ended, and how many copies the origin took."""
    ends: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for kind, case, end, copies in (value for name, value in report.user_properties if name == "came"):
                ends[kind, case][f"{end}, {copies} taken"] += 1
    if ends:
        terminalreporter.section("what came of each")
    for (kind, case), counted in sorted(ends.items()):
        told = "; ".join(f"{many} x {end}" for end, many in counted.most_common())
        terminalreporter.line(f"{kind:8} {case:42} {told}")
