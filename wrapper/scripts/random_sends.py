"""`make random-sends`: thousands of sends through a server that fails at random; then compares what each was told.

    python wrapper/scripts/random_sends.py [--sends 2000] [--seed ...]

The server takes a file or loses it, responds or does not, and shows it in the history late, altered or never. No file
may be sent twice unless that was asked for, nothing that arrived may be called not sent, and nothing that did not
arrive may be called sent.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from yandex_market_chat import (
    AsyncChatClient,
    ChatError,
    DeliveryUnknownError,
    NotSentError,
    RetryPolicy,
    SentFile,
    Timeout,
)
from yandex_market_chat.testing import Answer, Fault, MockServer

AT_ONCE = 150
BUSINESSES = 500
LONGEST = 400.0
"""Seconds after which it is given up."""
LATEST = 5.0
"""Seconds by which a message is late at most: later than the client looks, too."""
CONFIRM = 4.0
"""Seconds to confirm in: looks after 1 and 3 s."""
TIMEOUT = Timeout(total=60.0, read=2.0)

TAKEN_OR_LOST: list[Callable[[bool], Answer | Fault]] = [
    lambda taken: Answer(500, taken=taken),
    lambda taken: Answer(503, off_contract=True, taken=taken),
    lambda taken: Answer(499, off_contract=True, taken=taken),
    lambda taken: Answer(302, off_contract=True, taken=taken),
    lambda taken: Answer(200, {"status": "ERROR"}, taken=taken),
    lambda taken: Fault(cut="reset", at="after-body", taken=taken),
    lambda taken: Fault(cut="drop", at="after-body", taken=taken),
    lambda taken: Fault(cut="silence", at="after-body", taken=taken, hold=4),
    lambda taken: Answer(500, fault=Fault(cut="drop", at="in-answer", after=40), taken=taken),
]
CUT = [
    Fault(cut="reset", at="before-body"),
    Fault(cut="drop", at="in-body", after=50),
    Fault(cut="drop", at="in-answer", after=60),  # of an OK, so it is taken
]
REFUSED = [Answer(status) for status in (400, 401, 403, 404)]
BUSY = Answer(420, example="parallel")
HISTORY = [
    *(Answer(500), Answer(503, off_contract=True), BUSY, Answer(403), Answer(200, "none", off_contract=True)),
    *(Fault(cut="drop", at="after-body"), Fault(cut="reset", at="in-answer", after=200)),
    Fault(cut="silence", at="after-body", hold=4),
]
OPENING = [Answer(500), Answer(500, taken=True), BUSY, Fault(cut="drop", at="after-body", taken=True), Answer(404)]


@dataclass(slots=True)
class Group:
    """Sends of equal files into one chat: most often one."""

    number: int
    business_id: int
    resends: bool
    by_order: bool
    ended: list[SentFile | ChatError] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the file. Unique, so that what was received can be told apart."""
        return f"файл {self.number}.pdf"

    @property
    def where(self) -> dict[str, int]:
        """The chat, or the order whose chat it is."""
        return {"order_id" if self.by_order else "chat_id": self.number}


def step(dice: random.Random) -> Answer | Fault:
    """Choose what the server does with a file."""
    kind = dice.random()
    if kind < 0.30:
        return Answer(200)
    if kind < 0.85:
        return dice.choice(TAKEN_OR_LOST)(dice.random() < 0.6)
    return dice.choice([*CUT, *REFUSED, BUSY, BUSY])


