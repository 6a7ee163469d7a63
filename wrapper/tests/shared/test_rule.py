"""The rule of shared limits alone: whatever happens in whatever order, against a server that counts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yandex_market_chat.shared._rule import ANSWERED, LOST, UNUSED, Ask, End, Reply, Told, Trip, exchange

SLOTS, LENGTH, QUOTA, WINDOW = 4, 30.0, 10, 100.0
OPERATIONS = ("sendFileToChat", "createChat")


@dataclass
class Flight:
    """A request that was granted, until its process has told its end."""

    operation: str
    who: str
    probes: bool = False
    """It goes alone after others were lost, to learn whether they counted: the one that may be refused."""
    counted_at: float | None = None
    left: int = 0


@dataclass
class World:
    """Some processes that share limits, and the server, whose clock is another."""

    now: float = 1_000_000.0
    text: str | None = None
    ahead: float = 0.0
    """By how much the server's clock is ahead."""
    flights: dict[str, Flight] = field(default_factory=dict)
    used: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: int = 0
    lost: set[str] = field(default_factory=set)
    asked: int = 0

    def tell(self, trip: Trip) -> Reply:
        written, reply = exchange(self.text, self.now, trip=trip, slots=SLOTS, length=LENGTH)
        self.text = self.text if written is None else written
        return reply

    def ask(self, operation: str, who: str) -> bool:
        self.asked += 1
        name = str(self.asked)
        granted = name in self.tell(Trip(asks=[Ask(name, operation)], who=who)).granted
        if granted:
            alone = all(flight.operation != operation for flight in self.flights.values())
            self.flights[name] = Flight(operation, who, alone and operation in self.lost)
        return granted

    def arrive(self, flight: Flight) -> None:
        """Let the server count it, at any moment of its flight."""
        if flight.counted_at is None:
            window = (flight.operation, int((self.now + self.ahead) // WINDOW))
            self.used[window] += 1
            self.refused += self.used[window] > QUOTA and not flight.probes
            flight.left, flight.counted_at = max(0, QUOTA - self.used[window]), self.now

    def end(self, name: str, fate: str) -> None:
        flight = self.flights.pop(name)
        told = None
        if fate == ANSWERED:
            self.arrive(flight)
            assert flight.counted_at is not None
            server = flight.counted_at + self.ahead
            until = (server // WINDOW + 1) * WINDOW
            told = Told(QUOTA, flight.left, until, until - server)
        elif fate == LOST:
            self.arrive(flight)
        elif flight.counted_at is not None:
            fate = LOST
        if fate == LOST:
            self.lost.add(flight.operation)
        self.tell(Trip(ends=[End(name, flight.operation, fate, told)], who=flight.who))

    def renew(self) -> None:
        for name, flight in self.flights.items():
            self.tell(Trip(renewals=[Ask(name, flight.operation)], who=flight.who))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "arrive", "answered", "answered", "lost", "unused", "wait", "silence"]),
        st.integers(0, 10**6),
    ),
    min_size=40,  # a list is seldom much longer than it has to be
    max_size=80,
)


@settings(derandomize=True, max_examples=400, deadline=None, database=None)
@given(EVENTS, st.sampled_from([0.0, 2820.0, -10_800.0]))
def test_no_slot_and_no_quota_is_overrun(events: list[tuple[str, int]], ahead: float) -> None:
    """Only one that goes alone after others were lost may be refused: it asks what they have used."""
    world = World(ahead=ahead)
    for event, number in events:
        names = sorted(world.flights)
        name = names[number % len(names)] if names else None
        if event == "ask":
            world.ask(OPERATIONS[number % 5 == 0], f"process {number % 3}")
        elif event == "wait":
            world.now += number % 30
            world.renew()
        elif event == "silence":
            # A process was killed: what it began goes on at the server, and nobody tells its end.
            world.now += 31
            for name in [name for name, flight in world.flights.items() if flight.who == f"process {number % 3}"]:
                world.lost.add(world.flights[name].operation)
                world.arrive(world.flights.pop(name))
            world.renew()
        elif name is not None and event == "arrive":
            world.arrive(world.flights[name])
        elif name is not None:
            world.end(name, event)
        assert len(world.flights) <= SLOTS
        assert world.refused == 0
    # Whatever happened, it goes on: when nobody is in flight and the window is over, the next one starts.
    for name in list(world.flights):
        world.end(name, ANSWERED)
    world.now += WINDOW + 1
    assert world.ask(OPERATIONS[0], "process 0")


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(EVENTS, st.integers(0, 79))
def test_after_a_restart_a_renewal_registers_again(events: list[tuple[str, int]], at: int) -> None:
    world = World()
    for number, (event, chance) in enumerate(events):
        if number == at:
            world.text = None  # the engine was killed and started empty
            world.renew()
        names = sorted(world.flights)
        if event == "ask":
            world.ask(OPERATIONS[0], "process")
        elif names and event in (ANSWERED, LOST, UNUSED):
            world.end(names[chance % len(names)], event)
        assert len(world.flights) <= SLOTS


