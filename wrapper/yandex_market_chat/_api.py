"""The generated client, as the wrapper uses it. No other module imports `_yandex_market_chat_api`.

Of the generated code two things are used: how a call becomes a request, and how an answer becomes a model. It is not
let near the network: ARCHITECTURE.md says why.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeVar, cast

import httpx

from _yandex_market_chat_api import Client, _stamp, models
from _yandex_market_chat_api.api.chats import create_chat, get_chat_history, send_file_to_chat
from _yandex_market_chat_api.types import File

from ._answer import Answer
from ._history import PAGE_LIMIT
from ._send import Send
from ._steps import OPEN_CHAT, READ_HISTORY, MakeRequest

__all__ = ["__contract_sha256__", "__contract_version__", "chat_id_of", "contract", "is_sent", "request_of"]

__contract_version__, __contract_sha256__ = _stamp.CONTRACT_VERSION, _stamp.CONTRACT_SHA256

OnSent = Callable[[int], object]
T = TypeVar("T", models.EmptyApiResponse, models.CreateChatResponse)
_PIECE = 64 * 1024
# Only asked by the generated parser whether to raise on an undocumented status: no.
_PARSER_SETTINGS = Client(base_url="")


def contract() -> dict[str, Any]:
    """Return the contract that the generated client was made from."""
    document: dict[str, Any] = json.loads(files("_yandex_market_chat_api").joinpath("contract.json").read_bytes())
    return document


def request_of(step: MakeRequest, base_url: str, headers: httpx.Headers, send: Send, content: bytes) -> httpx.Request:
    """Return the request that the contract asks for."""
    if step.operation == OPEN_CHAT:
        order = models.ChatContextDTO(models.ChatContextIdentifiableType.ORDER, cast(int, send.order_id))
        made = create_chat._get_kwargs(send.business_id, body=models.CreateChatRequest(order))
    elif step.operation == READ_HISTORY:
        page: dict[str, Any] = {"page_token": step.page_token} if step.page_token else {}
        made = get_chat_history._get_kwargs(
            send.business_id, chat_id=send.chat_id, body=models.GetChatHistoryRequest(), limit=PAGE_LIMIT, **page
        )
    else:  # a form with one file (RFC 7578); httpx would read an open file in pieces, and rewind it
        file = File(payload=cast(BinaryIO, content), file_name=send.name, mime_type=send.content_type)
        made = send_file_to_chat._get_kwargs(
            send.business_id, chat_id=send.chat_id, body=models.SendFileToChatRequest(file=file)
        )
    made |= {"url": base_url + made["url"], "headers": [*headers.raw, *made["headers"].items()]}
    request = httpx.Request(**made)
    if "files" in made:
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


def _parsed(operation: Any, body: bytes, model: type[T]) -> T | None:
    """Return what the generated parser makes of the documented OK, the body of an HTTP 200; else None."""
    try:
        found = operation._parse_response(client=_PARSER_SETTINGS, response=_Answered(200, body))
    except Exception:  # whatever it raises on a body that is not the documented one; what arrived is kept elsewhere
        return None
    return found if isinstance(found, model) and found.status is models.ApiResponseStatusType.OK else None


def is_sent(answer: Answer) -> bool | None:
    """Return True if a whole response of status 200 says that the file was sent; else None."""
    return _parsed(send_file_to_chat, answer.body, models.EmptyApiResponse) is not None or None


def chat_id_of(answer: Answer) -> int | None:
    """Return the id of the chat that a whole response of status 200 tells; None if the contract allows no such one."""
    found = _parsed(create_chat, answer.body, models.CreateChatResponse)
    chat_id = found.result.chat_id if found is not None and found.result else None
    return chat_id if type(chat_id) is int and 1 <= chat_id < 2**63 else None
