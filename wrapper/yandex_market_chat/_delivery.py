"""The decision core: what became of a file. Plain code, no I/O, the same for sync and async.

The outcome is over all attempts: once one may have reached the buyer, a later refusal cannot undo that. An unknown
outcome is looked up in the chat's history: "it is there" proves that the file was sent, anything else proves nothing.
"""

from datetime import datetime, timedelta

from . import _errors as errors
from ._attempt import Failure
from ._claims import Kind
from ._history import PAGES, comparable, read_page
from ._quota import Quota
from ._send import Send, SentFile
from ._steps import READ_HISTORY, SEND_FILE, MakeRequest, Rules, Steps, ask, make_request, open_chat, when_allowed

PRECISION = timedelta(seconds=5)
"""By how much the server's clocks may differ from each other, in whole seconds and otherwise."""
LOOKS = tuple(2.0**number - 1 for number in range(1, 21))
"""Seconds after a failure at which the history is read: 1, 3, 7, 15 …"""
RESTART = timedelta(seconds=300)
"""By how much a clock of this machine may have been set since."""


def deliver(send: Send, rules: Rules, deadline: float) -> Steps[SentFile]:
    """Decide a send; with an order, open its chat first."""
    from ._api import is_sent  # when first needed: as long as all else of the import takes

    if send.order_id is not None:
        send.chat_id = yield from open_chat(send, rules, deadline)
    unknown: errors.DeliveryUnknownError | None = None  # the first
    last: errors.ChatError | None = None
    resume = rules.clock()
    # Time to read the history after a response that did not come.
    reserve = min(3.0, (send.timeout.total or 0.0) / 5) if rules.confirm_unknown else 0.0
    step = MakeRequest(SEND_FILE, deadline, reserve)
    while True:
        stopped = yield from when_allowed(send, rules, step, resume)
        if stopped is None and send.entry is not None:
            known = yield from send.entry.begin(send, rules, deadline)
            if isinstance(known, SentFile):
                return known
            if isinstance(known, errors.DeliveryUnknownError):
                unknown = known
                continue  # its slot was given up to read the history
            if known is not None:
                last = stopped = known
        if stopped is not None:
            last, final = last or stopped, True
        else:
            claim, began, since = rules.claims.begin(kind_of(send), send.owner), rules.clock(), rules.utcnow()
            try:
                outcome = yield from make_request(send, rules, step, is_sent)
            finally:
                rules.claims.end(claim, rules.clock(), confirmed=send.confirmed)
            if not isinstance(outcome, Failure):
                _, answer, quota = outcome
                return _sent(send, quota, trace_id=answer.headers.get("traceparent"))
            last, final = outcome
            # Counted first: an interrupt between these lines must still be told as unknown.
            if isinstance(last, errors.DeliveryUnknownError):
                send.unknown_attempts += 1
                if unknown is None:
                    unknown, send.began = last, began
                    unknown.since, unknown.content_type, unknown._owner = since, send.content_type, send.owner
            if isinstance(last, errors.NotFoundError):
                rules.chats.pop((send.business_id, send.order_id or 0), None)
            send.attempt = None
            # What would fail the same way again (a bypassed network, a refused certificate) would fail to read, too.
            if unknown is not None and not final:
                found = yield from _settle(send, unknown, rules, deadline)
                if found is not None:
                    return _sent(send, rules.quotas.of((SEND_FILE, send.business_id)), message_id=found)
        is_unknown = isinstance(last, errors.DeliveryUnknownError)
        repeats = rules.retry.resend_unknown if is_unknown else rules.may_repeat(last)
        if final or send.attempts >= rules.retry.attempts or not repeats:
            if unknown is None:
                raise last
            unknown.unknown_attempts = send.unknown_attempts
            unknown.later = last if last is not unknown else None
            raise unknown
        resume = rules.resume(send.attempts)


