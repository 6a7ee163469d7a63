"""A look at what would be sent: no request is made."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import (
    CheckedFile,
    EmptyFileError,
    FileTooLargeError,
    InvalidFileError,
    InvalidRequestError,
    NotSentError,
)
from yandex_market_chat.testing import MockServer

from .conftest import Chat

SHA256 = sha256(b"abc").hexdigest()


def test_what_would_be_sent_is_what_is_sent(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path = tmp_path / "счёт.pdf"
    path.write_bytes(b"abc")
    checked = chat.check_file(path)
    assert checked == CheckedFile("счёт.pdf", "application/pdf", 3, SHA256)
    assert not server.requests
    sent = chat.send(path)
    assert (sent.name, sent.content_type, sent.size) == checked[:3]


def test_with_a_name_and_a_type(chat: Chat) -> None:
    checked = chat.check_file(BytesIO(b"abc"), name="УПД № 12/А.xml", content_type="text/xml")
    assert checked == CheckedFile("УПД № 12_А.xml", "text/xml", 3, SHA256)


@pytest.mark.parametrize(
    ("file", "more", "error"),
    [
        (b"", {}, EmptyFileError),
        (b"12345", {}, FileTooLargeError),
        (5, {}, InvalidFileError),
        (b"abc", {"name": 5}, InvalidRequestError),
        (b"abc", {"content_type": "pdf"}, InvalidRequestError),
    ],
)
def test_what_cannot_be_sent(
    connect: Callable[..., Chat], server: MockServer, file: Any, more: dict[str, Any], error: type[NotSentError]
) -> None:
    with pytest.raises(error) as caught:
        connect(max_file_size=4).check_file(file, **more)
    assert type(caught.value) is error
    assert not server.requests


def test_a_path_that_is_not_there(chat: Chat, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        chat.check_file(tmp_path / "no.pdf")
