"""Chats that are opened, sent to and read in any order: schemathesis goes along the links of the contract."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, ClassVar

import httpx
import pytest
import schemathesis
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from yandex_market_chat.testing import MockServer

from . import _counts
from ._contract import OPERATIONS, UPLOADS
from ._driving import CHECKS, load
from ._settings import examples

OPENS, SENDS, READS = "createChat", "sendFileToChat", "getChatHistory"
_SCENARIOS, _STEPS = 30, 8

links = load(["stateful"], ["positive"])
File = tuple[str, int]


class Chats(links.as_state_machine()):  # type: ignore[misc]  # a class that is made for the document
    """A seller's day; after each 200 the history of every chat holds the files that were sent to it, and no others."""

    altered: Any = None
    seen: ClassVar[Counter[str]] = Counter()

    def setup(self) -> None:
        self._server = MockServer().start()
        self._server.chats.alter = type(self).altered
        self._client = httpx.Client(base_url=self._server.base_url, headers={"Api-Key": self._server.api_key})
        self._opened: dict[tuple[int, str, int], int] = {}
        self._sent: dict[tuple[int, int], list[File]] = defaultdict(list)

    def teardown(self) -> None:
        self._client.close()
        self._server.stop()

    def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
        return {"base_url": self._server.base_url, "headers": {"Api-Key": self._server.api_key}}

    def validate_response(self, response: Any, case: schemathesis.Case, *_: Any, **__: Any) -> None:
        operation = case.operation.definition.raw["operationId"]
        if operation == SENDS and not self._allowed(case):
            assert response.status_code == 400
            return
        case.validate_response(response, checks=CHECKS)
        self.seen[operation] += 1
        answer, business = response.json(), case.path_parameters["businessId"]
        again = case.call(**self.get_call_kwargs(case))
        assert again.json() == answer, "the second answer is another"
        if operation == OPENS:
            context = case.body["context"]
            order, chat = (business, context["type"], context["id"]), answer["result"]["chatId"]
            assert self._opened.setdefault(order, chat) == chat, "an order has another chat than before"
            other = {**context, "id": context["id"] % (2**63 - 1) + 1}
            opened = self._client.post(f"/v2/businesses/{business}/chats/new", json={"context": other}).json()
            self._opened.setdefault((business, other["type"], other["id"]), opened["result"]["chatId"])
            assert len(set(self._opened.values())) == len(self._opened), "two orders have one chat"
        elif operation == SENDS:
            # Sent again it is there twice: that is why it is not safe to repeat.
            self._sent[business, case.query["chatId"]] += [self._file(case)] * 2
            self.seen["to a chat that was opened"] += case.query["chatId"] in self._opened.values()
        else:
            self._check_page(answer["result"], case)
        for key in list(self._sent):
            assert [file for _, file in self._history(*key)] == self._sent[key]

    @staticmethod
    def _allowed(case: schemathesis.Case) -> bool:
        (upload,) = UPLOADS
        return 0 < len(case.body["file"].data) <= upload.max_bytes

    def _file(self, case: schemathesis.Case) -> File:
        """What was sent, as it arrived: which name it has is up to the library that wrote the form."""
        received = self._server.received[-1]
        assert received.content == case.body["file"].data
        return received.name or "", len(case.body["file"].data)

    def _history(self, business: int, chat: int, limit: int | None = None) -> list[tuple[int, File]]:
        """The files of a whole history with the messages that they are in, read page by page."""
        found: list[tuple[int, File]] = []
        token, tokens = None, set[str]()
        while True:
            asked = {"chatId": chat, "limit": limit, "pageToken": token}
            given = {name: value for name, value in asked.items() if value is not None}
            answer = self._client.post(f"/v2/businesses/{business}/chats/history", params=given, json={})
            result = answer.json()["result"]
            assert len(result["messages"]) <= (limit or 50)
            found += _files(result)
            token = result.get("paging", {}).get("nextPageToken")
            if token is None:
                return found
            assert token not in tokens, "a page leads back to one before it"
            tokens.add(token)

    def _check_page(self, result: dict[str, Any], case: schemathesis.Case) -> None:
        key = case.path_parameters["businessId"], case.query["chatId"]
        first, limit = case.body.get("messageIdFrom", 1), case.query.get("limit", 50)
        whole = self._history(*key, limit=1)
        assert [file for _, file in whole] == self._sent[key]
        wanted = [each for each in whole if each[0] >= first]
        assert _files(result) == wanted[:limit]
        assert ("nextPageToken" in result.get("paging", {})) == (len(wanted) > limit)
        self.seen["of a chat with files"] += bool(whole)
        self.seen["of several pages"] += len(whole) > 1


def _files(result: dict[str, Any]) -> list[tuple[int, File]]:
    assert {message["sender"] for message in result["messages"]} <= {"PARTNER"}
    return [
        (message["messageId"], (file["name"], file["size"]))
        for message in result["messages"]
        for file in message["payload"]
    ]


# Not shrunk: each try is a day of its own, with a server, and would take minutes to make eight steps six.
_SETTINGS = settings(examples(_SCENARIOS), stateful_step_count=_STEPS, phases=[Phase.generate])


def test_a_history_holds_exactly_the_files_that_were_sent() -> None:
    Chats.seen.clear()
    run_state_machine_as_test(Chats, settings=_SETTINGS)
    for operation, count in Chats.seen.items():
        _counts.part(f"stateful: {operation}", count)
    assert {operation.id for operation in OPERATIONS} <= Chats.seen.keys()
    assert min(Chats.seen.values()) > 0, f"something was never tried: {Chats.seen}"


@pytest.mark.parametrize(
    "alter", [lambda name, size: (name, size + 1), lambda name, size: (f"{name}.", size)], ids=["sizes", "names"]
)
def test_a_history_that_alters_what_was_sent_is_noticed(alter: Any) -> None:
    class Altered(Chats):
        altered = staticmethod(alter)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Altered, settings=_SETTINGS)
