"""What has been seen in a run, over all its workers, and what should have been seen but was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ._contract import OPERATIONS, Operation
from ._entrances import WRAPPER_METHODS

#: Of this process. The keys are flat tuples of text, so that they can travel from a worker.
SEEN: Counter[tuple[str, ...]] = Counter()

#: The largest part of the generated calls that the clients' own words may fail to express, by whether they are valid.
UNEXPRESSED_AT_MOST = {"positive": 0.0, "negative": 0.75}

CLIENTS = tuple((kind, mode) for kind in ("generated", "wrapper") for mode in ("sync", "async"))


def status(operation: str, kind: str, mode: str, code: int) -> None:
    SEEN["status", operation, kind, mode, str(code)] += 1


def side(operation: str, kind: str, mode: str, field: str, which: str) -> None:
    SEEN["side", operation, kind, mode, field, which] += 1


def expressed(validity: str, kind: str) -> None:
    SEEN["expressed", validity, kind] += 1


def unexpressed(validity: str, kind: str, why: str) -> None:
    SEEN["unexpressed", validity, kind, why] += 1


def part(name: str, cases: int = 1) -> None:
    """Count what a part of the suite has tried."""
    SEEN["part", name] += cases


def expected() -> Iterator[tuple[str, ...]]:
    """Everything that a whole run has to see at least once."""
    for operation in OPERATIONS:
        for kind, mode in CLIENTS:
            if kind == "wrapper" and operation.id not in WRAPPER_METHODS:
                continue
            for code in operation.responses:
                yield "status", operation.id, kind, mode, str(code)
            for field, which in sides(operation, kind):
                yield "side", operation.id, kind, mode, field, which


def sides(operation: Operation, kind: str) -> Iterator[tuple[str, str]]:
    """Each end of each field that a client has a word for."""
    for field in operation.fields:
        if kind == "wrapper" and field.name not in WRAPPER_METHODS[operation.id].arguments:
            continue
        for side in field.kind.sides:
            yield field.name, side.name
        if not field.required:
            yield field.name, "left out"


def complaints(seen: Counter[tuple[str, ...]]) -> list[str]:
    """One sentence for each thing that a whole run should have shown, and did not."""
    found = [f"never seen: {' '.join(key)}" for key in expected() if not seen[key]]
    for validity, most in UNEXPRESSED_AT_MOST.items():
        for kind in ("generated", "wrapper"):
            could, could_not = seen["expressed", validity, kind], _unexpressed(seen, validity, kind)
            if not could:
                found.append(f"no {validity} case was driven through the {kind} client")
            elif could_not > most * (could + could_not):
                total = could + could_not
                found.append(f"{could_not} of {total} {validity} cases could not be expressed by the {kind} client")
    return found


def report(seen: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Lines for people."""
    for key in sorted(key for key in seen if key[0] == "part"):
        yield f"{seen[key]:7} {key[1]}"
    wanted = list(expected())
    met = sum(1 for key in wanted if seen[key])
    yield f"{met:7} of {len(wanted)} statuses and sides of bounds, by client and mode"
    for validity in UNEXPRESSED_AT_MOST:
        for kind in ("generated", "wrapper"):
            could, could_not = seen["expressed", validity, kind], _unexpressed(seen, validity, kind)
            yield f"{could:7} {validity} cases driven through the {kind} client, {could_not} not expressible"
            for key in sorted(key for key in seen if key[:3] == ("unexpressed", validity, kind)):
                yield f"{'':10}{seen[key]} {key[3]}"


def _unexpressed(seen: Counter[tuple[str, ...]], validity: str, kind: str) -> int:
    return sum(count for key, count in seen.items() if key[:3] == ("unexpressed", validity, kind))
