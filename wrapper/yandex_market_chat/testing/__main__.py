"""The command: `python -m yandex_market_chat.testing`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading

from ._server import MockServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM: status 0. Status 2 with one sentence if it cannot begin."""
    parser = argparse.ArgumentParser(
        prog="python -m yandex_market_chat.testing",
        description="A mock server of the API. Prints its address, the key that it takes, and where a browser shows"
        " what arrived; then a line per request.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (any free one)")
    parser.add_argument("--scenario", metavar="FILE", help="JSON file with scripted answers and faults")
    parser.add_argument("--limits", action="store_true", help="hold Market's limits: at once, and in an hour")
    options = parser.parse_args(arguments)

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # A name that the terminal cannot show must not cost the line.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # TextIO lacks what stdout has
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    try:
        server = MockServer(options.host, options.port, scenario=options.scenario, limits=options.limits)
        server.start()
    except OSError as error:
        where = error.filename or f"{options.host}:{options.port}"
        print(f"{where}: {error.strerror or error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        print(server.base_url, server.api_key, server.inspection_url, sep="\n", flush=True)
        stop.wait()
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