def leases(each: str) -> str:
    """A state in which so many are in flight as there are slots."""
    return f'{{"leases": {{{", ".join(f"{json.dumps(str(n))}: {each}" for n in range(SLOTS))}}}}}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "no JSON", "[]", "{}", '{"leases": 1}', '{"leases": {"a": {}}}', "[" * 100_000),
        '{"leases": {"a": {"operation": "send", "expires": "soon", "length": 1, "mark": 0}}}',
        '{"leases": {"a": {"operation": [], "expires": 1, "length": 1, "mark": 0}}}',
        '{"windows": {"send": {"left": "many", "renewed": 50}}}',
        '{"windows": {"send": {"left": 0, "renewed": null}}}',
        '{"line": {"b": {"since": 0, "seen": []}}}',
        *(
            f'{{"leases": {{"a{n}": {{"operation": "send", "expires": {each}, "length": {each}, "mark": 0}}'
            + ', "b": {"operation": "send", "expires": 20, "length": 30, "mark": 0}' * 3
            + "}}"
            for n, each in enumerate(["1e300", "NaN", "Infinity", "true", "1" + "0" * 400])
        ),
        *(
            f'{{"windows": {{"send": {{"left": {left}, "renewed": 50, "until": 60}}}}}}'
            for left in ("-1", "0.5", "1e30")
        ),
        '{"windows": {"send": {"left": 0, "renewed": 50, "until": 1e30}}}',
        '{"windows": {"send": {"left": 0, "renewed": 50, "until": NaN}}}',
        '{"windows": {"send": {"left": 0, "renewed": 50, "until": 253402300000.0}}}',  # the year 9999 is over
        '{"windows": {"send": {"left": 0, "renewed": 50, "until": 60, "lost": 9007199254740992}}}',  # 2**53
        leases('{"operation": "send", "expires": 20, "length": 3600.1, "mark": 0}'),
        leases('{"operation": 5, "expires": 20, "length": 30, "mark": 0}'),
    ],
)
def test_a_state_that_cannot_be_read_is_none(text: str) -> None:
    _, reply = exchange(text, 0.0, trip=Trip(asks=[Ask("a", "send")]), slots=4, length=30.0)
    assert reply.granted == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        '{"windows": {"send": {"left": 0, "renewed": 50, "until": 60}}}',
        leases('{"operation": "send", "expires": 20, "length": 3600, "mark": 0}'),
    ],
)
def test_a_state_without_all_its_parts_can_be_read(text: str) -> None:
    _, reply = exchange(text, 0.0, trip=Trip(asks=[Ask("a", "send")]), slots=SLOTS, length=30.0)
    assert not reply.granted


def test_a_state_that_stays_is_not_written_again() -> None:
    def written(text: str | None, **trip: Any) -> str | None:
        return exchange(text, 0.0, trip=Trip(**trip), slots=SLOTS, length=30.0)[0]

    assert written(None) is None
    text = written(None, asks=[Ask("a", "send"), Ask("b", "chat")])
    assert text is not None
    assert written(text) is None
    assert written(text, writes=True) == text
    assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)


