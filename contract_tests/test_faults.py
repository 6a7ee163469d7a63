"""What goes wrong on the way, counted by the server: no second delivery without consent, and no false word about it."""

from __future__ import annotations

import pytest

import yandex_market_chat as public
from yandex_market_chat import RetryPolicy, SentFile, Timeout
from yandex_market_chat.testing import SCENARIOS, Answer, Fault

from . import _counts
from ._call import usual
from ._contract import OPERATIONS, UPLOADS, Operation
from ._entrances import WRAPPER_METHODS, thorough_for, ways
from ._stage import Act, Stage

#: The operations that a method of the wrapper serves, and those of them that send a file.
SERVED = tuple(operation for operation in OPERATIONS if operation.id in WRAPPER_METHODS)
SENDING = tuple(operation for operation in UPLOADS if operation in SERVED)
DETAILED = [way for way in ways(OPERATIONS, "generated") if way.values[1] in thorough_for(way.values[0])]
# What never ends is waited for briefly; all else ends by itself, on a busy machine too.
_BRIEF = Timeout(total=None, connect=30.0, write=0.4, read=0.4)
_PATIENCE = Timeout(total=None, connect=30.0, write=30.0, read=30.0)

#: The outcome of each scenario. One that is not listed must still keep the promise.
MEANINGS: dict[str, type | tuple[type, ...]] = {
    "late-answer": SentFile,
    "dripped-answer": SentFile,
    "late-reader": SentFile,
    "slow-reader": SentFile,
    "drop-before-body": public.DeliveryUnknownError,
    "drop-in-body": public.DeliveryUnknownError,
    "drop-after-body": public.ConnectionLostError,
    "drop-in-answer": public.ConnectionLostError,
    "reset-before-body": public.ConnectionLostError,
    "reset-in-body": public.ConnectionLostError,
    "reset-after-body": public.ConnectionLostError,
    "reset-in-answer": public.ConnectionLostError,
    "close-without-notice": SentFile,
    "reset-without-notice": SentFile,
    "early-refusal-lingering": public.AuthenticationError,
    "early-refusal-abrupt": (public.AuthenticationError, public.ConnectionLostError),  # physics decides
    "silence-before-body": public.ResponseTimeoutError,
    "silence-in-body": public.ResponseTimeoutError,
    "silence-after-body": public.ResponseTimeoutError,
    "silence-in-answer": public.ResponseTimeoutError,
    "not-http": public.ConnectionLostError,
    "huge-headers": (SentFile, public.ConnectionLostError),
    "short-body": public.ConnectionLostError,
    "gateway-page": public.ServerError,
}

#: Where there is something to send again; the others take their time, and end well.
FAILING = [name for name in SCENARIOS if MEANINGS.get(name) is not SentFile]


def endless(scenario: str) -> bool:
    return scenario.startswith("silence")


def patience(scenario: str) -> Timeout:
    return _BRIEF if endless(scenario) else _PATIENCE


def check_told_the_truth(act: Act) -> None:
    """Whatever the server did with the file, the client did not say the opposite."""
    delivered = len(act.files)
    error, result = act.outcome.error, act.outcome.result
    if result is not None:
        assert delivered >= 1
        return
    assert isinstance(error, public.ChatError), f"not one of ours: {error!r}"
    if delivered:
        assert isinstance(error, public.DeliveryUnknownError), f"the file was delivered, and the client says {error!r}"
    assert isinstance(error, public.NotSentError) != isinstance(error, public.DeliveryUnknownError)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("operation", "entrance"), ways(SENDING, "wrapper"))
def test_nothing_is_delivered_twice_without_consent(
    stage: Stage, operation: Operation, scenario: str, entrance: str
) -> None:
    _counts.part("faults: without consent")
    act = stage.act(
        entrance, usual(operation), SCENARIOS[scenario], timeout=patience(scenario), retry=RetryPolicy(attempts=2)
    )
    stage.renew()
    check_told_the_truth(act)
    assert len(act.files) <= 1
    outcome = act.outcome.error or act.outcome.result
    if isinstance(outcome, public.DeliveryUnknownError):
        assert len(act.requests) == 1, "sent again, though nobody can know what became of the first"
    if scenario in MEANINGS:
        assert isinstance(outcome, MEANINGS[scenario])
        assert len(act.requests) == outcome.attempts == 1


@pytest.mark.parametrize("scenario", FAILING)
@pytest.mark.parametrize(("operation", "entrance"), ways(SENDING, "wrapper"))
def test_with_consent_the_second_attempt_is_counted_and_told(
    stage: Stage, operation: Operation, scenario: str, entrance: str
) -> None:
    _counts.part("faults: with consent")
    consent = RetryPolicy(attempts=2, resend_unknown=True)
    act = stage.act(entrance, usual(operation), SCENARIOS[scenario], timeout=patience(scenario), retry=consent)
    stage.renew()
    check_told_the_truth(act)
    outcome = act.outcome.error or act.outcome.result
    assert len(act.requests) == outcome.attempts <= 2
    if isinstance(outcome, SentFile):
        assert len(act.files) <= 1 + outcome.unknown_attempts
        assert outcome.unknown_attempts == outcome.attempts - 1
    assert {part.content for request in act.requests for part in request.parts} <= {act.call.content}


@pytest.mark.parametrize("scenario", FAILING)
@pytest.mark.parametrize(("operation", "entrance"), DETAILED)
def test_the_generated_client_never_sends_twice(
    stage: Stage, operation: Operation, scenario: str, entrance: str
) -> None:
    _counts.part("faults: generated client")
    act = stage.act(entrance, usual(operation), SCENARIOS[scenario], timeout=0.4 if endless(scenario) else 30.0)
    stage.renew()
    assert len(act.requests) == 1
    assert len(act.files) <= 1


@pytest.mark.parametrize(("operation", "entrance"), ways(SENDING, "wrapper"))
def test_after_an_unknown_end_a_later_refusal_cannot_make_it_not_sent(
    stage: Stage, operation: Operation, entrance: str
) -> None:
    _counts.part("faults: outcome over all attempts")
    consent = RetryPolicy(attempts=2, resend_unknown=True)
    lost = Fault(cut="reset", at="after-body")
    act = stage.act(entrance, usual(operation), lost, Answer(404), timeout=_PATIENCE, retry=consent)
    stage.renew()
    error = act.outcome.error
    assert type(error) is public.ConnectionLostError
    assert type(error.later) is public.NotFoundError
    assert len(act.requests) == 2


@pytest.mark.parametrize(("operation", "entrance"), ways(SERVED, "wrapper"))
def test_only_what_is_safe_is_asked_again_without_consent(stage: Stage, operation: Operation, entrance: str) -> None:
    _counts.part("faults: asked again")
    for status in operation.responses:
        act = stage.act(entrance, usual(operation), Answer(status), retry=RetryPolicy(attempts=2))
        again = status == 420 or (status >= 500 and operation.repeatable)
        assert len(act.requests) == (2 if again else 1), f"{status} was asked {len(act.requests)} times"
        if operation.body == "form":
            assert len(act.files) == (1 if again or status == 200 else 0)
        stage.renew()


@pytest.mark.parametrize(("operation", "entrance"), ways(OPERATIONS))
def test_nobody_listening_is_no_delivery(stage: Stage, operation: Operation, entrance: str) -> None:
    _counts.part("faults: nobody there")
    stage.server.stop()
    act = stage.act(entrance, usual(operation))
    stage.renew()
    assert act.outcome.error is not None
    assert act.requests == ()
    if entrance.startswith("wrapper"):
        assert type(act.outcome.error) is public.ConnectionFailedError
