"""The code blocks of a page, and what its tests have in common."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from yandex_market_chat.testing import Fault, MarketChat

DOCS = Path(__file__).parents[1]
LOST = Fault(cut="reset", at="after-body")


def blocks(page: str, language: str) -> dict[str, str]:
    """Return the code blocks of a page by the file name in their first line."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(# (\S+)\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return {name: code for code, name in found}


def load(name: str, code: str, folder: Path) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sends(market_chat: MarketChat) -> int:
    """Return how many requests carried a file, whatever became of them."""
    return sum(request.operation == "sendFileToChat" for request in market_chat.requests)