def a_full_world(now: float = 1_000_000.0) -> World:
    """All slots are those of one who is rich, and a first answer told no quota."""
    world = World(now=now)
    renewals = [Ask(f"r{n}", "send") for n in range(SLOTS)]
    world.tell(Trip(ends=[End("x", "send", ANSWERED)], renewals=renewals, who="rich"))
    return world


def test_who_is_given_a_slot_leaves_the_line() -> None:
    """Otherwise the next one would wait for somebody who does not wait."""
    world = World()
    assert world.ask("sendFileToChat", "first")
    world.end("1", ANSWERED)
    for _ in range(SLOTS):
        assert world.ask("sendFileToChat", "first")
    assert not world.ask("sendFileToChat", "second")
    world.now += 0.1
    world.end("2", ANSWERED)
    assert world.ask("sendFileToChat", "second")
    world.now += 0.1
    world.end("3", ANSWERED)
    assert world.ask("sendFileToChat", "third")


def test_asking_twice_takes_one_slot() -> None:
    world = World()
    for _ in range(3):
        assert world.tell(Trip(asks=[Ask("a", "send")])).granted == {"a"}
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 9, 2e6, 50.0))]))
    assert world.tell(Trip(asks=[Ask(str(n), "send") for n in range(9)])).granted == {"0", "1", "2", "3"}


def test_the_first_of_a_window_goes_alone() -> None:
    world = World()
    assert world.tell(Trip(asks=[Ask("a", "send"), Ask("b", "send"), Ask("c", "chat")])).granted == {"a", "c"}
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 9, 2e6, 50.0))]))
    assert world.tell(Trip(asks=[Ask("b", "send")])).granted == {"b"}
    world.now += 51
    world.tell(Trip(renewals=[Ask("b", "send")]))
    assert not world.tell(Trip(asks=[Ask("d", "send")])).granted


def test_a_spent_quota_is_told_and_renewed() -> None:
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 0, 2e6, 50.0))]))
    reply = world.tell(Trip(asks=[Ask("b", "send")]))
    assert (reply.granted, reply.spent, reply.quotas["send"].seconds) == (frozenset(), {"b"}, 50.0)
    world.now += 50
    assert world.tell(Trip(asks=[Ask("b", "send")])).granted == {"b"}


def test_a_server_that_tells_no_quota_holds_up_nobody() -> None:
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED)]))
    assert len(world.tell(Trip(asks=[Ask(str(n), "send") for n in range(9)])).granted) == SLOTS


LATER = 2e6 + 3600.0


@pytest.mark.parametrize(
    ("first", "then", "known"),
    [
        (Told(10, 5, 2e6, 50.0), Told(10, 3, 2e6, 49.5), Told(10, 3, 2e6, 49.5)),
        (Told(10, 3, 2e6, 50.0), Told(10, 5, 2e6, 51.0), Told(10, 3, 2e6, 50.0)),  # it came late
        (Told(10, 0, 2e6, 50.0), Told(20, 9, LATER, 3600.0), Told(20, 9, LATER, 3600.0)),
        (Told(10, 5, LATER, 50.0), Told(10, 9, 2e6, 10.0), Told(10, 5, LATER, 50.0)),
        (Told(10, 5, 2e6, 50.0), Told(None, 4, 2e6, 50.0), Told(10, 4, 2e6, 50.0)),
        (Told(None, 5, 2e6, 50.0), Told(10, 4, 2e6, 50.0), Told(10, 4, 2e6, 50.0)),
        (Told(10, 5, 2e6, 50.0), Told(10, None, 2e6, 50.0), Told(10, 5, 2e6, 50.0)),
        (Told(10, 5, 2e6, 50.0), None, Told(10, 5, 2e6, 50.0)),
        (Told(10, 5, 2e6, 50.12363), None, Told(10, 5, 2e6, 50.124)),
        (Told(10, 5, 2e6, 0.5), None, Told(10, 5, 2e6, 0.5)),
        (Told(10, 5, 2e6, -1.0), None, None),
        (Told(10, 5, 2e6, 9999.0), None, Told(10, 5, 2e6, 3660.0)),
    ],
)
def test_of_two_windows_the_later_counts_and_in_one_the_least(
    first: Told, then: Told | None, known: Told | None
) -> None:
    world = World()
    for name, told in (("a", first), ("b", then)):
        world.tell(Trip(renewals=[Ask(name, "send")]))
        world.tell(Trip(ends=[End(name, "send", ANSWERED, told)]))
    found = world.tell(Trip()).quotas.get("send")
    assert (found and found._replace(seconds=round(found.seconds, 6))) == known


