"""Every state of a row, and every event: which state follows, and what the caller is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from yandex_market_chat.shared._row import Claim, End, Rows, TakenError

from .ledgers import Database, row, rows_of

OWN, OTHER = "own", "other"
CLAIM = Claim(1, "k", OWN, 60.0, 2, None, "a.pdf", 3, "sum", "application/pdf", False)

# What was before the event: state, owner, seconds until the claim expires, attempts that may have delivered it.
BEFORE: dict[str, tuple[str, str, float, int] | None] = {
    "nothing": None,
    "not sent": ("not sent", OTHER, 0, 0),
    "unknown": ("unknown", OTHER, 0, 1),
    "own unknown": ("unknown", OWN, 0, 1),
    "sent": ("sent", OTHER, 0, 0),
    "own sending": ("sending", OWN, 30, 0),
    "own sending again": ("sending", OWN, 30, 1),
    "other sending": ("sending", OTHER, 30, 0),
    "other died": ("sending", OTHER, -1, 0),
    "other died again": ("sending", OTHER, -1, 1),
    "other from the future": ("sending", OTHER, 86400, 0),
}


def end(state: str) -> Callable[[Rows], object]:
    unknown = int(state == "unknown")
    return lambda rows: rows.end(End(1, "k", OWN, state, 2, 1, unknown, 1.0))


EVENTS: dict[str, Callable[[Rows], object]] = {
    "claim": lambda rows: rows.claim(CLAIM)[0],
    "claim to resend": lambda rows: rows.claim(CLAIM._replace(resend=True))[0],
    "claim of another content": lambda rows: rows.claim(CLAIM._replace(sha256="another", resend=True))[0],
    "find": lambda rows: rows.find(1, "k") is not None,
    "renew": lambda rows: rows.renew(1, "k", OWN, 60.0),
    "release": lambda rows: rows.release(1, "k", OWN),
    "end: sent": end("sent"),
    "end: unknown": end("unknown"),
    "end: not sent": end("not sent"),
    "prune": lambda rows: rows.prune(0.0),
}

_FOUND = {
    "nothing": ("nothing", False), "not sent": ("not sent", True), "unknown": ("unknown 1", True),
    "own unknown": ("unknown 1", True), "sent": ("sent", True), "own sending": ("sending", True),
    "own sending again": ("sending 1", True), "other sending": ("sending", True), "other died": ("unknown 1", True),
    "other died again": ("unknown 2", True), "other from the future": ("unknown 1", True),
}  # fmt: skip
_AS_IT_WAS = {
    "nothing": "nothing", "not sent": "not sent", "unknown": "unknown 1", "own unknown": "unknown 1", "sent": "sent",
    "own sending": "sending", "own sending again": "sending 1", "other sending": "sending", "other died": "sending",
    "other died again": "sending 1", "other from the future": "sending",
}  # fmt: skip


def changed(told: object, otherwise: object, **after: str) -> dict[str, tuple[str, object]]:
    """What follows where an event does something, and as it was elsewhere."""
    known = {name.replace("_", " "): state for name, state in after.items()}
    return {name: (known.get(name, was), told if name in known else otherwise) for name, was in _AS_IT_WAS.items()}


# What follows: the state with the number of unknown attempts, and what the event returns.
AFTER: dict[str, dict[str, tuple[str, object]]] = {
    "claim": {name: (state, False) for name, (state, _) in _FOUND.items()}
    | {
        "nothing": ("sending", True), "not sent": ("sending", True),
        "own sending": ("sending", True), "own sending again": ("sending 1", True),
    },
    "claim to resend": {
        "nothing": ("sending", True), "not sent": ("sending", True), "unknown": ("sending 1", True),
        "own unknown": ("sending 1", True), "sent": ("sent", False), "own sending": ("sending", True),
        "own sending again": ("sending 1", True), "other sending": ("sending", False),
        "other died": ("sending 1", True), "other died again": ("sending 2", True),
        "other from the future": ("sending 1", True),
    },
    "claim of another content": {name: (state, False) for name, (state, _) in _FOUND.items()}
    | {"nothing": ("sending", True)},
    "find": _FOUND,  # type: ignore[dict-item]
    "renew": changed(True, False, own_sending="sending", own_sending_again="sending 1"),
    "release": changed(None, None, own_sending="not sent", own_sending_again="unknown 1"),
    # Whoever has the claim may deliver it once more.
    "end: sent": {name: ("sent 1" if name.startswith("other") else "sent", True) for name in BEFORE}
    | {"nothing": ("nothing", False), "sent": ("sent", False)},
    "end: unknown": changed(
        True, False, own_sending="unknown 1", own_sending_again="unknown 1", own_unknown="unknown 1"
    ),
    "end: not sent": changed(
        True, False, own_sending="not sent", own_sending_again="unknown 1", own_unknown="unknown 1"
    ),
    "prune": changed(1, 0, not_sent="nothing", sent="nothing"),
}  # fmt: skip


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("event", EVENTS)
def test_what_follows(database: Database, before: str, event: str) -> None:
    rows = rows_of(database.ledger())
    prepare(database, rows, before)
    told = EVENTS[event](rows)
    found = row(database)
    state = " ".join(filter(None, (found["state"], str(found["unknown_attempts"] or "")))) if found else "nothing"
    assert (state, told) == AFTER[event][before]
    if state.startswith("sending"):
        assert found["owner"] == (OWN if told is True and event != "find" else BEFORE[before][1])  # type: ignore[index]
    if found.get("unknown_attempts") and not event.startswith("end: "):
        assert found["since"] is not None


def prepare(database: Database, rows: Rows, before: str) -> None:
    rows.claim(CLAIM)
    told = BEFORE[before]
    if told is None:
        database.execute("DELETE FROM {table}")
        return
    state, owner, lease, unknown = told
    since = "{now} - 100" if unknown else "NULL"
    database.execute(
        f"UPDATE {{table}} SET state = '{state}', owner = '{owner}', expires = {{now}} + ({lease}),"
        f" unknown_attempts = {unknown}, since = {since}, changed_at = {{now}} - 50"
    )


def test_the_table_is_whole() -> None:
    assert set(AFTER) == set(EVENTS)
    assert all(set(after) == set(BEFORE) for after in AFTER.values())


@pytest.mark.parametrize("before", ["own sending again", "other died", "other died again", "unknown"])
def test_when_the_first_unknown_attempt_began(database: Database, before: str) -> None:
    """The first attempt counts, also if it is its claim that tells when."""
    rows = rows_of(database.ledger())
    prepare(database, rows, before)
    found = rows.find(1, "k")
    assert found is not None
    assert found.age == pytest.approx(50 if before == "other died" else 100, abs=10)


def test_what_was_refused_before_does_not_count(database: Database) -> None:
    rows = rows_of(database.ledger())
    rows.claim(CLAIM)
    rows.end(End(1, "k", OWN, "not sent", 2, 1, 0, 100.0))
    rows.claim(CLAIM)
    rows.end(End(1, "k", OWN, "unknown", 2, 2, 1, 1.0))
    found = rows.find(1, "k")
    assert found is not None
    assert (found.attempts, found.unknown_attempts) == (2, 1)
    assert found.age is not None
    assert found.age < 60


def test_an_end_that_is_written_twice_is_written_once(database: Database) -> None:
    """The first time its answer was lost."""
    for number, state in enumerate(("sent", "unknown", "not sent")):
        rows = rows_of(database.ledger())
        rows.claim(CLAIM._replace(key=str(number)))
        told = End(1, str(number), OWN, state, 2, 3, int(state == "unknown"), 1.0)
        assert rows.end(told)
        before = row(database, str(number))
        assert rows.end(told)
        assert row(database, str(number)) | {"changed_at": 0} == before | {"changed_at": 0}


def test_what_was_delivered_twice_accounts_for_two(database: Database) -> None:
    """A call that resends is told about while it does, and also when another one has ended its row."""
    rows = rows_of(database.ledger())
    rows.claim(CLAIM)
    assert rows.renew(1, "k", OWN, 60.0, 2, 5.0)
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("sending", 2)
    assert row(database)["since"] is not None
    assert rows.end(End(1, "k", OTHER, "sent", 2, 1, 1, 1.0, confirmed_by="history", message_id=7))
    assert row(database)["unknown_attempts"] == 2  # one that the other knows of, and the one in flight
    assert rows.end(End(1, "k", OWN, "unknown", 2, 4, 4, 1.0))
    assert (row(database)["state"], row(database)["unknown_attempts"], row(database)["message_id"]) == ("sent", 4, 7)
    (other,) = rows.others(1, 2, "a.pdf", 3, "another")
    assert (other.message_id, other.unknown, other.age) == (7, 4, None)


def test_a_message_confirms_one_key(database: Database) -> None:
    rows = rows_of(database.ledger())
    for key in ("k", "l"):
        rows.claim(CLAIM._replace(key=key))
    sent = End(1, "k", OWN, "sent", 2, 1, 0, 1.0, confirmed_by="history", message_id=7)
    assert rows.end(sent)
    with pytest.raises(TakenError):
        rows.end(sent._replace(key="l"))
    assert row(database, "l")["state"] == "sending"
    assert rows.end(sent._replace(key="l", message_id=8))


@pytest.mark.parametrize("state", ["sent", "not sent", "unknown", "sending"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_row_of_another_version_is_never_changed(database: Database, state: str, event: str) -> None:
    rows = rows_of(database.ledger())
    rows.claim(CLAIM)
    database.execute(
        f"UPDATE {{table}} SET format = 2, state = '{state}', owner = '{OWN}', expires = 0,"
        f" unknown_attempts = {int(state != 'not sent')}"
    )
    before: dict[str, Any] = row(database)
    told = EVENTS[event](rows)
    assert row(database) == before
    assert not told or event == "find"


def test_what_another_key_accounts_for(database: Database) -> None:
    """The messages that it may have put into the chat, whenever they come."""
    rows, another = rows_of(database.ledger()), CLAIM._replace(resend=True)

    def unknown() -> list[int]:
        return [other.unknown for other in rows.others(1, 2, "a.pdf", 3, "another key")]

    assert unknown() == []
    rows.claim(another)
    assert unknown() == [1]  # that is being sent
    end("unknown")(rows)
    assert unknown() == [1]
    rows.claim(another)
    assert unknown() == [2]  # and that is sent again
    end("sent")(rows)
    assert unknown() == [0]  # its own message is accounted for by when it was sent
