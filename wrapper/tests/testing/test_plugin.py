"""The pytest plugin, seen from outside: a project of its own, run by a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """
import asyncio
import pytest
from datetime import datetime, timezone
from yandex_market_chat import BadRequestError, ChatClient, ConnectionLostError, QuotaExceededError
from yandex_market_chat.testing import SCENARIOS, Answer, MarketChat
from http.client import HTTPConnection


def break_the_contract(market_chat):
    connection = HTTPConnection(market_chat.base_url.removeprefix("http://"))
    connection.request("POST", "/v2/businesses/1/chats/file/send?chatId=0&key=S3" + "cr3t", b"x")
    connection.getresponse().read()
    connection.close()


def test_passes_sent(market_chat: MarketChat):
    sent = market_chat.client.send_file(b"%PDF", name="a.pdf", content_type="a/b", business_id=1, chat_id=2)
    (file,) = market_chat.received
    assert (file.business_id, file.chat_id, file.name, file.content_type) == (1, 2, "a.pdf", "a/b")
    assert (file.size, file.content, file.headers.get("api-key")) == (4, b"%PDF", market_chat.api_key)
    assert abs((datetime.now(timezone.utc) - file.at).total_seconds()) < 5


def test_passes_async(market_chat):
    async def send():
        await asyncio.gather(
            *(market_chat.async_client.send_file(b"x", business_id=1, chat_id=number) for number in range(1, 6))
        )
    asyncio.run(send())
    asyncio.run(send())
    assert len(market_chat.received) == 10


def test_passes_own_client(market_chat, monkeypatch):
    monkeypatch.setenv("YANDEX_MARKET_API_KEY", market_chat.api_key)
    monkeypatch.setenv("YANDEX_MARKET_BASE_URL", market_chat.base_url)
    with ChatClient(proxy="") as chat:
        chat.send_file(b"x", business_id=1, chat_id=2)
    assert len(market_chat.received) == 1


def test_passes_scripted(market_chat):
    market_chat.script(SCENARIOS["drop-after-body"], Answer(400))
    with pytest.raises(ConnectionLostError):
        market_chat.client.send_file(b"x", business_id=1, chat_id=2)
    break_the_contract(market_chat)


def test_passes_limits(market_chat):
    market_chat.clock.set(datetime(2026, 1, 1, 12, 30, tzinfo=timezone.utc))
    market_chat.limits.enabled = True
    market_chat.limits.spend(1)
    with pytest.raises(QuotaExceededError):
        market_chat.client.send_file(b"x", business_id=1, chat_id=2)


@pytest.mark.market_chat(allow_violations=True)
def test_passes_allowed_violation(market_chat):
    break_the_contract(market_chat)


@pytest.mark.market_chat(allow_unused=True)
def test_passes_allowed_unused(market_chat):
    market_chat.script(Answer(500))


def test_passes_skipped(market_chat):
    market_chat.script(Answer(500))
    pytest.skip("not today")


@pytest.mark.xfail(strict=True, reason="an expected failure stays one: the plugin adds no error of its own")
def test_passes_expected_failure(market_chat):
    break_the_contract(market_chat)


def test_fails_violation(market_chat):
    break_the_contract(market_chat)


def test_fails_unused(market_chat):
    market_chat.script(Answer(500, description="the first"), SCENARIOS["reset-after-body"])
    market_chat.script_for(7, Answer(420, example="resource"))
    market_chat.script_on("getChatHistory", Answer(500))


def test_fails_both(market_chat):
    break_the_contract(market_chat)
    market_chat.script(Answer(404))


@pytest.mark.market_chat(allow_unused=True)
def test_fails_only_the_other_is_allowed(market_chat):
    break_the_contract(market_chat)
    market_chat.script(Answer(404))


def test_fails_by_itself(market_chat):
    break_the_contract(market_chat)
    assert len(market_chat.received) == 1


def test_fails_dynamic(request):
    break_the_contract(request.getfixturevalue("market_chat"))


@pytest.fixture
def late(market_chat):
    yield
    break_the_contract(market_chat)


def test_errors_in_a_teardown(late):
    pass


@pytest.fixture
def early(market_chat):
    break_the_contract(market_chat)


