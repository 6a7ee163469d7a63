"""What a new operation, answer or schema still needs from a person, said by name."""

from __future__ import annotations

import inspect

import pytest

from _yandex_market_chat_api import models
from yandex_market_chat import AsyncChatClient, ChatClient
from yandex_market_chat._api import contract

from ._contract import ANSWERS, DECLARED, DOCUMENT, OPERATIONS, Operation, Response, name_answer
from ._driving import RESULTS
from ._entrances import GENERATED, WITHOUT_METHOD, WRAPPER_METHODS, module_of


def test_the_packaged_contract_is_the_one_that_was_written() -> None:
    assert contract() == DOCUMENT, "run make generate"


@pytest.mark.parametrize("operation", DECLARED, ids=name_answer)
def test_these_tests_have_a_word_for_all_that_an_operation_takes(operation: Operation) -> None:
    assert not operation.unknown, (
        f"{operation.id} has {operation.unknown[0]}: no test calls it until _kinds.py (a value) or _contract.py (a "
        "body) knows that kind"
    )


@pytest.mark.parametrize("operation", DECLARED, ids=name_answer)
def test_each_operation_says_what_tools_have_to_know(operation: Operation) -> None:
    assert operation.repeatable in (True, False), (
        f"openapi.yaml: say of {operation.id} whether it is safe to send it again, x-repeatable: true or false"
    )
    limits = operation.raw.get("x-limits", {})
    assert limits.keys() == {"parallel", "resource"}, f"openapi.yaml: {operation.id} has no x-limits"
    assert all(limit["per"] == "businessId" for limit in limits.values())


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_each_operation_has_its_entry_points(operation: Operation) -> None:
    assert all(callable(getattr(module_of(operation), entry_point)) for entry_point in GENERATED)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_each_operation_has_a_method_of_the_wrapper_in_both_modes_or_a_reason(operation: Operation) -> None:
    named = [operation.id in WRAPPER_METHODS, operation.id in WITHOUT_METHOD]
    assert any(named), (
        f"name the method of the wrapper for {operation.id} in _entrances.py, or say in WITHOUT_METHOD why it has none"
    )
    assert not all(named), f"_entrances.py: {operation.id} has a method, and stands in WITHOUT_METHOD"
    if operation.id in WITHOUT_METHOD:
        return
    method = WRAPPER_METHODS[operation.id]
    assert method.name in RESULTS, f"say in RESULTS of _driving.py what {method.name} gives back for a documented OK"
    unknown = {field.name for field in operation.fields} - method.arguments.keys() - method.decided.keys()
    assert not unknown, f"_entrances.py: say which argument of {method.name} is {unknown}, or in `decided` why none is"
    for client in (ChatClient, AsyncChatClient):
        parameters = inspect.signature(getattr(client, method.name)).parameters
        missing = set(method.arguments.values()) - parameters.keys()
        assert not missing, f"{client.__name__}.{method.name} does not take {missing}"


@pytest.mark.parametrize(("operation", "response"), ANSWERS, ids=name_answer)
def test_each_documented_answer_has_a_model_and_an_example(operation: Operation, response: Response) -> None:
    model = getattr(models, response.schema_name)
    assert response.examples, f"{operation.id} {response.status} has no example: mock and tests need one"
    for example in response.examples.values():
        assert model.from_dict(example).to_dict() == example
