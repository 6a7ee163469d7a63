"""The report: what Excel makes of it, and that it can be the next manifest."""

from __future__ import annotations

import csv
import random

import pytest

from yandex_market_chat.batch import _cell
from yandex_market_chat.testing import SCENARIOS, Answer

from .conftest import Mailing, chats

LONG = 1234567890123456789


def as_excel_shows(cell: str) -> str:
    """What a Russian Excel shows of a cell: it keeps 15 digits, and calculates."""
    if cell.startswith('="') and cell.endswith('"'):
        return cell[2:-1]
    if cell[:1] in ("=", "+", "-", "@"):
        return "#ERROR"
    return f"{cell[:15]}{'0' * (len(cell) - 15)}" if cell.isdigit() and len(cell) > 15 else cell


def test_what_excel_would_change_is_written_as_text() -> None:
    assert [_cell.guarded(each) for each in ("007", "1/2", "3E5", "a.pdf")] == ['="007"', '="1/2"', '="3E5"', "a.pdf"]
    assert [_cell.guarded(each) for each in (10**15 - 1, 10**15)] == [10**15 - 1, f'="{10**15}"']


def test_it_opens_in_excel_as_it_is(mailing: Mailing) -> None:
    for name in ("=1+1.pdf", "+7.pdf", "-1.pdf", "@x.pdf"):
        (mailing.folder / name).write_bytes(b"%PDF")
    header = "business_id;chat_id;file;key"
    rows = [f"{LONG};2;=1+1.pdf;=CMD()", "1;3;+7.pdf;007", "1;4;-1.pdf;1/2", f"1;{LONG + 1};@x.pdf;'=x", "1;6;a.pdf;"]
    mailing.write(*rows, header=header)
    assert mailing.run(report=mailing.folder / "report.csv").sent == 5
    content = (mailing.folder / "report.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfline;key;business_id;chat_id;file;name;")
    assert content.count(b"\r\n") == 6
    shown = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter=";"))
    assert [as_excel_shows(row["business_id"]) for row in shown] == [str(LONG), "1", "1", "1", "1"]
    assert [as_excel_shows(row["chat_id"]) for row in shown] == ["2", "3", "4", str(LONG + 1), "6"]
    assert [as_excel_shows(row["key"]) for row in shown] == ["'=CMD()", "007", "1/2", "'=x", "1/6/a.pdf"]
    assert [row["file"] for row in shown] == ["'=1+1.pdf", "'+7.pdf", "'-1.pdf", "'@x.pdf", "a.pdf"]
    assert not [cell for row in shown for cell in row.values() if as_excel_shows(cell) == "#ERROR"]


def test_it_is_the_next_manifest(mailing: Mailing) -> None:
    (mailing.folder / "=1+1.pdf").write_bytes(b"%PDF")
    mailing.server.script_for(3, Answer(400))
    mailing.server.script_for(4, SCENARIOS["drop-after-body"])
    header = "business_id;chat_id;file;name;content_type;key"
    rows = ["1;2;=1+1.pdf;;;", f"1;3;a.pdf;Счёт 7.pdf;image/png;{LONG}", f"{LONG};4;b.pdf;;;'=k", "1;2;=1+1.pdf;;;"]
    mailing.write(*rows, header=header)
    first = mailing.run(report=mailing.folder / "report.csv")
    assert (first.sent, first.not_sent, first.unknown, len(first.duplicates)) == (1, 1, 1, 1)
    mailing.manifest = mailing.folder / "report.csv"
    again = mailing.run(report=mailing.folder / "report2.csv")
    assert (again.due, again.sent, again.not_sent, again.unknown, len(again.duplicates)) == (0, 1, 1, 1, 1)
    assert mailing.run(retry_not_sent=True, resend_unknown=True).sent == 3
    assert sorted((file.chat_id, file.name, file.content_type) for file in mailing.server.received) == [
        (2, "=1+1.pdf", "application/pdf"), (3, "Счёт 7.pdf", "image/png"), (4, "b.pdf", "application/pdf"),
    ]  # fmt: skip


def test_it_shows_the_name_as_sent(mailing: Mailing) -> None:
    (mailing.folder / "sub").mkdir()
    (mailing.folder / "sub" / "x.pdf").write_bytes(b"%PDF")
    mailing.write("1,2,sub/x.pdf,", f"1,3,a.pdf,{'я' * 200}.pdf", header="business_id,chat_id,file,name")
    mailing.run(report=mailing.folder / "report.csv")
    assert [row["name"] for row in mailing.report()] == [file.name for file in mailing.server.received]
    assert mailing.report()[0]["name"] == "x.pdf"


def test_any_text_comes_back() -> None:
    dice = random.Random(1)
    for _ in range(20_000):
        text = "".join(dice.choice("'=+-@\"x1 .;,E\t\uff1d") for _ in range(dice.randint(1, 6)))
        cell = _cell.guarded(text)
        assert isinstance(cell, str)
        assert _cell.plain(cell) == text
        assert cell[0] not in "=+-@\t\uff1d" or _cell.plain(cell) != cell


@pytest.mark.parametrize("name", ["MANIFEST.CSV", "./manifest.csv", "link.csv", "hard.csv"])
def test_it_is_not_written_over_the_manifest(mailing: Mailing, name: str) -> None:
    from yandex_market_chat.batch import BatchError

    mailing.write(*chats(1))
    (mailing.folder / "link.csv").symlink_to("manifest.csv")
    (mailing.folder / "hard.csv").hardlink_to(mailing.manifest)
    if name == "MANIFEST.CSV" and not (mailing.folder / name).exists():
        pytest.skip("here capital letters make another file")
    with pytest.raises(BatchError, match="it is the manifest or the journal"):
        mailing.run(report=mailing.folder / name)
