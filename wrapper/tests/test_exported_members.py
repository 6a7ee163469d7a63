"""What `import yandex_market_chat` gives, and what it brings along."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import re
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import yandex_market_chat
import yandex_market_chat.batch
import yandex_market_chat.testing
from yandex_market_chat import AsyncChatClient, ChatClient

PACKAGES = [yandex_market_chat, yandex_market_chat.batch, yandex_market_chat.testing]
VERSIONS = {"__version__", "__contract_version__", "__contract_sha256__"}
PRIVATE = {"httpx", "httpcore", "h11", "anyio", "_yandex_market_chat_api"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_all_names_every_public_thing_and_nothing_else(package: types.ModuleType) -> None:
    exported = package.__all__
    assert exported == sorted(exported, key=lambda name: (not name.isupper(), name))
    assert len(set(exported)) == len(exported)
    assert all(hasattr(package, name) for name in exported)  # those that are made when first asked for, too
    public = {
        name for name, thing in vars(package).items() if not name.startswith("_") and not inspect.ismodule(thing)
    } | (VERSIONS & vars(package).keys())
    assert public == set(exported)


def test_the_agreed_names_are_there() -> None:
    """The tree of errors, as docs/outcomes.md and the callers' `except` clauses have it."""
    tree = {
        "NotSentError": ["ChatError"],
        "InvalidRequestError": ["NotSentError", "ValueError"],
        "InvalidFileError": ["InvalidRequestError"],
        "EmptyFileError": ["InvalidFileError"],
        "FileTooLargeError": ["InvalidFileError"],
        "ConnectionFailedError": ["NotSentError"],
        "ChatNotOpenedError": ["NotSentError"],
        "WaitTimeoutError": ["NotSentError"],
        "LedgerError": ["ChatError"],
        "DeliveryUnknownError": ["ChatError"],
        "ConnectionLostError": ["DeliveryUnknownError"],
        "ResponseTimeoutError": ["DeliveryUnknownError"],
        "InProgressError": ["DeliveryUnknownError"],
        "ApiError": ["ChatError"],
        "BadRequestError": ["ApiError", "NotSentError"],
        "AuthenticationError": ["ApiError", "NotSentError"],
        "AccessDeniedError": ["ApiError", "NotSentError"],
        "NotFoundError": ["ApiError", "NotSentError"],
        "RateLimitError": ["ApiError", "NotSentError"],
        "ParallelLimitError": ["RateLimitError"],
        "QuotaExceededError": ["RateLimitError"],
        "ServerError": ["ApiError", "DeliveryUnknownError"],
        "UnexpectedResponseError": ["ApiError"],
        "UnexpectedRefusalError": ["UnexpectedResponseError", "NotSentError"],
        "UnclearResponseError": ["UnexpectedResponseError", "DeliveryUnknownError"],
        "ChatError": ["Exception"],
    }
    found = {
        name: [base.__name__ for base in thing.__bases__]
        for name, thing in vars(yandex_market_chat).items()
        if isinstance(thing, type) and issubclass(thing, Exception)
    }
    assert found == tree
    others = {
        "ApiErrorItem",
        "AsyncChatClient",
        "ChatClient",
        "CheckedFile",
        "Ledger",
        "Quota",
        "RetryPolicy",
        "SentFile",
        "SharedLimits",
        "Timeout",
    }
    assert set(yandex_market_chat.__all__) == {*tree, *others, *VERSIONS}


def public_classes() -> list[type]:
    return [
        thing
        for package in PACKAGES
        for name, thing in vars(package).items()
        if isinstance(thing, type) and not name.startswith("_")
    ]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_classes_report_the_module_that_people_import(package: types.ModuleType) -> None:
    for name in package.__all__:
        thing = getattr(package, name)
        if isinstance(thing, type):
            assert thing.__module__ == package.__name__
            assert thing.__qualname__ == name


