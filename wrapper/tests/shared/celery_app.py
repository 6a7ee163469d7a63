"""An application of Celery that sends one file a task, with a queue of files: no broker is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

from yandex_market_chat import ChatClient

folder = Path(os.environ["QUEUE"])
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "processed_folder": str(folder / "processed"),
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)
chat = ChatClient()  # before the workers are forked: each of them takes turns of its own


@app.task  # type: ignore[untyped-decorator]
def send(**asked: Any) -> None:
    chat.send_file(b"an invoice", business_id=1, **asked)
