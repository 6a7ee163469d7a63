"""Fixes the known defects in the output of openapi-python-client; its first post hook (generator-config.yaml).

Each fix must match exactly as often as it says, or generation fails: then the generator has changed. Review the fix; do
not loosen it. A fix goes when its upstream thread is closed and the new generator does it right.
"""

import sys
from pathlib import Path
from typing import NamedTuple


class Fix(NamedTuple):
    """One replacement in the raw output of the generator."""

    upstream: str  # thread of openapi-generators/openapi-python-client
    why: str
    files: str  # glob below the package; the fix is applied to each file that it matches
    old: str
    new: str
    once_per: str  # text of the raw output that the generator puts beside each defect: as often as it, so often `old`


FIXES = (
    Fix(
        upstream="#1442 (pull requests #1407, #1471)",
        why="HTTPStatus(420) raises ValueError, and status, headers and body of the answer are lost",
        files="api/*/[!_]*.py",
        old="        status_code=HTTPStatus(response.status_code),\n",
        new="        status_code=response.status_code,\n",
        once_per="def _build_response(",
    ),
    Fix(
        upstream="#1442 (pull requests #1407, #1471)",
        why="the type that belongs to the fix above",
        files="types.py",
        old="    status_code: HTTPStatus\n",
        new="    status_code: int\n",
        once_per="class Response(",
    ),
    Fix(
        upstream="#1005",
        why="a file that holds CRLF--+++ is cut there, or parsed as further files; httpx makes a random boundary",
        files="api/*/[!_]*.py",
        old='    headers["Content-Type"] = "multipart/form-data; boundary=+++"\n',
        new="",
        once_per="body.to_multipart()",
    ),
)


def apply(package: Path) -> None:
    """Apply every fix below `package`, or exit with a sentence that names the one that no longer fits."""
    for fix in FIXES:
        applied = 0
        for file in sorted(package.glob(fix.files)):
            text = file.read_text(encoding="utf-8")
            found, expected = text.count(fix.old), text.count(fix.once_per)
            if found != expected:
                sys.exit(
                    f"fixes: {file.name} holds {fix.old.strip()!r} {found} times, not {expected}: "
                    f"the fix for {fix.upstream} ({fix.why}) no longer fits what the generator writes"
                )
            file.write_text(text.replace(fix.old, fix.new), encoding="utf-8", newline="\n")
            applied += found
        if not applied:
            sys.exit(f"fixes: nothing is left to fix for {fix.upstream} ({fix.why}): check whether the fix can go")


if __name__ == "__main__":
    apply(Path(sys.argv[1]))
