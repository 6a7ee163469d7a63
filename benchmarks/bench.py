"""What a send costs, against what one would take instead, and whether it is within its bounds.

`make bench` makes the two environments and runs this. Rounds are interleaved: each sender, in a process of its own, has
its turn in each round. A ratio is that of the medians over the rounds; its spread, from the lower to the upper quartile
of the ratios of the rounds. Costs are CPU time, which other work on the machine disturbs less than time passed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from figures import LABELS, limit_of, measured_of, table, with_table

HERE = Path(__file__).parent
SENDERS = str(HERE / "senders.py")
SMALL, LARGE = 10 * 1024, 5_000_000
SYNC = ["ours", "httpx", "requests", "urllib3", "generated", "ya_market_api", "raw_socket"]
ASYNC = ["ours_async", "httpx_async", "aiohttp_async", "ya_market_api_async"]
IMPORTS = {
    "ours": "from yandex_market_chat import ChatClient",
    "httpx": "import httpx",
    "requests": "import requests",
    "ya_market_api": "from ya_market_api.sync_api import SyncAPI",
}
COLD = ("ours", "httpx", "requests", "ya_market_api", "ours_async", "httpx_async")
FIRST_USES = 21
# Where the environment says what to trust; without them each library loads what it does by default.
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What is sent and how -> how many rounds, and sends in each of them.
ROUNDS = {
    ("10 KB", "TLS"): (20, 60),
    ("10 KB", "plain"): (20, 60),
    ("5 MB", "TLS"): (15, 10),
    ("5 MB", "plain"): (15, 10),
}
SIZES = {"10 KB": SMALL, "5 MB": LARGE}

Figures = dict[str, list[float]]


def child_cpu(command: list[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a process to its end; return the CPU seconds that it took."""
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with status {process.returncode}")
    return used.ru_utime + used.ru_stime


