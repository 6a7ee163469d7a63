"""A test of the measure that plants defects in copies of the project: part of `make contract-mutants`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ._defects import TOP

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
    command: list[str | Path] = [sys.executable, "-m", "contract_tests.measure.mutants"]
    command += ["--catalogue", planted, "--rest", tests]
    done = subprocess.run([*command, "--json", figures], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for name, (said, *_) in PLANTED.items():
        (line,) = [line for line in done.stdout.splitlines() if f"{name}: " in line]
        assert line.startswith(said), done.stdout
    assert json.loads(figures.read_text())["places"]["wrapper"] == {"planted": 4, "killed": 1}


def _toml(entry: dict[str, str]) -> str:
    return "\n".join(["[[defect]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items()), "", ""])
