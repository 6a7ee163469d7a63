"""How good the tests are, measured: `make contract-score`. Writes score.json, and the table of a page from it.

    python -m contract_tests.measure.score [--table]

Every figure comes from a run made for it, on the named commit; `--table` only rewrites the table.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from yandex_market_chat import __contract_version__

from ._defects import TOP, catalogue
from .mutation import score

FIGURES = Path(__file__).with_name("score.json")
PAGE = TOP / "docs" / "quality.md"
BEGIN, END = "<!-- what make contract-score measured -->\n", "<!-- end of what was measured -->\n"
TOOLS = ("pytest", "schemathesis", "hypothesis", "mutmut", "coverage", "openapi-python-client", "httpx")
PLACES = {
    "contract": "the contract",
    "mock": "the mock server",
    "generated": "the generated client",
    "wrapper": "the wrapper",
    "shared": "shared limits",
    "ledger": "the ledger",
    "blind": "anywhere, written without a look at the tests",
}

Figures = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Measure, unless only the table is asked for; status 1, and nothing is written, if a run fails."""
    if "--table" not in arguments:
        FIGURES.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    print("\n".join(table(figures)))
    return 0


def measured() -> Figures:
    """Return the figures of now."""
    changed = run("git", "status", "--porcelain").strip()
    if changed:
        sys.exit(f"the figures are to be those of a commit; there is what is in none:\n{changed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "commit": run("git", "rev-parse", "HEAD").strip(),
            "date": datetime.now(UTC).date().isoformat(),
            "package": version("yandex-market-chat"),
            "contract": __contract_version__,
            "python": platform.python_version(),
            "tools": {tool: version(tool) for tool in TOOLS},
            "tests": tests(folder, "wrapper/tests", "contract_tests"),
            "contract_tests": tests(folder, "contract_tests"),
            "stock_schemathesis": stock_schemathesis(),
            "coverage": coverage(folder),
            "defects": defects(folder),
            "mutation": module(folder, "mutation"),
        }


def run(*command: str | Path) -> str:
    """Return what the command prints."""
    begin = time.monotonic()
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
        sys.exit(f"status {done.returncode}: {' '.join(map(str, command))}")
    print(f"{time.monotonic() - begin:6.0f} s  {' '.join(map(str, command))}", flush=True)
    return done.stdout


def tests(folder: Path, *paths: str) -> Figures:
    report = folder / "tests.xml"
    run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n2",
        "--dist=worksteal",
        "-p",
        "no:randomly",
        f"--junitxml={report}",
        *paths,
    )
    suite = ET.parse(report).find("testsuite")
    assert suite is not None
    return {"cases": int(suite.attrib["tests"]), "seconds": round(float(suite.attrib["time"]))}


def stock_schemathesis() -> Figures:
    said = run(sys.executable, "contract_tests/stock_schemathesis.py").splitlines()[-1]
    cases, seconds = re.findall(r"(\d+) cases in (\d+) s", said)[0]
    return {"cases": int(cases), "seconds": int(seconds)}


def coverage(folder: Path) -> Figures:
    report = folder / "coverage.json"
    run("make", "--silent", "coverage")
    run(Path(sys.executable).with_name("coverage"), "json", "-q", "-o", report)
    totals = json.loads(report.read_text())["totals"]
    return {"lines": totals["num_statements"], "branches": totals["num_branches"]} | {
        "missing": totals["missing_lines"] + totals["missing_branches"]
    }


def defects(folder: Path) -> Figures:
    found = module(folder, "mutants")
    before = sum(1 for defect in catalogue() if defect.killed_before)
    return {**found["places"], "blind": found["places"]["blind"] | {"before": before}, "seconds": found["seconds"]}


def module(folder: Path, name: str) -> Figures:
    figures = folder / f"{name}.json"
    run(sys.executable, "-m", f"contract_tests.measure.{name}", "--json", figures)
    found: Figures = json.loads(figures.read_text())
    return found


def table(figures: Figures) -> list[str]:
    """Return the lines of the table."""
    planted, mutation = figures["defects"], figures["mutation"]
    blind = planted["blind"]
    covered = figures["coverage"]
    rows = [
        ("what is planted", "how many", "killed", "by"),
        ("---",) * 4,
        *(
            (f"a defect in {words}", planted[place]["planted"], planted[place]["killed"], "the test that was to notice")
            for place, words in PLACES.items()
            if place != "blind" and place in planted  # figures may be older than a place
        ),
        (f"a defect {PLACES['blind']}", blind["planted"], f"{blind['before']}, now {blind['killed']}", "any test"),
        *(
            (
                f"a mechanical mutant of {part}",
                each["mutants"],
                f"{each['killed']}, and {each['equivalent']} that no test can notice: {score(each):.1%}",
                "any test",
            )
            for part, each in mutation.items()
        ),
    ]
    return [
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "",
        (
            f"{figures['tests']['cases']} tests, {figures['contract_tests']['cases']} of them in `contract_tests/`;"
            f" {figures['stock_schemathesis']['cases']} cases of stock schemathesis;"
            f" {covered['branches']} branches of the wrapper's core and of batches,"
            f" {covered['missing']} of them never taken."
        ),
        (
            f"Measured on {figures['date']} with Python {figures['python']}, version {figures['package']},"
            f" contract {figures['contract']}, commit `{figures['commit'][:12]}`."
        ),
    ]


def with_table(text: str, figures: Figures) -> str:
    """Return the page with the table of these figures."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE.name} has no place for the table, between {BEGIN.strip()} and {END.strip()}")
    return before + begin + "\n" + "\n".join(table(figures)) + "\n\n" + end + after


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
