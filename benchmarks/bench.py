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
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from figures import draw, measured_of, table, with_table

HERE = Path(__file__).parent
FOUND, README = HERE / "bench.json", HERE.parent / "README.md"
SENDERS = str(HERE / "senders.py")
SMALL, LARGE = 10 * 1024, 5_000_000
SYNC = ["ours", "httpx", "requests", "urllib3", "generated", "by_hand", "ya_market_api", "raw_socket"]
ASYNC = ["ours_async", "httpx_async", "aiohttp_async", "by_hand_async", "ya_market_api_async"]
IMPORTS = {
    "ours": "from yandex_market_chat import ChatClient",
    "httpx": "import httpx",
    "requests": "import requests",
    "ya_market_api": "from ya_market_api.sync_api import SyncAPI",
    "needed": "import httpx, httpcore, _yandex_market_chat_api.api.chats.send_file_to_chat",
}
FIRST_USES = 31
# (size, whether connections are reused) -> how many rounds, and sends in each of them.
ROUNDS = {(SMALL, True): (40, 120), (SMALL, False): (20, 60), (LARGE, True): (20, 10), (LARGE, False): (20, 10)}
# Of the floor: so that what is measured is the senders and not the sink.
SINK_HEADROOM = 3.0

Figures = dict[str, list[float]]


def child_cpu(command: list[str]) -> float:
    """Run a process to its end; return the CPU seconds that it took."""
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with status {process.returncode}")
    return used.ru_utime + used.ru_stime


