"""What the connections of one server share, and what the server thinks of a request. No sockets here."""

from __future__ import annotations

import hashlib
import logging
import secrets
from typing import Final

from ._check import Call, Policy, Refusal, check_body, check_head, error_body, split_target
from ._clock import Clock
from ._contract import load_contract
from ._credentials import Headers
from ._inspection import Inspection
from ._journal import Journal, ReceivedFile, ReceivedRequest, Visit
from ._limits import Limits
from ._parameters import glimpse
from ._reader import Head
from ._reply import Pairs, Reply, json_reply
from ._script import Script

_logger: Final = logging.getLogger("yandex_market_chat.testing")

# For the frame of a form around its files: boundaries, names, headers.
_SLACK: Final = 64 * 1024


class Service:
    """One server's contract, policy, script, limits and journal."""

    def __init__(self, policy: Policy, *, limits: bool, keep_bytes: int) -> None:
        self.contract = load_contract()
        self.policy = policy
        self.clock = Clock()
        self.limits = Limits(self.contract, self.clock, enabled=limits)
        self.journal = Journal(keep_bytes)
        self.inspection = Inspection(self.journal, policy)
        self.script = Script(self.contract)
        self.max_body = self.contract.max_body + _SLACK

    def arrived(self, head: Head | None, connection: int) -> Visit:
        """Begin the record of a request; None: one that could not be read."""
        method, target, headers = (head.method, head.target, head.headers) if head else ("", "", Headers())
        path, query = split_target(target)
        request = ReceivedRequest(method, target, path, query, headers, connection, self.clock.now())
        visit = self.journal.arrived(request, glimpse(self.contract, path, query, "businessId"))
        ticket = self.limits._enter(visit.business)
        if ticket is not None:
            visit.ticket = ticket
            visit.on_leave = lambda: self.limits._leave(ticket)
        return visit

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
            if visit.ticket is not None and visit.ticket.refused:
                sentence = self.limits._sentence(visit.ticket, call.operation.path)
                raise Refusal(420, sentence, violation=False)
            return call
        except Refusal as refusal:
            visit.reason = refusal.message
            if refusal.violation:
                visit.note(violation=refusal.message)
            return refusal

    def check_body(self, visit: Visit, verdict: Call | Refusal) -> Call | Refusal:
        """Say the same, now that the whole body is there."""
        if isinstance(verdict, Refusal):
            return verdict
        try:
            visit.note(parts=check_body(verdict, self.policy, visit.request.headers, visit.request.body))
            return verdict
        except Refusal as refusal:
            visit.reason = refusal.message
            visit.note(parts=refusal.parts, violation=refusal.message)
            return refusal

    def reply(self, verdict: Call | Refusal) -> Reply:
        """Return the answer by the contract."""
        if isinstance(verdict, Refusal):
            return json_reply(verdict.status, error_body(self.contract, verdict), verdict.headers)
        success = verdict.operation.success
        return json_reply(success.status, next(iter(success.examples.values())))

    def answering(self, visit: Visit, verdict: Call | Refusal, reply: Reply) -> None:
        """Note that the answer begins. With the documented success, the file counts as received, cut or not."""
        visit.note(status=reply.status)
        request = visit.request
        if isinstance(verdict, Refusal) or not request.body_complete:
            return
        success = verdict.operation.success
        if reply.status != success.status or reply.said != next(iter(success.examples.values()))["status"]:
            return
        business, chat = verdict.arguments.get("businessId"), verdict.arguments.get("chatId")
        if isinstance(business, int) and isinstance(chat, int):
            for number, part in enumerate(request.parts):
                self.journal.accept(
                    ReceivedFile(
                        business_id=business,
                        chat_id=chat,
                        name=part.filename,
                        content_type=part.content_type,
                        size=len(part.content),
                        sha256=hashlib.sha256(part.content).hexdigest(),
                        headers=request.headers,
                        at=request.at,
                        _contents=visit.contents,
                        _part=number,
                    )
                )

    def encode(self, visit: Visit, reply: Reply, *, close: bool) -> bytes:
        """Return the bytes of an answer to this request."""
        # `traceparent`: W3C Trace Context, version 00.
        more: Pairs = (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"),)
        told = () if visit.ticket is None else self.limits._settle(visit.ticket, reply.status)
        more += self.limits._headers(0, self.limits.resets_at()) if reply.tells_spent else told
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


def _printable(text: str) -> str:
    return repr(text[:300])[1:-1]
