"""What a client must make of an answer, whatever the answer is."""

from __future__ import annotations

import json
from typing import Any

import yandex_market_chat as public
from _yandex_market_chat_api import models
from yandex_market_chat import ApiError, SentFile
from yandex_market_chat.testing import Answer

from ._call import Call
from ._contract import Operation
from ._stage import Act, Stage

#: What the generated parser is known to raise on a body that is not the documented one (upstream #1248). The wrapper
#: contains it; the generated client by itself loses the answer, so all that is asked of it is to invent no success.
LOST = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
MARK = {"X-Mark": "kept as it is", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def replay(stage: Stage, entrance: str, operation: Operation, status: int, body: bytes, **options: Any) -> Act:
    """Make a valid call that is answered so."""
    answer = Answer(status, body, MARK, off_contract=True)
    return stage.act(entrance, Call(operation, {p.name: 7 for p in operation.parameters}), answer, **options)


def says_ok(status: int, body: bytes) -> bool:
    """Whether an answer is the documented OK: 200, a JSON object, and its status is OK.

    A byte order mark is tolerated, and so are UTF-16 and UTF-32, which JSON once allowed: what they say is clear. A
    name that is given twice is not, and NaN is no JSON.
    """
    try:
        document = json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return status == 200 and isinstance(document, dict) and document.get("status") == "OK"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def check_answered(act: Act, status: int, body: bytes) -> None:
    """Success is the documented OK and nothing else, and of everything else nothing is lost."""
    assert len(act.requests) == 1, "an answer made the client send again"
    if act.entrance.kind == "wrapper":
        _check_wrapper(act, status, body)
    else:
        _check_generated(act, status, body)


def _check_wrapper(act: Act, status: int, body: bytes) -> None:
    error, result = act.outcome.error, act.outcome.result
    if says_ok(status, body):
        assert type(result) is SentFile, f"the documented OK was taken for {error!r}"
        assert result.trace_id == MARK["traceparent"]
        return
    assert isinstance(error, ApiError), f"{status} {body[:80]!r} was taken for {result or error!r}"
    assert (error.status_code, error.body, error.body_truncated) == (status, body, False)
    assert (error.headers["x-mark"], error.trace_id) == (MARK["X-Mark"], MARK["traceparent"])
    assert isinstance(error, public.NotSentError) != isinstance(error, public.DeliveryUnknownError)
    assert (error.attempts, error.name) == (1, act.call.name)


def _check_generated(act: Act, status: int, body: bytes) -> None:
    error, result = act.outcome.error, act.outcome.result
    if error is not None:
        assert isinstance(error, LOST), f"{status} raised {error!r}"
        assert status in act.call.operation.responses, (
            "an answer that is not documented is not parsed, so nothing can raise"
        )
        return
    parsed = result
    if act.entrance.detailed:  # type: ignore[attr-defined]  # it is a GeneratedEntrance
        assert (result.status_code, result.content) == (status, body)
        assert result.headers["x-mark"] == MARK["X-Mark"]
        parsed = result.parsed
    documented = act.call.operation.responses.get(status)
    if documented is None:
        assert parsed is None
        return
    assert type(parsed) is getattr(models, documented.schema_name)
    if status == 200:
        # Python's own reading of a name that is given twice, and of NaN; the wrapper is stricter.
        assert (parsed.status == "OK") == (json.loads(body)["status"] == "OK")