def confirm(send: Send, error: errors.DeliveryUnknownError, rules: Rules, deadline: float) -> Steps[SentFile | None]:
    """Read the history now, for the error of an earlier send. None: it is not seen there, which proves nothing."""
    assert error.since is not None  # noqa: S101  checked by who calls this
    age = rules.utcnow() - error.since  # both by the clock of this machine
    send.began, send.owner = rules.clock() - age.total_seconds(), error._owner or str(error.since)
    found = yield from read_history(send, rules, deadline, rules.clock(), RESTART)
    if isinstance(found, errors.ChatError):
        found.args = (str(found).replace(found._fate, "The history was not read."),)  # of the file it says nothing
        error.later = found
        raise error
    if found is None:
        error.history_read_at = rules.utcnow()
        return None
    sent = _sent(send, rules.quotas.of((SEND_FILE, send.business_id)), message_id=found)
    if send.entry is not None:
        try:
            yield from send.entry.end(send, rules, sent)
        except errors.DeliveryUnknownError:  # the message has just been given to another key
            return None
    return sent


def _settle(send: Send, unknown: errors.DeliveryUnknownError, rules: Rules, deadline: float) -> Steps[int | None]:
    """Read the history again and again after a failure, for `confirm_unknown` seconds; return the message's id."""
    failed, looked = rules.clock(), False
    until = min(deadline, failed + rules.confirm_unknown)
    for look in LOOKS:
        now, due = rules.clock(), failed + look
        if send.unreadable or now >= until or (looked and due >= until):
            return None
        if due < now:
            continue
        if due >= until:
            due = now + (until - now) / 2  # with little time left, a reading that is early beats none
        looked = True
        found = yield from read_history(send, rules, until, due, PRECISION)
        if isinstance(found, errors.ChatError):
            # Others, a refusal and what is no history, would be the same again.
            send.unreadable = isinstance(found, errors.ApiError) and not isinstance(
                found, errors.ServerError | errors.RateLimitError
            )
        elif found is not None:
            return found
        else:
            unknown.history_read_at = rules.utcnow()
    return None


def read_history(
    send: Send, rules: Rules, deadline: float, resume: float, margin: timedelta
) -> Steps[int | errors.ChatError | None]:
    """Read the history whole; return the message that holds the file, None if none does, or why it was not read."""
    messages: dict[int, datetime] = {}
    token: str | None = None
    for _ in range(PAGES):
        page = yield from ask(send, rules, MakeRequest(READ_HISTORY, deadline, page_token=token), read_page, resume)
        if isinstance(page, errors.ChatError):
            return page
        now, age = page.date or rules.utcnow(), timedelta(seconds=rules.clock() - send.began)  # the server's clock
        for each in page.posted:
            same = each.size == send.size and comparable(each.name) == comparable(send.name)
            # Nothing is from the future: a wrong clock or zone must not make an old file a new one.
            if same and -PRECISION <= now - each.created_at <= age + margin:
                messages[each.message_id] = each.created_at
        oldest_first = sorted(messages, key=lambda number: (messages[number], number))
        known = (yield from send.entry.others(send, rules)) if oldest_first and send.entry is not None else None
        if isinstance(known, errors.ChatError):
            return known
        since = send.began - margin.total_seconds()
        if (found := rules.claims.take(kind_of(send), since, oldest_first, send.owner, known)) is not None:
            return found
        token, resume = page.next_token, rules.clock()
        if not token:
            return None
    return errors.UnclearResponseError._because(f"The history has more than {PAGES} pages.")


def kind_of(send: Send) -> Kind:
    """Return what a message must have in common with the file."""
    return Kind(send.business_id, send.chat_id, comparable(send.name), send.size)


def _sent(send: Send, quota: Quota | None, trace_id: str | None = None, message_id: int | None = None) -> SentFile:
    return SentFile(
        **send.facts(),
        content_type=send.content_type,
        unknown_attempts=send.unknown_attempts - (message_id is not None),
        trace_id=trace_id,
        quota=quota,
        confirmed_by="response" if message_id is None else "history",
        message_id=message_id,
    )