class Sender:
    """One of the compared, in a process of its own."""

    def __init__(self, python: str, name: str, url: str) -> None:
        self._process = subprocess.Popen(
            [python, SENDERS, name, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def cost(self, size: int, reuse: bool, count: int) -> tuple[float, float]:
        """Return the CPU seconds of one send, and the seconds that pass, on average of so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begin = time.perf_counter()
        self._process.stdin.write(f"{size} {reuse:d} {count}\n")
        self._process.stdin.flush()
        used = float(self._process.stdout.readline())
        return used / count, (time.perf_counter() - begin) / count

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def sink(python: str) -> Iterator[str]:
    """Run the server; give its address."""
    with subprocess.Popen([python, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def measure(python: str, peer_python: str) -> dict[str, dict[str, list[float]]]:
    """Return the costs of all, by what was done and by whom, one for each round."""

    def python_of(name: str) -> str:
        return peer_python if name.startswith("ya_") else python

    costs: dict[str, Figures] = {}
    with sink(python) as url, ExitStack() as stack:
        for name in SYNC + ASYNC:  # does it send what the others send
            child_cpu([python_of(name), SENDERS, name, f"{url}/check", "once"])
        for round_ in range(FIRST_USES):
            for name, code in IMPORTS.items():
                costs.setdefault("import", {}).setdefault(name, []).append(child_cpu([python_of(name), "-c", code]))
            for name in ("ours", "httpx", "requests", "ya_market_api", "ours_async", "httpx_async"):
                cost = child_cpu([python_of(name), SENDERS, name, url, "once"])
                costs.setdefault("cold 10 KB", {}).setdefault(name, []).append(cost)
            print(f"first uses: round {round_ + 1} of {FIRST_USES}", file=sys.stderr)
        senders = {name: stack.enter_context(Sender(python_of(name), name, url)) for name in SYNC + ASYNC}
        for (size, reuse), (rounds, count) in ROUNDS.items():
            what = f"{'10 KB' if size == SMALL else '5 MB'}, {'reused' if reuse else 'new'} connection"
            for round_ in range(rounds):
                for name, sender in senders.items():
                    if round_ == 0:
                        sender.cost(size, reuse, count)  # the first time is another matter: see above
                    used, passed = sender.cost(size, reuse, count)
                    costs.setdefault(what, {}).setdefault(name, []).append(used)
                    costs.setdefault(f"time passed, {what}", {}).setdefault(name, []).append(passed)
            print(what, file=sys.stderr)
    return costs


def promises(python: str) -> dict[str, dict[str, float]]:
    """Return what promises.py measures; of what is timed, the best of three."""
    with sink(python) as url:

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
        }


def ratio(figures: Figures, of: str, to: str) -> dict[str, float]:
    """Return the ratio of the medians, and the quartiles of the ratios of the rounds."""
    rounds = [a / b for a, b in zip(figures[of], figures[to], strict=True)]
    lower, _, upper = statistics.quantiles(rounds, n=4)
    return {"ratio": statistics.median(figures[of]) / statistics.median(figures[to]), "lower": lower, "upper": upper}


def judged(costs: dict[str, Figures], own: dict[str, dict[str, float]]) -> list[dict[str, object]]:
    """Return each bound with what was measured and whether it is kept."""
    rows: list[dict[str, object]] = []

    def compare(what: str, figures: str, of: str, to: str, most: float) -> None:
        found = ratio(costs[figures], of, to)
        if figures == "cold 10 KB":
            # Where this is above the bound, nothing that uses httpx and the generated client can keep it.
            needed = statistics.median(costs["import"]["needed"])
            found["least"] = needed / statistics.median(costs[figures][to])
        rows.append({"what": what, **found, "most": most, "unit": f"of {to}", "kept": found["ratio"] <= most})

    def limit(what: str, value: float, most: float, unit: str) -> None:
        rows.append({"what": what, "value": value, "most": most, "unit": unit, "kept": value <= most})

    reused = "reused connection"
    compare("import", "import", "ours", "httpx", 1.5)
    compare("import", "import", "ours", "requests", 1.0)
    compare("cold process, 10 KB", "cold 10 KB", "ours", "httpx", 1.25)
    compare("cold process, 10 KB", "cold 10 KB", "ours", "requests", 1.0)
    compare("cold process, 10 KB", "cold 10 KB", "ours", "ya_market_api", 0.25)
    for what, figures, of, to, most in (
        ("10 KB, sync", "10 KB", "ours", "httpx", 0.55),
        ("10 KB, sync", "10 KB", "ours", "requests", 1.0),
        ("10 KB, async", "10 KB", "ours_async", "httpx_async", 0.70),
        ("5 MB, sync", "5 MB", "ours", "httpx", 1.0),
        ("5 MB, async", "5 MB", "ours_async", "httpx_async", 1.0),
        ("10 KB, sync, with every rule", "10 KB", "ours", "by_hand", 1.25),
        ("10 KB, async, with every rule", "10 KB", "ours_async", "by_hand_async", 1.25),
    ):
        compare(f"{what}, reused", f"{figures}, {reused}", of, to, most)
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
    # A raw socket shows how fast the sink takes them: the others do not wait for it, but it for them.
    passed = {name: statistics.median(rounds) for name, rounds in costs[f"time passed, 10 KB, {reused}"].items()}
    fastest = min(seconds for name, seconds in passed.items() if name != "raw_socket")
    limit("10 KB, a raw socket, reused", passed["raw_socket"] / fastest, 1 / SINK_HEADROOM, "of the fastest's time")
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
    options = arguments.parse_args()
    about = machine(options.peer_python)
    costs = measure(sys.executable, options.peer_python)
    own = promises(sys.executable)
    bounds = judged(costs, own)
    medians = {
        what: {name: statistics.median(rounds) for name, rounds in figures.items()} for what, figures in costs.items()
    }
    rounds = {
        what: {name: [round(cost, 7) for cost in all_] for name, all_ in figures.items()}
        for what, figures in costs.items()
    }
    found = {"measured": about, "bounds": bounds, "medians": medians, "promises": own, "rounds": rounds}
    FOUND.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(found, FOUND.with_suffix(".svg"))
    README.write_text(with_table(README.read_text(encoding="utf-8"), found), encoding="utf-8")
    print("\n".join(table(found)))
    for row in bounds:
        kept = "kept  " if row["kept"] else "MISSED"
        print(f"{kept}  {row['what']}: {measured_of(row)}, at most {row['most']:.2f} {row['unit']}")
    sys.exit(not all(row["kept"] for row in bounds))


if __name__ == "__main__":
    main()