def test_fails_in_a_setup(early):
    pass


@pytest.mark.market_chat(allow_everything=True)
def test_errors_marker(market_chat):
    pass


class TestClass:
    pytestmark = pytest.mark.market_chat(allow_violations=True)

    def test_passes_marked_class(self, market_chat):
        break_the_contract(market_chat)

    @pytest.mark.market_chat(allow_violations=False)
    def test_fails_closest_marker(self, market_chat):
        break_the_contract(market_chat)
"""
TESTS = re.findall(r"def (test_(passes|fails|errors)\w+)", PROJECT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_project.py").write_text(PROJECT)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"
    )
    return tmp_path


def run(project: Path, *arguments: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    # Other plugins that happen to be here would cost seconds.
    others = [f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "hypothesispytest", "anyio")]
    command = [sys.executable, "-m", "pytest", *others, "--color=no", "-rA", *arguments]
    done = subprocess.run(command, cwd=project, env=clean | environment, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def outcomes(output: str) -> set[tuple[str, str]]:
    """Pairs of the name of a test and its outcome, of the summary at the end."""
    summary = output.rpartition("short test summary info")[2]
    found = re.findall(r"^(PASSED|FAILED|ERROR|XFAIL) \S*::(test_\w+)", summary, re.MULTILINE)
    return {(name, outcome) for outcome, name in found}


EXPECTED = (
    {(name, "PASSED") for name, kind in TESTS if kind == "passes"}
    | {(name, "FAILED") for name, kind in TESTS if kind == "fails"}
    | {(name, "ERROR") for name, kind in TESTS if kind == "errors"}
    | {("test_errors_in_a_teardown", "PASSED"), ("test_passes_expected_failure", "XFAIL")}
) - {("test_passes_skipped", "PASSED"), ("test_passes_expected_failure", "PASSED")}


def test_outcomes_and_reports(project: Path) -> None:
    output = run(project, "-p", "no:xdist", "-p", "no:randomly", HTTP_PROXY="http://127.0.0.1:1")
    assert outcomes(output) == EXPECTED
    assert "S3cr3t" not in output
    parts = dict(
        re.findall(r"^_+ (?:ERROR at \w+ of )?([\w.]+) _+\n(.*?)(?=^_+ |^=+ )", output, re.MULTILINE | re.DOTALL)
    )
    line = "'POST /v2/businesses/1/chats/file/send' was answered 401: the request has no credentials: it needs Api-Key"
    for name in ("test_fails_violation", "test_fails_both", "test_fails_in_a_setup", "test_errors_in_a_teardown"):
        assert "Requests broke the contract, and nothing was scripted for them:\n" in parts[name]
        assert line in parts[name]
        assert "@pytest.mark.market_chat(allow_violations=True)" in parts[name]
        # The report, and no traceback into the plugin.
        assert "yandex_market_chat_pytest.py" not in parts[name]
    unused = parts["test_fails_unused"]
    assert "Scripted, but no request came for it:\n" in unused
    assert "Answer(status=500, description='the first')" in unused
    assert "Fault(cut='reset', at='after-body'" in unused
    assert "Answer(status=420, example='resource')" in unused
    assert "Answer(status=500), on getChatHistory" in unused
    assert "@pytest.mark.market_chat(allow_unused=True)" in unused
    # A failure of the test's own is not replaced, only explained.
    assert "assert len(market_chat.received) == 1" in parts["test_fails_by_itself"]
    assert line in parts["test_fails_by_itself"]
    assert "takes allow_violations and allow_unused, as keywords" in parts["test_errors_marker"]


def test_in_parallel_and_in_any_order(project: Path) -> None:
    output = run(project, "-n", "2")
    assert outcomes(output) == EXPECTED
    assert "Using --randomly-seed" in output


def test_the_marker_is_registered(project: Path) -> None:
    (project / "test_project.py").write_text(
        "import pytest\n@pytest.mark.market_chat\ndef test_it(market_chat): pass\n"
    )
    assert outcomes(run(project)) == {("test_it", "PASSED")}
    assert "@pytest.mark.market_chat(allow_violations=False, allow_unused=False):" in run(project, "--markers")
