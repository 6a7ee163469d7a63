"""`python -m yandex_market_chat.testing`, as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from yandex_market_chat.testing import SCENARIOS, MockServer
from yandex_market_chat.testing.__main__ import main

from ..ports import kept_port

DOCUMENT = (Path(__file__).parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")
TARGET = "/v2/businesses/{}/chats/file/send?chatId={}"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "yandex_market_chat.testing", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


class Told:
    """What the first three lines say, in the shape that Wire asks for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        lines = [process.stdout.readline().rstrip("\n").partition(": ") for _ in range(3)]
        assert [label for label, _, _ in lines] == ["Address", "API key", "Inspection"]
        self.base_url, self.api_key, self.inspection_url = (value for _, _, value in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_told_to_stop(start: Start, wire_to: Any, tmp_path: Path, number: signal.Signals) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps([{"scenario": "gateway-page"}, {"scenario": "silence-after-body"}]))
    process = start("--scenario", str(scenario))
    told = Told(process)
    assert told.base_url.startswith("http://127.0.0.1:")
    assert told.api_key.startswith("ACMA:")
    wire = wire_to(told)
    assert wire.send(wire.request()).status == 502
    wire.connect().sendall(wire.request())
    assert process.stdout
    first = process.stdout.readline()
    assert "POST /v2/businesses/12345/chats/file/send?chatId=67890 -> 502; 'invoice.pdf' 8 B; body " in first
    assert wire.send(wire.request(body=wire.form(name="счёт.pdf"))).status in (200, 502)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert told.api_key not in first + out


def test_nobody_reads_its_lines(start: Start, wire_to: Any) -> None:
    process = start()
    wire = wire_to(Told(process))
    long_name = wire.request(body=wire.form(name="n" * 10_000))
    # Far more than a pipe holds.
    connection = wire.connect()
    for _ in range(200):
        connection.sendall(long_name)
        assert wire.read(connection).status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


def test_its_reader_has_gone(start: Start, wire_to: Any) -> None:
    process = start()
    wire = wire_to(Told(process))
    assert process.stdout
    process.stdout.close()
    for _ in range(5):
        assert wire.send(wire.request()).status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert process.stderr
    assert process.stderr.read() == ""


@pytest.mark.parametrize("output", [">&-", "> /dev/full", ">&- 2>&-"])
def test_no_output_at_all(wire_to: Any, output: str) -> None:
    if output.endswith("full") and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    keeper, port = kept_port()
    told = SimpleNamespace(base_url=f"http://127.0.0.1:{port}", api_key=f"ACMA:{'k' * 40}:{'k' * 8}")
    command = f"exec {sys.executable} -m yandex_market_chat.testing --port {port} --api-key {told.api_key} {output}"
    with keeper, subprocess.Popen(["/bin/sh", "-c", command], stderr=subprocess.PIPE) as process:
        try:
            wire = wire_to(told)
            wait_for(port)
            for _ in range(5):
                assert wire.send(wire.request()).status == 200
        finally:
            process.terminate()
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == 0


def wait_for(port: int) -> None:
    """Wait until somebody listens there: a start takes long on a busy machine."""
    end = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end
        time.sleep(0.02)


def test_strict(start: Start, wire_to: Any) -> None:
    starred = {
        "body": b"--5cd1a7\r\nContent-Disposition: form-data; name=file; filename*=utf-8''a\r\n\r\nx\r\n--5cd1a7--"
    }
    for arguments, status in (((), 200), (("--strict",), 400)):
        wire = wire_to(Told(start(*arguments)))
        assert wire.send(wire.request(**starred)).status == status


def test_limits(start: Start, wire_to: Any) -> None:
    wire = wire_to(Told(start("--limits")))
    assert wire.send(wire.request()).headers["X-RateLimit-Resource-Remaining"] == "999"


def test_tells_where_to_look(start: Start, wire_to: Any) -> None:
    told = Told(start())
    wire = wire_to(told)
    assert wire.send(wire.request()).headers["X-RateLimit-Resource-Remaining"] is None
    target = told.inspection_url.removeprefix(told.base_url)
    assert b"invoice.pdf" in wire.send(wire.request("GET", target, b"")).content


