"""The ledger's rows: one for each idempotency key, its states, and the statements that change them.

| state      | means                                                                                               |
| ---------- | --------------------------------------------------------------------------------------------------- |
| (no row)   | nothing is known of the key                                                                         |
| `sending`  | a call has claimed it; once `expires` has passed without an outcome, it is `unknown`                |
| `sent`     | the buyer received the file; for good                                                               |
| `not sent` | the buyer did not receive it: the next call sends                                                   |
| `unknown`  | nobody can know; a call sends again only if its client says `resend_unknown`                        |

The words are those of a batch's journal. Each statement is one transaction, and says all that it relies on in its
WHERE: two processes can never both get a row back for the same claim. All times are the database's own, in seconds
since 1970.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._history import comparable

SENDING, SENT, NOT_SENT, UNKNOWN = "sending", "sent", "not sent", "unknown"
FORMAT = 1
"""Of a row. A row of another is never changed."""
LONGEST_LEASE = 3600.0


class Row(NamedTuple):
    """What the ledger knows of a key."""

    format: int
    state: str
    owner: str
    """Which call has, or had, claimed it."""
    chat_id: int
    order_id: int | None
    """If the call named the order, and not the chat."""
    name: str
    size: int
    sha256: str
    content_type: str
    attempts: int
    unknown_attempts: int
    """How many attempts may have delivered the file."""
    error: str | None
    """Why it is unknown or not sent: the name of a class."""
    status_code: int | None
    trace_id: str | None
    confirmed_by: str | None
    message_id: int | None
    age: float | None
    """Seconds since the first attempt began that may have delivered the file."""
    left: float | None
    """Seconds until its claim expires, while it is being sent."""

    @property
    def expired(self) -> bool:
        """Whether it is being sent by nobody any more: no lease is longer, unless the clock has been set back since."""
        return self.left is not None and not 0 <= self.left <= LONGEST_LEASE


class Claim(NamedTuple):
    """What a call wants to send."""

    business_id: int
    key: str
    owner: str
    lease: float
    chat_id: int
    order_id: int | None
    name: str
    size: int
    sha256: str
    content_type: str
    resend: bool
    """Whether what is unknown may be sent again."""


class End(NamedTuple):
    """What became of a claim."""

    business_id: int
    key: str
    owner: str
    state: str
    chat_id: int
    attempts: int
    unknown_attempts: int
    age: float | None
    """Seconds since the first unknown attempt of this call began."""
    error: str | None = None
    status_code: int | None = None
    trace_id: str | None = None
    confirmed_by: str | None = None
    message_id: int | None = None


class RowError(Exception):
    """The database cannot be used now. Its text holds no secret."""

    answer_lost = False
    """Whether the statement may have been carried out."""


class TakenError(Exception):
    """The message confirms another key already."""


_COLUMNS = {
    "business_id": "BIGINT NOT NULL",
    "key": "TEXT NOT NULL",
    "format": "INTEGER NOT NULL",
    "state": "TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'not sent', 'unknown'))",
    "owner": "TEXT NOT NULL",
    "expires": "DOUBLE PRECISION NOT NULL",
    "chat_id": "BIGINT NOT NULL",
    "order_id": "BIGINT",
    "name": "TEXT NOT NULL",
    "size": "BIGINT NOT NULL",
    "sha256": "TEXT NOT NULL",
    "content_type": "TEXT NOT NULL",
    "attempts": "INTEGER NOT NULL",
    "unknown_attempts": "INTEGER NOT NULL",
    "since": "DOUBLE PRECISION",
    "error": "TEXT",
    "status_code": "INTEGER",
    "trace_id": "TEXT",
    "confirmed_by": "TEXT",
    "message_id": "BIGINT",
    "changed_at": "DOUBLE PRECISION NOT NULL",
}
# In each statement {table} and {now} are the database's, and what begins with a colon is a value.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {{table}} (
    {", ".join(" ".join(column) for column in _COLUMNS.items())},
    PRIMARY KEY (business_id, key),
    UNIQUE (business_id, chat_id, message_id),
    CHECK (state <> 'unknown' OR unknown_attempts > 0),
    CHECK (state <> 'not sent' OR unknown_attempts = 0)
)"""
# As `Row.expired`.
_EXPIRED = f"NOT {{prefix}}expires BETWEEN {{{{now}}}} AND {{{{now}}}} + {LONGEST_LEASE}"
_AGE = "{now} - CASE WHEN state = 'sending' THEN coalesce(since, changed_at) ELSE since END"
_LEFT = "CASE WHEN state = 'sending' THEN expires - {now} END"
_SHOWN = ", ".join(Row._fields[:-2]) + f", {_AGE}, {_LEFT}"
_THIS = "business_id = :business_id AND key = :key"

