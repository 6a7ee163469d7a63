"""Throw-away copies of the project, and pytest in them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ._defects import TOP, Defect, files_of

#: In a copy: all tests except those that check the catalogue against the unchanged project.
WHOLE_SUITE = ("wrapper/tests", "contract_tests", "--ignore=contract_tests/measure", "-n=2", "--dist=worksteal")


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run of pytest. `status` None: it did not end in time."""

    status: int | None
    failed: tuple[str, ...]
    output: str

    @property
    def ending(self) -> str:
        """Say how it ended, for people."""
        how = "did not end in time" if self.status is None else f"ended with status {self.status}"
        return f"pytest {how}:\n{self.output[-2000:]}"


def copy(to: Path) -> Path:
    """Copy the project, as it is on the disk."""
    for path in files_of():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / path, to / path)
    return to


def with_defect(defect: Defect, base: Path, to: Path) -> Path:
    """Copy a copy and plant the defect in it; what is generated from the contract is generated again."""
    shutil.copytree(base, to)
    defect.plant(to)
    if defect.file.startswith("openapi/"):
        programs = Path(sys.executable).parent
        # The environment of the project stands for the one that the copy would make for itself.
        done = subprocess.run(
            ["make", "--silent", f"--old-file={programs.parent}/dev", f"VENV={programs.parent}", "generate"],
            cwd=to,
            env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{defect.name!r}: no client can be generated: {done.stdout}{done.stderr}")
    return to


def run_tests(tree: Path, *arguments: str, seconds: float) -> Run:
    """Run tests of a copy, which import what the copy has: that is checked."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "contract_tests.measure._witness",
             "-p", "no:randomly", "-p", "no:cacheprovider", *arguments],
            cwd=tree,
            env=os.environ | {
                "PYTHONPATH": f"{tree}/wrapper{os.pathsep}{tree}/generated",
                "WITNESS_REPORT": str(report),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Run(None, (), process.communicate()[0])
        seen = json.loads(report.read_text()) if report.exists() else {"failed": [], "modules": []}
    strangers = [path for path in seen["modules"] if not Path(path).is_relative_to(tree)]
    if strangers:
        raise RuntimeError(f"the tests of the copy {tree} imported {strangers[0]}")
    return Run(process.returncode, tuple(seen["failed"]), output)
