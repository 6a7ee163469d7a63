"""What 100 000 lines for 200 files of 1 MB cost: planned, sending, and started again when all is sent.

    python benchmarks/large_batch.py [--businesses 20]

Loopback only. Of the sends there are so many as fit in ten seconds; what is left is then called sent in the journal.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from yandex_market_chat.testing import MockServer

LINES, FILES, SIZE, SECONDS = 100_000, 200, 1_000_000, 10.0


def measure(name: str, folder: Path, server: MockServer, *more: str, stop: bool = False) -> None:
    """Run the command once and print its time and its memory at most."""
    environment = {"YANDEX_MARKET_API_KEY": server.api_key, "YANDEX_MARKET_BASE_URL": server.base_url}
    command = [sys.executable, "-m", "yandex_market_chat_command", "send-batch", "m.csv", "--journal", "j.sqlite"]
    began = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, *more], cwd=folder, env=os.environ | environment, **quiet)
    most = 0
    while process.poll() is None:
        # Not ru_maxrss, which begins with what the parent has.
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        most = max(most, int(found.group(1)) if found else 0)
        if stop and time.monotonic() - began > SECONDS:
            process.send_signal(signal.SIGTERM)
            stop = False
        time.sleep(0.02)
    seconds = time.monotonic() - began
    print(f"{name:<32} {seconds:5.1f} s, {most / 1024:4.0f} MiB; {len(server.received)} arrived")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--businesses", type=int, default=20)
    businesses = parser.parse_args().businesses
    with tempfile.TemporaryDirectory() as name, MockServer(keep_bytes=0) as server:
        folder = Path(name)
        for number in range(FILES):
            (folder / f"{number}.bin").write_bytes(os.urandom(SIZE))
        with (folder / "m.csv").open("w") as file:
            file.write("business_id,chat_id,file,name\n")
            file.writelines(f"{n % businesses + 1},{n + 1},{n % FILES}.bin,invoice-{n}.pdf\n" for n in range(LINES))
        measure("planned (--dry-run)", folder, server, "--dry-run")
        measure("planned, and stopped after 10 s", folder, server, stop=True)
        journal = sqlite3.connect(folder / "j.sqlite", isolation_level=None)
        journal.execute("UPDATE item SET state = 'sent'")
        journal.close()
        measure("all sent, started again", folder, server)


if __name__ == "__main__":
    main()
