"""Mechanical mutants of the decision core and of the preparation of files, by mutmut: `make mutation`.

    python -m contract_tests.measure.mutation [--json FILE]

Nobody chose them, and nobody wrote a test for one of them before it was found alive. Those that no test can notice are
listed in defects/equivalent.toml, each with the reason. The status is 1 if one is alive that is not listed, if one is
listed that is not alive, or if fewer than 95 % are killed or equivalent.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ._defects import CATALOGUE, TOP

WRAPPER = "wrapper/yandex_market_chat"
#: What is mutated: what decides what happened to a file, and what makes of a file what is sent.
MODULES = (
    *("_answer", "_attempt", "_claims", "_delivery", "_history", "_quota", "_slots", "_steps"),
    *("_file", "_file_name"),
)
#: The tests of these modules; the slower ones among the others would add minutes and notice nothing more.
TESTS = (
    *("answers", "connections", "delivery", "file_names", "files"),
    *("async_iterators", "files_that_change", "refused_files"),
    *("limits", "parallel", "repeats", "secrets", "sentences"),
    *("confirming", "equal_files", "fail_closed", "history", "open_chat"),
)
LEAST_SCORE = 0.95


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


def flatten(to: Path) -> None:
    """Copy what mutmut needs, in the one layout that it knows: `src` and `tests` side by side."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOP / WRAPPER, to / "src" / "yandex_market_chat", ignore=unwanted)
    shutil.copytree(TOP / "generated", to / "src", dirs_exist_ok=True, ignore=unwanted)
    (to / "tests").mkdir()
    for path in (TOP / "wrapper" / "tests").glob("*.py"):
        shutil.copy2(path, to / "tests")
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/yandex_market_chat/{module}.py" for module in MODULES],
        "pytest_add_cli_args_test_selection": [f"tests/test_{name}.py" for name in TESTS],
        "pytest_add_cli_args": ["-p", "no:randomly", "-p", "no:schemathesis", "--import-mode=importlib"],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pytest_settings = '[tool.pytest.ini_options]\nfilterwarnings = ["error"]'
    (to / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, pytest_settings, ""]))


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut there, and return what it prints."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mutmut {arguments[0]} ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def alive(folder: Path, name: str) -> Mutant:
    """Return what the mutant of that name changes."""
    module = name.split(".")[1]
    lines = [line for line in mutmut(folder, "show", name).splitlines() if not line.startswith(("---", "+++"))]
    before, after = ("\n".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    return Mutant(f"{WRAPPER}/{module}.py", before, after)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if enough are killed, and each that is alive is listed."""
    parser = argparse.ArgumentParser(prog="contract_tests.measure.mutation", description="Mechanical mutants.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)

    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        flatten(folder)
        mutmut(folder, "run", "--max-children", "2")
        results = dict(line.strip().split(": ") for line in mutmut(folder, "results", "--all", "true").splitlines())
        counts = Counter(results.values())
        survivors = [alive(folder, name) for name, status in results.items() if status not in ("killed", "timeout")]
    seconds = round(time.monotonic() - begin)

    listed = equivalents()
    unlisted = [mutant for mutant in survivors if not any(entry.is_(mutant) for entry in listed)]
    stale = [entry for entry in listed if not any(entry.is_(mutant) for mutant in survivors)]
    for mutant in unlisted:
        print(f"ALIVE {mutant.file}\n- {mutant.before}\n+ {mutant.after}")
    for entry in stale:
        print(f"LISTED, NOT ALIVE {entry.file}\n- {entry.find}\n+ {entry.replace}")
    total, noticed = len(results), counts["killed"] + counts["timeout"]
    equivalent = len(survivors) - len(unlisted)
    score = (noticed + equivalent) / total
    print(
        f"{total} mutants: {noticed} killed ({counts['timeout']} of them by a test that does not end),"
        f" {equivalent} equivalent, {len(unlisted)} alive: {score:.1%}, {seconds} s"
    )
    if options.json:
        figures = {"mutants": total, "killed": noticed, "equivalent": equivalent, "alive": len(unlisted)}
        options.json.write_text(json.dumps(figures | {"seconds": seconds}))
    return 1 if unlisted or stale or score < LEAST_SCORE else 0


if __name__ == "__main__":
    sys.exit(main())
