"""Mechanical mutants of the rules of sends, files, batches, shared limits and the ledger, by mutmut: `make mutation`.

    python -m contract_tests.measure.mutation [--json FILE]

Nobody chose them, and nobody wrote a test for one of them before it was found alive. Those that no test can notice are
listed in defects/equivalent.toml, each with the reason. The status is 1 if of a part fewer than 95 % are killed or
listed. Those that are alive and not listed are printed, and those that are listed and not alive: on a busy machine a
test can fail that had noticed nothing.

A run that was stopped goes on where it was: what became of each mutant is kept in build/mutation, in a folder for the
modules and tests as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ._defects import CATALOGUE, TOP

WRAPPER = "wrapper/yandex_market_chat"
KEPT = TOP / "build" / "mutation"


class Part(NamedTuple):
    """What is mutated together, and the tests that are to notice. Slower ones would add hours."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = (
    Part(
        "what decides what happened to a file, and what makes of a file what is sent",
        (
            *("_answer", "_attempt", "_claims", "_delivery", "_history", "_quota", "_slots", "_steps"),
            *("_file", "_file_name"),
        ),
        (
            *("test_answers", "test_connections", "test_delivery", "test_file_names", "test_files"),
            *("test_async_iterators", "test_files_that_change", "test_refused_files"),
            *(
                "test_limits",
                "test_parallel",
                "test_repeats",
                "test_secrets",
                "test_secrets_interrupted",
                "test_secrets_in_defects",
            ),
            *("test_sentences", "test_confirming", "test_confirming_later", "test_equal_files"),
            *("test_fail_closed", "test_history", "test_open_chat", "test_check_file", "test_send"),
            *("test_tls", "test_proxies", "shared/test_shared_limits"),
            *("shared/test_ledger", "shared/test_ledger_confirming", "shared/test_ledger_equal_files"),
        ),
    ),
    Part(
        "when a batch sends what",
        (
            *("batch/_cell", "batch/_dialect", "batch/_estimate", "batch/_lookup"),
            *("batch/_outcome", "batch/_pace", "batch/_reach", "batch/_room"),
        ),
        (
            *("batch/test_dialect", "batch/test_engine", "batch/test_estimate", "batch/test_manifest"),
            *("batch/test_orders", "batch/test_outcome", "batch/test_pace", "batch/test_plan", "batch/test_reach"),
            *("batch/test_report", "batch/test_run_faults"),
        ),
    ),
    Part("who may send of those that share limits", ("shared/_rule",), ("shared/test_rule",)),
    Part(
        "when a send with an idempotency key may begin, and what is written of it",
        ("shared/_once",),
        (
            *(
                "shared/test_ledger",
                "shared/test_ledger_arguments",
                "shared/test_ledger_confirming",
                "shared/test_ledger_equal_files",
                "shared/test_ledger_states",
            ),
            *("shared/test_ledger_in_trouble", "shared/test_ledger_interrupted"),
        ),
    ),
)
LEAST_SCORE = 0.95
NOTICED = ("killed", "timeout")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant that is alive: the lines that it takes away and those that it puts in their place."""

    file: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A listed one: in the lines of the mutant `find` has become `replace`."""

    file: str
    find: str
    replace: str
    why: str

    def is_(self, mutant: Mutant) -> bool:
        changed = mutant.before.replace(self.find, self.replace)
        return self.file == mutant.file and self.find in mutant.before and changed == mutant.after


def equivalents() -> list[Equivalent]:
    """Return those that are listed."""
    listed = tomllib.loads((CATALOGUE / "equivalent.toml").read_text(encoding="utf-8"))
    return [Equivalent(**entry) for entry in listed["mutant"]]


