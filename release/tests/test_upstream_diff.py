"""`make upstream-diff`, against small documents in many files that have the shape of Market's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.versions import TOP

OPERATION = "paths/v2_businesses_businessId_chats_file_send.yaml"
OPENING = "paths/v2_businesses_businessId_chats_new.yaml"
HISTORY = "paths/v2_businesses_businessId_chats_history.yaml"
ERRORS = """
    '400': {$ref: ../components/responses/Error.yaml}
    '401': {$ref: ../components/responses/Error.yaml}
    '403': {$ref: ../components/responses/Error.yaml}
    '404': {$ref: ../components/responses/Error.yaml}
    '420': {$ref: ../components/responses/Limit.yaml}
    '500': {$ref: ../components/responses/Error.yaml}
"""
#: What theirs says of our operations, with noise; file by file.
FILES = {
    "openapi.yaml": """
openapi: 3.0.3
info: {title: Theirs, version: LATEST}
servers: [{url: 'https://api.partner.market.yandex.ru'}]
security: [{ApiKey: []}, {OAuth: ['market:partner-api']}]
paths:
  /v2/businesses/{businessId}/chats/file/send: {$ref: paths/v2_businesses_businessId_chats_file_send.yaml}
  /v2/businesses/{businessId}/chats/new: {$ref: paths/v2_businesses_businessId_chats_new.yaml}
  /v2/businesses/{businessId}/chats/history: {$ref: paths/v2_businesses_businessId_chats_history.yaml}
  /v2/other: {get: {operationId: getOther, responses: {'200': {description: Noise.}}}}
components:
  securitySchemes:
    ApiKey: {type: apiKey, name: Api-Key, in: header}
    OAuth:
      type: oauth2
      x-inline: true
      flows: {implicit: {authorizationUrl: 'https://oauth.yandex.ru/authorize', scopes: {'market:partner-api': all}}}
""",
    OPERATION: """
post:
  x-resource-id: 209
  tags: [chats, noise]
  x-auth-scopes: [all-methods, communication]
  x-resource-limit-config:
    path: resp
    none: {amount: 1000, period: hours, period-duration: 1}
    medium: {amount: 1000, period: hours, period-duration: 1}
  operationId: sendFileToChat
  description: "{% include notitle [access](../../_auto/x.md) %} noise"
  parameters:
    - $ref: ../components/parameters/BusinessId.yaml
    - $ref: ../components/parameters/ChatId.yaml
  requestBody:
    required: true
    content: {multipart/form-data: {schema: {$ref: ../components/schemas/SendFileToChatRequest.yaml}}}
  responses:
    '200': {description: Sent., content: {application/json: {schema: {$ref: ../components/schemas/ApiResponse.yaml}}}}
    '400': {$ref: ../components/responses/Error.yaml}
    '401': {$ref: ../components/responses/Error.yaml}
    '403': {$ref: ../components/responses/Error.yaml}
    '404': {$ref: ../components/responses/Error.yaml}
    '420': {$ref: ../components/responses/Limit.yaml}
    '500': {$ref: ../components/responses/Error.yaml}
""",
    OPENING: """
post:
  x-auth-scopes: [all-methods, communication]
  x-resource-limit-config: {path: resp, none: {amount: 1000, period: hours, period-duration: 1}}
  operationId: createChat
  parameters: [{$ref: ../components/parameters/BusinessId.yaml}]
  requestBody:
    required: true
    content: {application/json: {schema: {$ref: ../components/schemas/CreateChatRequest.yaml}}}
  responses:
    '200':
      description: x
      content: {application/json: {schema: {$ref: ../components/schemas/CreateChatResponse.yaml}}}
"""
    + ERRORS.lstrip("\n"),
    HISTORY: """
post:
  x-auth-scopes: [all-methods, all-methods:read-only, communication]
  x-resource-limit-config: {path: resp, none: {amount: 10000, period: hours, period-duration: 1}}
  operationId: getChatHistory
  parameters:
    - $ref: ../components/parameters/BusinessId.yaml
    - $ref: ../components/parameters/ChatId.yaml
    - $ref: ../components/parameters/PageToken.yaml
    - {name: limit, in: query, schema: {type: integer, format: int32, minimum: 1, default: 50, maximum: 100}}
  requestBody:
    required: true
    content: {application/json: {schema: {$ref: ../components/schemas/GetChatHistoryRequest.yaml}}}
  responses:
    '200':
      description: x
      content: {application/json: {schema: {$ref: ../components/schemas/GetChatHistoryResponse.yaml}}}
