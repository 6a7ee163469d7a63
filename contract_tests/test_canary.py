"""The canary: these tests must notice the two known defects of the generator, which the fixes remove."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from . import _counts
from ._contract import TOP

_PACKAGE = "_yandex_market_chat_api"
_HERE = Path(__file__).parent

#: What of the suite is run on the unfixed client: each is about one of the two defects, in one direction of a vector.
SELECTION = (
    f"{_HERE}/test_vectors.py",
    f"{_HERE}/test_driven.py",
    "-k=420 or fixed-boundary or second-file or looks_like_a_form or a_boundary_of_its_own",
)


@pytest.fixture(scope="module")
def unfixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator's output as it is, with the fixes switched off."""
    folder = tmp_path_factory.mktemp("unfixed")
    settings = YAML(typ="safe", pure=True).load(TOP / "generator-config.yaml")
    hooks = settings["post_hooks"]
    settings["post_hooks"] = [hook.replace("../..", str(TOP)) for hook in hooks if "fixes.py" not in hook]
    assert len(settings["post_hooks"]) == len(hooks) - 1
    YAML(typ="safe").dump(settings, folder / "config.yaml")
    programs = Path(sys.executable).parent
    subprocess.run(
        [
            programs / "openapi-python-client", "generate", "--path", TOP / "openapi" / "openapi.yaml",
            "--config", folder / "config.yaml", "--meta", "none", "--output-path", folder / _PACKAGE,
        ],
        check=True,
        capture_output=True,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        cwd=folder,
    )  # fmt: skip
    return folder


def run(folder: Path) -> str:
    """Run the selection with the package of that folder in the place of the generated one."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--tb=no",
        *SELECTION,
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=TOP, env=os.environ | {"PYTHONPATH": str(folder)}
    )
    return done.stdout + done.stderr


def failed(output: str) -> set[str]:
    return set(re.findall(r"^FAILED contract_tests/(\S+)", output, re.MULTILINE))


def test_the_unfixed_client_fails_for_420_and_for_its_fixed_boundary(unfixed: Path) -> None:
    _counts.part("canary")
    text = "".join(file.read_text(encoding="utf-8") for file in (unfixed / _PACKAGE / "api").rglob("*.py"))
    assert "boundary=+++" in text
    assert "HTTPStatus(response.status_code)" in text
    failures = failed(run(unfixed))
    for entry_point in ("sync", "sync_detailed", "asyncio", "asyncio_detailed"):
        for expected in (
            f"test_vectors.py::test_the_generated_client_makes_this_of_the_answer[generated.{entry_point}-420/parallel]",
            f"test_vectors.py::test_the_generated_client_sends_these_bytes[generated.{entry_point}-contents/second-file]",
            f"test_driven.py::test_each_request_has_a_boundary_of_its_own[sendFileToChat-generated.{entry_point}]",
            f"test_driven.py::test_a_file_that_looks_like_a_form_arrives_as_it_is[sendFileToChat-generated.{entry_point}]",
        ):
            assert expected in failures
