"""Looks for long, at other cases each time: `make contract-deep`. Prints the seed of each round before it begins.

    python -m contract_tests.deep [MINUTES] [SEED]

A round that fails ends it; the same seed and 0 minutes run that round again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

_TOP = Path(__file__).resolve().parents[1]
#: How many times as many examples as in the short run.
_DEPTH = 8
_GENERATED = ("test_driven.py", "test_inverted.py", "test_mock_server.py")


def main(minutes: float = 30, seed: int | None = None) -> int:
    """Run rounds until the time is over or one fails."""
    end = time.monotonic() + minutes * 60
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    number = 0
    while number == 0 or time.monotonic() < end:
        print(f"round {number + 1}, seed {seed} (again: python -m contract_tests.deep 0 {seed})", flush=True)
        files = [str(Path(__file__).with_name(name)) for name in _GENERATED]
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider",
                f"--hypothesis-seed={seed}", *files,
            ],
            cwd=_TOP,
            env=os.environ | {"CONTRACT_DEPTH": str(_DEPTH), "CONTRACT_SEED": str(seed)},
            check=False,
        )  # fmt: skip
        if done.returncode:
            print(f"round {number + 1} failed: seed {seed}")
            return done.returncode
        number += 1
        seed = random.Random(seed).randrange(2**32)
    print(f"{number} rounds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False))))
