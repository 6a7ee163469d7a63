"""The command: `python -m yandex_market_chat.testing`."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import sys
import time

from ._output import Output
from ._scenarios import SCENARIOS
from ._server import MockServer

_SCENARIO_HELP = """\
A scenario file is a list of answers and faults, one for each of the next files that are sent, or for each of the next
requests of the operation that it names:

  [{"scenario": "reset-after-body"},
   {"status": 420, "example": "resource"},
   {"status": 200, "fault": {"delay": 2}},
   {"cut": "silence", "at": "after-body", "taken": true},
   {"status": 500, "operation": "getChatHistory"}]

An entry is one of the scenarios below by its name, or has the fields of an Answer (with those of a Fault in
`fault`, or with the whole answer as text in `raw`) or of a Fault: help(yandex_market_chat.testing).

scenarios:
"""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM: status 0. Status 2 with one sentence if it cannot begin."""
    parser = argparse.ArgumentParser(
        prog="python -m yandex_market_chat.testing",
        description="A mock server of the API. Prints its address, the key that it takes, and where a browser shows"
        " what arrived; then a line per request.",
        epilog=_SCENARIO_HELP + "\n".join(f"  {name:24} {step.description}" for name, step in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (any free one)")
    parser.add_argument("--scenario", metavar="FILE", help="JSON file with scripted answers and faults (see below)")
    parser.add_argument("--api-key", metavar="KEY", help="the key that is taken (a made-up one)")
    parser.add_argument("--businesses", type=_ids, metavar="1,2", help="businesses that exist (all)")
    parser.add_argument("--chats", type=_ids, metavar="3,4", help="chats that exist before any is opened (all)")
    parser.add_argument("--orders", type=_ids, metavar="5,6", help="orders and returns that exist (all)")
    parser.add_argument("--strict", action="store_true", help="refuse also what receivers ignore, such as filename*")
    parser.add_argument("--limits", action="store_true", help="hold Market's limits: at once, and in an hour")
    options = parser.parse_args(arguments)

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: asked.append(which))
    output = Output()
    handler = logging.StreamHandler(output)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=[handler])
    try:
        server = MockServer(
            options.host,
            options.port,
            api_keys=None if options.api_key is None else [options.api_key],
            businesses=options.businesses,
            chats=options.chats,
            orders=options.orders,
            scenario=options.scenario,
            limits=options.limits,
            strict=options.strict,
        )
        server.start()
    except OSError as error:
        where = error.filename or f"{options.host}:{options.port}"
        print(f"{where}: {error.strerror or error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        print(f"Address: {server.base_url}", file=output)
        print(f"API key: {server.api_key}", file=output)
        print(f"Inspection: {server.inspection_url}", file=output)
        # The system may hand a signal to any thread, which wakes no wait of this one; and a lock that a handler needs
        # may be taken already.
        while not asked:
            time.sleep(0.1)
    finally:
        server.stop()
        output.drain()
    return 0


def _ids(text: str) -> frozenset[int]:
    if re.fullmatch(r"[0-9]+(,[0-9]+)*", text, re.ASCII) is None:
        raise argparse.ArgumentTypeError("ids are whole numbers with commas between them")
    return frozenset(map(int, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
