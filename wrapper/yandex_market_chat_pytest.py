"""The pytest plugin of yandex-market-chat: the fixture `market_chat`, a mock server of the API with clients for it.

pytest loads this module in every run of every project that has the package installed: so it stands beside the package
and imports nothing but pytest until the fixture is used.
"""

from __future__ import annotations

import pytest

# What type checkers take for true; `typing` itself is not needed for it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from yandex_market_chat.testing import MarketChat

_MARKER = (
    "market_chat(allow_violations=False, allow_unused=False): what the fixture market_chat allows: requests that"
    " break the contract without being scripted; scripted answers that are left over."
)
_OPTIONS = ("allow_violations", "allow_unused")

_running = pytest.StashKey["MarketChat"]()
_reported = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def market_chat(request: pytest.FixtureRequest) -> Iterator[MarketChat]:
    """Start a mock server of Market's chat API, with clients for it: `yandex_market_chat.testing.MarketChat`."""
    from yandex_market_chat.testing import MarketChat

    _allowed(request.node)
    stash = request.node.stash
    stash[_reported] = ""
    with MarketChat() as server:
        stash[_running] = server
        yield server
    # pytest keeps what is stashed until the end of the session, and a server keeps files.
    del stash[_running]
    # What came after the test itself, from the teardown of other fixtures, or although the test did not get to run.
    report = _report(request.node, server, unused=False)
    if report and not stash[_reported]:
        pytest.fail(report, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test, and not only its teardown; if it has failed already, add the report to its own."""
    try:
        result = yield
    except pytest.skip.Exception:
        raise
    except BaseException:
        if report := _report_of(item):
            item.add_report_section("call", "market_chat", report)
        raise
    if report := _report_of(item):
        pytest.fail(report, pytrace=False)
    return result


def _report_of(item: pytest.Item) -> str:
    server = item.stash.get(_running, None)
    report = "" if server is None else _report(item, server, unused=True)
    if report:
        item.stash[_reported] = report
    return report


def _report(item: pytest.Item, server: MarketChat, *, unused: bool) -> str:
    allowed = _allowed(item)
    paragraphs: list[str] = []
    if not allowed["allow_violations"] and (lines := server.violations()):
        paragraphs.append(_paragraph("Requests broke the contract, and nothing was scripted for them:", lines))
        paragraphs.append("If they are meant to: @pytest.mark.market_chat(allow_violations=True)")
    if unused and not allowed["allow_unused"] and (lines := server.unused()):
        paragraphs.append(_paragraph("Scripted, but no request came for it:", lines))
        paragraphs.append("If that is meant to be: @pytest.mark.market_chat(allow_unused=True)")
    return "\n".join(paragraphs)


def _paragraph(title: str, lines: tuple[str, ...]) -> str:
    shown = [f"  {line}" for line in lines[:20]]
    if len(lines) > len(shown):
        shown.append(f"  and {len(lines) - len(shown)} more")
    return "\n".join([title, *shown])


def _allowed(item: pytest.Item) -> dict[str, bool]:
    allowed: dict[str, bool] = dict.fromkeys(_OPTIONS, False)
    # The closest marker comes first, and has the last word.
    for marker in reversed(list(item.iter_markers("market_chat"))):
        if marker.args or not marker.kwargs.keys() <= allowed.keys():
            pytest.fail(f"the marker market_chat takes {' and '.join(_OPTIONS)}, as keywords", pytrace=False)
        allowed |= marker.kwargs
    return allowed
