"""The index of the recipes, and what they link."""

from __future__ import annotations

import re

from .pages import DOCS


def test_the_index_names_each_page() -> None:
    named = re.findall(r"\]\((\w+\.md)\)", (DOCS / "recipes" / "index.md").read_text(encoding="utf-8"))
    assert sorted([*named, "index.md"]) == sorted(path.name for path in (DOCS / "recipes").glob("*.md"))


def test_what_the_recipes_link_is_there() -> None:
    for page in (DOCS / "recipes").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), link
