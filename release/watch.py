"""`make watch`: compare with Market's own document as it is now; open an issue with what matters.

An issue is opened by `gh`, if GH_TOKEN is set; once for the same words, as long as that issue is open. Exit status: 0
if nothing matters or an issue tells it, 2 if something matters and none does, or if the comparison was impossible.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile

TITLE = "Market's document differs from the contract"


def main(arguments: list[str]) -> int:
    """Clone, compare, tell."""
    (repository,) = arguments
    with tempfile.TemporaryDirectory() as folder:
        cloned = subprocess.run(["git", "clone", "--quiet", "--depth", "1", repository, folder], check=False)
        if cloned.returncode:
            print(f"watch: {repository} cannot be cloned", file=sys.stderr)
            return 2
        command = [sys.executable, "-m", "release.upstream_diff", folder]
        compared = subprocess.run(command, capture_output=True, text=True, check=False)
    print(compared.stdout + compared.stderr, end="", flush=True)
    matters = [line for line in compared.stdout.splitlines() if line.startswith("  DIFFERS")]
    if not compared.returncode:
        return 0
    if not matters or "GH_TOKEN" not in os.environ:
        return 2
    # Without the commit, which changes about 25 times a month.
    mark = f"watch:{hashlib.sha256(compared.stdout.partition(chr(10))[2].encode()).hexdigest()[:16]}"
    listed = subprocess.run(
        [
            "gh",
            "issue",
            "list",
            "--state",
            "open",
            "--search",
            f"{mark} in:body",
            "--json",
            "number",
            "--jq",
            ".[].number",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    if listed.stdout.strip():
        print(f"watch: issue {listed.stdout.split()[0]} tells it")
        return 0
    words = f"`make watch` found, against {repository}:\n\n```\n{compared.stdout}```"
    body = f"{words}\n\nCONTRIBUTING.md says what to do.\n\n{mark}\n"
    subprocess.run(["gh", "issue", "create", "--title", TITLE, "--body-file", "-"], input=body, text=True, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
