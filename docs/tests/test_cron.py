"""cron and systemd: the command of the page, in a folder like that of the page."""

from __future__ import annotations

import configparser
import fcntl
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from yandex_market_chat.testing import Answer, Fault, MarketChat

from .job import Job
from .pages import LOST, blocks, sends


def unit(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(re.sub(r"\\\n\s*", " ", blocks("recipes/cron.md", "ini")[f"/etc/systemd/system/{name}"]))
    return parser["Service"]


@pytest.fixture
def service(job: Job) -> list[str]:
    """The command of the service."""
    job.places["${CREDENTIALS_DIRECTORY}/market-key"] = job.folder / "key"
    return shlex.split(unit("market-mailing.service")["ExecStart"])


def restarts() -> set[int]:
    return {int(each) for each in unit("market-mailing.service")["RestartForceExitStatus"].split()}


def test_systemd_sends_each_file_once(job: Job, service: list[str], market_chat: MarketChat) -> None:
    assert [job.run(service), job.run(service)] == [0, 0]
    assert len(market_chat.received) == 3
    assert (job.folder / "lib" / "report.csv").exists()


def test_systemd_goes_on_after_a_stop(job: Job, service: list[str], market_chat: MarketChat) -> None:
    status = job.terminate(service)
    assert status == int(unit("market-mailing.service")["SuccessExitStatus"])
    assert status in restarts()
    assert len(market_chat.received) == 1
    assert job.run(service) == 0
    assert sends(market_chat) == len(market_chat.received) == 3


def test_systemd_runs_again_what_was_not_sent(job: Job, service: list[str], market_chat: MarketChat) -> None:
    market_chat.script(Answer(429, off_contract=True))
    assert job.run(service) in restarts()
    assert job.run(service) == 0
    assert len(market_chat.received) == 3


@pytest.mark.parametrize("step", [Answer(404), LOST])
def test_systemd_leaves_the_rest_to_a_person(
    job: Job, service: list[str], market_chat: MarketChat, step: Answer | Fault
) -> None:
    market_chat.script(step)
    status = job.run(service)
    assert status == (4 if step is LOST else 6)
    assert status not in restarts()
    job.run(service)
    assert sends(market_chat) == (3 if step is LOST else 4)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(job: Job) -> None:
    (job.folder / "srv" / "tell-somebody").symlink_to("/bin/true")
    paths = []
    for name, text in blocks("recipes/cron.md", "ini").items():
        paths.append(job.folder / Path(name).name)
        paths[-1].write_text(job.placed(text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_cron_sends_each_file_once(job: Job, market_chat: MarketChat) -> None:
    files = blocks("recipes/cron.md", "sh")
    variable, line = files["/etc/cron.d/market-mailing"].splitlines()[1:]
    assert variable.startswith("MAILTO=")
    assert "%" not in line  # cron takes it for a new line
    *when, user, command = line.split(maxsplit=6)
    assert (len(when), user) == (5, "shop")
    job.places["/etc/shop/market-key.shop"] = job.folder / "key"
    (job.folder / "srv" / "send-mailing").write_text(job.placed(files["/srv/shop/send-mailing"]), encoding="utf-8")
    market_chat.script(Answer(429, off_contract=True))

    def mailed() -> str:
        job.run(["/bin/sh", "-c", command])
        return job.said

    assert "2 of 3 sent, 1 not sent" in mailed()
    market_chat.script(Fault(cut="reset", at="after-body"))
    assert "1 unknown" in mailed()
    assert "1 unknown" in mailed()
    assert sends(market_chat) == 4
    (job.folder / "lib" / "mailing.sqlite").unlink()  # a new mailing
    assert [mailed(), mailed()] == ["", ""]
    assert sends(market_chat) == 7
    with (job.folder / "lib" / "mailing.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        log = (job.folder / "lib" / "mailing.log").read_text(encoding="utf-8")
        assert mailed() == ""
        assert (job.folder / "lib" / "mailing.log").read_text(encoding="utf-8") == log  # that of the other run
    assert sends(market_chat) == 7
