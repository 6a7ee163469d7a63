"""Tests of the measure: the catalogue fits the project, and a defect that no test notices is reported."""

from __future__ import annotations

import ast
import json
from collections import Counter

import pytest

from . import score
from ._defects import PLACES, TOP, Defect, catalogue, sample
from .mutation import PARTS, WRAPPER, equivalents

DEFECTS = catalogue()
LEAST = {"contract": 15, "mock": 20, "generated": 15, "wrapper": 30, "shared": 15, "ledger": 15, "blind": 30}
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


def test_the_score_has_a_row_for_each_place() -> None:
    assert set(score.PLACES) == set(PLACES)


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


def test_each_equivalent_mutant_is_one_of_a_line_that_is_there() -> None:
    for entry in equivalents():
        assert entry.why
        assert entry.find in (TOP / entry.file).read_text(encoding="utf-8"), f"{entry.find} is no more: make mutation"
    for part in PARTS:
        for module in part.modules:
            assert (TOP / WRAPPER / f"{module}.py").is_file()
        for test in part.tests:
            assert (TOP / "wrapper" / "tests" / f"{test}.py").is_file()


def test_the_page_tells_the_figures_that_were_measured_and_no_others() -> None:
    text = score.PAGE.read_text(encoding="utf-8")
    if not score.FIGURES.exists():
        assert score.BEGIN + score.END in text, "a table of figures that no file holds: run make contract-score"
        return
    figures = json.loads(score.FIGURES.read_text(encoding="utf-8"))
    assert score.with_table(text, figures) == text, (
        "docs/quality.md is not what score.json says: run make contract-score"
    )