def own_members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class and of its bases here, and its constructor."""
    for base in cls.__mro__:
        if base.__module__.startswith("yandex_market_chat"):
            for name, member in vars(base).items():
                plain = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(plain) and (not name.startswith("_") or name == "__init__"):
                    yield f"{base.__name__}.{name}", plain


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_every_public_thing_has_a_docstring(cls: type) -> None:
    assert len(vars(cls).get("__doc__") or "") > 20
    # What dataclass writes where nobody did.
    assert not (cls.__doc__ or "").startswith(f"{cls.__name__}(")
    for name, member in own_members(cls):
        assert name.endswith(".__init__") or len(documented(cls, name, member) or "") > 3, name


def documented(cls: type, name: str, member: Any) -> str | None:
    """Return what `help` shows of a method or property: its own docstring, or that of the method that it overrides."""
    return inspect.getdoc(getattr(cls, name.rpartition(".")[2])) or member.__doc__


@pytest.mark.parametrize("method", ["send_file", "open_chat", "confirm", "check_file", "quota", "__init__"])
def test_what_both_clients_do_is_documented_once(method: str) -> None:
    said, other = [inspect.getdoc(getattr(kind, method)) or "" for kind in (ChatClient, AsyncChatClient)]
    assert {"Args:", "Raises:"} <= set(said.replace("\n", " ").split())
    assert other == said or other.startswith(f"Do what `ChatClient.{method}` does.")


def test_the_packages_have_a_docstring() -> None:
    for package in PACKAGES:
        assert len(package.__doc__ or "") > 100


def mentioned(annotation: Any) -> Iterator[Any]:
    """Yield every type that an annotation is made of."""
    yield annotation
    for part in typing.get_args(annotation):
        for each in part if isinstance(part, list) else [part]:
            yield from mentioned(each)


def assert_public(annotation: Any, where: str) -> None:
    for each in mentioned(annotation):
        module = getattr(each, "__module__", "") or ""
        assert module.partition(".")[0] not in PRIVATE, f"{where}: {each}"


def hints_of(thing: Any) -> dict[str, Any]:
    """Return the annotations of a class or function as types, with the names of whatever module it was written in."""
    names: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("yandex_market_chat"):
            names |= vars(module)
    return typing.get_type_hints(thing, localns=names)


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_no_public_annotation_holds_a_foreign_type(cls: type) -> None:
    """So that the wrapper may leave httpx for another library without a caller's noticing."""
    for name, annotation in hints_of(cls).items():
        assert_public(annotation, f"{cls.__name__}.{name}")
    for where, member in own_members(cls):
        hints = hints_of(member)
        for name, annotation in hints.items():
            assert_public(annotation, f"{where}({name})")
        unannotated = {*inspect.signature(member).parameters} - {"self", "cls"} - hints.keys()
        assert not unannotated or where.endswith(".__init__"), where


@pytest.mark.parametrize("cls", list(filter(dataclasses.is_dataclass, public_classes())), ids=lambda cls: cls.__name__)
def test_the_annotations_of_public_values_can_be_resolved_by_others(cls: type) -> None:
    """As validators and serialisers do: with nothing but the module that the class says it is from."""
    assert set(typing.get_type_hints(cls)) >= {field.name for field in dataclasses.fields(cls)}


def test_foreign_types_are_found_where_they_are() -> None:
    """The walk above sees what it is meant to see."""

    def deep() -> Callable[[list[httpx.Request]], dict[str, int | None]]:
        raise NotImplementedError

    with pytest.raises(AssertionError, match=r"deep: <class 'httpx\.Request'>"):
        assert_public(typing.get_type_hints(deep)["return"], "deep")


def imported_by(statement: str) -> set[str]:
    """Return the modules that a new process has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_the_import_brings_neither_the_mock_server_nor_test_tools() -> None:
    modules = imported_by("import yandex_market_chat")
    assert "yandex_market_chat._client" in modules
    assert not [name for name in modules if name.startswith("yandex_market_chat.testing")]
    unwanted = {"pytest", "_pytest", "schemathesis", "hypothesis", "trio", "unittest", "trustme", "python_multipart"}
    assert not unwanted & modules


def test_to_name_the_contract_nothing_is_imported_before_it_is_asked_for() -> None:
    theirs = imported_by("import httpx")  # httpx before 0.28 imports all that its own command needs, if it is there
    ours = imported_by("import yandex_market_chat") - theirs
    assert not {"_yandex_market_chat_api", "attr", "importlib.metadata"} & ours
    asked = imported_by("import yandex_market_chat; yandex_market_chat.__contract_sha256__") - theirs
    assert "_yandex_market_chat_api._stamp" in asked
    assert "importlib.metadata" not in asked


def test_the_mock_server_needs_no_test_tools() -> None:
    modules = imported_by("import yandex_market_chat.testing")
    assert "yandex_market_chat.testing._server" in modules
    assert not {"pytest", "_pytest", "schemathesis", "trustme", "yaml"} & modules


def test_what_is_installed_requires_four_distributions_and_no_more() -> None:
    required: dict[str | None, list[str]] = {None: [], "cli": [], "redis": [], "postgres": []}
    for line in importlib.metadata.requires("yandex-market-chat") or []:
        extra = re.search("extra == '(.*)'", line)
        required[extra and extra[1]].append(re.split(r"[^\w.-]", line)[0])
    assert {extra: sorted(set(names)) for extra, names in required.items()} == {
        None: ["attrs", "h11", "httpcore", "httpx"],
        "cli": ["click", "rich"],
        "redis": ["redis"],
        "postgres": ["psycopg"],
    }


def test_the_version_is_that_of_the_distribution() -> None:
    assert yandex_market_chat.__version__ == importlib.metadata.version("yandex-market-chat")


def test_what_the_module_shows_is_what_it_exports() -> None:
    assert dir(yandex_market_chat) == sorted(yandex_market_chat.__all__)
