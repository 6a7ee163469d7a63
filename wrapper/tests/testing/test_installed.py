"""The wheel and pytest in an environment of their own: what a team has that imports the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UV = Path(sys.executable).parent / "uv"
BLOCK = re.compile(r"^```python\n(# (test_\w+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of that environment. Versions are those of locks/dev.txt."""
    folder = tmp_path_factory.mktemp("installed")
    run(
        UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable,
        "--out-dir", folder, ROOT, cwd=folder,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    run(UV, "venv", "--no-project", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    lock = ROOT / "locks" / "dev.txt"
    pins = folder / "pins.txt"
    pins.write_text("\n".join(re.findall(r"^[\w.-]+==[^ ;]+", lock.read_text(encoding="utf-8"), re.MULTILINE)))
    run(UV, "pip", "install", "--python", python, "--constraint", pins, wheel, "pytest", cwd=folder)
    return python


@pytest.mark.parametrize("page", ["README.md", "README.ru.md", "docs/testing.md"])
def test_the_tests_of_a_page(python: Path, tmp_path: Path, page: str) -> None:
    blocks = {name: code for code, name in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))}
    assert blocks
    for name, code in blocks.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    told = run(python, "-m", "pytest", "-W", "error", "--strict-markers", "-v", "-p", "no:cacheprovider", cwd=tmp_path)
    tests = re.findall(r"^def (test_\w+)", "\n".join(blocks.values()), re.MULTILINE)
    assert sorted(re.findall(r"::(\w+) PASSED", told)) == sorted(tests)
    assert f"= {len(tests)} passed in " in told


def test_the_plugin_imports_nothing_but_pytest(python: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    ours = {'httpx', 'httpcore', 'h11', 'attr', 'yandex_market_chat', '_yandex_market_chat_api'}\n"
        "    print('plugin', 'yandex_market_chat_pytest' in sys.modules, 'more', sorted(ours & set(sys.modules)))\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    told = run(python, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "plugin True more []" in told
    code = (
        "import sys, pytest; before = set(sys.modules); import yandex_market_chat_pytest; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert run(python, "-c", code, cwd=tmp_path) == "['yandex_market_chat_pytest']\n"
