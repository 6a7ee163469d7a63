"""`make core-size`: code lines of the core, without blanks, comments and docstrings; fails above the ceiling."""

from __future__ import annotations

import ast
import sys
import tokenize
from pathlib import Path

MOST = 2354
CORE = Path(__file__).parents[1] / "yandex_market_chat"
NOT_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(file: Path) -> int:
    """Count the lines of a module that hold code."""
    with file.open("rb") as source:
        tokens = [token for token in tokenize.tokenize(source.readline) if token.type not in NOT_CODE]
    lines = {line for token in tokens[1:] for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(file.read_bytes())):
        # A string that stands alone: a docstring, of an attribute too.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


if __name__ == "__main__":
    sizes = {file.name: lines_of_code(file) for file in sorted(CORE.glob("*.py"))}
    total = sum(sizes.values())
    print(*(f"{size:5} {name}" for name, size in sizes.items()), f"{total:5} in the core, at most {MOST}", sep="\n")
    sys.exit(total > MOST)
