"""What the command says of itself, how soon, and what it says without its extra."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from .conftest import COMMAND, Cli


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], ["confirm ", "send ", "send-batch "]),
        (["confirm"], ["YANDEX_MARKET_API_KEY", "Exit status:", "Example:", "--since", "--json"]),
        (["send"], ["YANDEX_MARKET_API_KEY", "Exit status:", "Examples:", "--dry-run", "--json", "--name"]),
        (
            ["send-batch"],
            ["YANDEX_MARKET_API_KEY", "Exit status:", "Examples:", "--journal", "business_id,chat_id,file"],
        ),
    ],
)
def test_help_is_enough_and_brings_nothing_heavy(cli: Cli, command: list[str], said: list[str]) -> None:
    done = cli(*command, "--help")
    assert (done.status, done.err) == (0, "")
    for part in said:
        assert part in done.out
    code = f"""
import sys
from yandex_market_chat_command._commands import run
run({[*command, "--help"]!r})
print("heavy:", {{"httpx", "rich", "asyncio", "yandex_market_chat"}} & {{*sys.modules}})
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("heavy: set()\n")


def test_help_is_there_at_once() -> None:
    """In CPU time, which a busy machine does not stretch; less than importing what sends would take alone."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    sending = min(seconds(sys.executable, "-c", "import yandex_market_chat") for _ in range(3))
    assert min(seconds(*COMMAND, "send-batch", "--help") for _ in range(3)) < sending


def test_without_the_extra(cli: Cli) -> None:
    code = (
        "import sys; sys.modules['click'] = None; import importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name: None if name == 'rich' else find(name);"
        "from yandex_market_chat_command import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'yandex-market-chat[cli]'" in done.stderr
    done = subprocess.run([sys.executable, "-c", code, "send", "x", "--json"], capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["outcome"]) == (2, 2, "wrong use")
    assert "pip install 'yandex-market-chat[cli]'" in told["message"]


def test_version(cli: Cli) -> None:
    assert cli("--version").out.startswith("yandex-market-chat ")
