"""What the connections of one server share, and what the server thinks of a request. No sockets here."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import replace
from typing import Any, Final, cast

from ._body import check_body
from ._chats import ChatFile, Chats, Context, Key
from ._check import Call, Policy, Refusal, check_head, error_body, split_target
from ._clock import Clock
from ._contract import load_contract
from ._credentials import Headers
from ._history import BadPageTokenError, page_of
from ._inspection import Inspection, url_of
from ._journal import Journal, ReceivedFile, ReceivedRequest, Visit
from ._limits import Limits
from ._parameters import glimpse
from ._reader import Head
from ._reply import Pairs, Reply, json_reply
from ._script import Script, Step

_logger: Final = logging.getLogger("yandex_market_chat.testing")

# For the frame of a form around its files: boundaries, names, headers.
_SLACK: Final = 64 * 1024


class Service:
    """One server's contract, policy, script, limits, chats and journal."""

    def __init__(self, policy: Policy, *, limits: bool, keep_bytes: int) -> None:
        self.contract = load_contract()
        self.policy = policy
        self.clock = Clock()
        self.limits = Limits(self.contract, self.clock, enabled=limits)
        self.chats = Chats(self.clock, policy.chats or ())
        self.journal = Journal(keep_bytes)
        self.inspection = Inspection(self.journal, self.chats, policy)
        self.script = Script(self.contract)
        self.max_body = self.contract.max_body + _SLACK
        #: Set when the server knows it: files are told to be there.
        self.base_url = ""

    def arrived(self, head: Head | None, connection: int) -> Visit:
        """Begin the record of a request; None: one that could not be read."""
        method, target, headers = (head.method, head.target, head.headers) if head else ("", "", Headers())
        path, query = split_target(target)
        operation = self.contract.asked(method, path)
        operation_id = None if operation is None else operation.id
        request = ReceivedRequest(method, target, path, query, headers, connection, self.clock.now(), operation_id)
        visit = self.journal.arrived(request, glimpse(self.contract, path, query, "businessId"))
        visit.operation = operation
        ticket = self.limits._enter(visit.business, operation)
        if ticket is not None:
            visit.ticket = ticket
            visit.on_leave = lambda: self.limits._leave(ticket)
        return visit

    def next_step(self, visit: Visit) -> Step | None:
        """Take what is scripted for the request."""
        return self.script.take(visit.operation, self.chat_of(visit))

    def chat_of(self, visit: Visit) -> int | None:
        """Return the chat that a request is about, if it says so legibly."""
        return glimpse(self.contract, visit.request.path, visit.request.query, "chatId")

    def check_head(self, visit: Visit, misframed: str | None) -> Call | Refusal:
        """Say what the request asks for, or why it is refused, as far as its head can say."""
        request = visit.request
        try:
            if misframed:
                raise Refusal(400, misframed)
            call = check_head(self.contract, self.policy, request.method, request.target, request.headers)
            if not self._chat_exists(call):
                chat = call.arguments["chatId"]
                raise Refusal(404, f"Can't find chat by id: '{chat}'", violation=False)
            if visit.ticket is not None and visit.ticket.refused:
                raise Refusal(420, self.limits._sentence(visit.ticket), violation=False)
            return call
        except Refusal as refusal:
            return _refused(visit, refusal)

    def _chat_exists(self, call: Call) -> bool:
        key, chats = _key(call), self.policy.chats
        return key is None or chats is None or key[1] in chats or self.chats._has(key)

    def check_body(self, visit: Visit, verdict: Call | Refusal) -> Call | Refusal:
        """Say the same, now that the whole body is there."""
        if isinstance(verdict, Refusal):
            return verdict
        request = visit.request
        try:
            content = check_body(verdict, self.contract.document, self.policy, request.headers, request.body)
            visit.note(parts=content.parts)
            call = replace(verdict, value=content.value)
            context = _context(call)
            if context is not None and self.policy.orders is not None and context.id not in self.policy.orders:
                raise Refusal(404, f"Order not found: '{context.id}'", violation=False)
            self._check_page(call)
            return call
        except Refusal as refusal:
            return _refused(visit, refusal)

    def _check_page(self, call: Call) -> None:
        """Refuse a page that no page led to; to be known before anything is answered."""
        if call.operation.kind == "history":
            try:
                self._page(call)
            except BadPageTokenError:
                raise Refusal(400, "Bad page token") from None

    def reply(self, verdict: Call | Refusal) -> Reply:
        """Return the answer by the contract, and by what is known of chats."""
        if isinstance(verdict, Refusal):
            return json_reply(verdict.status, error_body(self.contract, verdict), verdict.headers)
        success = verdict.operation.success
        body = dict(next(iter(success.examples.values())))
        if verdict.operation.kind == "open":
            body["result"] = {"chatId": self._open(verdict)}
        elif verdict.operation.kind == "history":
            body["result"] = self._page(verdict)
        return json_reply(success.status, body)

    def carries_out(self, verdict: Call | Refusal, reply: Reply) -> bool:
        """Say whether an answer means that the request has been carried out: the documented success, cut or not."""
        if isinstance(verdict, Refusal):
            return False
        success = verdict.operation.success
        said = reply.json if reply.status == success.status else None
        return isinstance(said, dict) and said.get("status") == next(iter(success.examples.values())).get("status")

    def carry_out(self, visit: Visit, verdict: Call | Refusal, reply: Reply | None = None) -> None:
        """Take the files into the chat, or open the chat: as the reply tells it, if one does."""
        if isinstance(verdict, Refusal) or not visit.request.body_complete:
            return
        if verdict.operation.kind == "open":
            self._open(verdict, _chat_told(reply))
        elif verdict.operation.kind == "send":
            self._take(visit, verdict)

    def _take(self, visit: Visit, call: Call) -> None:
        request, key = visit.request, _key(call)
        if key is None:
            return
        for number, part in enumerate(request.parts):
            file = ReceivedFile(
                business_id=key[0],
                chat_id=key[1],
                name=part.filename,
                content_type=part.content_type,
                size=len(part.content),
                sha256=hashlib.sha256(part.content).hexdigest(),
                headers=request.headers,
                at=request.at,
                _contents=visit.contents,
                _part=number,
            )
            kept = self.journal.accept(file)
            self.chats._take(key, ChatFile(file.name or "", file.size, kept, url_of(kept, file)))

    def _open(self, call: Call, chat: int | None = None) -> int | None:
        context = _context(call)
        return None if context is None else self.chats._open(call.arguments["businessId"], context, chat)

    def _page(self, call: Call) -> dict[str, object]:
        key = (call.arguments["businessId"], call.arguments["chatId"])
        asked = cast("dict[str, Any]", call.value) if isinstance(call.value, dict) else {}
        return page_of(
            key,
            self.chats._context(key),
            self.chats._shown(key),
            limit=call.arguments.get("limit"),
            token=call.arguments.get("pageToken"),
            first=asked.get("messageIdFrom"),
            base_url=self.base_url,
            alter=self.chats.alter,
        )

    def encode(self, visit: Visit, reply: Reply, *, close: bool) -> bytes:
        """Return the bytes of an answer to this request."""
        # `traceparent`: W3C Trace Context, version 00.
        more: Pairs = (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"),)
        told = () if visit.ticket is None else self.limits._settle(visit.ticket, reply.status)
        more += self.limits._headers(visit.operation, 0) if reply.tells_spent else told
        return reply.encode(to_head=visit.request.method == "HEAD", close=close, now=self.clock.now(), more=more)

    def served(self, visit: Visit) -> None:
        """Write a line for a request that has been served; what the client chose is escaped, so one line it is."""
        request = visit.request
        chat = self.chat_of(visit)
        masked = self.policy.without_secrets
        files = [f"{masked(part.filename or '')!r} {len(part.content)} B" for part in request.parts]
        reason = request.violation or visit.reason
        _logger.info(
            "%s %s%s -> %s; %s; body %d B%s",
            _printable(request.method) or "?",
            _printable(masked(request.path)) or "?",
            "" if chat is None else f"?chatId={chat}",
            request.status or "no answer",
            ", ".join(files) or "no file",
            len(request.body),
            f"; {reason}" if reason else "",
        )
        self.journal.served(visit)


def _refused(visit: Visit, refusal: Refusal) -> Refusal:
    visit.reason = refusal.message
    if refusal.violation:
        visit.note(violation=refusal.message)
    if refusal.parts:
        visit.note(parts=refusal.parts)
    return refusal


def _key(call: Call) -> Key | None:
    """Return the chat that a call is about; None if it is about none."""
    business, chat = call.arguments.get("businessId"), call.arguments.get("chatId")
    return (business, chat) if isinstance(business, int) and isinstance(chat, int) else None


def _context(call: Call) -> Context | None:
    """Return what a chat is to be opened for; None if none is."""
    if call.operation.kind != "open" or not isinstance(call.value, dict):
        return None
    asked = cast("dict[str, Any]", call.value)["context"]
    return Context(asked["type"], asked["id"])


def _chat_told(reply: Reply | None) -> int | None:
    said = reply.json if reply else None
    result = cast("dict[str, Any]", said).get("result") if isinstance(said, dict) else None
    chat = cast("dict[str, Any]", result).get("chatId") if isinstance(result, dict) else None
    return chat if isinstance(chat, int) and not isinstance(chat, bool) else None


def _printable(text: str) -> str:
    return repr(text[:300])[1:-1]
