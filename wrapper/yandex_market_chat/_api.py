"""The generated client, as the wrapper uses it. No other module imports `_yandex_market_chat_api`.

Of the generated code two things are used: how a call becomes a request, and how an answer becomes a model. It is not
let near the network: ARCHITECTURE.md says why.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from typing import Any, BinaryIO, NamedTuple, NoReturn, cast

import httpx

from _yandex_market_chat_api import Client
from _yandex_market_chat_api._stamp import CONTRACT_SHA256, CONTRACT_VERSION
from _yandex_market_chat_api.api.chats import send_file_to_chat
from _yandex_market_chat_api.models import ApiResponseStatusType, EmptyApiResponse, SendFileToChatRequest
from _yandex_market_chat_api.types import File

from ._send import Send

__all__ = ["CONTRACT_SHA256", "CONTRACT_VERSION", "contract", "is_ok", "send_file_request"]

OnSent = Callable[[int], object]
_PIECE = 64 * 1024
# Only asked by the generated parser whether to raise on an undocumented status: no.
_PARSER_SETTINGS = Client(base_url="")


def contract() -> dict[str, Any]:
    """Return the contract that the generated client was made from."""
    text = files("_yandex_market_chat_api").joinpath("contract.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def send_file_request(base_url: str, headers: httpx.Headers, send: Send, content: bytes) -> httpx.Request:
    """Return the request that the contract asks for: a form with one file (RFC 7578)."""
    # The generated types ask for an open file, which httpx would read in pieces, and rewind.
    payload = File(payload=cast(BinaryIO, content), file_name=send.name, mime_type=send.content_type)
    body = SendFileToChatRequest(file=payload)
    made = send_file_to_chat._get_kwargs(send.business_id, chat_id=send.chat_id, body=body)
    made |= {"url": base_url + made["url"], "headers": [*headers.raw, *made["headers"].items()]}
    request = httpx.Request(**made)
    request.stream = _Form(cast(httpx.SyncByteStream, request.stream), content, send.on_sent)
    return request


class _Form(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The form that httpx makes, in as few pieces as can be written without copying the file.

    `on_sent` is told how many bytes of the file have been written so far, from 0 on.
    """

    def __init__(self, form: httpx.SyncByteStream, content: bytes, on_sent: OnSent | None) -> None:
        self._pieces = list(form)
        self._content = content
        self._on_sent = on_sent

    def __iter__(self) -> Iterator[bytes]:
        if self._on_sent is None and len(self._content) <= _PIECE:
            return iter((b"".join(self._pieces),))
        at = self._pieces.index(self._content)
        head, tail = b"".join(self._pieces[:at]), b"".join(self._pieces[at + 1 :])
        if self._on_sent is None:
            return iter((head, self._content, tail))
        return self._counted(head, tail, self._on_sent)

    def _counted(self, head: bytes, tail: bytes, on_sent: OnSent) -> Iterator[bytes]:
        yield head
        on_sent(0)
        for start in range(0, len(self._content), _PIECE):
            yield self._content[start : start + _PIECE]
            on_sent(min(start + _PIECE, len(self._content)))
        yield tail

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Awaited(iter(self))


class _Awaited(AsyncIterator[bytes]):
    """An iterator where an async one is asked for.

    Not an async generator: one that is left in the middle lives, with the file, until its loop finds time to close it.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class _Answered(NamedTuple):
    """All that the generated parser asks of an answer; httpx's own costs far more."""

    status_code: int
    body: bytes

    def json(self) -> Any:
        document = json.loads(self.body, object_pairs_hook=_unambiguous, parse_constant=_refuse)
        # The generated models take whatever `dict()` takes, a list of pairs for one.
        return document if isinstance(document, dict) else _refuse(document)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Take an object whose names are unique; of any other, each reader makes something else (RFC 8259, section 4)."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else _refuse(pairs)


def _refuse(value: object) -> NoReturn:
    """Refuse what is not the documented object; JSON has no NaN or Infinity (RFC 8259, section 6)."""
    raise ValueError


def is_ok(status_code: int, body: bytes) -> bool:
    """Whether the generated parser makes the documented OK of an answer: HTTP 200 and `"status": "OK"`."""
    response = cast(httpx.Response, _Answered(status_code, body))
    try:
        parsed = send_file_to_chat._parse_response(client=_PARSER_SETTINGS, response=response)
    except Exception:  # whatever it raises on a body that is not the documented one; what arrived is kept elsewhere
        return False
    return isinstance(parsed, EmptyApiResponse) and parsed.status is ApiResponseStatusType.OK