"""
    + ERRORS.lstrip("\n"),
    "components/parameters/PageToken.yaml": """
{name: pageToken, in: query, x-transform: token, x-aliases: [pageToken, page_token], schema: {type: string}}
""",
    "components/schemas/CreateChatRequest.yaml": """
type: object
properties:
  orderId: {type: integer, format: int64, deprecated: true}
  context:
    type: object
    required: [type, id]
    properties: {type: {type: string, enum: [ORDER, RETURN]}, id: {type: integer, format: int64, minimum: 1}}
""",
    "components/schemas/CreateChatResponse.yaml": """
allOf:
  - $ref: ./ApiResponse.yaml
  - properties:
      result:
        type: object
        required: [chatId]
        properties: {chatId: {type: integer, format: int64, minimum: 1}}
""",
    "components/schemas/GetChatHistoryRequest.yaml": """
type: object
properties: {messageIdFrom: {type: integer, format: int64, minimum: 1}}
""",
    "components/schemas/GetChatHistoryResponse.yaml": """
allOf:
  - $ref: ./ApiResponse.yaml
  - properties: {result: {$ref: ./ChatMessagesResultDTO.yaml}}
""",
    "components/schemas/ChatMessagesResultDTO.yaml": """
type: object
required: [context, messages]
properties:
  orderId: {type: integer, format: int64, deprecated: true}
  context:
    description: beside a reference
    $ref: ./ChatFullContextDTO.yaml
  messages: {type: array, items: {$ref: ./ChatMessageDTO.yaml}}
  paging: {type: object, properties: {nextPageToken: {type: string, x-serialize-transform: token}}}
""",
    "components/schemas/ChatFullContextDTO.yaml": """
type: object
required: [type]
properties:
  type: {type: string, enum: [ORDER, RETURN, DIRECT]}
  customer:
    type: object
    properties: {name: {type: string, minLength: 1}, publicId: {type: string, minLength: 1}}
  campaignId: {type: integer, format: int64, minimum: 1}
  orderId: {type: integer, format: int64, minimum: 1}
  returnId: {type: integer, format: int64, minimum: 1}
""",
    "components/schemas/ChatMessageDTO.yaml": """
type: object
required: [messageId, createdAt, sender]
properties:
  messageId: {type: integer, format: int64, minimum: 1}
  createdAt: {type: string, format: date-time}
  sender: {type: string, enum: [PARTNER, CUSTOMER, MARKET, SUPPORT]}
  message: {type: string}
  payload:
    type: array
    nullable: true
    minItems: 1
    items:
      type: object
      required: [name, url, size]
      properties:
        name: {type: string}
        url: {type: string, minLength: 1, maxLength: 2000}
        size: {type: integer, format: int32}
""",
    "components/parameters/BusinessId.yaml": """
{name: businessId, in: path, required: true, description: noise, schema: {type: integer, format: int64, minimum: 1}}
""",
    "components/parameters/ChatId.yaml": """
{name: chatId, in: query, required: true, schema: {type: integer, format: int64, minimum: 1}}
""",
    "components/responses/Error.yaml": """
description: noise
content: {application/json: {schema: {$ref: ../schemas/ApiErrorResponse.yaml}}}
""",
    "components/responses/Limit.yaml": """
description: noise
content: {application/json: {schema: {$ref: ../schemas/ApiLimitErrorResponse.yaml}}}
""",
    "components/schemas/SendFileToChatRequest.yaml": """
type: object
required: [file]
properties: {file: {type: string, format: binary, description: noise}}
""",
    "components/schemas/ApiResponse.yaml": """
type: object
required: [status]
properties: {status: {$ref: ./ApiResponseStatusType.yaml}}
""",
    "components/schemas/ApiResponseStatusType.yaml": "{type: string, enum: [OK, ERROR]}",
    "components/schemas/ApiErrorResponse.yaml": """
type: object
allOf:
  - $ref: ./ApiResponse.yaml
  - properties:
      errors: {type: array, nullable: true, minItems: 1, items: {$ref: ./ApiErrorDTO.yaml}}
""",
    "components/schemas/ApiLimitErrorResponse.yaml": """
type: object
allOf: [{$ref: ./ApiErrorResponse.yaml}]
""",
    "components/schemas/ApiErrorDTO.yaml": """
type: object
required: [code]
properties: {code: {type: string}, message: {type: string}}
""",
    "components/schemas/ApiTypedLimitErrorResponse.yaml": """
type: object
allOf:
  - $ref: ./ApiResponse.yaml
  - properties:
      errors: {type: array, nullable: true, minItems: 1, items: {$ref: ./ApiTypedErrorDTO.yaml}}
""",
    "components/schemas/ApiTypedErrorDTO.yaml": """
