"""A real queue of Celery in a folder, whose workers run `celery_app` against a mock server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from yandex_market_chat.testing import MockServer

HERE = Path(__file__).parent


class CeleryQueue:
    """The environment that those who ask and those who work have in common."""

    def __init__(self, folder: Path, server: MockServer, **environment: str) -> None:
        for name in ("control", "processed"):
            (folder / name).mkdir(parents=True)
        self._environment = {
            **os.environ,
            "QUEUE": str(folder),
            "YANDEX_MARKET_API_KEY": server.api_key,
            "YANDEX_MARKET_BASE_URL": server.base_url,
            "PYTHONPATH": str(HERE),
            **environment,
        }

    def ask(self, code: str) -> None:
        """Run code that puts tasks of `celery_app` into the queue."""
        command = [sys.executable, "-c", f"import celery_app\n{code}"]
        subprocess.run(command, env=self._environment, check=True, timeout=60)

    def worker(self, processes: int) -> subprocess.Popen[bytes]:
        """Start a worker that forks so many processes."""
        command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker"]
        options = ["-P", "prefork", "-c", str(processes), "-l", "WARNING"]
        return subprocess.Popen(
            [*command, *options], env=self._environment, stderr=subprocess.PIPE, start_new_session=True
        )
