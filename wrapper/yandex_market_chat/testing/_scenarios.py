"""Answers and faults by name, and files that list them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from ._answer import Answer
from ._fault import Fault

# Python's http.client gives up at 100 headers or 64 KiB in a line, h11 at 100 KiB for the whole head.
_MANY_HEADERS: Final = [(f"X-Filler-{number}", "x" * 4096) for number in range(50)]

_PAGE: Final = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

#: Ready-made entries for `MockServer.script`, each with its `description`. Bytes are those of a small file's request.
SCENARIOS: Final[Mapping[str, Answer | Fault]] = MappingProxyType(
    {
        "late-answer": Fault(delay=0.3, description="the first byte of the answer comes after 0.3 s"),
        "dripped-answer": Fault(drip=0.01, description="a byte of the answer every 10 ms, about 2 s in all"),
        "late-reader": Fault(read_delay=0.3, description="the body is not read for 0.3 s"),
        "slow-reader": Fault(read_pause=0.02, description="at most 64 KiB of the body are read every 20 ms"),
        "drop-before-body": Fault(cut="drop", at="before-body", description="FIN once the head has been read"),
        "drop-in-body": Fault(cut="drop", at="in-body", after=100, description="FIN after 100 bytes of the body"),
        "drop-after-body": Fault(cut="drop", at="after-body", description="FIN instead of an answer"),
        "drop-in-answer": Fault(cut="drop", at="in-answer", after=30, description="FIN after 30 bytes of the answer"),
        "reset-before-body": Fault(cut="reset", at="before-body", description="RST once the head has been read"),
        "reset-in-body": Fault(cut="reset", at="in-body", after=100, description="RST after 100 bytes of the body"),
        "reset-after-body": Fault(cut="reset", at="after-body", description="RST instead of an answer"),
        "reset-in-answer": Fault(cut="reset", at="in-answer", after=30, description="RST after 30 bytes of the answer"),
        "close-without-notice": Fault(
            cut="drop", at="after-answer", description="FIN after an answer that promised to keep the connection"
        ),
        "reset-without-notice": Fault(
            cut="reset", at="after-answer", description="RST after an answer that promised to keep the connection"
        ),
        "early-refusal-lingering": Answer(
            401,
            fault=Fault(early="lingering"),
            description="401 before the body is read, which is then read and ignored",
        ),
        "early-refusal-abrupt": Answer(
            401, fault=Fault(early="abrupt"), description="401 before the body is read, then RST"
        ),
        "silence-before-body": Fault(cut="silence", at="before-body", description="the body is never read"),
        "silence-in-body": Fault(
            cut="silence", at="in-body", after=100, description="no more is read after 100 bytes of the body"
        ),
        "silence-after-body": Fault(cut="silence", at="after-body", description="all is read, no answer comes"),
        "silence-in-answer": Fault(
            cut="silence", at="in-answer", after=30, description="nothing comes after 30 bytes of the answer"
        ),
        "not-http": Answer.raw(b"\x15\x03\x01\x00\x02\x02\x16", description="bytes of another protocol (a TLS alert)"),
        "huge-headers": Answer(200, headers=_MANY_HEADERS, description="an OK with 200 kB of headers"),
        "short-body": Answer(
            200,
            headers={"Content-Length": "1000"},
            description="an OK whose body ends before its Content-Length, with FIN",
        ),
        "gateway-page": Answer(
            502,
            _PAGE,
            {"Content-Type": "text/html"},
            off_contract=True,
            description="the HTML page of a proxy that found nobody behind it",
        ),
    }
)

_FAULT_FIELDS: Final = {field.name for field in fields(Fault)}
_ANSWER_FIELDS: Final = {field.name for field in fields(Answer)} - {"wire"} | {"raw"}


def load_scenario(path: str | os.PathLike[str], add: Callable[[Answer | Fault, str | None], None]) -> None:
    """Read a JSON file and give its entries to `add`, in order; ValueError with the number of the entry that is wrong.

    The file is a list. An entry is an object: `{"scenario": "reset-after-body"}`, or the fields of an Answer, with the
    fields of a Fault in `fault` and text in `raw` for `Answer.raw`, or the fields of a Fault; and in `operation` the id
    of the operation that it is for, without which it is for the next file that is sent.
    """
    text = Path(path).read_bytes()
    try:
        entries: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{os.fspath(path)}: not a JSON file") from None
    if not isinstance(entries, list):
        raise ValueError(f"{os.fspath(path)}: not a list of entries")
    for number, entry in enumerate(cast("list[object]", entries), 1):
        try:
            operation, step = _entry(entry)
            add(step, operation)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: entry {number}: {error}") from None


def _entry(entry: object) -> tuple[str | None, Answer | Fault]:
    given = dict(cast("dict[str, Any]", entry)) if isinstance(entry, dict) else {}
    operation = given.pop("operation", None)
    if not given:
        raise ValueError("an entry is an object with at least one field, beside its operation")
    if operation is not None and not isinstance(operation, str):
        raise ValueError("operation is the id of an operation")
    return operation, _step(given)


def _step(given: dict[str, Any]) -> Answer | Fault:
    if "scenario" in given:
        if len(given) > 1:
            raise ValueError("a scenario has no further fields, but for operation")
        return _named(given["scenario"])
    if given.keys() & (_ANSWER_FIELDS - _FAULT_FIELDS):
        return _answer(given)
    return _fault(given)


def _named(name: object) -> Answer | Fault:
    if not isinstance(name, str) or name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def _answer(given: dict[str, Any]) -> Answer:
    _refuse_unknown(given, _ANSWER_FIELDS, "an answer")
    known = dict(given)
    if "fault" in known:
        if not isinstance(known["fault"], dict):
            raise ValueError("fault is an object with the fields of a fault")
        known["fault"] = _fault(known["fault"])
    if "raw" not in known:
        return Answer(**known)
    raw = known.pop("raw")
    if not isinstance(raw, str) or not known.keys() <= {"taken", "fault", "description"}:
        raise ValueError("raw is text in place of the whole answer; only taken, fault and description go with it")
    return Answer.raw(raw.encode(), **known)


def _fault(given: dict[str, Any]) -> Fault:
    _refuse_unknown(given, _FAULT_FIELDS, "a fault")
    return Fault(**given)


def _refuse_unknown(given: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ValueError(f"{what} has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
