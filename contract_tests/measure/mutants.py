"""Plants each defect of the catalogue in a throw-away copy and checks that a test notices: `make contract-mutants`.

    python -m contract_tests.measure.mutants [--sample 12] [--catalogue FILE ...] [--only TEXT] [--rest TEST ...]
        [--json FILE]

The test that the catalogue names is run first; if it passes, all others. A defect is killed only if that test
fails, or what it needs cannot be made. One that only other tests notice, or that stops pytest from running, is reported
and the status is 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ._defects import PLACES, Defect, catalogue, read, sample
from ._planting import WHOLE_SUITE, Run, copy, run_tests, with_defect

_SECONDS_OF_ONE = 120.0
_SECONDS_OF_ALL = 900.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a planted defect; `noticed` is the test that failed, or what was seen instead of one."""

    defect: Defect
    outcome: Literal["killed", "elsewhere", "survived", "broken"]
    noticed: str = "no test"

    def __str__(self) -> str:
        said = f"{self.outcome:10}{self.defect.place:10}{self.defect.name}: {self.noticed}"
        return {
            "killed": said,
            "elsewhere": f"{said}, but not {self.defect.killed_by}",
            "survived": f"{said} notices; {self.defect.failure}",
            "broken": said,
        }[self.outcome]


def look(defect: Defect, base: Path, *tests: str, seconds: float) -> Run:
    """Plant the defect in a copy of its own, and run tests there until one fails."""
    with tempfile.TemporaryDirectory(dir=base.parent) as folder:
        return run_tests(with_defect(defect, base, Path(folder) / "tree"), "-x", *tests, seconds=seconds)


def by_name(defect: Defect, base: Path) -> Verdict | None:
    """Return what the test that is to fail says; None if it passes, or if none is named."""
    if not defect.killed_by:
        return None
    run = look(defect, base, defect.killed_by, seconds=_SECONDS_OF_ONE)
    if run.status == 1 and defect.noticed_by(run.failed):
        return Verdict(defect, "killed", run.failed[0])
    return None if run.status == 0 else Verdict(defect, "broken", run.ending)


def by_any(defect: Defect, base: Path, rest: Iterable[str]) -> Verdict:
    """Return what the other tests say."""
    run = look(defect, base, *rest, seconds=_SECONDS_OF_ALL)
    if run.status in (1, 2) and run.failed:  # 2: stopped at the first, with several processes
        return Verdict(defect, "elsewhere" if defect.killed_by else "killed", run.failed[0])
    return Verdict(defect, "survived") if run.status == 0 else Verdict(defect, "broken", run.ending)


def judged(defects: list[Defect], rest: Iterable[str]) -> list[Verdict]:
    """Plant all of them, one after the other is told; stop if the tests fail without a defect."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    try:
        base = copy(folder / "base")
        tests = {defect.killed_by for defect in defects if defect.killed_by}
        clean = run_tests(base, "-n=2", "--dist=worksteal", *sorted(tests), seconds=_SECONDS_OF_ALL) if tests else None
        if clean is not None and clean.status != 0:
            sys.exit(f"without a defect the tests do not pass: {clean.ending}")
        verdicts: list[Verdict] = []
        left: list[Defect] = []
        with ThreadPoolExecutor(2) as workers:
            for defect, found in zip(defects, workers.map(lambda one: by_name(one, base), defects), strict=True):
                if found is None:
                    left.append(defect)
                else:
                    verdicts.append(found)
                    print(found, flush=True)
        # One after the other, each with the whole machine: some of the tests measure time.
        for defect in left:
            verdicts.append(by_any(defect, base, rest))
            print(verdicts[-1], flush=True)
        return verdicts
    finally:
        shutil.rmtree(folder)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all were killed."""
    parser = argparse.ArgumentParser(prog="python -m contract_tests.measure.mutants", description="Plants the defects.")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="so many, others after each change (all)")
    parser.add_argument("--catalogue", type=Path, nargs="+", metavar="FILE", help="(measure/defects/*.toml)")
    parser.add_argument("--only", default="", metavar="TEXT", help="those that have it in their name")
    parser.add_argument("--rest", nargs="+", default=WHOLE_SUITE, metavar="TEST", help="(the whole suite)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    defects = [defect for path in options.catalogue for defect in read(path)] if options.catalogue else catalogue()
    defects = [defect for defect in defects if options.only in defect.name]
    defects = sample(defects, options.sample) if options.sample else defects

    begin = time.monotonic()
    verdicts = judged(defects, options.rest)
    seconds = round(time.monotonic() - begin)
    planted = Counter(verdict.defect.place for verdict in verdicts)
    killed = Counter(verdict.defect.place for verdict in verdicts if verdict.outcome == "killed")
    for place in planted:
        print(f"{place}: {killed[place]} of {planted[place]} killed")
    print(f"all: {killed.total()} of {planted.total()} killed, {seconds} s")
    if options.json:
        places = {place: {"planted": planted[place], "killed": killed[place]} for place in PLACES}
        options.json.write_text(json.dumps({"places": places, "seconds": seconds}))
    return 0 if verdicts and killed == planted else 1


if __name__ == "__main__":
    sys.exit(main())
