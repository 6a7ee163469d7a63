"""Version of the package, version of the contract and the changelog, which names both, say the same."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

import yandex_market_chat

CHANGELOG = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
HEADING = re.compile(r"## (\d+\.\d+\.\d+) \((not released yet|\d{4}-\d\d-\d\d)\), contract (\d+\.\d+\.\d+)")
HEADINGS = [line for line in CHANGELOG.splitlines() if line.startswith("## ")]


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_section_names_package_date_and_contract(heading: str) -> None:
    assert HEADING.fullmatch(heading)


def test_the_newest_section_is_about_this_version_of_package_and_contract() -> None:
    match = HEADING.fullmatch(HEADINGS[0])
    assert match
    assert match.group(1) == yandex_market_chat.__version__
    assert match.group(3) == yandex_market_chat.__contract_version__


def test_only_the_newest_section_can_be_one_that_is_not_released_and_versions_only_grow() -> None:
    assert not [heading for heading in HEADINGS[1:] if "not released yet" in heading]
    for which in (1, 3):
        found = [HEADING.sub(rf"\{which}", heading) for heading in HEADINGS]
        versions = [tuple(map(int, version.split("."))) for version in found]
        assert versions == sorted(versions, reverse=True)


def test_the_contract_is_named_by_version_and_hash() -> None:
    packaged = files("_yandex_market_chat_api").joinpath("contract.json").read_bytes()
    assert json.loads(packaged)["info"]["version"] == yandex_market_chat.__contract_version__
    assert hashlib.sha256(packaged).hexdigest() == yandex_market_chat.__contract_sha256__
