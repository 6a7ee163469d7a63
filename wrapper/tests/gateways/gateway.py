"""What the three gateways have in common: their listeners, each with one way of answering by itself.

Every listener is there twice: in clear before an origin in clear, and with TLS before an origin with TLS.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from .program import Program

#: Where gateways send people with an error of theirs; nothing listens there.
ELSEWHERE: Final = "http://127.0.0.1:9/sorry"
PAGE: Final = "<!DOCTYPE html><title>Sorry</title><p>We will be back soon."
#: How many seconds a gateway waits for a silent origin or a stalled client, where a test is about that.
PATIENCE: Final = 1
NOBODY: Final = 9
FIRST_PORT: Final = 20_001


class Listener(NamedTuple):
    """One of a program's listeners, and the origin behind it."""

    name: str
    scheme: str
    port: int
    origin: int


@dataclass(frozen=True)
class Site:
    """What a configuration is written from; `certificate` is a PEM file with its key."""

    folder: Path
    address: str
    certificate: Path
    listeners: tuple[Listener, ...]


@dataclass(frozen=True)
class Kind:
    """A program: what its listeners are told in its own words, how its configuration is written, how it is run.

    A listener whose name begins with "dead" has nobody behind it. `{folder}` in the command is that of the site.
    """

    name: str
    listeners: Mapping[str, str]
    configuration: Callable[[Site], str]
    command: tuple[str, ...]


@dataclass(frozen=True)
class Gateway:
    """A running program."""

    site: Site

    def url(self, scheme: str, name: str) -> str:
        """The address of a listener."""
        (port,) = [each.port for each in self.site.listeners if (each.scheme, each.name) == (scheme, name)]
        return f"{scheme}://{self.site.address}:{port}"


def own_address() -> str:
    """Return an address of loopback whose ports nobody else takes: Linux has 16 million of them."""
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(2, 254)}"


@contextmanager
def running(kind: Kind, folder: Path, address: str, certificate: Path, origins: Mapping[str, int]) -> Iterator[Gateway]:
    """Run a program before the origins, which are the ports of one in clear (http) and of one with TLS (https)."""
    names = [(name, scheme) for name in kind.listeners for scheme in origins]
    listeners = [
        Listener(name, scheme, port, NOBODY if name.startswith("dead") else origins[scheme])
        for port, (name, scheme) in enumerate(names, FIRST_PORT)
    ]
    site = Site(folder, address, certificate, tuple(listeners))
    (folder / "configuration").write_text(kind.configuration(site), encoding="utf-8")
    command = [part.format(folder=folder) for part in kind.command]
    with Program(command, folder, (address, listeners[-1].port)):
        yield Gateway(site)