@pytest.mark.parametrize(("fate", "granted"), [(LOST, {"d"}), (UNUSED, {"d", "e"})])
def test_what_was_lost_counts_until_the_server_has_told_more(fate: str, granted: set[str]) -> None:
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 3, 2e6, 3000.0))]))
    assert world.tell(Trip(asks=[Ask("b", "send"), Ask("c", "send")])).granted == {"b", "c"}
    world.tell(Trip(ends=[End("b", "send", fate)]))
    assert world.tell(Trip(asks=[Ask(name, "send") for name in "def"])).granted == granted


def test_what_expired_is_lost_once() -> None:
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 4, 2e6, 3000.0))]))
    assert world.tell(Trip(asks=[Ask("b", "send"), Ask("c", "send")])).granted == {"b", "c"}
    world.now += LENGTH / 2
    world.tell(Trip(renewals=[Ask("c", "send")]))
    world.now += LENGTH / 2 + 1
    world.tell(Trip(ends=[End("b", "send", LOST)]))
    assert world.tell(Trip(asks=[Ask(name, "send") for name in "def"])).granted == {"d", "e"}


@pytest.mark.parametrize("step", [3600.0 * 3, -3600.0 * 3])
def test_a_clock_that_was_wrong_blocks_nobody(step: float) -> None:
    """What a clock that was set back left behind lies too far ahead."""
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 0, 2e6, 3600.0))]))
    world.tell(Trip(renewals=[Ask(str(n), "chat") for n in range(4)]))
    world.now += step
    assert world.tell(Trip(asks=[Ask("b", "send")])).granted == {"b"}


def test_who_has_had_a_slot_goes_to_the_end_of_the_line() -> None:
    world = World()
    world.tell(Trip(renewals=[Ask(f"r{n}", "send") for n in range(SLOTS)], who="rich"))
    world.tell(Trip(ends=[End("r0", "send", ANSWERED)], who="rich"))
    world.tell(Trip(renewals=[Ask("r0", "send")], who="rich"))
    assert not world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted
    world.now += 0.05
    reply = world.tell(Trip(ends=[End("r0", "send", ANSWERED)], asks=[Ask("r4", "send")], who="rich"))
    assert not reply.granted
    world.now += 0.05
    assert world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted == {"p"}


@pytest.mark.parametrize("later", [0.1, 0.0])
@pytest.mark.parametrize("begin", [1_000_000.1, 1_000_000.6])
def test_the_line_is_in_the_order_of_coming(begin: float, later: float) -> None:
    """Within a second, too; of two that came in the same moment, whoever asks."""
    world = a_full_world(begin)
    assert not world.tell(Trip(asks=[Ask("p", "send")], who="first")).granted
    world.now += later
    assert not world.tell(Trip(asks=[Ask("q", "send")], who="second")).granted
    world.now += 0.1
    world.tell(Trip(ends=[End("r0", "send", ANSWERED)], who="rich"))
    assert world.tell(Trip(asks=[Ask("q", "send")], who="second")).granted == (frozenset() if later else {"q"})
    assert world.tell(Trip(asks=[Ask("p", "send")], who="first")).granted == ({"p"} if later else frozenset())


def test_a_place_holds_in_the_moment_of_coming() -> None:
    world = a_full_world()
    assert not world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted
    world.tell(Trip(ends=[End("r0", "send", ANSWERED)], who="rich"))
    world.now += 0.1
    assert not world.tell(Trip(asks=[Ask("r4", "send")], who="rich")).granted


def test_who_asks_for_nothing_any_more_has_left_the_line() -> None:
    world = a_full_world()
    assert not world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted
    world.now += 0.1
    world.tell(Trip(who="poor"))
    assert world.tell(Trip(ends=[End("r0", "send", ANSWERED)], asks=[Ask("r4", "send")], who="rich")).granted


