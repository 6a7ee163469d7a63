"""Tests of the measure: the catalogue fits the project, and a defect that no test notices is reported."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from . import score
from ._defects import TOP, Defect, catalogue, sample
from .mutation import MODULES, TESTS, WRAPPER, equivalents

DEFECTS = catalogue()
LEAST = {"contract": 15, "mock": 20, "generated": 15, "wrapper": 30, "blind": 10}
UPSTREAM = 5


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_can_be_planted_and_says_who_notices(defect: Defect) -> None:
    text = (TOP / defect.file).read_text(encoding="utf-8")
    assert text.count(defect.find) == 1, f"{defect.file} has changed: find another text for {defect.name!r}"
    assert defect.replace != defect.find
    assert all((defect.name, defect.failure, defect.kind)), "a name, a failure that a user would see, a kind of test"
    path, _, test = defect.killed_by.partition("::")
    body = ast.parse((TOP / path).read_text(encoding="utf-8")).body
    assert test.partition("[")[0] in [node.name for node in body if isinstance(node, ast.FunctionDef)]


def test_there_are_enough_in_each_place_and_none_twice() -> None:
    counts = Counter(defect.place for defect in DEFECTS)
    assert all(counts[place] >= least for place, least in LEAST.items()), counts
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
    assert len([defect for defect in DEFECTS if defect.upstream]) == UPSTREAM
    blind = [defect for defect in DEFECTS if defect.place == "blind"]
    assert all(isinstance(defect.killed_before, bool) for defect in blind)


def test_the_sample_is_the_same_until_something_changes() -> None:
    names = [defect.name for defect in sample(DEFECTS, 12)]
    assert names == [defect.name for defect in sample(DEFECTS, 12)]
    assert len(set(names)) == 12


FIVE = "test_an_answer_tells_its_first_five_errors"
CONFIRMS = "test_what_neither_confirms_nor_refuses_says_so"
PLANTED = {
    # what is planted: what is said of it, file, find, replace, the test that is to fail
    "nothing": ("survived", "_version.py", '__version__ = "', '__version__: str = "', CONFIRMS),
    "an off by one": ("killed", "_answer.py", "items[:5]", "items[:6]", FIVE),
    "another one": ("elsewhere", "_answer.py", "most: int = 300", "most: int = 301", FIVE),
    "no Python": ("broken", "_answer.py", "import json\n", "import json from\n", CONFIRMS),
}


def test_what_nobody_notices_is_said(tmp_path: Path) -> None:
    tests = "wrapper/tests/test_sentences.py"
    entries = [
        {"name": name, "failure": "f", "kind": "k", "file": f"wrapper/yandex_market_chat/{file}", "find": find}
        | {"replace": replace, "killed_by": f"{tests}::{test}"}
        for name, (_, file, find, replace, test) in PLANTED.items()
    ]
    planted = tmp_path / "wrapper.toml"
    planted.write_text("".join(_toml(entry) for entry in entries))
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "contract_tests.measure.mutants", "--catalogue", planted, "--rest", tests]
    done = subprocess.run([*command, "--json", figures], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for name, (said, *_) in PLANTED.items():
        (line,) = [line for line in done.stdout.splitlines() if f"{name}: " in line]
        assert line.startswith(said), done.stdout
    assert json.loads(figures.read_text())["places"]["wrapper"] == {"planted": 4, "killed": 1}


def _toml(entry: dict[str, str]) -> str:
    return "\n".join(["[[defect]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items()), "", ""])


def test_each_equivalent_mutant_is_one_of_a_line_that_is_there() -> None:
    for entry in equivalents():
        assert entry.why
        assert entry.find in (TOP / entry.file).read_text(encoding="utf-8"), f"{entry.find} is no more: make mutation"
    for module in MODULES:
        assert (TOP / WRAPPER / f"{module}.py").is_file()
    for test in TESTS:
        assert (TOP / "wrapper" / "tests" / f"test_{test}.py").is_file()


def test_the_readme_tells_the_figures_that_were_measured_and_no_others() -> None:
    text = score.README.read_text(encoding="utf-8")
    if not score.FIGURES.exists():
        assert score.BEGIN + score.END in text, "a table of figures that no file holds: run make contract-score"
        return
    figures = json.loads(score.FIGURES.read_text(encoding="utf-8"))
    assert score.with_table(text, figures) == text, "README.md is not what score.json says: run make contract-score"
