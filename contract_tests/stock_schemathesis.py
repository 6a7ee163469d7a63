"""`make test-schemathesis`: stock schemathesis, from its command line, against the mock server; all checks are on."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from yandex_market_chat._api import contract
from yandex_market_chat.testing import MockServer

LEAST_CASES = 2_000
#: Of each operation, and of the scenarios along the links.
EACH = 300
ROOT = Path(__file__).parents[1]
SOURCES = ("openapi", "generated", "wrapper/yandex_market_chat", "contract_tests")


def seed_of_the_tree() -> int:
    """Return a number that changes with every change of the contract, the packages and these tests."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".json", ".yaml") and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return int.from_bytes(digest.digest()[:4])


def cut(document: dict[str, Any]) -> dict[str, Any]:
    """Cut what is right by the schema and would be refused: tokens that only the service hands out, and empty files."""
    parameters = document["components"]["parameters"]
    tokens = [f"#/components/parameters/{name}" for name, each in parameters.items() if each["schema"].get("x-opaque")]
    for operation in (operation for item in document["paths"].values() for operation in item.values()):
        operation["parameters"] = [each for each in operation["parameters"] if each.get("$ref") not in tokens]
    for schema in document["components"]["schemas"].values():
        for part in schema.get("properties", {}).values():
            if part.get("format") == "binary":
                part["minLength"] = 1
    return document


def main() -> int:
    """Run it; status 1 if schemathesis found something or did not try enough."""
    seed = seed_of_the_tree()
    print(f"seed {seed}", flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, MockServer() as server:
        document = Path(folder) / "contract.json"
        document.write_text(json.dumps(cut(contract())), encoding="utf-8")
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            "--no-color",
            *("run", str(document), "--url", server.base_url, "--header", f"Api-Key: {server.api_key}"),
            *("--checks", "all", "--max-examples", str(EACH), "--seed", str(seed), "--continue-on-failure"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--generation-database", "none", "--warnings", "off"),
        ]
        # In a folder of its own, where there are no settings to be found.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
        arrived = len(server.requests)
    print(done.stdout, done.stderr, sep="")
    found = re.search(r"^\s*(\d+) generated", done.stdout, re.MULTILINE)
    cases = int(found.group(1)) if found else 0
    print(f"seed {seed}: {cases} cases in {time.monotonic() - begin:.0f} s, status {done.returncode}")
    if cases < LEAST_CASES or not arrived:
        print(f"fewer than {LEAST_CASES} cases")
        return 1
    links = re.search(r"API Links:\s+(\d+) covered / \d+ selected / (\d+) total", done.stdout)
    if not links or links.group(1) != links.group(2):
        print("not every link of the contract was followed")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
