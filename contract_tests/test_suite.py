"""Tests of the suite itself: it fails, and does not skip, when it should."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from . import _counts
from ._contract import DOCUMENT, TOP
from ._loopback import is_local

_HERE = Path(__file__).parent

#: A plugin of pytest under which every mock server is gone before it is asked anything.
_ABSENT = """
from yandex_market_chat.testing import MockServer

start = MockServer.start

def absent(self):
    start(self)
    self.stop()
    return self

MockServer.start = absent
"""


@pytest.mark.slow
def test_without_a_server_the_tests_fail_and_none_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text(_ABSENT)
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', TOP)}"
    options = ["-q", "-p", "no:cacheprovider", "-p", "absent", "--tb=no", "-rN"]
    selection = [str(_HERE / "test_vectors.py"), "-k=takes_these_bytes or (makes_this and 420)"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *selection],
        check=False,
        capture_output=True,
        text=True,
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": path},
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 1, done.stdout[-2000:]
    assert int(re.findall(r"(\d+) failed", last)[0]) > 100
    assert not re.search("skipped|passed|xfailed", last), last


#: Tests that share a node id, as schemathesis makes them; `{ids}` is what gives them ids of their own.
_ALIKE = """
import pytest
import schemathesis

paths = {{f"/{{n}}": {{"get": {{"responses": {{"200": {{"description": ""}}}}}}}} for n in range(3)}}
document = {{"openapi": "3.0.3", "info": {{"title": "", "version": "1"}}, "paths": paths}}
schema = schemathesis.openapi.from_dict(document)

{ids}
@schema.parametrize()
def test_each(case{argument}):
    pass
"""


@pytest.mark.parametrize(
    ("ids", "argument", "told", "status"),
    [
        ("", "", "FAILED: 3 tests were collected and 1 ran: do some share a node id?", 1),
        ('@pytest.mark.parametrize("part", ["p"])', ", part", "3 tests collected, 3 reported", 0),
    ],
    ids=["shared", "unique"],
)
@pytest.mark.slow
def test_a_collected_test_that_does_not_run_fails_the_run(
    tmp_path: Path, ids: str, argument: str, told: str, status: int
) -> None:
    shutil.copy(TOP / "conftest.py", tmp_path)
    (tmp_path / "test_alike.py").write_text(_ALIKE.format(ids=ids, argument=argument))
    options = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", tmp_path, "-n", "1", "--dist=loadgroup"]
    command = [sys.executable, "-m", "pytest", *options, tmp_path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert told in done.stdout
    assert done.returncode == status


def test_no_test_of_the_contract_can_be_skipped() -> None:
    words = re.compile(r"(pytest|mark)\.(skip|xfail)|importorskip|SkipTest")
    guilty = [file.name for file in _HERE.rglob("*.py") if words.search(file.read_text()) and file != Path(__file__)]
    assert guilty == []


def test_whatever_a_run_has_not_seen_is_named() -> None:
    everything = Counter(_counts.expected())
    for mode in _counts.UNEXPRESSED_AT_MOST:
        for kind in ("generated", "wrapper"):
            everything["expressed", mode, kind] = 100
    assert _counts.complaints(everything) == []
    for key in _counts.expected():
        assert _counts.complaints(Counter({**everything, key: 0})) == [f"never seen: {' '.join(key)}"]
    assert _counts.complaints(everything + Counter({("unexpressed", "positive", "wrapper", "why"): 1}))
    assert _counts.complaints(everything + Counter({("unexpressed", "negative", "generated", "why"): 301}))
    assert _counts.complaints(Counter({**everything, ("expressed", "negative", "wrapper"): 0}))


def test_no_test_can_reach_the_servers_of_the_contract() -> None:
    for server in DOCUMENT["servers"]:
        host = server["url"].removeprefix("https://")
        assert not is_local(host)
        for file in (*_HERE.glob("*.*"), *_HERE.glob("measure/*.*")):
            assert host not in file.read_text(encoding="utf-8"), f"{file.name} names {host}"


def test_the_guard_stops_connections_to_other_machines() -> None:
    with pytest.raises(AssertionError, match="leave this machine"), socket.socket() as outside:
        outside.connect(("192.0.2.1", 443))  # TEST-NET-1: nobody's
    with pytest.raises(AssertionError, match="leave this machine"):
        socket.getaddrinfo("market.example", 443)
