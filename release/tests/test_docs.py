"""What `make docs` refuses, and the README as the package index shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from release.versions import TOP

PYTHON = TOP / ".docs" / Path(sys.executable).parent.name / "python"
#: What the site is made of.
SOURCES = ("docs", "wrapper", "generated", *(path.name for path in TOP.glob("*.md")))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.skipif(not PYTHON.exists(), reason="make docs sets the environment up")
def test_dead_links_and_names_without_documentation_fail_the_build(tmp_path: Path) -> None:
    for name in SOURCES:
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copy
        copy(TOP / name, tmp_path / name)
    contract = tmp_path / "build" / "contract" / "contract.html"
    contract.parent.mkdir(parents=True)
    contract.touch()
    package = tmp_path / "wrapper" / "yandex_market_chat"
    with (tmp_path / "docs" / "outcomes.md").open("a", encoding="utf-8") as page:
        page.write("\n[page](gone.md), [anchor](testing.md#gone), [file](../gone/README.md)\n")
    with (tmp_path / "README.md").open("a", encoding="utf-8") as page:
        page.write("\n[from the README](docs/gone-too.md)\n")
    replace(tmp_path / "docs" / "reference.md", ".. autoclass:: Quota\n   :members:\n", "")
    replace(package / "_errors.py", '    """The file has no bytes. Nothing went out."""\n', "    ...\n")
    replace(package / "_send.py", '    """The chat that the file is in."""\n', "")
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--nitpicky")
    command = (PYTHON, "-m", "sphinx", *options, "docs", "build/docs")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    for told in (
        "'gone.md'", "'gone'", "gone/README.md", "gone-too.md",
        "yandex_market_chat.Quota is not in docs/reference.md",
        "yandex_market_chat.EmptyFileError has no docstring",
        "yandex_market_chat.SentFile.chat_id has no docstring",
    ):  # fmt: skip
        assert told in done.stderr, done.stderr


def test_the_package_index_gets_no_link_to_a_file() -> None:
    command = (sys.executable, "-m", "hatch_fancy_pypi_readme")
    utf8 = os.environ | {"PYTHONUTF8": "1"}
    shown = subprocess.run(command, cwd=TOP, env=utf8, capture_output=True, encoding="utf-8", check=True).stdout
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    link = re.compile(r"(?<![\w\])])\[([^\[\]]+)\]\(([^)]+)\)")
    assert [target for _, target in link.findall(shown) if not re.match(r"https?:|#", target)] == []
    assert link.sub(r"\1", shown).strip() == link.sub(r"\1", readme).strip()
