"""Every code block of the two READMEs and of docs/*.md runs against a server, or has a reason here why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from yandex_market_chat.testing import MockServer

TOP = Path(__file__).parents[2]
DIRECTIVE = re.compile(r"^```\{.*?^```$", re.MULTILINE | re.DOTALL)  # of the site, not code
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")

# What a block is, in place of the number of files that arrive when it runs.
TESTS = "tests, which testing/test_installed.py runs"
INSTALLS = "installs from a package index"
MAKE = "targets of the Makefile, which .ci/run runs"
README = [1, MAKE, INSTALLS, 1, 1, 1, 1, TESTS]

BLOCKS: dict[str, list[int | str]] = {
    "README.md": README,
    "README.ru.md": README,
    "docs/ids.md": [0, "asks the live service", 1],
    "docs/sending.md": [1, 0, 1],
    "docs/outcomes.md": [1, 1],
    "docs/command-line.md": [INSTALLS, 2, 1, 0, 1],
    "docs/batches.md": [2, "mailing.csv", "mailing.jsonl", 2],
    "docs/several-workers.md": [0, 3, 0],
    "docs/sending-once.md": [
        1,
        "a task of Celery, which `make test-ledger` runs",
        1,
        "a pool for PostgreSQL, which `make test-ledger` runs",
        0,
        "statements for a person at PostgreSQL",
    ],
    "docs/testing.md": [TESTS, TESTS, "a server, which is started below", "scenario.json"],
    "docs/logging.md": [0, 1, 0],
    "docs/security.md": [1],
    "docs/stability.md": ["a release in a folder, see release/tests", 0, "takes a copy of Market's document"],
}
"""By page, in order. The name of a file: what other blocks of the page read. A page without blocks may be left out."""


class Block(NamedTuple):
    language: str
    code: str


def pages() -> list[str]:
    return ["README.md", "README.ru.md", *(f"docs/{path.name}" for path in sorted((TOP / "docs").glob("*.md")))]


def text_of(page: str) -> str:
    return DIRECTIVE.sub("", (TOP / page).read_text(encoding="utf-8"))


def blocks_of(page: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(text_of(page))]


@pytest.mark.parametrize("page", pages())
def test_each_block_is_known(page: str) -> None:
    blocks = blocks_of(page)
    assert len(re.findall(r"^\s*```", text_of(page), re.MULTILINE)) == 2 * len(blocks), "a block without a language"
    expected = BLOCKS.get(page, [])
    assert len(blocks) == len(expected), "say in BLOCKS what the new block does"
    for (language, code), told in zip(blocks, expected, strict=True):
        assert isinstance(told, str) or language in ("python", "sh"), code
        assert (told == TESTS) == code.startswith("# test_"), code


RUN = [
    pytest.param(page, code, told, id=f"{page} {number}")
    for page in pages()
    for number, (code, told) in enumerate(zip(blocks_of(page), BLOCKS.get(page, []), strict=False))
    if isinstance(told, int)
]


@pytest.fixture
def folder(server: MockServer, tmp_path: Path) -> Path:
    """The files that the blocks name, a chat that holds one of them, and the programs that they call."""
    for name in (
        *("a.pdf", "b.pdf", "c.pdf", "photo.jpg", "invoice.pdf", "invoice-4711.pdf", "счёт.pdf"),
        *("invoices/456.pdf", "invoices/457.pdf"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "mailing.csv").write_text("business_id,chat_id,file\n123,456,a.pdf\n", encoding="utf-8")
    server.chats.post(123, 456, files=[("invoice.pdf", len("invoice.pdf"))], sender="PARTNER")
    for name, program in {
        "python": f'exec "{sys.executable}" -W error "$@"',
        "yandex-market-chat": f'exec "{sys.executable}" -W error -m yandex_market_chat_command "$@"',
        "make-invoice": "echo invoice",
    }.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def start(block: Block, server: MockServer, folder: Path, page: str) -> subprocess.Popen[str]:
    """Start a block in the folder, beside what other blocks of its page say that files hold."""
    for other, told in zip(blocks_of(page), BLOCKS[page], strict=True):
        if isinstance(told, str) and re.fullmatch(r"[a-z]+\.\w+", told):
            (folder / told).write_text(other.code, encoding="utf-8")
    code = block.code.replace("/var/lib/shop", str(folder))
    if block.language == "sh":
        command = ["bash", "-euc", code.replace("API_KEY=...", f"API_KEY={server.api_key}")]
    else:
        if re.search("^async with ", code, re.MULTILINE):
            code = f"import asyncio\nasync def main():\n{textwrap.indent(code, '    ')}\nasyncio.run(main())"
        (folder / "example.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "-W", "error", "example.py"]
    environment = os.environ | {
        "YANDEX_MARKET_API_KEY": server.api_key,
        "YANDEX_MARKET_BASE_URL": server.base_url,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "PYTHONUTF8": "1",
    }
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


@pytest.mark.parametrize(("page", "block", "files"), RUN)
def test_a_block_runs(server: MockServer, folder: Path, page: str, block: Block, files: int) -> None:
    if block.language == "sh" and os.name == "nt":
        pytest.skip("for a shell of Unix")
    started = start(block, server, folder, page)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 0, said
    assert "Traceback" not in said
    assert block.language == "sh" or not said
    deadline = time.monotonic() + 30
    while len(server.received) < files and time.monotonic() < deadline:  # by processes that nobody waits for
        time.sleep(0.05)
    assert len(server.received) == files


def test_the_json_lines_of_a_batch_are_a_manifest(server: MockServer, folder: Path) -> None:
    command = Block("sh", "yandex-market-chat send-batch mailing.jsonl --journal mailing.sqlite")
    started = start(command, server, folder, "docs/batches.md")
    _, said = started.communicate(timeout=60)
    assert started.returncode == 0, said
    assert len(server.received) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process at once, without SIGTERM")
def test_the_server_of_the_page_starts_with_the_scenario_of_the_page(server: MockServer, folder: Path) -> None:
    (command,) = [block for block in blocks_of("docs/testing.md") if block.language == "sh"]
    code = "exec " + command.code.replace("8080", "0").strip() + " --scenario scenario.json"
    started = start(Block("sh", code), server, folder, "docs/testing.md")
    try:
        assert started.stdout is not None
        assert "http://127.0.0.1:" in started.stdout.readline()
    finally:
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=60)
    assert started.returncode == 0, said
    json.loads((folder / "scenario.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages())
def test_the_targets_of_make_on_a_page_are_there(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), re.MULTILINE)) <= set(targets)


def test_what_the_pages_link_is_there() -> None:
    for page in pages():
        for link in LINK.findall(text_of(page)):
            assert link.startswith("https://") or ((TOP / page).parent / link).exists(), f"{page}: {link}"


# The two READMEs


@pytest.mark.parametrize("page", ["README.md", "README.ru.md"])
def test_a_readme_is_short(page: str) -> None:
    assert len(text_of(page).splitlines()) <= 130


@pytest.mark.parametrize("page", ["README.md", "README.ru.md"])
def test_what_a_newcomer_runs_stands_on_the_first_two_screens(page: str) -> None:
    begin = "\n".join(text_of(page).splitlines()[:60])
    assert "make demo" in begin
    assert "make test" in begin


def shape(page: str) -> list[str]:
    """Headings by their level, blocks without what stands in comments and texts, and what is linked, in order."""
    found: list[str] = []
    for heading, language, code, link in re.findall(
        r"^(#+) |^```(\w+)\n(.*?)^```$|\]\(([^)]+)\)", text_of(page), re.MULTILINE | re.DOTALL
    ):
        link = link.replace("docs/ru/", "docs/")
        found.append(heading or link or language + "\n" + re.sub(r'("[^"\n]*")|[ \t]*#.*', _bare, code))
    return found[:1] + found[2:]  # but for the link to each other


def _bare(match: re.Match[str]) -> str:
    return "..." if match[1] else ""


def test_the_two_readmes_are_in_step() -> None:
    assert shape("README.md") == shape("README.ru.md")


def test_the_two_readmes_link_each_other_at_the_top() -> None:
    for page, other in (("README.md", "README.ru.md"), ("README.ru.md", "README.md")):
        assert f"]({other})" in "\n".join(text_of(page).splitlines()[:5])
