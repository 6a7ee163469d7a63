"""The vectors, run against mock server, generated client and wrapper: this call, these bytes, this meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import yandex_market_chat as public
from _yandex_market_chat_api import models
from yandex_market_chat import SentFile
from yandex_market_chat.testing import Answer, MockServer

from . import _counts
from ._contract import ANSWERS as DOCUMENTED
from ._contract import BY_ID, OPERATIONS, Operation, Response, conforms, name_answer
from ._entrances import NAMES, WRAPPER_METHODS
from ._raw import connect, exchange
from ._replay import LOST
from ._stage import Act, Stage
from ._vectors import (
    ANSWERS,
    CALLS,
    WIRES,
    body_of,
    call_of,
    content_of,
    credentials_of,
    first_call_of,
    generated_options,
    request_of,
    wrapper_options,
)

GENERATED, WRAPPER = NAMES[:4], NAMES[4:]


def name_vector(vector: dict[str, Any]) -> str:
    identity: str = vector["id"]
    return identity


def calls_of(client: str) -> pytest.MarkDecorator:
    """The calls that the client is to make: some are about what one of the two adds."""
    listed = [vector for vector in CALLS if client in vector["clients"]]
    return pytest.mark.parametrize("vector", listed, ids=name_vector)


def for_the_wrapper(vectors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the operations that a method of the wrapper serves."""
    return [vector for vector in vectors if vector["operation"] in WRAPPER_METHODS]


calls = pytest.mark.parametrize("vector", CALLS, ids=name_vector)
answers = pytest.mark.parametrize("vector", ANSWERS, ids=name_vector)
wires = pytest.mark.parametrize("vector", WIRES, ids=name_vector)

#: What no bytes of a send lead to: there was no request, or no answer in time (test_faults.py), or no file, or no chat
#: of the order (wrapper/tests).
WITHOUT_BYTES = {
    "ConnectionFailedError", "WaitTimeoutError", "ResponseTimeoutError", "InvalidFileError", "ChatNotOpenedError",
    "LedgerError", "InProgressError",
}  # fmt: skip


def test_there_are_enough_and_each_says_why_and_whence() -> None:
    vectors = CALLS + ANSWERS + WIRES
    assert len(vectors) >= 60
    assert len({vector["id"] for vector in vectors}) == len(vectors)
    for vector in vectors:
        assert vector["why"]
        assert vector["source"]
        assert "validated_live" in vector


@pytest.mark.parametrize(("operation", "response"), DOCUMENTED, ids=name_answer)
def test_every_documented_status_has_vectors(operation: Operation, response: Response) -> None:
    statuses = {
        vector["answer"]["status"]
        for vector in ANSWERS
        if (vector["operation"], vector["documented"]) == (operation.id, True)
    }
    assert response.status in statuses, f"vectors.json: no documented answer is a {response.status} to {operation.id}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_answer)
def test_every_operation_has_vectors_of_calls(operation: Operation) -> None:
    calls = [vector for vector in CALLS if vector["operation"] == operation.id]
    statuses = {vector["outcome"]["status"] for vector in calls}
    missing = {200, 400, 401, 403} - statuses
    assert not missing, f"vectors.json: no call of {operation.id} ends with {missing}; the first is its usual one"
    assert call_of(calls[0]).valid, f"vectors.json: the first call of {operation.id} is to be its usual one"
    assert "wrapper" in calls[0]["clients"] or operation.id not in WRAPPER_METHODS, (
        f"vectors.json: {operation.id} has a method of the wrapper now, and no call says what it makes of it"
    )


def test_every_error_has_a_vector() -> None:
    listed = {vector["outcome"]["wrapper"] for vector in for_the_wrapper(CALLS + ANSWERS + WIRES)}
    classes = [
        value for value in vars(public).values() if isinstance(value, type) and issubclass(value, public.ChatError)
    ]
    leaves = {cls.__name__ for cls in classes if not any(cls in other.__bases__ for other in classes)}
    assert leaves - listed - WITHOUT_BYTES == set()