CLAIM = f"""
INSERT INTO {{table}} AS known (business_id, key, format, state, owner, expires, chat_id, order_id, name, size, sha256,
    content_type, attempts, unknown_attempts, changed_at)
VALUES (:business_id, :key, {FORMAT}, 'sending', :owner, {{now}} + :lease, :chat_id, :order_id, :name, :size, :sha256,
    :content_type, 0, 0, {{now}})
ON CONFLICT (business_id, key) DO UPDATE SET state = 'sending', owner = excluded.owner, expires = excluded.expires,
    chat_id = excluded.chat_id, content_type = excluded.content_type, changed_at = excluded.changed_at,
    unknown_attempts = known.unknown_attempts
        + CASE WHEN known.state = 'sending' AND known.owner <> excluded.owner THEN 1 ELSE 0 END,
    since = CASE WHEN known.state = 'sending' AND known.owner <> excluded.owner
        THEN coalesce(known.since, known.changed_at) ELSE known.since END
WHERE known.format = {FORMAT} AND known.name = excluded.name AND known.size = excluded.size
    AND known.sha256 = excluded.sha256 AND coalesce(known.order_id, 0) = coalesce(excluded.order_id, 0)
    AND (excluded.order_id IS NOT NULL OR known.chat_id = excluded.chat_id)
    AND (known.state = 'not sent' OR known.state = 'sending' AND known.owner = excluded.owner
        OR CAST(:resend AS INTEGER) = 1
            AND (known.state = 'unknown' OR known.state = 'sending' AND {_EXPIRED.format(prefix="known.")}))
RETURNING {_SHOWN}"""  # noqa: S608
FIND = f"SELECT {_SHOWN} FROM {{table}} WHERE {_THIS}"  # noqa: S608
# With what has become unknown meanwhile: a process that dies in a further attempt cannot tell it any more.
RENEW = f"""
UPDATE {{table}} SET expires = {{now}} + :lease,
    unknown_attempts = CASE WHEN :unknown_attempts > unknown_attempts THEN :unknown_attempts ELSE unknown_attempts END,
    since = CASE WHEN :unknown_attempts > 0 THEN coalesce(since, {{now}} - :age) ELSE since END
WHERE {_THIS} AND format = {FORMAT} AND owner = :owner AND state = 'sending' RETURNING 1"""  # noqa: S608
# What nobody ended in time. Its owner may still end it: the row stays his until somebody claims it.
EXPIRE = f"""
UPDATE {{table}} SET state = 'unknown', unknown_attempts = unknown_attempts + 1, error = 'Interrupted',
    since = coalesce(since, changed_at), changed_at = {{now}}
WHERE {_THIS} AND format = {FORMAT} AND state = 'sending' AND {_EXPIRED.format(prefix="")} RETURNING {_SHOWN}"""  # noqa: S608
# Sent is proven, whoever has claimed it meanwhile and may deliver it once more. Not sent is said of all attempts, so of
# none that was unknown.
END = f"""
UPDATE {{table}} SET chat_id = :chat_id, attempts = :attempts,
    state = CASE WHEN CAST(:state AS TEXT) = 'not sent' AND unknown_attempts > 0 THEN 'unknown'
        ELSE CAST(:state AS TEXT) END,
    unknown_attempts = CASE WHEN CAST(:state AS TEXT) = 'sent'
        THEN :unknown_attempts + CASE WHEN state = 'sending' AND owner <> :owner THEN 1 ELSE 0 END
        WHEN :unknown_attempts > unknown_attempts THEN :unknown_attempts ELSE unknown_attempts END,
    since = CASE WHEN CAST(:state AS TEXT) = 'unknown' THEN coalesce(since, {{now}} - CAST(:age AS DOUBLE PRECISION))
        ELSE since END, error = :error,
    status_code = :status_code, trace_id = :trace_id, confirmed_by = :confirmed_by, message_id = :message_id,
    changed_at = {{now}}
WHERE {_THIS} AND format = {FORMAT} AND (owner = :owner AND state IN ('sending', 'unknown', CAST(:state AS TEXT))
    OR CAST(:state AS TEXT) = 'sent' AND state <> 'sent') RETURNING 1"""  # noqa: S608
