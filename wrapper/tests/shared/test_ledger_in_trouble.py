"""A key that others are sending, and a ledger that cannot be used."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from yandex_market_chat import (
    BadRequestError,
    ChatClient,
    DeliveryUnknownError,
    InProgressError,
    Ledger,
    LedgerError,
    NotSentError,
    RetryPolicy,
    SentFile,
    ServerError,
)
from yandex_market_chat.shared import _background, _once
from yandex_market_chat.shared._ledger_sqlite import SqliteRows
from yandex_market_chat.testing import Answer, Fault, MockServer

from ..conftest import SOON, Chat
from .ledgers import KEY, SLOW, Database, in_thread, requests, row, states
from .programs import needs_posix, wait_for

Connect = Callable[..., Chat]
# Short enough to pass in a test, and long enough for a machine that stands still for a second.
LEASE = 3.0
SLOWER = Fault(delay=8.0)


# In progress


def test_another_call_is_sending(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(SLOW)
    thread, ended = in_thread(lambda: sender().send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    assert row(database)["state"] == "sending"  # as anybody sees it, before the response
    database.execute("UPDATE {table} SET changed_at = changed_at - 30")
    with pytest.raises(InProgressError) as caught:
        sender().send(b"abc", **KEY)
    error = caught.value
    assert (error.retryable, error.unknown_attempts) == (True, 0)
    assert error.since is not None
    assert timedelta(seconds=30) <= datetime.now(UTC) - error.since < timedelta(seconds=30 + SOON)
    told = re.fullmatch(
        r"Another call is sending with this idempotency key\. This call sent nothing\."
        r" Try again later: if its process died, the key is unknown in (\d+) s\.",
        str(error),
    )
    assert told is not None
    assert 60 - SOON < int(told[1]) <= 60
    thread.join()
    assert isinstance(ended[0], SentFile)
    assert sender().send(b"abc", **KEY).from_ledger
    assert len(server.received) == 1


def test_a_claim_is_renewed_while_its_send_runs(sender: Connect, server: MockServer) -> None:
    server.script(SLOWER)
    thread, ended = in_thread(lambda: sender(lease=LEASE).send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    time.sleep(LEASE + 0.5)
    with pytest.raises(InProgressError):
        sender().send(b"abc", **KEY)
    thread.join()
    assert isinstance(ended[0], SentFile)


def test_a_claim_is_renewed_when_a_third_of_its_lease_has_passed(
    sender: Connect, server: MockServer, database: Database
) -> None:
    server.script(SLOW)
    chat = sender()
    thread, ended = in_thread(lambda: chat.send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    (entry,) = chat.client._ledger._renewals._entries
    claimed = row(database)["expires"]
    for ago, renewed in ((17, False), (21, True)):
        entry._renewed = time.monotonic() - ago
        entry.renew()
        assert (row(database)["expires"] > claimed) is renewed
    thread.join()
    assert isinstance(ended[0], SentFile)


def test_the_claim_of_the_dead_is_unknown_after_its_lease(
    sender: Connect, server: MockServer, database: Database
) -> None:
    sender().send(b"abc", **KEY)
    database.execute("UPDATE {table} SET state = 'sending', owner = 'dead', expires = {now} - 1")
    with pytest.raises(DeliveryUnknownError) as caught:
        sender().send(b"abc", **KEY)
    assert "ended unknown (interrupted, or its outcome could not be written)." in str(caught.value)
    assert not isinstance(caught.value, InProgressError)
    assert (row(database)["state"], row(database)["unknown_attempts"]) == ("unknown", 1)
    assert len(server.received) == 1


def test_one_that_never_expires_does_not_block_for_ever(
    sender: Connect, server: MockServer, database: Database
) -> None:
    """The clock was set back by a day."""
    sender().send(b"abc", **KEY)
    database.execute("UPDATE {table} SET state = 'sending', owner = 'dead', expires = {now} + 86400")
    with pytest.raises(DeliveryUnknownError, match="interrupted"):
        sender().send(b"abc", **KEY)


@pytest.mark.parametrize("resend", [False, True])
def test_a_late_owner_turns_its_unknown_into_sent(
    sender: Connect, server: MockServer, database: Database, resend: bool
) -> None:
    server.script(SLOW, Answer(500))
    thread, ended = in_thread(lambda: sender().send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute("UPDATE {table} SET expires = {now} - 1")  # it slept, or the clock was set
    with pytest.raises(DeliveryUnknownError):
        sender(retry=RetryPolicy(attempts=1, resend_unknown=resend)).send(b"abc", **KEY)
    assert states(database) == {"k": "unknown"}
    thread.join()
    assert isinstance(ended[0], SentFile)
    assert states(database) == {"k": "sent"}
    assert requests(server).count("sendFileToChat") == 1 + resend


def test_a_claim_is_renewed_after_a_while_without_any(sender: Connect, server: MockServer) -> None:
    chat = sender(lease=LEASE)
    chat.send(b"abc", **KEY)
    wait_for(lambda: chat.client._ledger._renewals._thread is None)
    server.script(SLOWER)
    another = KEY | {"idempotency_key": "another"}
    thread, ended = in_thread(lambda: chat.send(b"abc", **another))
    wait_for(lambda: server.in_flight == 1)
    time.sleep(LEASE + 0.5)
    with pytest.raises(InProgressError):
        sender().send(b"abc", **another)
    thread.join()
    assert isinstance(ended[0], SentFile)


def test_who_could_not_renew_makes_no_further_attempt(sender: Connect, server: MockServer, database: Database) -> None:
    parallel = Answer(420, example="parallel", fault=SLOW)
    server.script(parallel)
    thread, ended = in_thread(lambda: sender(lease=1.0).send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute("UPDATE {table} SET owner = 'other'")
    thread.join()
    assert isinstance(ended[0], LedgerError)
    assert "could not be renewed" in str(ended[0])
    assert requests(server).count("sendFileToChat") == 1
    assert states(database) == {"k": "sending"}  # the other's


def test_a_renewal_that_failed_counts_for_nothing(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Answer(420, example="parallel", fault=SLOW))
    thread, ended = in_thread(lambda: sender(lease=2.0).send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute(f"ALTER TABLE {{table}} RENAME TO gone_{time.time_ns()}")
    thread.join()
    assert isinstance(ended[0], LedgerError)
    assert "could not be renewed" in str(ended[0])
    assert requests(server).count("sendFileToChat") == 1


def test_a_claim_that_cannot_be_taken_back_is_taken_back_later(
    sender: Connect, server: MockServer, database: Database
) -> None:
    server.script(Answer(420, example="parallel", fault=SLOWER))
    thread, ended = in_thread(lambda: sender(lease=LEASE).send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute("ALTER TABLE {table} RENAME COLUMN owner TO gone")
    thread.join()
    assert isinstance(ended[0], LedgerError)
    wait_for(lambda: not _background._pending)
    database.execute("ALTER TABLE {table} RENAME COLUMN gone TO owner")
    wait_for(lambda: states(database) == {"k": "not sent"})


def test_many_at_once_send_once(sender: Connect, server: MockServer) -> None:
    clients = [sender() for _ in range(8)]
    server.script(Answer(200, fault=Fault(delay=0.3)))
    calls = [in_thread(lambda client=client: client.send(b"abc", **KEY)) for client in clients]  # type: ignore[misc]
    for thread, _ in calls:
        thread.join()
    ends = [ended[0] for _, ended in calls]
    assert len(server.received) == 1
    assert all(isinstance(end, SentFile | InProgressError) for end in ends), ends
    assert sum(isinstance(end, SentFile) and not end.from_ledger for end in ends) == 1


# The ledger in trouble


def test_a_ledger_that_is_away(sender: Connect, server: MockServer, database: Database) -> None:
    chat = sender(timeout=3.0)
    chat.send(b"abc", **KEY)
    with database.away():
        for key in ("k", "new"):
            with pytest.raises(LedgerError) as caught:
                chat.send(b"abc", idempotency_key=key)
            assert caught.value.retryable
            assert not isinstance(caught.value, NotSentError)
            assert "This call sent nothing" in str(caught.value)
        chat.send(b"abc")  # without a key as ever
    assert len(server.received) == 2
    wait_for(lambda: not _background._pending)  # a claim that comes too late is taken back
    assert chat.send(b"abc", **KEY).from_ledger
    assert not chat.send(b"abc", idempotency_key="new").from_ledger


@pytest.mark.parametrize("answer", [Answer(200, fault=SLOW), Answer(400, fault=SLOW), Answer(500, fault=SLOW)])
def test_an_outcome_that_cannot_be_written_is_told(
    sender: Connect,
    server: MockServer,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
) -> None:
    monkeypatch.setattr(_once, "WRITE", 1.0)
    monkeypatch.setattr(SqliteRows, "PATIENCE", 0.2)
    server.script(answer)
    with caplog.at_level(logging.WARNING, "yandex_market_chat"):
        thread, ended = in_thread(lambda: sender(lease=1.0, timeout=60.0).send(b"abc", **KEY))
        wait_for(lambda: server.in_flight == 1)
        with database.away():
            thread.join()
            wait_for(lambda: not _background._pending)
    assert isinstance(ended[0], {200: SentFile, 400: BadRequestError, 500: ServerError}[answer.status])
    (told,) = [record for record in caplog.records if "the outcome" in record.getMessage()]
    state = {200: "sent", 400: "not sent", 500: "unknown"}[answer.status]
    assert re.fullmatch(
        rf"the outcome \({state}\) of the idempotency key 'k' could not be written to the ledger,"
        r" where it is in progress for 1 s more and then unknown: .+",  # it answers that it is locked, or not at all
        told.getMessage(),
    )
    assert vars(told)["business_id"] == 1
    wait_for(lambda: database.execute("SELECT 1 AS over FROM {table} WHERE expires < {now}"))
    with pytest.raises(DeliveryUnknownError):
        sender().send(b"abc", **KEY)
    assert requests(server).count("sendFileToChat") == 1


def test_who_lost_the_claim_does_not_send_again(sender: Connect, server: MockServer, database: Database) -> None:
    server.script(Answer(500, fault=SLOW))
    chat = sender(retry=RetryPolicy(resend_unknown=True), confirm_unknown=0.0)
    thread, ended = in_thread(lambda: chat.send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute("UPDATE {table} SET owner = 'other'")
    thread.join()
    assert isinstance(ended[0], ServerError)
    assert str(ended[0].later).startswith("The claim of this idempotency key could not be renewed, so ")
    assert requests(server).count("sendFileToChat") == 1


@pytest.mark.parametrize("status", [200, 400])
def test_who_lost_the_claim_says_sent_and_does_not_say_not_sent(
    sender: Connect, server: MockServer, database: Database, status: int
) -> None:
    server.script(Answer(status, fault=SLOW))
    thread, ended = in_thread(lambda: sender().send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    database.execute("DELETE FROM {table}" if status == 200 else "UPDATE {table} SET owner = 'other'")
    thread.join()
    if status == 200:
        assert isinstance(ended[0], SentFile)
    else:
        assert isinstance(ended[0], LedgerError)
        assert str(ended[0]).startswith(
            "The claim of this idempotency key was lost to another call, which may have sent it. "
        )
        assert states(database) == {"k": "sending"}


def test_an_outcome_is_written_when_the_ledger_is_back(
    sender: Connect, server: MockServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_once, "WRITE", 60.0)
    monkeypatch.setattr(SqliteRows, "PATIENCE", 0.1)
    server.script(Answer(200, fault=SLOW))
    thread, ended = in_thread(lambda: sender(timeout=60.0).send(b"abc", **KEY))
    wait_for(lambda: server.in_flight == 1)
    with database.away():
        wait_for(lambda: server.received)
        time.sleep(1.0)
    thread.join()
    assert isinstance(ended[0], SentFile)
    assert states(database) == {"k": "sent"}


def test_a_row_of_another_version(sender: Connect, server: MockServer, database: Database) -> None:
    chat = sender()
    chat.send(b"abc", **KEY)
    for state in ("sent", "not sent", "sending", "unknown"):
        database.execute(
            f"UPDATE {{table}} SET format = 2, state = '{state}', expires = 0,"
            f" unknown_attempts = {int(state != 'not sent')}"
        )
        with pytest.raises(LedgerError, match=r"another version \(format 2, not 1\)"):
            chat.send(b"abc", **KEY)
        assert states(database) == {"k": state}
    assert len(server.received) == 1
    assert database.ledger().prune(timedelta()) == 0


WITHOUT_ROOM = """
import resource, sys
from yandex_market_chat import ChatClient, LedgerError
url, key, ledger = sys.argv[1:]
with ChatClient(api_key=key, base_url=url, ledger=ledger) as chat:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    except LedgerError as error:
        print(error)