def test_given_address(start: Start, wire_to: Any) -> None:
    keeper, port = kept_port()
    with keeper:
        told = Told(start("--host", "localhost", "--port", str(port)))
    assert urlsplit(told.base_url).port == port
    wire = wire_to(told)
    assert wire.send(wire.request()).status == 200


def test_what_exists(start: Start, wire_to: Any) -> None:
    key = f"ACMA:{'k' * 40}:{'k' * 8}"
    told = Told(start("--api-key", key, "--businesses", "1,2", "--chats", "3,4"))
    assert told.api_key == key
    wire = wire_to(told)
    targets = {(business, chat): TARGET.format(business, chat) for business in (2, 5) for chat in (3, 5)}
    statuses = {ids: wire.send(wire.request(target=target)).status for ids, target in targets.items()}
    assert statuses == {(2, 3): 200, (2, 5): 404, (5, 3): 403, (5, 5): 403}


def test_help(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, step in SCENARIOS.items():
        assert f"  {name} " in shown
        assert step.description in shown
    # Both examples are the same, and can be used as they are.
    (example,) = re.findall(r"^  \[\{.*?\}\]$", shown, re.MULTILINE | re.DOTALL)
    (documented,) = re.findall(r"^```json\n(.*?)```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert json.loads(example) == json.loads(documented)
    file = tmp_path / "scenario.json"
    file.write_text(example)
    assert len(MockServer(scenario=file).script_left) == 5


def test_the_document_names_the_scenarios() -> None:
    (listed,) = re.findall(r"^- The scenarios: (.*?)\.$", DOCUMENT, re.MULTILINE | re.DOTALL)
    cuts, where = re.findall(r"`drop-` and `reset-`, each with\s+(.*?);", listed, re.DOTALL), ("drop-", "reset-")
    both = {f"{cut}{at}" for cut in where for at in re.findall(r"`([\w-]+)`", cuts[0])}
    others = set(re.findall(r"`([\w-]+)`", listed.replace(cuts[0], ""))) - set(where)
    assert both | others == set(SCENARIOS)


def fails(process: subprocess.Popen[str]) -> str:
    """The one sentence of the output, and nothing else."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_port_in_use(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = fails(start("--port", str(port)))
    assert f"127.0.0.1:{port}" in sentence
    assert "in use" in sentence


def test_wrong_arguments(start: Start, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[{"scenario": "x"}]')
    processes = [
        start("--scenario", str(wrong)),
        start("--scenario", str(tmp_path / "missing.json")),
        start("--port", "70000"),
        start("--host", "192.0.2.1"),
        start("--host", "nowhere.invalid"),
        start("--api-key", "S3cr3t"),
    ]
    sentences = [fails(process) for process in processes]
    assert "entry 1: there is no scenario 'x'" in sentences[0]
    assert "missing.json" in sentences[1]
    assert "70000" in sentences[2]
    assert "192.0.2.1" in sentences[3]
    assert "nowhere.invalid" in sentences[4]
    assert "an API key is ACMA:" in sentences[5]
    assert "S3cr3t" not in sentences[5]


@pytest.mark.parametrize("ids", ["", "a", "1,,2", "-1", "1 2", "٣"])
def test_what_are_no_ids(capsys: pytest.CaptureFixture[str], ids: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--chats={ids}"])
    assert ended.value.code == 2
    assert "argument --chats: ids are whole numbers with commas between them" in capsys.readouterr().err


def test_the_package_does_without(tmp_path: Path) -> None:
    code = "import sys, yandex_market_chat; sys.exit('yandex_market_chat.testing' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=10)


def test_public_names() -> None:
    import yandex_market_chat.testing as testing

    # In the modules of an installed plugin's distribution pytest rewrites the asserts, with names that begin with "@".
    public = {name for name in vars(testing) if not name.startswith(("_", "@"))}
    assert public == set(testing.__all__)
    assert {vars(testing)[name].__module__ for name in public - {"SCENARIOS"}} == {"yandex_market_chat.testing"}
