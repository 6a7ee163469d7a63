"""An application of Celery that sends one file a task, with a queue of files: no broker is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

from yandex_market_chat import ChatClient, ChatError, Ledger

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
where = os.environ.get("LEDGER")
make = Ledger.postgres if (where or "").startswith("postgresql:") else Ledger.sqlite
# Before the workers are forked: each of them takes turns and claims of its own.
chat = ChatClient(ledger=make(where, lease=2.0) if where else None)


@app.task(bind=True, max_retries=20)  # type: ignore[untyped-decorator]
def send_once(self: Any, key: str) -> None:
    try:
        chat.send_file(b"an invoice", business_id=1, chat_id=2, idempotency_key=key)
    except ChatError as error:
        if not error.retryable:
            raise
        raise self.retry(exc=error, countdown=1) from None


@app.task  # type: ignore[untyped-decorator]
def send(**asked: Any) -> None:
    chat.send_file(b"an invoice", business_id=1, **asked)