"""


@needs_posix
def test_a_full_disk(server: MockServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ROOM, server.base_url, server.api_key, str(tmp_path / "sent.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "cannot be used" in done.stdout, done
    assert not server.requests


@pytest.mark.parametrize("trouble", ["removed", "replaced"])
def test_a_file_that_is_removed_is_not_made_again(server: MockServer, tmp_path: Path, trouble: str) -> None:
    """What it knew is gone: a new one would send again."""
    path = tmp_path / "sent.sqlite"
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=path) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
        path.rename(tmp_path / "before.sqlite")
        if trouble == "replaced":
            Ledger.sqlite(tmp_path / "other.sqlite").prune(timedelta())
            (tmp_path / "other.sqlite").rename(path)
        for _ in range(2):
            with pytest.raises(LedgerError, match="removed or replaced while it was in use; put the original back"):
                chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    assert len(server.received) == 1


@needs_posix
def test_a_file_that_is_replaced_is_noticed_after_a_fork(server: MockServer, tmp_path: Path) -> None:
    """There is no connection then, and a file system gives a new file the number of one that is gone."""
    path, others = tmp_path / "sent.sqlite", [tmp_path / f"{number}.sqlite" for number in range(500)]
    with ChatClient(api_key=server.api_key, base_url=server.base_url, ledger=path) as chat:
        chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        number = path.stat().st_ino
        path.unlink()
        for other in others:
            other.touch()
        next((other for other in others if other.stat().st_ino == number), others[0]).rename(path)
        with pytest.raises(LedgerError, match="removed or replaced while it was in use"):
            chat.send_file(b"x", business_id=1, chat_id=2, idempotency_key="k")
    assert len(server.received) == 1


def other_database(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE orders (id)")
    db.close()


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda path: path.parent.rmdir(), "its folder does not exist"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "no database": (lambda path: path.write_bytes(b"a text" * 1000), "file is not a database"),
    "another's": (other_database, "it is a database of something else"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_path_that_cannot_be_one(connect: Connect, server: MockServer, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "folder" / "sent.sqlite"
    path.parent.mkdir()
    spoil, reason = UNUSABLE[kind]
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError, match=reason):
        connect(ledger=path).send(b"abc", **KEY)
    assert not server.requests
    assert (path.read_bytes() if path.is_file() else None) == before


def test_the_file_is_for_one_user(connect: Connect, tmp_path: Path) -> None:
    connect(ledger=tmp_path / "sent.sqlite").send(b"abc", **KEY)
    assert (tmp_path / "sent.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_claim_is_synced(tmp_path: Path) -> None:
    """What that means is seen with strace, by `make test-ledger`."""
    rows = SqliteRows.at(str(tmp_path / "sent.sqlite"))
    assert rows.run("PRAGMA synchronous", {}) == [(2,)]
    assert rows.run("PRAGMA journal_mode", {}) == [("wal",)]
