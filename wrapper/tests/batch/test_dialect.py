"""Manifests as spreadsheets and people write them: read, or named for what they are."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest

from yandex_market_chat.batch._cell import plain

from .conftest import Mailing

PLAIN = "business_id;chat_id;file\r\n1;2;a.pdf\r\n1;3;b.pdf\r\n"


@pytest.mark.parametrize(
    "content",
    [
        "\n" + PLAIN,
        "\r\n \r\n;;\r\n" + PLAIN,
        PLAIN + ";;\r\n;;\r\n",
        PLAIN + " ; ;\xa0\r\n",
        "business_id;chat_id;file;;\r\n1;2;a.pdf;;\r\n1;3;b.pdf;;\r\n",
        "business_id;chat_id;file\r\n1;2;a.pdf;;\r\n1;3;b.pdf; \r\n",
        ";business_id;;chat_id;file\r\n;1;;2;a.pdf\r\n;1;;3;b.pdf\r\n",
        "business_id;chat_id;file;name;key\r\n1;2;a.pdf\r\n1;3;b.pdf;\r\n",
        "sep=;\r\n" + PLAIN,
        "SEP=;\r\n" + PLAIN,
        '"sep=;"\r\n' + PLAIN,
        "sep=;;;\r\n" + PLAIN,
        "sep=,\n" + PLAIN.replace(";", ","),
        "sep=\t\n" + PLAIN.replace(";", "\t"),
        "sep=\\t\n" + PLAIN.replace(";", "\t"),
        "sep=|\n" + PLAIN.replace(";", "|"),
        "business_id;chat_id;file;name\r1;2;a.pdf\r1;3;b.pdf\r",
        "\n\nsep=;\n\n" + PLAIN,
        PLAIN.replace("\r\n", "\r"),
        PLAIN.replace("business_id;chat_id;file", "Business_ID;CHAT_ID;File"),
        PLAIN.replace("business_id;chat_id;file", " Business ID ;\ufeffchat id\xa0;\tfile\u200b"),
        PLAIN.replace("business_id;chat_id;file", "Business-ID;Chat-Id;FILE"),
        "\ufeff\ufeff" + PLAIN,
        PLAIN.replace("1;2;", "\xa01 ;\t2\u202f;"),
        '"business_id";"chat_id";"file"\r\n"1";"2";"a.pdf"\r\n"1";"3";"b.pdf"\r\n',
        '="business_id";chat_id;file\r\n="1";"=""2""";="a.pdf"\r\n1;3;"=""b.pdf"""\r\n'.replace(
            '="business_id"', "business_id"
        ),
        'business_id;chat_id;file;"name"\r\n1;2;a.pdf;"a.pdf"\r\n1;3;b.pdf;b.pdf\r\n',
        "business_id;chat_id;file;reason;at;line;outcome\r\n1;2;a.pdf;x,y;z;2;sent\r\n1;3;b.pdf;;;;\r\n",
        "business_id,chat_id,file\n1,2, a.pdf\n1,3,b.pdf \n",
    ],
)
def test_what_spreadsheets_write(mailing: Mailing, content: str) -> None:
    mailing.manifest.write_bytes(content.encode())
    assert mailing.run().sent == 2
    assert [(file.business_id, file.chat_id, file.name) for file in mailing.server.received] == [
        (1, 2, "a.pdf"), (1, 3, "b.pdf"),
    ]  # fmt: skip