@calls
def test_the_mock_server_takes_these_bytes_so(vector: dict[str, Any]) -> None:
    _counts.part("vectors: calls, mock")
    with MockServer(**server_of(vector)) as server:
        host = urlsplit(server.base_url).netloc
        answer = exchange(server.base_url, request_of(vector, host, server.api_key, server.oauth_token))
        assert answer.status == vector["outcome"]["status"]
        if answer.status == 200:
            check_received(server, vector)
            document = json.loads(answer.body)
            assert document["status"] == "OK"
            assert conforms(document, BY_ID[vector["operation"]].success.schema)
        else:
            assert server.received == ()
            assert json.loads(answer.body)["status"] == "ERROR"


@calls_of("generated")
@pytest.mark.parametrize("entrance", GENERATED)
def test_the_generated_client_sends_these_bytes(vector: dict[str, Any], entrance: str) -> None:
    _counts.part("vectors: calls, generated client")
    with stage_of(vector) as stage:
        act = stage.act(entrance, call_of(vector), **generated_options(vector, stage.server))
        check_bytes(act, vector, stage.server)
        if vector["outcome"]["status"] == 200:
            check_received(stage.server, vector)
        result = act.outcome.get()
        if entrance.endswith("_detailed"):
            assert result.status_code == vector["outcome"]["status"]


@calls_of("wrapper")
@pytest.mark.parametrize("entrance", WRAPPER)
def test_the_wrapper_sends_these_bytes_or_refuses(vector: dict[str, Any], entrance: str) -> None:
    _counts.part("vectors: calls, wrapper")
    with stage_of(vector) as stage:
        act = stage.act(entrance, call_of(vector), **wrapper_options(vector, stage.server))
        expected = vector["outcome"]["wrapper"]
        if expected == "sent":
            assert type(act.outcome.get()) is SentFile
            check_received(stage.server, vector)
        else:
            assert type(act.outcome.error) is getattr(public, expected)
            assert stage.server.received == ()
        if issubclass(getattr(public, expected, SentFile), public.InvalidRequestError):
            assert act.requests == ()
        else:
            check_bytes(act, vector, stage.server)


@contextmanager
def stage_of(vector: dict[str, Any]) -> Iterator[Stage]:
    """A stage of its own, whose server knows the businesses and chats of the vector."""
    stage = Stage([], **server_of(vector))
    try:
        yield stage
    finally:
        stage.close()


def server_of(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: set(ids) for name, ids in vector.get("server", {}).items()}


def check_bytes(act: Act, vector: dict[str, Any], server: MockServer) -> None:
    (request,) = act.requests
    wire = vector["wire"]
    assert (request.method, request.path) == (wire["method"], wire["path"])
    assert parse_qsl(request.query, keep_blank_values=True) == parse_qsl(wire["query"], keep_blank_values=True)
    name, value = credentials_of(vector, server.api_key, server.oauth_token)
    assert request.headers.values(name) == [value]
    boundary = (request.headers.get("Content-Type") or "").removeprefix("multipart/form-data; boundary=")
    # A server that refuses a body for its size has stopped reading it, and may have kept only the beginning.
    if request.body_complete and "json" in vector["call"]:
        assert request.headers.get("Content-Type") == "application/json"
        assert json.loads(request.body.decode("utf-8")) == json.loads(body_of(vector, ""))
    elif request.body_complete:
        assert request.body == body_of(vector, boundary)
    assert request.status == vector["outcome"]["status"]


def check_received(server: MockServer, vector: dict[str, Any]) -> None:
    if "received" not in vector["outcome"]:
        assert server.received == ()
        return
    (file,) = server.received
    received = vector["outcome"]["received"]
    assert file.content == content_of(vector)
    assert (file.name, file.content_type) == (received["name"], received["content_type"])
    assert {"businessId": file.business_id, "chatId": file.chat_id} == vector["call"]["values"]


