"""A mailing in a folder like that of the pages, whose command is run as a service manager would."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from yandex_market_chat.testing import Fault, MarketChat

SCRIPTS = Path(sys.executable).parent


class Job:
    """A mailing of three files in a folder of its own."""

    def __init__(self, folder: Path, market_chat: MarketChat) -> None:
        self.folder, self.market_chat = folder, market_chat
        for name in ("lib", "srv"):
            (folder / name).mkdir()
        (folder / "srv" / "venv").symlink_to(SCRIPTS.parent)
        (folder / "key").write_text(market_chat.api_key + "\n", encoding="utf-8")
        for number in (1, 2, 3):
            (folder / "srv" / f"{number}.pdf").write_bytes(b"%PDF")
        rows = "".join(f"1,{number},{number}.pdf\n" for number in (1, 2, 3))
        (folder / "srv" / "mailing.csv").write_text("business_id,chat_id,file\n" + rows, encoding="utf-8")
        # The history is read for half a second after an unknown outcome, not for 20.
        patch = "AsyncChatClient.__init__.__kwdefaults__['confirm_unknown'] = 0.5"
        patch = f"from yandex_market_chat import AsyncChatClient\n{patch}\n"
        (folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
        self.environment = {
            "YANDEX_MARKET_BASE_URL": market_chat.base_url,
            "PATH": f"{SCRIPTS}:/usr/bin:/bin",
            "PYTHONPATH": str(folder),
        }
        self.places = {"/srv/shop": folder / "srv", "/var/lib/shop": folder / "lib"}

    def placed(self, text: str) -> str:
        """Put the folders of this test in the place of those of the page."""
        places = "|".join(map(re.escape, self.places))
        return re.sub(rf"(?<!\w)(?:{places})", lambda found: str(self.places[found[0]]), text)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        arguments = [self.placed(each) for each in command]
        cwd, pipe = self.folder / "srv", subprocess.PIPE
        return subprocess.Popen(arguments, cwd=cwd, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, command: list[str]) -> int:
        started = self.start(command)
        out, err = started.communicate(timeout=60)
        print(out, err)
        self.said = out + err
        return started.returncode

    def terminate(self, command: list[str]) -> int:
        """Send SIGTERM while the first file is in flight."""
        self.market_chat.script(Fault(delay=1.0))
        started = self.start(command)
        while not self.market_chat.in_flight and started.poll() is None:
            time.sleep(0.01)
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
        return started.returncode
