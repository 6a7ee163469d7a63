"""Serves the requests of one connection, with the faults that are scripted for them."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from ._channel import Channel
from ._check import Call, Refusal
from ._fault import NO_FAULT, Fault
from ._journal import Visit
from ._reader import Head, MalformedRequestError, RequestReader
from ._reply import Reply
from ._service import Service

# How long a client may take to end its side after ours has ended.
_LINGER: Final = 5.0

#: What came of reading a body; `cut` is that of a fault.
Reading = Literal["whole", "too big", "broken", "cut"]


class Connection:
    """One connection from its first byte to its last."""

    def __init__(self, channel: Channel, service: Service, number: int) -> None:
        self._channel = channel
        self._service = service
        self._reader = RequestReader(channel)
        self._number = number

    async def serve(self) -> None:
        """Serve until the connection has ended, by whichever side."""
        try:
            while await self._request():
                pass
        except ConnectionError:
            # The client's right; what it had sent stands in the journal.
            pass

    async def _request(self) -> bool:
        """Serve one request; True if another one may follow."""
        try:
            head = await self._reader.head()
        except MalformedRequestError as error:
            if self._reader.began:
                await self._refuse_unread(str(error))
            return False
        if head is None:
            return False
        looked_at = self._service.inspection.reply(head)
        if looked_at is not None:
            await self._inspect(head, looked_at)
            return False
        visit = self._service.arrived(head, self._number)
        try:
            return await self._serve(head, visit)
        finally:
            visit.leave()
            self._service.served(visit)

    async def _inspect(self, head: Head, reply: Reply) -> None:
        """Answer somebody who looks at what arrived: no request of the API, so nothing of it is noted."""
        await self._channel.send(self._service.inspection.encode(reply, to_head=head.method == "HEAD"))
        await self._channel.finish(_LINGER)

    async def _refuse_unread(self, message: str) -> None:
        visit = self._service.arrived(None, self._number)
        try:
            visit.note(violation=message)
            refusal = Refusal(400, message)
            await self._answer(visit, self._service.reply(refusal), NO_FAULT, close=True)
        finally:
            visit.leave()
            self._service.served(visit)
        await self._channel.drop(_LINGER)

    async def _serve(self, head: Head, visit: Visit) -> bool:
        step = self._service.next_step(visit)
        fault = step.fault if step else NO_FAULT
        scripted = step.reply if step else None
        if step:
            visit.note(scripted=True)
        verdict = self._service.check_head(visit, head.misframed)

        if fault.early and scripted:
            await self._answer(visit, scripted, fault, close=True)
            if fault.cut:
                await self._cut(fault, visit)
            elif fault.early == "lingering":
                await self._channel.drop(_LINGER)
            else:
                self._channel.reset()
            return False
        if fault.at == "before-body":
            return await self._cut(fault, visit)

        reading = await self._read_body(head, visit, fault)
        if reading == "cut":
            return await self._cut(fault, visit)
        verdict = self._verdict(reading, visit, verdict)
        if step and step.taken:
            self._service.carry_out(visit, verdict, scripted)
        if fault.at == "after-body":
            return await self._cut(fault, visit)

        reply = self._service.reply(verdict) if scripted is None or reading == "broken" else scripted
        # Before a delay: whoever gives up meanwhile, and then looks into the chat, finds it there.
        cut_at_once = fault.at == "in-answer" and fault.after == 0
        if not (step and step.taken) and not cut_at_once and self._service.carries_out(verdict, reply):
            self._service.carry_out(visit, verdict, reply)
        close = not head.keep_alive or reading != "whole" or reply.ends_connection
        await self._answer(visit, reply, fault, close=close)
        if fault.cut:
            return await self._cut(fault, visit)
        if close and reading == "whole":
            await self._channel.finish(_LINGER)
        elif close:
            await self._channel.drop(_LINGER)
        return not close

    async def _read_body(self, head: Head, visit: Visit, fault: Fault) -> Reading:
        """Read the body into the record of the request, no more of it than a valid one can have."""
        stop_at = fault.after if fault.at == "in-body" else None
        if fault.read_delay:
            await asyncio.sleep(fault.read_delay)
        if head.announced > self._service.max_body and stop_at is None:
            return "too big"
        body = bytearray()
        reading: Reading = "whole"
        try:
            if stop_at != 0:
                async for data in self._reader.body():
                    body += data
                    if stop_at is not None and len(body) >= stop_at:
                        break
                    if len(body) > self._service.max_body:
                        reading = "too big"
                        break
                    if fault.read_pause:
                        await asyncio.sleep(fault.read_pause)
        except MalformedRequestError as error:
            visit.note(violation=str(error))
            reading = "broken"
        finally:
            # Also when the connection breaks: what had come by then is part of the journal.
            if stop_at is not None:
                reading = "cut"
                del body[stop_at:]
            visit.note(body=bytes(body))
        return reading

    def _verdict(self, reading: Reading, visit: Visit, verdict: Call | Refusal) -> Call | Refusal:
        """Say what the request deserves, once its body has been read."""
        if reading == "whole":
            visit.note(body_complete=True)
            return self._service.check_body(visit, verdict)
        if reading == "broken":
            return Refusal(400, visit.request.violation or "the body is broken")
        if isinstance(verdict, Call):
            refusal = Refusal(400, f"the request is too big: no valid one has more than {self._service.max_body} bytes")
            visit.note(violation=refusal.message)
            return refusal
        return verdict

    async def _answer(self, visit: Visit, reply: Reply, fault: Fault, *, close: bool) -> None:
        """Send an answer, or as much of it as the fault lets through."""
        if fault.delay:
            await self._pause(fault.delay, visit)
        wire = self._service.encode(visit, reply, close=close and fault.at != "after-answer")
        if fault.at == "in-answer":
            wire = wire[: fault.after]
        if not wire:
            return
        visit.note(status=reply.status)
        if fault.drip:
            for position in range(len(wire) - 1):
                await self._channel.send(wire[position : position + 1])
                await self._pause(fault.drip, visit)
            wire = wire[-1:]
        if fault.cut != "silence":
            # Before the client can know that it may send the next one.
            visit.leave()
        await self._channel.send(wire)

    async def _cut(self, fault: Fault, visit: Visit) -> bool:
        """End the connection as the fault says; False, as nothing can follow."""
        if fault.cut == "reset":
            visit.leave()
            self._channel.reset()
        elif fault.cut == "drop":
            visit.leave()
            await self._channel.drop(fault.hold)
        elif fault.at in ("before-body", "in-body"):
            # Nothing is read, so nobody would notice if the client left.
            await asyncio.sleep(fault.hold)
        else:
            await self._pause(fault.hold, visit)
        return False

    async def _pause(self, seconds: float, visit: Visit) -> None:
        """Wait, but no longer than there is somebody to wait for."""
        if await self._channel.ended_within(seconds):
            visit.leave()