type: object
required: [code]
properties: {code: {type: string, enum: [LIMIT_EXCEEDED, LOCKED]}, message: {type: string}}
""",
}
BUSINESS, CHAT = "components/parameters/BusinessId.yaml", "components/parameters/ChatId.yaml"
SCHEMAS = "components/schemas"


def upstream_diff(folder: Path, *changes: tuple[str, str, str]) -> tuple[int, str]:
    """Write theirs with those changes (file, from, to), and compare."""
    files = dict(FILES)
    for file, old, new in changes:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return run(str(folder))


def run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "release.upstream_diff", *arguments]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_the_same_operation_differs_in_nothing_that_matters(tmp_path: Path) -> None:
    status, told = upstream_diff(tmp_path)
    assert status == 0, told
    assert "DIFFERS" not in told
    assert "POST /v2/businesses/{businessId}/chats/file/send\n" in told
    assert told.splitlines()[0].startswith(f"upstream-diff: compared with {tmp_path}/openapi.yaml, last changed on 20")
    assert "POST /v2/businesses/{businessId}/chats/new\n" in told
    assert "POST /v2/businesses/{businessId}/chats/history\n" in told
    assert "additionalProperties: ours alone, on purpose: " in told
    assert "query parameter limit, default: ours says nothing, theirs says 50, on purpose: " in told
    assert told.endswith("upstream-diff: no differences that matter\n")


SEND = "/v2/businesses/{businessId}/chats/file/send:"
#: file, from, to, what is said.
DIFFERENCES = {
    "an optional parameter": (
        OPERATION, "  requestBody:", "    - {name: replyTo, in: query, schema: {type: string}}\n  requestBody:",
        "query parameter replyTo: ours says nothing, theirs says optional",
    ),
    "a parameter is no longer required": (
        CHAT, "required: true", "required: false", "query parameter chatId: ours says required, theirs says optional",
    ),
    "a parameter elsewhere": (
        CHAT, "in: query", "in: header", "header parameter chatId: ours says nothing, theirs says required",
    ),
    "a bound": (
        BUSINESS, "minimum: 1", "minimum: 1000",
        "path parameter businessId, minimum: ours says 1, theirs says 1000",
    ),
    "an upper bound": (
        BUSINESS, "minimum: 1", "minimum: 1, maximum: 9", "businessId, maximum: ours says nothing, theirs says 9",
    ),
    "nullability": (
        f"{SCHEMAS}/ApiErrorResponse.yaml", " nullable: true,", "",
        "answer 400, application/json, errors, nullable: ours says True, theirs says False",
    ),
    "requiredness": (
        f"{SCHEMAS}/ApiErrorResponse.yaml", "  - properties:", "  - required: [errors]\n    properties:",
        "answer 500, application/json, errors: ours says optional, theirs says required",
    ),
    "an answer": (
        OPERATION, "    '500':", "    '423': {$ref: ../components/responses/Error.yaml}\n    '500':",
        "answer 423: ours says nothing, theirs says documented",
    ),
    "an answer less": (
        OPERATION, "    '500': {$ref: ../components/responses/Error.yaml}\n", "",
        "answer 500: ours says documented, theirs says nothing",
    ),
    "a value": (
        f"{SCHEMAS}/ApiResponseStatusType.yaml", "ERROR", "ERROR, PARTIAL",
        "answer 200, application/json, status, values: ours says ERROR, OK, theirs says ERROR, OK, PARTIAL",
    ),
    "a field of the form": (
        f"{SCHEMAS}/SendFileToChatRequest.yaml", "file", "document",
        "request body, multipart/form-data, document: ours says nothing, theirs says required",
    ),
    "a bound on the file": (
        f"{SCHEMAS}/SendFileToChatRequest.yaml", "format: binary", "format: binary, minLength: 100",
        "request body, multipart/form-data, file, minLength: ours says nothing, theirs says 100",
    ),
    "what differs on purpose, otherwise": (
        HISTORY, "default: 50", "default: 20", "query parameter limit, default: ours says nothing, theirs says 20",
    ),
    "what is on purpose in another operation": (
        OPENING, "Id.yaml}]", "Id.yaml}, {name: limit, in: query, schema: {type: integer, default: 50}}]",
        "query parameter limit: ours says nothing, theirs says optional",
    ),
    "the alias that ours uses is gone": (
        "components/parameters/PageToken.yaml", "[pageToken, page_token]", "[page_token]",
        "query parameter pageToken, aliases: ours says nothing, theirs says page_token",
    ),
    "an alias": (
        CHAT, "required: true,", "required: true, x-aliases: [chatId, chat_id],",
        "query parameter chatId, aliases: ours says nothing, theirs says chatId, chat_id",
    ),
    "an open set grows": (
        f"{SCHEMAS}/ChatMessageDTO.yaml", "MARKET, SUPPORT", "MARKET, SUPPORT, ROBOT",
        "sender, values: ours says CUSTOMER, MARKET, PARTNER, SUPPORT, theirs says CUSTOMER, MARKET, PARTNER, ROBOT,",
    ),
    "a closed set grows": (
        f"{SCHEMAS}/CreateChatRequest.yaml", "[ORDER, RETURN]", "[ORDER, RETURN, DIRECT]",
        "context, type, values: ours says ORDER, RETURN, theirs says DIRECT, ORDER, RETURN",
    ),
    "a property is deprecated": (
        f"{SCHEMAS}/ChatMessageDTO.yaml", "message: {type: string}", "message: {type: string, deprecated: true}",
        "each, message: ours says optional, theirs says optional, deprecated",
    ),
    "a property is switched off": (
        f"{SCHEMAS}/ChatMessageDTO.yaml", "size: {type: integer, format: int32}",
        "size: {type: integer, format: int32, x-deprecation-config: {shutdown-date: '2027-04-05', replacement: bytes}}",
        "size: ours says required, theirs says required, deprecated, shutdown-date 2027-04-05, replacement bytes",
    ),
    "a reference is deprecated where it stands": (
        f"{SCHEMAS}/ChatMessagesResultDTO.yaml", "description: beside a reference", "deprecated: true",
        "result, context: ours says required, theirs says required, deprecated",
    ),
    "a parameter is switched off": (
        CHAT, "required: true,",
        "required: true, deprecated: true, x-deprecation-config: {shutdown-date: '2027-04-05'},",
        "query parameter chatId: ours says required, theirs says required, deprecated, shutdown-date 2027-04-05",
    ),
    "an operation is switched off": (
        HISTORY, "  operationId", "  x-deprecation-config: {shutdown-date: '2027-04-05'}\n  operationId",
        "deprecated: ours says no, theirs says deprecated, shutdown-date 2027-04-05",
    ),
    "more at once": (
        OPENING, "{path: resp,", "{path: resp, parallel-limit-value: 6,",
        "parallel limit: ours says 4, theirs says 6",
    ),
    "the header of the key": (
        "openapi.yaml", "name: Api-Key", "name: X-Api-Key",
        "credential apiKey header X-Api-Key: ours says nothing, theirs says accepted",
    ),
    "credentials no longer taken": (
        "openapi.yaml", ", {OAuth: ['market:partner-api']}]", "]",
        "credential oauth2: ours says market:partner-api, theirs says nothing",
    ),
    "a scope": (
        OPERATION, "[all-methods, communication]", "[chats]",
        "scopes of the key: ours says all-methods, communication, theirs says chats",
    ),
    "the server": (
        "openapi.yaml", "https://api.partner.market.yandex.ru", "https://api.market.yandex.ru",
        "server https://api.partner.market.yandex.ru: ours says named, theirs says nothing",
    ),
    "a limit": (
        OPERATION, "amount: 1000, period: hours", "amount: 50, period: minutes",
        "limit: ours says 1000 requests in 3600 s, theirs says 50 requests in 60 s",
    ),
    "a limit of one tier": (
        OPERATION, "medium: {amount: 1000", "medium: {amount: 5000",
        "theirs says 1000 requests in 3600 s (none), 5000 requests in 3600 s (medium)",
    ),
    "a deprecation": (
        OPERATION, "  operationId", "  deprecated: true\n  operationId",
        "deprecated: ours says no, theirs says deprecated",
    ),
    "a version prefix": (
        "openapi.yaml", SEND, SEND.replace("v2", "v3"),
        "path: ours says /v2/businesses/{businessId}/chats/file/send, theirs says /v3/businesses/",
    ),
    "no such operation": ("openapi.yaml", SEND, "/v2/gone:", "theirs has no such operation"),
    "an enum of codes": (
        f"{SCHEMAS}/ApiErrorDTO.yaml", "code: {type: string}", "code: {type: string, enum: [A, B]}",
        "answer 400, application/json, errors, each, code, values: ours says nothing, theirs says A, B",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_said_in_words(tmp_path: Path, name: str) -> None:
    file, old, new, words = DIFFERENCES[name]
    status, told = upstream_diff(tmp_path, (file, old, new))
    assert status == 2, told
    assert [line for line in told.splitlines() if line.startswith("  DIFFERS") and words in line], told


def test_a_typed_twin_is_noted_until_it_is_used(tmp_path: Path) -> None:
    # The document names the twin elsewhere: a bundle has only what something refers to.
    elsewhere = "{$ref: components/schemas/ApiTypedLimitErrorResponse.yaml}"
    other = (
        "openapi.yaml",
        "description: Noise.",
        f"description: x, content: {{application/json: {{schema: {elsewhere}}}}}",
    )
    status, told = upstream_diff(tmp_path, other)
    assert status == 0, told
    assert "noted    answer 420: theirs has a typed twin, ApiTypedLimitErrorResponse, and does not use it" in told
    used = ("components/responses/Limit.yaml", "ApiLimitErrorResponse", "ApiTypedLimitErrorResponse")
    status, told = upstream_diff(tmp_path, used)
    assert status == 2
    assert "DIFFERS  answer 420: theirs is the typed ApiTypedLimitErrorResponse" in told
    assert "answer 420, application/json, errors, each, code, values: ours says nothing" in told


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (OPERATION, "x-resource-id: 209", "x-resource-id: 210\n  x-apphost: {enabled: false}"),
        (OPERATION, "%} noise", "%} other {% note %} words {% endnote %}"),
        (BUSINESS, "description: noise", "description: other"),
        ("openapi.yaml", "/v2/other:", "/v2/yet/another:"),
        (f"{SCHEMAS}/ApiErrorDTO.yaml", "type: object", "type: object\nx-inline: true"),
    ],
)  # fmt: skip
def test_what_does_not_bear_on_callers_is_no_difference(tmp_path: Path, file: str, old: str, new: str) -> None:
    status, told = upstream_diff(tmp_path, (file, old, new))
    assert status == 0, told


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_and_its_date_are_said(tmp_path: Path) -> None:
    upstream_diff(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "theirs", "--date", "2026-07-17T11:08:32+0300")
    committed, when = git(tmp_path, "log", "-1", "--format=%H %cs").split()
    status, told = run(str(tmp_path))
    assert status == 0
    assert told.startswith(f"upstream-diff: compared with commit {committed} of {when}\n")
    told = upstream_diff(tmp_path, (BUSINESS, "description: noise", "description: other"))[1]
    assert f"commit {committed} of {when}, with changes that are not committed\n" in told


def test_what_is_left_out_may_be_on_its_way_out_with_any_dates(tmp_path: Path) -> None:
    gone = "deprecated: true, x-deprecation-config: {shutdown-date: '2026-10-19'}"
    status, told = upstream_diff(tmp_path, (f"{SCHEMAS}/CreateChatRequest.yaml", "deprecated: true", gone))
    assert status == 0, told
    assert "shutdown-date 2026-10-19, on purpose: switched off in October 2026" in told


def test_make_ends_as_the_tool_does(tmp_path: Path) -> None:
    upstream_diff(tmp_path)
    make = ["make", "--silent", "upstream-diff"]
    assert subprocess.run([*make, f"UPSTREAM={tmp_path}"], cwd=TOP, capture_output=True).returncode == 0
    (tmp_path / HISTORY).write_text(FILES[HISTORY].replace("default: 50", "default: 20"), encoding="utf-8")
    for folder in (tmp_path, tmp_path / "gone"):
        told = subprocess.run([*make, f"UPSTREAM={folder}"], cwd=TOP, capture_output=True).returncode
        assert told == run(str(folder))[0] == 2


def test_a_schema_within_itself_ends(tmp_path: Path) -> None:
    within = "{code: {type: string}, cause: {$ref: ./ApiErrorDTO.yaml}"
    status, told = upstream_diff(tmp_path, (f"{SCHEMAS}/ApiErrorDTO.yaml", "{code: {type: string}", within))
    assert status == 2
    assert "each, cause: ours says nothing, theirs says optional" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no document was named"),
        (("",), "no document was named"),
        (("/nowhere/openapi.yaml",), "there is no OpenAPI document at /nowhere/openapi.yaml"),
        ((str(TOP / "wrapper"),), "there is no OpenAPI document at "),
        ((str(TOP / "README.md"),), "README.md cannot be read as an OpenAPI document"),
    ],
)
def test_without_a_document_there_is_no_verdict(arguments: tuple[str, ...], words: str) -> None:
    status, told = run(*arguments)
    assert status == 2
    assert words in told
    assert "Traceback" not in told


def test_a_reference_that_leads_nowhere_is_no_verdict(tmp_path: Path) -> None:
    status, told = upstream_diff(tmp_path, (OPERATION, "ChatId.yaml", "Gone.yaml"))
    assert status == 2
    assert "Gone.yaml" in told