def prepare(server: MockServer, sends: int, dice: random.Random) -> list[Group]:
    """Decide what is sent, and what the server does to whom."""
    groups: list[Group] = []
    chance: dict[str, float] = {}
    left = sends
    while left > 0:
        equal = min(left, dice.choice([1, 1, 1, 1, 2, 3]))
        group = Group(len(groups) + 1, dice.randrange(BUSINESSES) + 1, equal == 1 and dice.random() < 0.2, False)
        group.by_order = dice.random() < 0.25
        chat = server.chats.open(group.business_id, order_id=group.number) if group.by_order else group.number
        server.script_for(chat, *[step(dice) for _ in range(equal)])
        if group.resends:
            server.script_for(chat, *[step(dice) for _ in range(2)])
        chance[group.name] = dice.random()
        size, old = len(group.name.encode()), server.clock.now() - timedelta(minutes=20)
        # What is like the file and is none of ours must not be taken for it.
        for sender, name, other, at in dice.sample(
            [
                ("CUSTOMER", group.name, size, None),
                ("SUPPORT", group.name, size, None),
                ("PARTNER", group.name, size + 7, None),
                ("PARTNER", f"не {group.name}", size, None),
                ("PARTNER", group.name, size, old),
            ],
            k=3,
        ):
            server.chats.post(group.business_id, chat, files=[(name, other)], sender=sender, at=at)
        groups.append(group)
        left -= equal
        group.ended = [None] * equal  # type: ignore[list-item]
    server.script_on("createChat", *[dice.choice(OPENING) for _ in range(sends // 20)])

    def alter(name: str, size: int) -> tuple[str, int]:
        if chance.get(name, 1.0) < 0.05:
            return f"копия {name}", size
        return (name, size + 1) if chance.get(name, 1.0) < 0.10 else (name, size)

    server.chats.alter = alter
    return groups


async def disturb(server: MockServer, dice: random.Random) -> None:
    """Change how late messages are, and let a reading of the history fail now and then."""
    while True:
        server.chats.lag = dice.choice([0.0, 0.0, 0.0, 0.5, 2.0, LATEST])
        server.script_on("getChatHistory", *dice.choices(HISTORY, k=2))
        await asyncio.sleep(0.2)


async def send_all(server: MockServer, groups: list[Group], dice: random.Random) -> Counter[str]:
    """Send, all at once as far as the limits allow; then ask once more for what is still unknown."""
    settings: dict[str, Any] = {"api_key": server.api_key, "base_url": server.base_url, "timeout": TIMEOUT}
    gate = asyncio.Semaphore(AT_ONCE)
    careful = AsyncChatClient(**settings, confirm_unknown=CONFIRM)
    resending = AsyncChatClient(**settings, confirm_unknown=CONFIRM, retry=RetryPolicy(attempts=3, resend_unknown=True))

    async def send(group: Group, number: int) -> None:
        client = resending if group.resends else careful
        async with gate:
            try:
                group.ended[number] = await client.send_file(
                    group.name.encode(), name=group.name, business_id=group.business_id, **group.where
                )
            except ChatError as error:
                group.ended[number] = error

    disturbing = asyncio.ensure_future(disturb(server, dice))
    await asyncio.gather(*(send(group, number) for group in groups for number in range(len(group.ended))))
    disturbing.cancel()
    server.chats.lag = 0.0
    found: Counter[str] = Counter()

    async def ask(group: Group, number: int, error: DeliveryUnknownError) -> None:
        client = resending if group.resends else careful
        try:
            sent = await client.confirm(error)
        except DeliveryUnknownError:
            found["not readable"] += 1
        else:
            found["found" if sent else "not seen"] += 1
            group.ended[number] = sent or error

    before = [list(group.ended) for group in groups]
    check(server, groups)
    await asyncio.gather(
        *(
            ask(group, number, error)
            for group in groups
            for number, error in enumerate(group.ended)
            if isinstance(error, DeliveryUnknownError) and error.chat_id
        )
    )
    report(groups, before, found, server)
    return found


def check(server: MockServer, groups: list[Group]) -> None:
    """Compare what each was told with what arrived; ValueError for the first that was told wrong."""
    arrived = Counter(file.name for file in server.received)
    for group in groups:
        delivered = arrived[group.name]
        sent = sum(isinstance(each, SentFile) for each in group.ended)
        not_sent = sum(isinstance(each, NotSentError) for each in group.ended)
        told = [f"{type(each).__name__}: {each}" for each in group.ended]
        if sent > delivered:
            raise ValueError(f"{group.name}: {sent} told sent, {delivered} arrived: {told}")
        if not_sent and delivered > len(group.ended) - not_sent:
            raise ValueError(f"{group.name}: {not_sent} told not sent, {delivered} arrived: {told}")
        allowed = len(group.ended)
        if group.resends:
            (end,) = group.ended
            allowed = 1 + end.unknown_attempts if isinstance(end, SentFile) else end.attempts
        if delivered > allowed:
            raise ValueError(f"{group.name}: {delivered} arrived, at most {allowed} may have: {told}")


def report(
    groups: list[Group], before: list[list[SentFile | ChatError]], found: Counter[str], server: MockServer
) -> None:
    """Print what came of it all."""
    check(server, groups)
    arrived = Counter(file.name for file in server.received)
    ends = [end for ended in before for end in ended]
    settled = sum(isinstance(end, SentFile) and end.confirmed_by == "history" for end in ends)
    unknown = [end for end in ends if isinstance(end, DeliveryUnknownError)]
    lost = 0
    for group, ended in zip(groups, before, strict=True):
        unseen = sum(isinstance(end, DeliveryUnknownError) for end in ended)
        sent = sum(isinstance(end, SentFile) for end in ended)
        lost += max(0, unseen - max(0, arrived[group.name] - sent))
    reads = sum(request.operation == "getChatHistory" for request in server.requests)
    print(f"{len(ends)} sends of {len(groups)} files: {sum(arrived.values())} arrived")
    for name, count in Counter(type(end).__name__ for end in ends).most_common():
        print(f"  {count:5} {name}")
    total = settled + len(unknown)
    print(f"unknown outcomes: {total}; settled by the history within the send: {settled} ({settled / total:.0%})")
    print(f"  of the {len(unknown)} that stayed unknown, {lost} never arrived, which no history can tell")
    print(f"  of the {total - lost} that had arrived, {settled / (total - lost):.0%} were settled")
    later = ", ".join(f"{found[name]} {name}" for name in ("found", "not seen", "not readable"))
    print(f"  asked again later: {later}")
    resent = [group for group in groups if group.resends]
    copies = sum(arrived[group.name] > 1 for group in resent)
    print(f"resend_unknown: {len(resent)} files, {copies} arrived more than once")
    print(f"requests for a page of a history: {reads} among the latest {len(server.requests)}")


def main() -> int:
    """Send, compare and say so; 1 if anything was told wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sends", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)  # noqa: S311  no secret
    began = time.monotonic()
    with MockServer() as server:
        groups = prepare(server, arguments.sends, dice)

        async def run() -> None:
            async with asyncio.timeout(LONGEST):
                await send_all(server, groups, dice)

        try:
            asyncio.run(run())
        except (ValueError, TimeoutError) as error:
            print(f"FAILED (seed {arguments.seed}): {error or 'it took too long'}", file=sys.stderr)
            return 1
    print(f"seed {arguments.seed}: nothing was told wrong, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
