"""The verdicts of `make contract-diff`, change by change: redocly's part of it is experimental, so it is held here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from release.contract_diff import changes, report
from release.versions import CONTRACT, TOP, Impact, contract_version

NONE, WORDING, ADDITION, BREAKING = Impact

VERSION = contract_version(TOP / CONTRACT)
CURRENT = (TOP / CONTRACT).read_text(encoding="utf-8")
CHAT_ID = "        - $ref: '#/components/parameters/ChatId'\n"
REPLY_TO = "        - name: replyTo\n          in: query\n          required: {}\n          schema: {{type: string}}\n"
LIMIT = "        maximum: 100\n        description: The most messages"
ENUM = "        - OK\n        - ERROR\n"
CODE = "        code:\n          type: string\n"
ERRORS = "      required:\n        - status\n      properties:\n        status:\n{}        errors:\n"
STATUS = "          $ref: '#/components/schemas/ApiResponseStatusType'\n"
ANSWER_500 = re.search(r"        '500':\n.*?(?=\ncomponents:)", CURRENT, re.DOTALL)
OAUTH = "        - OAuth:\n            - market:partner-api\n      parameters"
SERVER = "  - url: https://api.partner.market.yandex.net\n    description: Market Yandex Go (sellers in Uzbekistan)\n"
assert ANSWER_500

#: What is changed, from, to (at the first place), what it means, and a word of what is said about it.
CHANGES = {
    "an optional parameter": (CHAT_ID, REPLY_TO.format("false") + CHAT_ID, ADDITION, "Parameter `replyTo` was added"),
    "a required parameter": (CHAT_ID, REPLY_TO.format("true") + CHAT_ID, BREAKING, "Required `replyTo`"),
    "a parameter is no longer taken": ("chatId\n      in: query", "chat\n      in: query", BREAKING, "chat"),
    "a value of an answer more": (ENUM, ENUM + "        - PARTIAL\n", BREAKING, "PARTIAL"),
    "a value of an answer less": (ENUM, ENUM.replace("        - OK\n", ""), ADDITION, "enum"),
    "an open string becomes an enum": (CODE, CODE + "          enum: [BAD_REQUEST]\n", ADDITION, "enum"),
    "an answer's property becomes required": (
        ERRORS.format(STATUS), ERRORS.replace("status\n   ", "status\n        - errors\n   ", 1).format(STATUS),
        ADDITION, "required",
    ),
    "an answer's property is no longer required": (
        "      required:\n        - code\n", "", BREAKING, "code",
    ),
    "null is no longer answered": ("          nullable: true\n", "", ADDITION, "nullable"),
    "a bound is tightened": ("        minimum: 1\n", "        minimum: 2\n", BREAKING, "minimum|bound"),
    "a bound is loosened": ("        minimum: 1\n", "        minimum: 0\n", ADDITION, "minimum|bound"),
    "an upper bound": ("        minimum: 1\n", "        minimum: 1\n        maximum: 9\n", BREAKING, "9"),
    "a file may not be small": (
        "          format: binary\n", "          format: binary\n          minLength: 9\n", BREAKING, "minLength",
    ),
    "a default": (LIMIT, LIMIT.replace("100\n", "100\n        default: 50\n"), ADDITION, "default"),
    "a required property of a body": (
        "        - type\n        - id\n      properties", "        - type\n      properties", ADDITION, "id",
    ),
    "a value of a body more": ("        - RETURN\n\n", "        - RETURN\n        - DIRECT\n\n", ADDITION, "DIRECT"),
    "a value of a body less": ("        - ORDER\n        - RETURN\n\n", "        - ORDER\n\n", BREAKING, "RETURN"),
    "a known value more": ("        - SUPPORT\n", "        - SUPPORT\n        - ROBOT\n", ADDITION, "ROBOT"),
    "a known value less": ("        - SUPPORT\n", "", BREAKING, "x-known-values"),
    "safe to repeat": ("x-repeatable: false", "x-repeatable: true", ADDITION, "x-repeatable"),
    "no longer safe to repeat": ("x-repeatable: true", "x-repeatable: false", BREAKING, "x-repeatable"),
    "a header of the credentials": ("name: Api-Key", "name: X-Api-Key", BREAKING, "X-Api-Key"),
    "a version prefix": ("  /v2/businesses", "  /v3/businesses", BREAKING, "/v3"),
    "a documented answer less": (ANSWER_500.group(), "", BREAKING, "Response `500` was removed"),
    "credentials no longer taken": (OAUTH, "      parameters", BREAKING, "OAuth"),
    "a server less": (SERVER, "", BREAKING, "yandex.net"),
    "a deprecation": ("      operationId", "      deprecated: true\n      operationId", ADDITION, "deprecated"),
    "a file may be less large": ("x-max-bytes: 5242880", "x-max-bytes: 524288", BREAKING, "x-max-bytes"),
    "a file may be larger": ("x-max-bytes: 5242880", "x-max-bytes: 9999999", ADDITION, "x-max-bytes"),
    "fewer requests at once": ("maximum: 4", "maximum: 2", BREAKING, "x-limits` changed from 4 to 2"),
    "more requests in an hour": ("maximum: 1000\n", "maximum: 5000\n", ADDITION, "x-limits"),
    "a scope less": ("        - all-methods\n", "", BREAKING, "x-scopes"),
    "a scope more": ("        - all-methods\n", "        - all-methods\n        - chats\n", ADDITION, "x-scopes"),
    "a description": ("Sends one file to", "Sends a file to", WORDING, "description"),
    "an example": ("example: 12345", "example: 12346", WORDING, "example"),
    "a comment": ("openapi: 3.0.3\n", "openapi: 3.0.3\n# a comment\n", NONE, ""),
    "the version": (f"  version: {VERSION}\n", "  version: 77.0.0\n", NONE, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_means_what_it_means(tmp_path: Path, name: str) -> None:
    old, new, impact, word = CHANGES[name]
    assert old in CURRENT
    changed = tmp_path / "openapi.yaml"
    changed.write_text(CURRENT.replace(old, new, 1), encoding="utf-8")
    found = changes(TOP / CONTRACT, changed)
    assert max((change.impact for change in found), default=NONE) == impact, found
    assert re.search(word, "\n".join(report(found)))


def test_a_renamed_schema_is_wording(tmp_path: Path) -> None:
    changed = tmp_path / "openapi.yaml"
    changed.write_text(CURRENT.replace("EmptyApiResponse", "EmptyResponse"), encoding="utf-8")
    assert {change.impact for change in changes(TOP / CONTRACT, changed)} == {WORDING}


def test_what_happens_in_many_places_is_said_once(tmp_path: Path) -> None:
    changed = tmp_path / "openapi.yaml"
    changed.write_text(CURRENT.replace("X-RateLimit-Resource-Until", "X-RateLimit-Until"), encoding="utf-8")
    told = list(report(changes(TOP / CONTRACT, changed)))
    (line,) = [line for line in told if "response-header-removed" in line]
    assert line.startswith("  breaking ")
    assert re.search(r"and \d\d more places$", line)


def test_a_document_that_is_none_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "openapi.yaml"
    broken.write_text("openapi: [", encoding="utf-8")
    with pytest.raises(RuntimeError, match="redocly diff ended with status"):
        changes(TOP / CONTRACT, broken)
