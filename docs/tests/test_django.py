"""Django: a project with SQLite and real commits."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from yandex_market_chat.testing import Answer, Fault, MarketChat

from .pages import blocks, sends


@pytest.fixture(scope="module")
def django_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The page's application, in a project with a file of SQLite. Django is set up once per process."""
    import django
    from django.conf import settings

    folder = tmp_path_factory.mktemp("django")
    for name, code in blocks("recipes/django.md", "python").items():
        path = folder / name.replace("shop/", "django_shop/")  # the FastAPI page has a module shop
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}},
        INSTALLED_APPS=["django_shop"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        MEDIA_ROOT=folder / "media",
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", run_syncdb=True, verbosity=0)
        yield importlib.import_module("django_shop.invoices")
        connections.close_all()


@pytest.fixture
def invoices(django_project: Any) -> Iterator[Any]:
    django_project.Invoice.objects.all().delete()
    yield django_project
    if django_project.chat.cache_info().currsize:
        django_project.chat().close()
    django_project.chat.cache_clear()


def issue(invoices: Any) -> Any:
    from django.core.files.base import ContentFile

    return invoices.issue("4711", 1, 7, ContentFile(b"%PDF", name="scan.pdf"))


def state(invoices: Any) -> tuple[str, bool]:
    invoice = invoices.Invoice.objects.get()
    return invoice.state, bool(invoice.reason)


def test_django_sends_an_invoice_once(invoices: Any, market_chat: MarketChat) -> None:
    invoice = issue(invoices)
    assert state(invoices) == ("sent", False)
    invoices.send(invoice.pk)
    invoices.send_due()
    (file,) = market_chat.received
    assert (file.name, file.content) == ("invoice-4711.pdf", b"%PDF")
    assert sends(market_chat) == 1


def test_django_sends_after_the_commit(invoices: Any, market_chat: MarketChat) -> None:
    from django.db import transaction

    with transaction.atomic():
        issue(invoices)
        assert not market_chat.requests
    assert len(market_chat.received) == 1


def test_django_does_not_send_what_is_rolled_back(invoices: Any, market_chat: MarketChat) -> None:
    from django.db import transaction

    def fail() -> None:
        with transaction.atomic():
            issue(invoices)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert not invoices.Invoice.objects.exists()
    assert not market_chat.requests


def test_django_tells_what_was_not_sent(invoices: Any, market_chat: MarketChat) -> None:
    market_chat.script(*[Answer(420, example="parallel")] * 4)
    issue(invoices)
    assert state(invoices) == ("due", True)
    market_chat.script(Answer(404))
    invoices.send_due()
    assert state(invoices) == ("refused", True)
    invoices.send_due()
    assert not market_chat.received
    invoices.Invoice.objects.update(state="due")
    invoices.send_due()
    assert state(invoices) == ("sent", False)


def test_django_does_not_send_again_what_is_unknown(invoices: Any, market_chat: MarketChat) -> None:
    market_chat.script(Fault(cut="reset", at="after-body", taken=True))
    market_chat.chats.lag = 1000
    issue(invoices)
    invoices.send_due()
    assert state(invoices) == ("unknown", True)
    market_chat.chats.lag = 0
    invoices.send_due()
    assert state(invoices) == ("sent", False)
    assert sends(market_chat) == 1


def test_django_goes_on_without_the_file(invoices: Any, market_chat: MarketChat) -> None:
    from django.db import transaction

    with transaction.atomic():
        path = Path(issue(invoices).file.path)
        path.unlink()
    assert state(invoices) == ("due", False)
    path.write_bytes(b"%PDF")
    invoices.send_due()
    assert state(invoices) == ("sent", False)
    assert len(market_chat.received) == 1