def test_numbers_of_lines_behind_what_is_skipped(mailing: Mailing) -> None:
    mailing.manifest.write_text("sep=;\n\nbusiness_id;chat_id;file\n;;\n1;0;a.pdf\n")
    assert [line for line, _ in mailing.faults()] == [5]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_with_line_breaks(mailing: Mailing, end: str) -> None:
    rows = ("business_id;chat_id;file;key", '1;2;a.pdf;"x', 'y"', '1;3;"a', '.pdf";z', "")
    mailing.manifest.write_bytes(end.join(rows).encode())
    assert mailing.faults() == [
        (2, f"key holds a control character or line break: {f'x{end}y'!r}"),
        (4, f"file holds a control character or line break: {f'a{end}.pdf'!r}"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_objects_on_lines(mailing: Mailing, end: str) -> None:
    rows = (json.dumps({"business_id": 1, "chat_id": chat, "file": "a.pdf"}) for chat in (2, 3))
    mailing.manifest.write_bytes(end.join(rows).encode())
    assert mailing.run().sent == 2


def test_a_json_array_is_told_how_to_become_lines(mailing: Mailing) -> None:
    mailing.manifest.write_text(json.dumps(OBJECTS))
    assert mailing.faults() == [(1, "it is a JSON array; write one object on each line (jq -c '.[]' does it)")]


@pytest.mark.parametrize(
    ("cell", "text"), [('="a""b"', 'a"b'), ("'=1+1", "=1+1"), ("=1+1", "=1+1"), ("'t Hof", "'t Hof")]
)
def test_what_is_plain_in_a_cell(cell: str, text: str) -> None:
    assert plain(cell) == text


def archive(*names: str) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as file:
        for name in names:
            file.writestr(
                zipfile.ZipInfo(name), "application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else ""
            )
    return made.getvalue()


CP1251 = "business_id;chat_id;file\r\n1;2;счета/Счёт за ноябрь.pdf\r\n"
ALL_ELSE = {"order_id": 7, "key": "k", "name": "n.pdf", "content_type": "a/b"}
OBJECTS = [{"business_id": 1, "chat_id": chat, "file": "a.pdf"} for chat in (2, 3)]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (PLAIN.encode("utf-16"), 1, ["UTF-16", "CSV UTF-8"]),
        (PLAIN.encode("utf-16-le"), 1, ["UTF-16", "CSV UTF-8"]),
        (PLAIN.encode("utf-16-be"), 1, ["UTF-16", "CSV UTF-8"]),
        (b"\xfe\xff" + PLAIN.replace(";", "\t").encode("utf-16-be"), 1, ["UTF-16", "CSV UTF-8"]),
        (json.dumps(OBJECTS[0]).encode("utf-16"), 1, ["UTF-16"]),
        (CP1251.encode("cp1251"), 2, ["not UTF-8", "Windows-1251", "cp1251", "CSV UTF-8"]),
        (CP1251.upper().encode("cp1251"), 2, ["Windows-1251"]),
        (CP1251.encode("cp866"), 2, ["not UTF-8", "cp866"]),
        (CP1251.upper().encode("cp866"), 2, ["cp866"]),
        (CP1251.encode("mac-cyrillic"), 2, ["mac-cyrillic"]),
        (CP1251.encode() + b"1;3;\xff.pdf\r\n", 3, ["not UTF-8 in this line"]),
        (PLAIN.encode() + "счёт".encode() + "счёт".encode("cp1251"), 4, ["it seems, Windows-1251"]),
        (PLAIN.encode() + b"1;3;\xb7.pdf\r\n", 4, ["it is not UTF-8; save it"]),
        (b"\n" + PLAIN.encode() + b"1;3;\xb7.pdf\r\n", 5, ["it is not UTF-8; save it"]),
        (archive("xl/workbook.xml"), 1, ["workbook (.xlsx)", "CSV UTF-8"]),
        (archive("mimetype"), 1, ["workbook (.ods)", "CSV UTF-8"]),
        (archive("Index/Document.iwa"), 1, [".numbers"]),
        (archive("a.txt"), 1, ["ZIP archive"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), 1, ["workbook (.xls)", "CSV UTF-8"]),
        (b"<html><table><tr><td>business_id</td></tr></table>", 1, ["HTML"]),
        (b'\xef\xbb\xbf\r\n<?xml version="1.0"?><Workbook/>', 1, ["XML"]),
        (gzip.compress(PLAIN.encode(), mtime=0), 1, ["gzip"]),
        (b"%PDF-1.7", 1, ["a PDF"]),
        (b"SQLite format 3\x00" + bytes(100), 1, ["SQLite", "journal"]),
        (b"{\\rtf1\\ansi business_id}", 1, ["RTF"]),
        (PLAIN.replace(";", "\t").encode(), 1, ["separated by tabs"]),
        (PLAIN.replace(";", "|").encode(), 1, ["separated by vertical bars"]),
        (b"\n" + PLAIN.replace(";", ":").encode(), 2, ["separated by colons"]),
        (PLAIN.replace(";", " ").encode(), 1, ["separated by blanks"]),
        (json.dumps(OBJECTS, indent=2).encode(), 1, ["JSON array"]),
        (json.dumps(OBJECTS[0], indent=2).encode(), 1, ["several lines", "jq -c ."]),
        (json.dumps(OBJECTS[0] | ALL_ELSE).encode(), 1, ["both"]),
        (b"business_id;chat_id;file;files\r\n", 1, ["unknown column 'files'; there are business_id, file, chat_id,"]),
        ("\n".join(json.dumps(each, indent=1) for each in OBJECTS).encode(), 1, ["several lines"]),
        (f"{json.dumps(OBJECTS[0])}\n{json.dumps(OBJECTS[1], indent=1)}".encode(), 2, ["several lines"]),
        (f"{json.dumps(OBJECTS[0])}\n  {json.dumps(OBJECTS[1], indent=1)}".encode(), 2, ["several lines"]),
        (b"sep=;\r\n", 1, ["empty"]),
        (b"\xef\xbb\xbf", 1, ["empty"]),
        (b";;;\n", 1, ["empty"]),
        ("business_id;chat_id;file;\r\n1;2;a.pdf;оплачен\r\n".encode(), 2, ["'оплачен'", "without a name"]),
        (b"business_id;chat_id;file;name\r\n1;2;a.pdf", 2, ["3 cells where the header has 4", "cut short"]),
        (b"business_id;chat_id;file;file\r\n1;2;a.pdf;a.pdf\r\n", 1, ["more than once"]),
        (b"Business ID;business_id;chat_id;file\r\n1;1;2;a.pdf\r\n", 1, ["business_id is there more than once"]),
        (b"business_id;" + b"x" * 140_000, 1, ["no CSV"]),
    ],
)  # fmt: skip
def test_what_is_named(mailing: Mailing, content: bytes, line: int, said: list[str]) -> None:
    mailing.manifest.write_bytes(content)
    ((where, reason),) = mailing.faults()
    assert where == line
    for part in said:
        assert part in reason
    assert not mailing.journal.exists()


