"""What names shared limits: arguments, the environment, and what they are refused for."""

from __future__ import annotations

import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from yandex_market_chat import ChatClient, InvalidRequestError, SharedLimits
from yandex_market_chat.testing import MockServer

from .programs import send


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "shared_limits must be"),
        ("  ", "shared_limits must be"),
        (b"limits", "shared_limits must be"),
        ("memcached://host", "shared_limits: It must be a path"),
        ("postgresql://user:S3cr3t@host", "shared_limits: It must be a path"),
        ("file://host/limits", "shared_limits: It must be a path"),
        ("redis://user:S3cr3t@host/?surprise=1", "is like redis://host:6379/0"),
        ("a\0b", "takes the path of a file"),
        ("redis://user:S3cr3t@host:no-port/0", "is like redis://host:6379/0"),
    ],
)
def test_what_cannot_be_used_is_refused(value: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(said)) as raised:
        ChatClient(api_key="ACMA:" + "k" * 20, shared_limits=value)  # type: ignore[arg-type]
    assert "S3cr3t" not in str(raised.value)
    frame = raised.value.__traceback__
    while frame is not None:
        if "yandex_market_chat" in frame.tb_frame.f_code.co_filename:
            assert "S3cr3t" not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
    assert "S3cr3t" not in repr(raised.value.__context__)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"slots": 0}, "slots must be"),
        ({"slots": True}, "slots must be"),
        ({"lease": 0.5}, "lease must be a number of seconds from 1 to 3600"),
        ({"grace": -1}, "grace must be a number of seconds from 0 to 3600"),
        ({"grace": float("nan")}, "grace must be"),
    ],
)
def test_options_that_cannot_be_used_are_refused(named: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        SharedLimits.file("limits.sqlite", **named)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [{"slots": 0}, {"grace": -1}, {"lease": 0}])
def test_a_refused_option_shows_no_password(named: dict[str, float]) -> None:
    for make, url in ((SharedLimits.redis, "redis://:S3cr3t@host"), (SharedLimits.file, "redis://:S3cr3t@host")):
        with pytest.raises(InvalidRequestError) as raised:
            make(url, **named)  # type: ignore[arg-type]
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        frames = [frame for frame in shown.stack if "tests" not in frame.filename]
        assert frames
        assert not any("S3cr3t" in value for frame in frames for value in (frame.locals or {}).values())


def test_they_are_not_made_directly_nor_pickled(limits: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"SharedLimits\.file"):
        SharedLimits()
    with pytest.raises(TypeError, match="pickled"):
        SharedLimits.file(limits).__reduce__()


def test_the_environment_names_them(server: MockServer, limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YANDEX_MARKET_SHARED_LIMITS", str(limits))
    with ChatClient(api_key=server.api_key, base_url=server.base_url) as chat:
        send(chat)
    assert limits.exists()
    monkeypatch.setenv("YANDEX_MARKET_SHARED_LIMITS", "memcached://host")
    with pytest.raises(InvalidRequestError, match=r"^YANDEX_MARKET_SHARED_LIMITS: It must be a path"):
        ChatClient(api_key=server.api_key)
    ChatClient(api_key=server.api_key, shared_limits="")  # none


def test_without_them_nothing_is_imported_for_them(server: MockServer) -> None:
    look = (
        "import sys, threading; before = {*sys.modules}; from yandex_market_chat import ChatClient;"
        " ChatClient(api_key=sys.argv[2], base_url=sys.argv[1]).send_file(b'x', business_id=1, chat_id=2);"
        " print({'sqlite3', 'redis', 'yandex_market_chat.shared._keeper'} & {*sys.modules} - before,"
        " threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, server.base_url, server.api_key], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set() 1"
