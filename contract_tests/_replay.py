"""What a client must make of an answer, whatever the answer is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yandex_market_chat as public
from _yandex_market_chat_api import models
from yandex_market_chat import ApiError, SentFile
from yandex_market_chat.testing import Answer

from ._call import usual
from ._contract import Operation, follow
from ._stage import Act, Stage

#: What the generated parser is known to raise on a body that is not the documented one (upstream #1248). The wrapper
#: contains it; the generated client by itself loses the answer, so all that is asked of it is to invent no success.
LOST = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
MARK = {"X-Mark": "kept as it is", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def replay(stage: Stage, entrance: str, operation: Operation, status: int, body: bytes, **options: Any) -> Act:
    """Make a valid call that is answered so."""
    answer = Answer(status, body, MARK, off_contract=True)
    return stage.act(entrance, usual(operation), answer, **options)


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
    parsed = same_answer(act, result, status, body)
    if act.entrance.detailed:  # type: ignore[attr-defined]  # it is a GeneratedEntrance
        assert result.headers["x-mark"] == MARK["X-Mark"]
    if parsed is None:
        return
    if status == 200:
        # It takes whatever `dict()` takes, and Python's reading of NaN and of a name that is given twice.
        assert (parsed.status == "OK") == (dict(json.loads(body))["status"] == "OK")


def rendered(value: Any, schema: Mapping[str, Any]) -> Any:
    """A documented answer as the generated models write it again: Python has one way to write a moment, not three."""
    schema = follow(schema)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {name: rendered(each, properties.get(name, {})) for name, each in value.items()}
    if isinstance(value, list):
        return [rendered(each, schema.get("items", {})) for each in value]
    return datetime.fromisoformat(value).isoformat() if schema.get("format") == "date-time" else value


def same_answer(act: Act, result: Any, status: int, body: bytes) -> Any:
    """Return what the generated client has parsed, if it belongs to the answer: the documented model, or nothing."""
    parsed = result
    if act.entrance.detailed:  # type: ignore[attr-defined]  # it is a GeneratedEntrance
        assert (result.status_code, result.content) == (status, body)
        parsed = result.parsed
    documented = act.call.operation.responses.get(status)
    assert type(parsed) is (type(None) if documented is None else getattr(models, documented.schema_name))
    return parsed