# Nothing was sent since the claim: what was unknown before stays so.
RELEASE = f"""
UPDATE {{table}} SET changed_at = {{now}},
    state = CASE WHEN unknown_attempts > 0 THEN 'unknown' ELSE 'not sent' END
WHERE {_THIS} AND format = {FORMAT} AND owner = :owner AND state = 'sending' RETURNING 1"""  # noqa: S608
# Another call has found meanwhile that it was sent; what this one may have delivered accounts for messages, too.
ALSO = f"""
UPDATE {{table}} SET unknown_attempts = :unknown_attempts
WHERE {_THIS} AND format = {FORMAT} AND owner = :owner AND state = 'sent' AND unknown_attempts < :unknown_attempts
RETURNING 1"""  # noqa: S608
# What may have put a message into the chat, at any time until now unless it was sent.
OTHERS = """
SELECT key, name, message_id, unknown_attempts + CASE WHEN state = 'sending' THEN 1 ELSE 0 END,
    CASE WHEN state = 'sent' AND message_id IS NULL THEN {now} - changed_at END
FROM {table} WHERE business_id = :business_id AND chat_id = :chat_id AND size = :size AND key <> :key
    AND state <> 'not sent'"""
# What was sent stays while it may explain a message that an unknown key of the chat would take for its own.
PRUNE = f"""
DELETE FROM {{table}} AS known
WHERE format = {FORMAT} AND state IN ('sent', 'not sent') AND changed_at < {{now}} - :age AND (
    state = 'not sent' OR NOT EXISTS (
    SELECT 1 FROM {{table}} AS other WHERE other.business_id = known.business_id AND other.chat_id = known.chat_id
        AND other.size = known.size AND other.state IN ('unknown', 'sending')))"""  # noqa: S608


class Other(NamedTuple):
    """Another key with a file of the same size for the same chat."""

    key: str
    name: str
    message_id: int | None
    unknown: int
    """How many other messages it may account for, whenever they come."""
    age: float | None
    """Seconds since it was sent, if that accounts for one more."""


class Rows:
    """The rows of one database. Every method raises `RowError` if it cannot be used."""

    def run(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement in a transaction of its own, and return its rows when it is committed durably.

        For one that returns nothing: one row, with the number of rows that it changed.
        """
        raise NotImplementedError

    def claim(self, claim: Claim) -> tuple[bool, Row]:
        """Claim a key, and return whether it is the caller's now, and what is known of it."""
        for _ in range(10):
            if found := self.run(CLAIM, {**claim._asdict(), "resend": int(claim.resend)}):
                return True, Row(*found[0])
            if (row := self.find(claim.business_id, claim.key)) is not None:
                return False, row
        raise RowError("The ledger loses its rows as soon as they are written")  # pruned between the two, each time

    def find(self, business_id: int, key: str) -> Row | None:
        """Return what is known of a key; what has expired becomes unknown by that."""
        this = {"business_id": business_id, "key": key}
        found = self.run(FIND, this)
        if found and Row(*found[0]).expired:
            found = self.run(EXPIRE, this) or self.run(FIND, this)
        return Row(*found[0]) if found else None

    def renew(self, business_id: int, key: str, owner: str, lease: float, unknown: int = 0, age: float = 0.0) -> bool:
        """Renew a claim, with the attempts of it that are unknown; False if it is the owner's no longer."""
        this = {"business_id": business_id, "key": key, "owner": owner, "lease": lease}
        return bool(self.run(RENEW, {**this, "unknown_attempts": unknown, "age": age}))

    def release(self, business_id: int, key: str, owner: str) -> None:
        """Take a claim back under which nothing was sent."""
        self.run(RELEASE, {"business_id": business_id, "key": key, "owner": owner})

    def end(self, end: End) -> bool:
        """Write what became of a claim; False if somebody else has it, and nothing was written.

        Raises:
            TakenError: the message confirms another key already.
        """
        told = end._asdict()
        return bool(self.run(END, told)) or (end.state == UNKNOWN and bool(self.run(ALSO, told)))

    def others(self, business_id: int, chat_id: int, name: str, size: int, key: str) -> list[Other]:
        """Return the other keys that may account for such files in a chat."""
        this = {"business_id": business_id, "chat_id": chat_id, "size": size, "key": key}
        found = [Other(*row) for row in self.run(OTHERS, this)]
        return [each for each in found if comparable(each.name) == comparable(name)]

    def prune(self, seconds: float) -> int:
        """Delete what was sent or not sent so long ago; return how many rows."""
        return int(self.run(PRUNE, {"age": seconds})[0][0])