class Sender:
    """One of the compared, in a process of its own."""

    def __init__(self, python: str, name: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, SENDERS, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def cost(self, url: str, size: int, count: int) -> float:
        """Return the CPU seconds of one send, on average of so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{url} {size} {count}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline()) / count

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def sink(python: str, certificate: Path) -> Iterator[dict[str, str]]:
    """Run the server; give its addresses."""
    command = [python, str(HERE / "sink.py"), str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            plain, tls = process.stdout.readline().split()
            yield {"plain": f"http://127.0.0.1:{plain}", "TLS": f"https://127.0.0.1:{tls}"}
        finally:
            process.kill()


def measure(python: str, peer_python: str, urls: dict[str, str], authority: Path) -> dict[str, Figures]:
    """Return the costs of all, by what was done and by whom, one for each round."""
    bare = {name: value for name, value in os.environ.items() if name not in TRUST}
    # A single authority: those that load what they trust for each connection would pay more for a whole bundle.
    trusting = bare | {"SSL_CERT_FILE": str(authority), "REQUESTS_CA_BUNDLE": str(authority)}

    def python_of(name: str) -> str:
        return peer_python if name.startswith("ya_") else python

    costs: dict[str, Figures] = {}
    for name in SYNC + ASYNC:  # does it send what the others send
        for url in urls.values():
            child_cpu([python_of(name), SENDERS, name, f"{url}/check"], trusting)
    for round_ in range(FIRST_USES):
        for name, code in IMPORTS.items():
            costs.setdefault("import", {}).setdefault(name, []).append(child_cpu([python_of(name), "-c", code]))
        for name in COLD:
            cost = child_cpu([python_of(name), SENDERS, name, urls["plain"]], bare)
            costs.setdefault("cold process, 10 KB", {}).setdefault(name, []).append(cost)
        print(f"first uses: round {round_ + 1} of {FIRST_USES}", file=sys.stderr)
    with ExitStack() as stack:
        senders = {name: stack.enter_context(Sender(python_of(name), name, trusting)) for name in SYNC + ASYNC}
        for (size, way), (rounds, count) in ROUNDS.items():
            what = f"{size}, {way}"
            for round_ in range(rounds):
                for name, sender in senders.items():
                    if round_ == 0:
                        sender.cost(urls[way], SIZES[size], count)  # the first time is another matter: see above
                    cost = sender.cost(urls[way], SIZES[size], count)
                    costs.setdefault(what, {}).setdefault(name, []).append(cost)
            print(what, file=sys.stderr)
    return costs


def promises(python: str, url: str) -> dict[str, dict[str, float]]:
    """Return what promises.py measures; of what is timed, the best of three."""

    def ask(what: str) -> dict[str, float]:
        command = [python, str(HERE / "promises.py"), what, url]
        found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return found

    stalls = [ask("stall") for _ in range(3)]
    return {
        "creation": ask("creation"),
        "memory": ask("memory"),
        "memory_async": ask("memory_async"),
        "stall": min(stalls, key=lambda found: found["longest"]),
        "waiting": ask("waiting"),
        "shared": ask("shared"),
        "once": ask("once"),
    }


def ratio(figures: Figures, of: str, to: str) -> dict[str, float]:
    """Return the ratio of the medians, and the quartiles of the ratios of the rounds."""
    rounds = [a / b for a, b in zip(figures[of], figures[to], strict=True)]
    lower, _, upper = statistics.quantiles(rounds, n=4)
    return {"ratio": statistics.median(figures[of]) / statistics.median(figures[to]), "lower": lower, "upper": upper}


def judged(costs: dict[str, Figures], own: dict[str, dict[str, float]]) -> list[dict[str, object]]:
    """Return what was measured, with the bounds that there are and whether they are kept."""
    rows: list[dict[str, object]] = []

    def compare(what: str, of: str, to: str, most: float | None) -> None:
        found = ratio(costs[what], of, to)
        kept = most is None or found["ratio"] <= most
        rows.append({"what": f"{what}, {LABELS[of]}", **found, "most": most, "unit": f"of {to}", "kept": kept})

    def limit(what: str, value: float, most: float, unit: str) -> None:
        rows.append({"what": what, "value": value, "most": most, "unit": unit, "kept": value <= most})

    compare("10 KB, TLS", "ours", "httpx", 1.1)
    compare("10 KB, TLS", "ours", "requests", 0.8)
    compare("10 KB, TLS", "ours", "urllib3", 0.95)
    compare("10 KB, TLS", "ours_async", "httpx_async", 0.95)
    compare("10 KB, TLS", "ours_async", "aiohttp_async", None)  # cannot be matched on httpcore
    compare("5 MB, TLS", "ours", "httpx", 1.25)
    compare("5 MB, TLS", "ours_async", "httpx_async", 0.55)
    compare("5 MB, TLS", "ours_async", "aiohttp_async", 0.65)
    compare("import", "ours", "httpx", 1.5)
    compare("import", "ours", "requests", 1.0)
    for other in ("httpx", "requests", "ya_market_api"):  # most of it is the import of httpx
        compare("cold process, 10 KB", "ours", other, None)
    limit("a client when the TLS context exists", own["creation"]["later"], 1.0, "ms CPU")
    limit("a client with a TLS context given", own["creation"]["given"], 1.0, "ms CPU")
    size = LARGE / 2**20
    limit("memory of a 5 MB send from a path", own["memory"]["first"], size + 2, "MiB")
    limit("memory of 200 more of them", own["memory"]["further"], 0.5, "MiB")
    limit("memory of a 5 MB send from a path, async", own["memory_async"]["first"], size + 2, "MiB")
    # The C library keeps, for each thread, what it has freed last; asyncio reads a file in one of its threads.
    threads = own["memory_async"]["threads"]
    together = own["memory_async"]["first"] + own["memory_async"]["further"]
    limit(f"memory of all 201, async, read in {threads} of asyncio's threads", together, size * threads + 2, "MiB")
    limit("longest stall of the event loop", own["stall"]["longest"], 20, "ms")
    limit("a waiting task, in a second", own["waiting"]["each"], 10, "µs CPU")
    limit("a send with shared limits, by a file", own["shared"]["file"], 0.5, "ms more")
    limit(
        "a send with a key and a ledger in a file, without the disk's sync", own["once"]["more"], 1.0, "ms of CPU more"
    )
    limit("a send with shared limits, by Redis", own["shared"]["redis"], 1.5, "ms more")
    return rows


def machine(peer_python: str) -> dict[str, object]:
    """Describe what it was measured on."""
    asked = [peer_python, "-c", "import importlib.metadata as m; print(m.version('ya-market-api'))"]
    peer = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
    with open("/proc/cpuinfo") as told:
        model = next((line.partition(": ")[2].strip() for line in told if line.startswith("model name")), "")
    packages = ("httpx", "httpcore", "h11", "requests", "urllib3", "aiohttp")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {model}",
        "load": os.getloadavg()[0],
        "packages": {name: importlib.metadata.version(name) for name in ("yandex-market-chat", *packages)}
        | {"ya-market-api": peer},
    }


def main() -> None:
    """Measure, write, print; end with status 1 if a bound is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("peer_python", help="the Python of the environment of ya-market-api")
    arguments.add_argument("tls", type=Path, help="the folder that certificate.py wrote")
    arguments.add_argument("results", type=Path, help="the JSON file to write")
    arguments.add_argument("--page", type=Path, help="a page with a place for the tables")
    options = arguments.parse_args()
    about = machine(options.peer_python)
    with sink(sys.executable, options.tls / "server.pem") as urls:
        costs = measure(sys.executable, options.peer_python, urls, options.tls.absolute() / "authority.pem")
        own = promises(sys.executable, urls["plain"])
    bounds = judged(costs, own)
    medians = {
        what: {name: statistics.median(rounds) for name, rounds in figures.items()} for what, figures in costs.items()
    }
    found = {"measured": about, "bounds": bounds, "medians": medians, "promises": own, "rounds": costs}
    options.results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.page:
        page = with_table(options.page.read_text(encoding="utf-8"), found)
        options.page.write_text(page, encoding="utf-8")
    print("\n".join(table(found)))
    missed = [row for row in bounds if not row["kept"]]
    for row in missed:
        print(f"MISSED: {row['what']}: {measured_of(row)}, {limit_of(row)}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
