"""Docker: the files of the page are read, and their command runs without Docker."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from yandex_market_chat.testing import Answer, Fault, MarketChat

from .job import Job
from .pages import LOST, blocks, sends


def dockerfile() -> dict[str, str]:
    """Return the instructions by name."""
    lines = blocks("recipes/docker.md", "dockerfile")["Dockerfile"].splitlines()[1:]
    return dict(line.split(maxsplit=1) for line in lines)


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(blocks("recipes/docker.md", "yaml")["compose.yaml"])
    return loaded


@pytest.fixture
def container(job: Job) -> list[str]:
    """The command of the container, as Docker puts it together."""
    job.places |= {
        "/mailing": job.folder / "srv",
        "/data": job.folder / "lib",
        "/run/secrets/market-key": job.folder / "key",
    }
    return [*json.loads(dockerfile()["ENTRYPOINT"]), *compose()["services"]["mailing"]["command"]]


def test_docker_is_told_what_the_page_says() -> None:
    image, service = dockerfile(), compose()["services"]["mailing"]
    assert set(image) <= {"FROM", "RUN", "USER", "VOLUME", "WORKDIR", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert image["USER"] not in ("root", "0")
    assert f"--uid {image['USER']} " in image["RUN"]
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert set(service["secrets"]) == set(compose()["secrets"])
    assert f"data:{image['VOLUME']}" in service["volumes"]
    assert service["command"][service["command"].index("--journal") + 1].startswith(image["VOLUME"] + "/")
    assert int(service["stop_grace_period"].removesuffix("s")) > 120


def test_docker_shows_the_help(job: Job) -> None:
    assert job.run(json.loads(dockerfile()["ENTRYPOINT"]) + json.loads(dockerfile()["CMD"])) == 0


def test_docker_stops_and_goes_on(job: Job, container: list[str], market_chat: MarketChat) -> None:
    assert job.terminate(container) == 5
    assert [job.run(container), job.run(container)] == [0, 0]
    assert sends(market_chat) == len(market_chat.received) == 3


@pytest.mark.parametrize("step", [Answer(404), LOST])
def test_docker_tells_the_outcomes_apart(
    job: Job, container: list[str], market_chat: MarketChat, step: Answer | Fault
) -> None:
    market_chat.script(step)
    status = 4 if step is LOST else 6
    assert [job.run(container), job.run(container)] == [status, status]
    assert sends(market_chat) == 3