def flatten(part: Part, to: Path) -> None:
    """Copy what mutmut needs, in the one layout that it knows: `src` and `tests` side by side."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOP / WRAPPER, to / "src" / "yandex_market_chat", ignore=unwanted)
    shutil.copytree(TOP / "generated", to / "src", dirs_exist_ok=True, ignore=unwanted)
    shutil.copytree(TOP / "wrapper" / "tests", to / "tests", ignore=unwanted)
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/yandex_market_chat/{module}.py" for module in part.modules],
        "pytest_add_cli_args_test_selection": [f"tests/{name}.py" for name in part.tests],
        "pytest_add_cli_args": [
            *("-p", "no:randomly", "-p", "no:schemathesis", "--import-mode=importlib", "-m", "not slow"),
            "--timeout=60",  # for one that waits for ever; mutmut itself would give it fifteen times what all take
        ],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pytest_settings = '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\nmarkers = ["slow"]'
    (to / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, pytest_settings, ""]))


def kept(part: Part) -> Path:
    """Return the folder of the part as it is now, where what was found of it is kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as name:
        made = Path(name) / "part"
        flatten(part, made)
        tests = {made / "tests" / f"{name}.py" for name in part.tests}  # a change of another one changes nothing
        files = sorted(path for path in made.rglob("*.*") if path in tests or not path.name.startswith("test_"))
        content = b"".join(
            path.relative_to(made).as_posix().encode() + path.read_bytes() for path in files if path.is_file()
        )
        folder = KEPT / hashlib.sha256(content).hexdigest()[:16]
        if not folder.exists():
            made.rename(folder)
    return folder


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut there, and return what it prints."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mutmut {arguments[0]} ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


# mutmut runs pytest several times in one process, and each time names the tests as it found them the first time.
COLLECTS_TWICE = """
import contextlib, io, json, sys, pytest

class Collected:
    def pytest_collection_modifyitems(self, items):
        self.names = {item.nodeid for item in items}

first, second = Collected(), Collected()
with contextlib.redirect_stdout(io.StringIO()):
    for collected in (first, second):
        pytest.main(["--rootdir=.", "--collect-only", *sys.argv[1:]], plugins=[collected])
print(json.dumps(sorted(first.names - second.names)))
"""


def check_names(folder: Path) -> None:
    """Exit if mutmut could not name a test that meets mutants: each of these counted as killed."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    chosen = settings["pytest_add_cli_args_test_selection"] + settings["pytest_add_cli_args"]
    command = [sys.executable, "-c", COLLECTS_TWICE, *chosen]
    paths = {"PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=os.environ | paths, capture_output=True, text=True, check=True)
    stats = json.loads((folder / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
    meet = {name for names in stats["tests_by_mangled_function_name"].values() for name in names}
    if renamed := meet & set(json.loads(done.stdout)):
        names = "\n".join(map(ascii, sorted(renamed)))
        sys.exit(f"pytest names these tests otherwise when it collects them again in one process:\n{names}")


def alive(folder: Path, name: str) -> Mutant:
    """Return what the mutant of that name changes."""
    module = "/".join(name.split(".")[1:-1])
    lines = [line for line in mutmut(folder, "show", name).splitlines() if not line.startswith(("---", "+++"))]
    before, after = ("\n".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    return Mutant(f"{WRAPPER}/{module}.py", before, after)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if of each part enough are killed."""
    parser = argparse.ArgumentParser(prog="contract_tests.measure.mutation", description="Mechanical mutants.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)

    begin = time.monotonic()
    listed = equivalents()
    found: set[Equivalent] = set()
    figures: dict[str, dict[str, int]] = {}
    for part in PARTS:
        folder = kept(part)
        mutmut(folder, "run", "--max-children", "4")  # most of the time they wait
        check_names(folder)
        results = dict(line.strip().split(": ") for line in mutmut(folder, "results", "--all", "true").splitlines())
        survivors = [alive(folder, name) for name, status in results.items() if status not in NOTICED]
        unlisted = []
        for mutant in survivors:
            reasons = {entry for entry in listed if entry.is_(mutant)}
            found |= reasons
            if not reasons:
                unlisted.append(mutant)
                print(f"ALIVE {mutant.file}\n- {mutant.before}\n+ {mutant.after}")
        counts = {"killed": len(results) - len(survivors), "equivalent": len(survivors) - len(unlisted)}
        figures[part.name] = {"mutants": len(results), **counts, "alive": len(unlisted)}
        print(
            f"{part.name}: {len(results)} mutants, {counts['killed']} killed, {counts['equivalent']} that no test can"
            f" notice, {len(unlisted)} alive: {score(figures[part.name]):.1%}",
            flush=True,
        )
    for entry in (each for each in listed if each not in found):
        print(f"LISTED, NOT ALIVE {entry.file}\n- {entry.find}\n+ {entry.replace}")
    print(f"{round(time.monotonic() - begin)} s")
    if options.json:
        options.json.write_text(json.dumps(figures))
    return 1 if any(score(each) < LEAST_SCORE for each in figures.values()) else 0


def score(figures: dict[str, int]) -> float:
    """Return which part of them is killed, or known as one that no test can notice."""
    return (figures["killed"] + figures["equivalent"]) / figures["mutants"]


if __name__ == "__main__":
    sys.exit(main())
