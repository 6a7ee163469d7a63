"""Celery: the task of docs/sending-once.md with the settings of the page. `make test-ledger` kills real workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import DeliveryUnknownError, NotFoundError
from yandex_market_chat.testing import Answer, MarketChat

from .pages import DOCS, LOST, blocks, load, sends


@pytest.fixture
def tasks(tmp_path: Path) -> Any:
    code = re.findall(
        r"^```python\n(.*?)^```$", (DOCS / "sending-once.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (task,) = [each for each in code if "celery" in each]
    module = load("tasks", task, tmp_path)
    module.app.config_from_object(
        load("celeryconfig", blocks("recipes/celery.md", "python")["celeryconfig.py"], tmp_path)
    )
    return module


def test_celery_knows_the_settings(tasks: Any) -> None:
    from celery.app.defaults import NAMESPACES, flatten

    names = re.findall(r"^(\w+) = ", blocks("recipes/celery.md", "python")["celeryconfig.py"], re.MULTILINE)
    assert names
    assert set(names) <= {name for name, _ in flatten(NAMESPACES)}
    assert tasks.app.conf.task_acks_late
    assert tasks.app.conf.task_time_limit > tasks.chat._options.timeout.total


def test_celery_tells_the_outcomes_apart(tasks: Any, market_chat: MarketChat, tmp_path: Path) -> None:
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")

    def run(number: str) -> Any:
        return tasks.send_invoice.apply(args=[str(tmp_path / "invoice.pdf"), 1, 7, number]).result

    assert [run("1"), run("1")] == [None, None]
    market_chat.script(Answer(404))
    assert isinstance(run("2"), NotFoundError)
    assert sends(market_chat) == 2
    tasks.send_invoice.max_retries = 2
    market_chat.script(LOST)
    assert isinstance(run("3"), DeliveryUnknownError)
    assert sends(market_chat) == 3
    tasks.chat.close()