@pytest.mark.parametrize(
    ("lines", "faulty"),
    [
        (["business_id;chat_id;file", '1;"2"x;a.pdf', "1;3;b.pdf", "0;4;a.pdf"], [2, 4]),
        (['business_id;"chat_id"x;file', "1;2;a.pdf", "1;3;b.pdf"], [1]),
    ],
    ids=["row", "header"],
)
def test_after_a_broken_row_the_next_is_read(mailing: Mailing, lines: list[str], faulty: list[int]) -> None:
    mailing.write(*lines, header=None)
    assert [line for line, _ in mailing.faults()] == faulty


@pytest.mark.parametrize(
    ("header", "unknown"),
    [
        ("the first of my columns;chat", ["the_first_of_my_columns", "chat"]),  # more blanks than semicolons
        ("my,columns;others", ["my", "columns;others"]),  # as many of the one as of the other
        ("X", ["x"]),
    ],
)
def test_a_header_of_which_no_name_is_known(mailing: Mailing, header: str, unknown: list[str]) -> None:
    mailing.manifest.write_text(f"{header}\n1;2\n")
    said = [reason.partition("; there are ")[0] for _, reason in mailing.faults()]
    assert said[: len(unknown)] == [f"unknown column {name!r}" for name in unknown]


def test_an_object_over_several_lines(mailing: Mailing) -> None:
    mailing.manifest.write_text('{"business_id": 1,\n"chat_id": 2,\n"file": "a.pdf"}\n')
    assert mailing.faults() == [(1, "the object goes over several lines; write each on one line (jq -c . does it)")]


def test_an_object_that_goes_nowhere(mailing: Mailing) -> None:
    mailing.manifest.write_text('{"business_id": 1,\n"x"\n{"business_id": 1, "chat_id": 2, "file": "a.pdf"}\n')
    assert [line for line, _ in mailing.faults()] == [1, 2]


def test_lines_that_are_no_objects_or_the_wrong_ones(mailing: Mailing) -> None:
    good = json.dumps(OBJECTS[0])
    lines = [good, "[1,", "2]", '"text"', '{"broken"', "{", "}", "[" * 100_000]
    lines += [
        good[:-1] + ', "file": "b.pdf"}',
        good[:-1] + ', "chats": 2}',
        good[:-1] + ', "File": "b.pdf", "x": 1}',
        '{"y": 1}',
    ]
    mailing.manifest.write_text("\n".join(lines))
    faults = mailing.faults()
    columns = "business_id, file, chat_id, order_id, "
    assert [(line, reason[: len("no JSON: E")]) for line, reason in faults if reason.startswith("no JSON: ")] == [
        (line, "no JSON: E") for line in (2, 3, 5, 6, 7)
    ]
    others = [fault for fault in faults if not fault[1].startswith("no JSON: ")]
    assert [(line, reason.partition("; there are ")[0]) for line, reason in others] == [
        (4, "no JSON object"),
        (8, "no JSON"),
        (9, "the field file is there more than once"),
        (10, "unknown field 'chats'"),
        (11, "the field file is there more than once"),
        (11, "unknown field 'x'"),
        (12, "unknown field 'y'"),  # and nothing about what it lacks
    ]
    assert all(reason.partition("; there are ")[2].startswith(columns) for _, reason in others if "unknown" in reason)


@pytest.mark.parametrize(
    "value", ["123,0", "123.0", "1,23457E+18", "1.23E+18", "1E+18", "1 234 567", "1\xa0234", "1'234"]
)
def test_ids_as_spreadsheets_format_them(mailing: Mailing, value: str) -> None:
    mailing.manifest.write_text(f"business_id;chat_id;file\n1;{value};a.pdf\n")
    ((line, reason),) = mailing.faults()
    assert line == 2
    assert "format the column as text" in reason
    assert repr(value) in reason


def test_fields_of_objects_in_any_spelling(mailing: Mailing) -> None:
    mailing.manifest.write_text('{"Business ID": 1, "CHAT_ID": "2", "file ": "a.pdf"}\n')
    assert mailing.run().sent == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_name_in_another_normal_form(mailing: Mailing, form: str, written: str) -> None:
    from unicodedata import normalize

    folder = mailing.folder / normalize(form, "Йод")
    folder.mkdir()
    (folder / normalize(written, "ёж.pdf")).write_bytes(b"%PDF")
    mailing.write(f"1,2,{normalize(written, 'Йод')}/{normalize(form, 'ёж.pdf')}")
    assert mailing.run().sent == 1
    assert mailing.run().due == 0
