"""What a new operation, answer or schema still needs from a person, said by name."""

from __future__ import annotations

import inspect

import pytest

from _yandex_market_chat_api import models
from yandex_market_chat import AsyncChatClient, ChatClient
from yandex_market_chat._api import contract

from ._contract import ANSWERS, DOCUMENT, OPERATIONS, Operation, Response, name_answer
from ._entrances import GENERATED, WRAPPER_METHODS, module_of, snake


def test_the_packaged_contract_is_the_one_that_was_written() -> None:
    assert contract() == DOCUMENT, "run make generate"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_each_operation_has_its_entry_points_and_a_method_in_both_modes(operation: Operation) -> None:
    module = module_of(operation)
    assert all(callable(getattr(module, entry_point)) for entry_point in GENERATED)
    assert operation.id in WRAPPER_METHODS, f"name the method of the wrapper for {operation.id} in _entrances.py"
    for client in (ChatClient, AsyncChatClient):
        parameters = inspect.signature(getattr(client, WRAPPER_METHODS[operation.id])).parameters
        missing = {snake(parameter.name) for parameter in operation.parameters} - parameters.keys()
        assert not missing, f"{client.__name__}.{WRAPPER_METHODS[operation.id]} does not take {missing}"


@pytest.mark.parametrize(("operation", "response"), ANSWERS, ids=name_answer)
def test_each_documented_answer_has_a_model_and_an_example(operation: Operation, response: Response) -> None:
    model = getattr(models, response.schema_name)
    assert response.examples, f"{operation.id} {response.status} has no example: mock and tests need one"
    for example in response.examples.values():
        assert model.from_dict(example).to_dict() == example
