"""What `make api-diff` takes for a change of the interface, and what for none."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from release.api_diff import PACKAGE, compare, interface
from release.versions import TOP, Impact

_, _, ADDITION, BREAKING = Impact

CURRENT = interface()
CHAT_ID = "        chat_id: int | None = None,"


def changed(tmp_path: Path, module: str, old: str, new: str) -> list[tuple[Impact, str]]:
    """Compare the interface with that of a copy in which every `old` of a module is `new`."""
    shutil.copytree(TOP / "wrapper" / PACKAGE, tmp_path / "wrapper" / PACKAGE)
    (tmp_path / "generated").symlink_to(TOP / "generated")
    file = tmp_path / "wrapper" / PACKAGE / module
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return compare(CURRENT, interface(tmp_path))


#: module, what is changed, into what, what it means, the start of what is said first (after the package's name).
CHANGES = {
    "a parameter is renamed": (
        "_client.py", CHAT_ID, "        chat: int | None = None,",
        BREAKING, "gone: ", ".ChatClient.send_file(chat_id) (keyword-only: int | None = None)",
    ),
    "an int becomes a str": (
        "_client.py", CHAT_ID, "        chat_id: str | None = None,",
        BREAKING, "changed: ",
        ".ChatClient.send_file(chat_id) from (keyword-only: int | None = None) to (keyword-only: str | None = None)",
    ),
    "a parameter that must be given": (
        "_client.py", CHAT_ID, f"{CHAT_ID}\n        more: int,",
        BREAKING, "new: ", ".ChatClient.send_file(more) (keyword-only: int, required)",
    ),
    "a parameter that may be given": (
        "_client.py", CHAT_ID, f"{CHAT_ID}\n        more: int = 1,",
        ADDITION, "new: ", ".ChatClient.send_file(more) (keyword-only: int = 1)",
    ),
    "another place": (
        "_client.py", "        file: FileLike,\n        *,\n", "        *,\n        file: FileLike,\n",
        BREAKING, "changed: ", ".ChatClient.send_file(file) from (positional or keyword 0: ",
    ),
    "another result": (
        "_client.py", ") -> SentFile:", ") -> SentFile | None:",
        BREAKING, "changed: ", ".ChatClient.send_file from (function -> SentFile) to (function -> SentFile |",
    ),
    "another default": (
        "_options.py", "    attempts: int = ", "    attempts: int = 1",
        BREAKING, "changed: ", ".RetryPolicy.__init__(attempts) from ",
    ),
    "another class of error": (
        "_errors.py", "class WaitTimeoutError(NotSentError):", "class WaitTimeoutError(ChatError):",
        BREAKING, "gone: ", ".WaitTimeoutError is a yandex_market_chat.NotSentError (base)",
    ),
    "an attribute less": (
        "_send.py", "    unknown_attempts: int", "    _unknown_attempts: int",
        BREAKING, "gone: ", ".SentFile.__init__(unknown_attempts) ",
    ),
    "a name less": (
        "__init__.py", '    "Quota",\n', "",
        BREAKING, "gone: ", ".Quota (class)",
    ),
    "what a private name stands for": (
        "_base_client.py", "[[int, int], object]", "[[int], object]", BREAKING, "changed: ",
        ".AsyncChatClient.send_file(on_progress) from (keyword-only: (Callable[[int, int], ",
    ),
    "a context manager less": (
        "_client.py", "def __enter__", "def _enter",
        BREAKING, "gone: ", ".ChatClient.__enter__ (function -> Self)",
    ),
    "a module of the testing kit": (
        "testing/_market_chat.py", "    def violations", "    def _violations",
        BREAKING, "gone: ", ".testing.MarketChat.violations",
    ),
    "a method more": (
        "_client.py", "    def close(", "    def shut(self) -> None:\n        ...\n\n    def close(",
        ADDITION, "new: ", ".ChatClient.shut (function -> None)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_means_what_it_means(tmp_path: Path, name: str) -> None:
    module, old, new, impact, kind, words = CHANGES[name]
    found = changed(tmp_path, module, old, new)
    assert found[0][0] is impact
    assert [line for _, line in found if line.startswith(f"{kind}{PACKAGE}{words}")], found


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("_client.py", '"""Send one file', '"""Send a file'),
        ("_client.py", "import time\n", "import os\nimport time\n"),
        ("_version.py", '__version__ = "', '__version__ = "9'),
    ],
)
def test_what_nobody_can_see_is_no_change(tmp_path: Path, module: str, old: str, new: str) -> None:
    assert changed(tmp_path, module, old, new) == []


def test_what_comes_from_a_private_base_is_there() -> None:
    for client in ("ChatClient", "AsyncChatClient"):
        assert CURRENT[f"{PACKAGE}.{client}.__init__(api_key)"] == "keyword-only: str | None = None"
    assert f"{PACKAGE}.ParallelLimitError.status_code" not in CURRENT  # that of ApiError, which is public


def test_every_public_name_is_there() -> None:
    """By import, which the snapshot itself does without."""
    for package in (PACKAGE, f"{PACKAGE}.batch", f"{PACKAGE}.testing"):
        module = importlib.import_module(package)
        assert {f"{package}.{name}" for name in module.__all__} <= CURRENT.keys()
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type):
                bases = {base.__name__ for base in thing.__bases__ if base.__module__.startswith(PACKAGE)}
                public = {base for base in bases if hasattr(module, base)}
                said = {fact.rpartition(".")[2] for fact in CURRENT if fact.startswith(f"{package}.{name} is a ")}
                assert public <= said
