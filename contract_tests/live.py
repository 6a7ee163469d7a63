"""Tries the vectors on the live service; nothing else writes their `validated_live`. `make contract-live`.

    python -m contract_tests.live [--deliver]

What it needs in the environment it says itself. Without `--deliver` only what the documentation says is refused (400,
401, 403, 404) is sent. With it, the vectors of the kind `delivers` go into that chat, for its buyer to see. Each one
counts against the hourly quota. What comes back otherwise than expected is shown, and nothing is written for it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from ._contract import BY_ID
from ._raw import RawAnswer, exchange
from ._vectors import FILE, request_of

#: An answer that says so proves that nothing was delivered.
REFUSALS = (400, 401, 403, 404)
NEEDED = {
    "YANDEX_MARKET_API_KEY": "a key of the business",
    "CONTRACT_LIVE_BUSINESS": "the id of the business",
    "CONTRACT_LIVE_CHAT": "the id of one of its chats",
    "CONTRACT_LIVE_URL": "the server, from `servers` of the contract",
}


def selected(vectors: list[dict[str, Any]], *, deliver: bool) -> list[dict[str, Any]]:
    """The vectors that may be sent."""
    kinds = {"refused", "delivers"} if deliver else {"refused"}
    chosen = [vector for vector in vectors if vector.get("live", {}).get("kind") in kinds]
    for vector in chosen:
        if vector["live"]["kind"] == "refused" and vector["outcome"]["status"] not in REFUSALS:
            raise ValueError(f"{vector['id']} is said to be refused, but expects {vector['outcome']['status']}")
    return chosen


def adapted(vector: dict[str, Any], business: int, chat: int) -> dict[str, Any]:
    """The vector with the ids of the environment in the place of those that it is not about."""
    values = {"businessId": business, "chatId": chat}
    values |= {name: vector["call"]["values"][name] for name in vector["live"]["keep"]}
    operation = BY_ID[vector["operation"]]
    path = re.sub(r"\{(\w+)\}", lambda found: str(values[found.group(1)]), operation.path)
    query = {
        field.name: values[field.name]
        for field in operation.parameters
        if field.location == "query" and field.name in values
    }
    return {**vector, "wire": {**vector["wire"], "path": path, "query": urlencode(query)}}


def send(vector: dict[str, Any], environment: Mapping[str, str]) -> RawAnswer:
    """Send the bytes of one vector."""
    url = environment["CONTRACT_LIVE_URL"]
    context = ssl.create_default_context() if url.startswith("https:") else None
    request = request_of(vector, urlsplit(url).netloc, environment["YANDEX_MARKET_API_KEY"], "")
    return exchange(url, request, tls=context)


def run(file: Path, environment: Mapping[str, str], *, deliver: bool) -> int:
    """Send what may be sent; write the date beside what came back as expected."""
    missing = [name for name in NEEDED if not environment.get(name)]
    if missing:
        print("contract-live needs, in the environment:")
        for name in missing:
            print(f"  {name}: {NEEDED[name]}")
        return 2
    document = json.loads(file.read_text(encoding="utf-8"))
    business, chat = int(environment["CONTRACT_LIVE_BUSINESS"]), int(environment["CONTRACT_LIVE_CHAT"])
    wrong = 0
    for vector in selected(document["calls"], deliver=deliver):
        answer = send(adapted(vector, business, chat), environment)
        right = answer.status == vector["outcome"]["status"]
        print(f"{'as expected' if right else 'OTHERWISE'}: {vector['id']}: {answer.status} {answer.body[:200]!r}")
        if right:
            vector["validated_live"] = datetime.now(UTC).date().isoformat()
        wrong += not right
    file.write_text(json.dumps(document, ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="contract-live", description=__doc__)
    parser.add_argument("--deliver", action="store_true", help="also send what is delivered to the buyer")
    return run(FILE, os.environ, deliver=parser.parse_args(arguments).deliver)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
