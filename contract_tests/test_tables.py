"""Facts of the documentation as data, held against the contract, the mock server and both clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import yandex_market_chat as public
from _yandex_market_chat_api import models
from yandex_market_chat import RetryPolicy
from yandex_market_chat.testing import MockServer

from . import _counts
from ._contract import ANSWERS, BY_ID, DOCUMENT, OPERATIONS, Operation, Response, follow, name_answer
from ._entrances import MODES, WRAPPER_METHODS, ways
from ._replay import check_answered, replay
from ._stage import Stage

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
STATUSES: list[dict[str, Any]] = FACTS["statuses"]
#: What every status means for what was asked, of the operations that the wrapper serves.
MEANINGS = {"sendFileToChat": STATUSES}
SERVED = [operation for operation in OPERATIONS if operation.id in WRAPPER_METHODS]
FATES = {"not sent": public.NotSentError, "unknown": public.DeliveryUnknownError}


def at(pointer: str, node: Any = DOCUMENT) -> Any:
    """What the document holds there; None if nothing. `#keys`, `#length` and `#scopes` ask about the whole of it."""
    pointer, _, question = pointer.partition("#")
    if question == "scopes":
        return node.get("x-scopes", DOCUMENT["components"]["securitySchemes"]["ApiKey"]["x-scopes"])
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else (node or {}).get(name)
        node = follow(node) if isinstance(node, dict) else node
    return sorted(node) if question == "keys" else len(node) if question == "length" else node


@pytest.mark.parametrize("fact", FACTS["contract"], ids=lambda fact: fact["what"])
def test_the_contract_says_what_the_documentation_says(fact: dict[str, Any]) -> None:
    _counts.part("tables: facts")
    assert fact["source"] in FACTS["sources"]
    assert at(fact["at"]) == fact["value"]


@pytest.mark.parametrize(
    ("operation", "fact"),
    [
        pytest.param(operation, fact, id=f"{operation.id}-{fact['what']}")
        for operation in OPERATIONS
        for fact in FACTS["operations"].get(operation.id, ())
    ],
)
def test_an_operation_is_what_the_documentation_says(operation: Operation, fact: dict[str, Any]) -> None:
    _counts.part("tables: facts")
    assert fact["source"] in FACTS["sources"]
    assert at(fact["at"], operation.raw) == fact["value"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_the_facts_of_an_operation_name_each_of_its_fields(operation: Operation) -> None:
    facts = FACTS["operations"].get(operation.id)
    assert facts, (
        f"facts.json has nothing on {operation.id}: transcribe its page there, under operations, with its source"
    )
    values = json.dumps([fact["value"] for fact in facts])
    for name in [step for field in operation.fields for step in field.steps]:
        assert f'"{name}"' in values, f"facts.json, {operation.id}: no fact is about {name}"
    for what in ("/x-repeatable", "#scopes", "/x-limits/resource/maximum", "/responses#keys", "/security"):
        assert what in [fact["at"] for fact in facts], f"facts.json, {operation.id}: no fact is about {what}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
@pytest.mark.parametrize(("status", "name"), FACTS["error_schemas"]["names"].items())
def test_the_errors_have_their_schema_and_are_alike(operation: Operation, status: str, name: str) -> None:
    assert operation.responses[int(status)].schema_name == name
    assert hasattr(models, name)
    schema = operation.responses[int(status)].schema
    assert schema["required"] == ["status"]
    assert schema["properties"].keys() == {"status", "errors"}
    errors = schema["properties"]["errors"]
    assert (errors["type"], errors["nullable"], errors["minItems"]) == ("array", True, 1)
    assert follow(errors["items"]) is DOCUMENT["components"]["schemas"]["ApiErrorDTO"]


@pytest.mark.parametrize(("operation", "response"), ANSWERS, ids=name_answer)
def test_the_examples_of_a_200_say_ok_and_all_others_error(operation: Operation, response: Response) -> None:
    said = {example["status"] for example in response.examples.values()}
    assert said == {"OK" if response.status == 200 else "ERROR"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_every_answer_declares_the_headers_that_each_answer_has(operation: Operation) -> None:
    for response in operation.responses.values():
        assert sorted(response.headers) == sorted(FACTS["answer_headers"]["names"])


def test_the_table_has_every_status_once() -> None:
    listed = [status for row in STATUSES for status in range(row["from"], row["to"] + 1)]
    assert listed == [*range(200, 600), 999]


@pytest.mark.parametrize("operation", SERVED, ids=name_answer)
def test_what_every_status_means_is_written_down(operation: Operation) -> None:
    assert operation.id in MEANINGS, (
        f"{operation.id} has a method of the wrapper, and nobody says what a status of it means: add a table of all "
        "statuses to facts.json, and name it in MEANINGS"
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", STATUSES, ids=lambda row: f"{row['from']}-{row['to']}")
def test_every_status_means_what_the_table_says_and_nothing_is_sent_again(
    stage: Stage, row: dict[str, Any], mode: str
) -> None:
    operation = BY_ID["sendFileToChat"]
    for status in range(row["from"], row["to"] + 1):
        _counts.part("tables: statuses")
        # The most tempting body there is, but where it would be right.
        body = b"" if status in (204, 304) else b"{}" if status == 200 else b'{"status": "OK"}'
        attempts = 1 if status == 420 else 4
        act = replay(stage, f"wrapper.{mode}", operation, status, body, retry=RetryPolicy(attempts=attempts))
        check_answered(act, status, body)
        assert type(act.outcome.error) is getattr(public, row["error"])
        assert isinstance(act.outcome.error, FATES[row["file"]])


#: Around each class, and what gateways say. The generated parser knows the documented statuses alone.
NEAR = {status for each in range(200, 600, 100) for status in (each, each + 1, each + 99)}
NEAR |= {204, 302, 304, 407, 413, 418, 422, 423, 429, 451, 498, 502, 503, 504, 511, 520, 524, 999}


@pytest.mark.parametrize(("operation", "entrance"), ways(OPERATIONS, "generated"))
def test_the_generated_client_raises_for_no_status(stage: Stage, operation: Operation, entrance: str) -> None:
    for status in sorted(NEAR.union(operation.responses, (each + 1 for each in operation.responses))):
        _counts.part("tables: statuses, generated client")
        body = b"" if status in (204, 304) else b'{"status": "ERROR"}'
        if body or status not in operation.responses:
            act = replay(stage, entrance, operation, status, body)
            act.outcome.get()
            check_answered(act, status, body)


def test_the_mock_server_takes_the_documented_credentials() -> None:
    with MockServer() as server:
        key = server.api_key
    assert [len(piece) for piece in key.split(":")] == [4, 40, 8]
    assert key.startswith("ACMA:")