@pytest.mark.parametrize(
    ("due", "until", "held"),
    [(False, 29.9, True), (False, 30.0, False), (True, 30.0, True), (True, 39.9, True), (True, 40.0, False)],
)
def test_a_lease_ends_unless_it_is_renewed(due: bool, until: float, held: bool) -> None:
    world = a_full_world()
    begin = world.now
    world.now += 10
    world.tell(Trip(renewals=[Ask(f"r{n}", "send") for n in range(SLOTS)], due=due, who="rich"))
    world.now = begin + until
    assert bool(world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted) is not held


def test_a_lease_ends_at_its_moment_and_not_at_a_whole_second() -> None:
    world = World(now=1_000_000.6)
    world.tell(Trip(renewals=[Ask(f"r{n}", "send") for n in range(SLOTS)], who="rich"))
    world.now += LENGTH + 0.1
    assert world.tell(Trip(asks=[Ask("p", "chat")], who="poor")).granted


@pytest.mark.parametrize(("back", "held"), [(1.0, True), (1.5, False)])
def test_a_lease_that_ends_too_late_was_given_by_a_wrong_clock(back: float, held: bool) -> None:
    world = a_full_world()
    world.now -= back
    assert bool(world.tell(Trip(asks=[Ask("p", "chat")], who="poor")).granted) is not held


def test_a_renewal_does_not_account_for_what_was_lost_meanwhile() -> None:
    """Only an answer to what began later tells of it."""
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 5, 2e6, 3000.0))]))
    assert world.tell(Trip(asks=[Ask("b", "send"), Ask("c", "send")])).granted == {"b", "c"}
    world.tell(Trip(ends=[End("c", "send", LOST)]))
    world.tell(Trip(renewals=[Ask("b", "send")]))
    world.tell(Trip(ends=[End("b", "send", ANSWERED, Told(10, 3, 2e6, 3000.0))]))
    assert world.tell(Trip(asks=[Ask(name, "send") for name in "def"])).granted == {"d", "e"}


def test_the_last_of_a_quota_is_used() -> None:
    world = World()
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, Told(10, 1, 2e6, 50.0))]))
    assert world.tell(Trip(asks=[Ask("b", "send"), Ask("c", "send")])).granted == {"b"}


@pytest.mark.parametrize(("silent", "granted"), [(0.4, set()), (0.5, {"r4"}), (0.6, {"r4"})])
def test_who_left_the_line_holds_up_nobody(silent: float, granted: set[str]) -> None:
    world = a_full_world()
    assert not world.tell(Trip(asks=[Ask("p", "send")], who="poor")).granted
    world.now += silent
    trip = Trip(ends=[End("r0", "send", ANSWERED)], asks=[Ask("r4", "send")], who="rich")
    assert world.tell(trip).granted == granted


def test_polling_in_vain_writes_seldom() -> None:
    world = a_full_world()
    written = []
    for _ in range(20):
        before = world.text
        world.tell(Trip(asks=[Ask("p", "send")], who="poor"))
        written.append(world.text != before)
        world.now += 0.03
    assert sum(written) <= 6


def test_what_was_killed_in_flight_may_have_used_up_quota() -> None:
    world = World()
    told = Told(10, 3, 2e6, 3000.0)
    world.tell(Trip(asks=[Ask("a", "send")]))
    world.tell(Trip(ends=[End("a", "send", ANSWERED, told)]))
    assert len(world.tell(Trip(asks=[Ask("b", "send"), Ask("c", "send")])).granted) == 2
    world.now += LENGTH + 1  # nobody renews them: of the three that were left one is sure, and it goes alone
    assert world.tell(Trip(asks=[Ask("d", "send"), Ask("e", "send")])).granted == {"d"}
    world.tell(Trip(ends=[End("d", "send", ANSWERED, Told(10, 2, 2e6, 2900.0))]))  # it tells that they did not arrive
    assert len(world.tell(Trip(asks=[Ask("e", "send"), Ask("f", "send")])).granted) == 2
