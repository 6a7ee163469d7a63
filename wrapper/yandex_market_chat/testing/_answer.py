"""A scripted answer, and its check against the contract (the model is botocore's Stubber)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from types import NoneType
from typing import Any, Final, cast

from ._contract import Contract, Operation, Response
from ._fault import Fault
from ._multipart import MultipartError, parse_media_type
from ._reply import Pairs, Reply, json_reply, wire_reply
from ._schema import read, violation

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TELLS_QUOTA = re.compile(r"X-RateLimit-Resource-|Date$", re.IGNORECASE)
_SPENT: Final = (420, "resource")
_AN: Final = {
    "integer": "an integer",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "boolean": "a boolean",
}
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "off_contract": (bool,),
    "taken": (bool,),
    "fault": (Fault, NoneType),
    "example": (str, NoneType),
    "wire": (bytes, NoneType),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the server gives instead of its own.

    Args:
        status: 200 to 599, or 999.
        body: None: the contract's example for the status, of the operation that is answered; a dict or list: sent as
            JSON; str or bytes: as they are.
        headers: added to those of the server; one of the same name takes its place. A mapping or pairs. A
            Content-Length that is wrong, or a Transfer-Encoding, is sent as given and ends the connection.
        off_contract: allow what the contract does not. Otherwise an undocumented status, a body that is not valid
            against the schema of its status, and a declared header of the wrong type are refused when scripted.
        taken: the request is carried out, whatever the answer says: the file is in its chat, a chat is opened. Without
            it only the documented OK means so. It takes a whole body, see `Fault`.
        fault: what goes wrong with the connection around this answer.
        example: which of the contract's examples, where a status has several: for 420 `parallel` (the default) or
            `resource`. With `resource` come the headers of a spent quota: X-RateLimit-Resource-Limit, Remaining 0, and
            Until the end of the hour by the server's clock; not if `headers` has one of them or Date, nor with
            `off_contract`. A client may wait for an end that is near: set the clock, to half past for example.
        wire: bytes that take the place of the whole answer; `Answer.raw` is the way to write it.
        description: one line for people.
    """

    status: int = 200
    body: dict[str, Any] | list[Any] | str | bytes | None = None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None
    _: KW_ONLY
    off_contract: bool = False
    taken: bool = False
    fault: Fault | None = None
    example: str | None = None
    wire: bytes | None = None
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.status, int) or not (200 <= self.status <= 599 or self.status == 999):
            raise ValueError(f"the status of an answer is 200 to 599, or 999, not {self.status!r}")
        if self.body is not None and not isinstance(self.body, dict | list | str | bytes):
            kind = type(self.body).__name__
            raise ValueError(f"the body of an answer is a dict, a list, str, bytes or None, not {kind}")
        for name, kinds in _KINDS.items():
            if not isinstance(getattr(self, name), kinds):
                raise ValueError(f"{name} of an answer is not {getattr(self, name)!r}")
        if self.body is not None and self.example is not None:
            raise ValueError("an answer has either a body or an example of the contract")
        if self.taken and self.fault is not None and not self.fault.reads_body:
            raise ValueError("what was taken has been read: taken goes with no cut before the answer, nor with early")
        if self.headers is not None:
            # An iterator would be used up by the check, before the answer is sent.
            object.__setattr__(self, "headers", _pairs(self.headers))

    @classmethod
    def raw(cls, wire: bytes, *, taken: bool = False, fault: Fault | None = None, description: str = "") -> Answer:
        """Bytes in place of a whole answer, head and all; then the connection ends. Off contract by nature."""
        return cls(wire=wire, off_contract=True, taken=taken, fault=fault, description=description)


def prepare(answer: Answer, operation: Operation, contract: Contract) -> Reply:
    """Make the answer of an operation ready to be sent; ValueError with a sentence if it unduly breaks the contract."""
    __tracebackhide__ = True
    if answer.wire is not None:
        if not answer.off_contract:
            raise ValueError("raw bytes cannot be checked against the contract: an answer of them needs off_contract")
        return wire_reply(answer.wire)
    headers = _pairs(answer.headers or ())
    documented = operation.responses.get(answer.status)
    reply = _reply(answer, headers, documented)
    if answer.off_contract:
        return reply
    if documented is None:
        raise ValueError(f"the contract documents no answer with status {answer.status} of {operation.id}{_HINT}")
    breach = _breach(reply, documented, contract)
    if breach:
        raise ValueError(f"{breach}{_HINT}")
    return reply


_HINT = "; an answer that is meant to be so needs off_contract=True"


def _reply(answer: Answer, headers: Pairs, documented: Response | None) -> Reply:
    __tracebackhide__ = True
    if isinstance(answer.body, dict | list):
        return json_reply(answer.status, answer.body, headers)
    if answer.body is not None:
        body = answer.body.encode("utf-8", "surrogatepass") if isinstance(answer.body, str) else answer.body
        return Reply(answer.status, headers, body)
    examples = documented.examples if documented else {}
    name = next(iter(examples), None) if answer.example is None else answer.example
    if name is None:
        return Reply(answer.status, headers)
    if name not in examples:
        known = ", ".join(filter(None, examples)) or "no named ones"
        raise ValueError(f"for status {answer.status} the contract has {known}, but no example {answer.example!r}")
    reply = json_reply(answer.status, examples[name], headers)
    # Whoever tells a part of it tells it all: nothing is added that would contradict.
    told = answer.off_contract or any(_TELLS_QUOTA.match(header) for header, _ in headers)
    return replace(reply, tells_spent=(answer.status, name) == _SPENT and not told)


def _breach(reply: Reply, documented: Response, contract: Contract) -> str | None:
    """Say what about the answer the contract does not allow."""
    given = {name.lower(): value for name, value in reply.headers}
    media_type: str | None = None
    with suppress(MultipartError):
        media_type, _ = parse_media_type(given.get("content-type", documented.media_type or ""))
    if media_type != documented.media_type:
        return f"an answer with status {reply.status} has the Content-Type {documented.media_type} by the contract"
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return f"the body of the answer with status {reply.status} is not JSON"
    sentence = violation(body, documented.schema, contract.document, f"with status {reply.status} the body")
    if sentence:
        return sentence
    for name, schema in documented.headers.items():
        value = given.get(name.lower())
        if value is not None:
            try:
                wrong = violation(read(value, schema, ""), schema, contract.document, "") is not None
            except ValueError:
                wrong = True
            if wrong:
                return f"the header {name} is not {_AN[schema.get('type', 'string')]} that the contract allows"
    return None


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    try:
        given = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
        pairs = tuple((name, value) for name, value in given)
    except (TypeError, ValueError):
        raise ValueError("headers are a mapping, or pairs of name and value") from None
    for name, value in pairs:
        if not isinstance(name, str) or _HEADER_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a header")
        if not isinstance(value, str) or any(character in value for character in "\r\n\0"):
            raise ValueError(f"the header {name} is not one line of text; Answer.raw sends anything")
    return pairs