@answers
def test_the_mock_server_gives_this_answer_and_knows_whether_it_is_documented(vector: dict[str, Any]) -> None:
    _counts.part("vectors: answers, mock")
    given = vector["answer"]
    with MockServer() as server:
        step = {"status": given["status"], "body": given["body"], "headers": given["headers"]}
        if vector["documented"]:
            server.script_on(vector["operation"], Answer(**step))
        else:
            with pytest.raises(ValueError, match="off_contract"):
                server.script_on(vector["operation"], Answer(**step))
            server.script_on(vector["operation"], Answer(**step, off_contract=True))
        request = request_of(
            first_call_of(vector["operation"]), urlsplit(server.base_url).netloc, server.api_key, server.oauth_token
        )
        answer = exchange(server.base_url, request)
        assert (answer.status, answer.body) == (given["status"], given["body"].encode())
        assert {name: answer.headers[name.lower()] for name in given["headers"]} == given["headers"]


@answers
@pytest.mark.parametrize("entrance", GENERATED)
def test_the_generated_client_makes_this_of_the_answer(stage: Stage, vector: dict[str, Any], entrance: str) -> None:
    _counts.part("vectors: answers, generated client")
    act = stage.act(entrance, call_of(first_call_of(vector["operation"])), answer_of(vector))
    expected = vector["outcome"]["generated"]
    if expected == "lost":
        assert isinstance(act.outcome.error, LOST)
        return
    result = act.outcome.get()
    if entrance.endswith("_detailed"):
        assert (result.status_code, result.content) == (vector["answer"]["status"], vector["answer"]["body"].encode())
        result = result.parsed
    assert result is None if expected == "no model" else type(result) is getattr(models, expected)
    for path, said in vector["outcome"].get("read", {}).items():
        value = result
        for step in path.split("."):
            value = value[int(step)] if step.isdigit() else getattr(value, step)
        assert value == said, path


@pytest.mark.parametrize("vector", for_the_wrapper(ANSWERS), ids=name_vector)
@pytest.mark.parametrize("entrance", WRAPPER)
def test_the_wrapper_makes_this_of_the_answer(stage: Stage, vector: dict[str, Any], entrance: str) -> None:
    _counts.part("vectors: answers, wrapper")
    act = stage.act(entrance, call_of(first_call_of(vector["operation"])), answer_of(vector))
    stage.renew()  # a spent quota is remembered by the client that was told
    assert len(act.requests) == 1
    if vector["outcome"]["wrapper"] == "sent":
        assert type(act.outcome.get()) is SentFile
        return
    error: Any = act.outcome.error
    assert type(error) is getattr(public, vector["outcome"]["wrapper"])
    assert (error.status_code, error.body) == (vector["answer"]["status"], vector["answer"]["body"].encode())
    assert [list(item) for item in error.errors] == vector["outcome"]["errors"]
    assert {name: error.headers[name] for name in vector["answer"]["headers"]} == vector["answer"]["headers"]


def answer_of(vector: dict[str, Any]) -> Answer:
    given = vector["answer"]
    return Answer(given["status"], given["body"], given["headers"], off_contract=not vector["documented"])


@wires
def test_the_mock_server_sends_these_bytes(vector: dict[str, Any]) -> None:
    _counts.part("vectors: bytes of answers, mock")
    with MockServer() as server:
        server.script_on(vector["operation"], Answer.raw(vector["wire"].encode()))
        first = first_call_of(vector["operation"])
        request = request_of(first, urlsplit(server.base_url).netloc, server.api_key, server.oauth_token)
        with connect(server.base_url) as connection:
            connection.sendall(request)
            assert b"".join(iter(lambda: connection.recv(65536), b"")) == vector["wire"].encode()


@wires
@pytest.mark.parametrize("entrance", NAMES)
def test_a_client_makes_this_of_the_bytes(stage: Stage, vector: dict[str, Any], entrance: str) -> None:
    _counts.part("vectors: bytes of answers, clients")
    act = stage.act(entrance, call_of(first_call_of(vector["operation"])), Answer.raw(vector["wire"].encode()))
    stage.renew()
    assert len(act.requests) == 1
    expected = vector["outcome"][act.entrance.kind]
    if expected in ("sent", 200):
        assert act.outcome.get() is not None
    elif act.entrance.kind == "wrapper":
        assert type(act.outcome.error) is getattr(public, expected)
    else:
        assert act.outcome.error is not None
