"""Each Russian page has the headings, the code and the tables of its English twin."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page.name for page in (DOCS / "ru").glob("*.md") if page.name != "index.md")  # it includes README.ru.md

BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) .+$", re.MULTILINE)
ROW = re.compile(r"^\|.+\|$", re.MULTILINE)
FACT = re.compile(r"`[^`]+`|\d+")
# To the end of the line: comments are translated.
COMMENT = {"python": re.compile(r"(^|\s+)# .*"), "sh": re.compile(r"(^|\s+)# .*"), "sql": re.compile(r"(^|\s+)-- .*")}
NEVER = re.compile(r"(?!)")


def code(text: str) -> list[tuple[str, list[str]]]:
    """Return the language and the lines of each code block, without comments and the lines that hold nothing else."""
    return [
        (
            block["language"],
            [
                rest
                for line in block["code"].splitlines()
                if (rest := COMMENT.get(block["language"], NEVER).sub("", line)) or not line
            ],
        )
        for block in BLOCK.finditer(text)
    ]


def outline(text: str) -> list[int]:
    """Return the level of each heading."""
    return [len(marks) for marks in HEADING.findall(BLOCK.sub("", text))]


def tables(text: str) -> list[tuple[int, list[str]]]:
    """Return of each row of the tables the number of bars, and the code and the numbers in it, sorted."""
    return [(row.count("|"), sorted(FACT.findall(row))) for row in ROW.findall(BLOCK.sub("", text))]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("part", [outline, code, tables], ids=lambda part: part.__name__)
def test_a_russian_page_is_in_step_with_the_english_one(part: Callable[[str], object], page: str) -> None:
    english, russian = ((folder / page).read_text(encoding="utf-8") for folder in (DOCS, DOCS / "ru"))
    assert part(russian) == part(english)
