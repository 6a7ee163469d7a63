"""What a manifest may look like, and every way in which it may not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from yandex_market_chat.batch import ManifestError

from .conftest import Mailing

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    "content",
    [
        "business_id,chat_id,file\n1,2,a.pdf\n1,3,b.pdf\n",
        "\ufeffbusiness_id,chat_id,file\r\n1,2,a.pdf\r\n\r\n1,3,b.pdf",
        "file;chat_id;business_id\na.pdf;2;1\nb.pdf; 3 ;1\n",
        'chat_id,"file",business_id,name\n2,"a.pdf",1,\n3,"b.pdf",1,""\n',
        '{"business_id": 1, "chat_id": 2, "file": "a.pdf"}\n\n{"business_id": "1", "chat_id": "3", "file": "b.pdf"}',
        '\ufeff {"business_id":1,"chat_id":2,"file":"a.pdf","key":null}\n{"business_id":1,"chat_id":3,"file":"b.pdf"}',
    ],
)
def test_what_is_read(mailing: Mailing, content: str) -> None:
    mailing.manifest.write_bytes(content.encode())
    assert mailing.run().sent == 2
    assert [(file.chat_id, file.name) for file in mailing.server.received] == [(2, "a.pdf"), (3, "b.pdf")]
    assert set(mailing.states()) == {"1/2/a.pdf", "1/3/b.pdf"}


def test_names_types_and_folders(mailing: Mailing) -> None:
    (mailing.folder / "sub").mkdir()
    (mailing.folder / "sub" / "счёт.bin").write_bytes(b"x")
    mailing.write(
        f"{LARGEST},{LARGEST},sub/счёт.bin,,,",
        '1,2,sub/счёт.bin,"Счёт, копия.pdf",image/png,x',
        f"1,3,{mailing.folder / 'a.pdf'},,,",
        header="business_id,chat_id,file,name,content_type,key",
    )
    assert mailing.run().sent == 3
    got = sorted((file.chat_id, file.name, file.content_type) for file in mailing.server.received)
    assert got == [
        (2, "Счёт, копия.pdf", "image/png"),
        (3, "a.pdf", "application/pdf"),
        (LARGEST, "счёт.bin", "application/octet-stream"),
    ]
    assert mailing.states()["x"] == "sent"


def test_paths_start_from_the_folder_of_the_manifest(
    mailing: Mailing, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mailing.write("1,2,a.pdf")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert mailing.run().sent == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,2,a.pdf,,,", "business_id is '0'"),
        (f"1,{LARGEST + 1},a.pdf,,,", "chat_id is"),
        ("1,-2,a.pdf,,,", "chat_id is '-2'"),
        ("1,٣,a.pdf,,,", "chat_id is"),
        ("1,1_0,a.pdf,,,", "chat_id is"),
        ("1,2.0,a.pdf,,,", "chat_id is"),
        (",2,a.pdf,,,", "business_id is missing"),
        ("1,2,,,,", "file is missing"),
        ("1,2,нет такого/ёж.pdf,,,", "'нет такого/ёж.pdf' cannot be read: No such file"),
        ("1,2,missing.pdf,,,", "'missing.pdf' cannot be read: No such file"),
        ("1,2,.,,,", "is a directory"),
        ("1,2,pipe,,,", "is not a regular file"),
        ("1,2,empty,,,", "is empty"),
        ("1,2,large,,,", "more than the 5242880"),
        ("1,2,a.pdf/b,,,", "cannot be read"),
        ("1,2,a.pdf,,pdf,", "content_type is 'pdf'"),
        ('1,2,a.pdf,"a\rb",,', "name holds a control character or line break"),
        ("1,2,a\x00.pdf,,,", "file holds a control character"),
        (f"1,2,a.pdf,{'n' * 5000},,", "more than 4096 characters"),
        ("1,2,a.pdf", "3 cells where the header has 6"),
        ("1,2,a.pdf,,,,x", "7 cells where the header has 6"),
        ('1,2,"a"x,,,', "no CSV"),
        ('1,2,"a', "no CSV"),
    ],
)
def test_a_faulty_row(mailing: Mailing, row: str, said: str) -> None:
    os.mkfifo(mailing.folder / "pipe")
    (mailing.folder / "empty").touch()
    with (mailing.folder / "large").open("wb") as file:
        file.truncate(5 * 1024 * 1024 + 1)
    header = "business_id,chat_id,file,name,content_type,key"
    # The line before has a cell over two lines: numbers are those that an editor shows.
    mailing.manifest.write_bytes(f'{header}\n1,7,a.pdf,x.pdf,,"k"\n{row}'.encode())
    ((line, reason),) = mailing.faults()
    assert (line, said in reason) == (3, True), reason
    assert not mailing.journal.exists()


def test_numbers_of_lines_are_those_of_the_file(mailing: Mailing) -> None:
    mailing.write('1,2,"two\nlines"', "", "1,0,a.pdf")
    assert [line for line, _ in mailing.faults()] == [2, 5]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("[1]", "no JSON object"),
        ("{", "no JSON: Expecting"),
        ("{}", "business_id is missing"),
        ("[" * 100_000, "no JSON"),
        ('{"business_id": %s}' % ("9" * 5000), "no JSON"),
        ('{"business_id": 1, "chat_id": 2, "file": "a.pdf", "chat": 3}', "unknown field 'chat'"),
        ('{"business_id": 1, "chat_id": 2, "file": "a.pdf", "file": "a.pdf"}', "file is there more than once"),
        ('{"business_id": true, "chat_id": 2, "file": "a.pdf"}', "business_id is True"),
        ('{"business_id": 1.0, "chat_id": 2, "file": "a.pdf"}', "business_id is 1.0"),
        ('{"business_id": 1, "chat_id": 2, "file": ["a.pdf"]}', "file is ['a.pdf']"),
        ('{"business_id": 1, "chat_id": 2, "file": "\\ud800"}', "half a character"),
    ],
)
def test_a_faulty_object(mailing: Mailing, row: str, said: str) -> None:
    first = json.dumps({"business_id": 1, "chat_id": 7, "file": "a.pdf"})
    mailing.manifest.write_text(f"{first}\n{row}\n")
    faults = mailing.faults()
    assert {line for line, _ in faults} == {2}
    assert any(said in reason for _, reason in faults), faults


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("business_id,chat_id", ["lacks file"]),
        ("business_id,chat_id,file,chatid", ["unknown column 'chatid'"]),
        ("business_id,chat_id,file,file", ["file is there more than once"]),
        ("a;b", ["unknown column 'a'", "unknown column 'b'", "lacks business_id, file, chat_id or order_id"]),
        ('"business_id', ["no CSV"]),
    ],
)
def test_a_faulty_header(mailing: Mailing, header: str, said: list[str]) -> None:
    mailing.write("1,2,a.pdf", header=header)
    faults = mailing.faults()
    assert [line for line, _ in faults] == [1] * len(said)
    assert all(part in reason for part, (_, reason) in zip(said, faults, strict=True))


def test_all_faults_at_once(mailing: Mailing) -> None:
    mailing.write("0,0,a.pdf", "1,2,a.pdf", "1,2,,", "1,3,x", "1,4,x")
    assert [line for line, _ in mailing.faults()] == [2, 2, 4, 5, 6]


def test_an_empty_manifest(mailing: Mailing) -> None:
    mailing.manifest.write_bytes(b" \n")
    assert mailing.faults() == [(1, "the manifest is empty: there is no header and no object")]
    mailing.write()
    result = mailing.run()
    assert (result.total, result.stopped) == (0, None)


@pytest.mark.parametrize("name", ["missing.csv", ".", "nul\0"])
def test_no_manifest(mailing: Mailing, name: str) -> None:
    mailing.manifest = Path(mailing.folder, name)
    with pytest.raises(ManifestError, match="Nothing was sent") as caught:
        mailing.run()
    assert caught.value.faults == ()
    assert not mailing.journal.exists()


def test_standard_input_is_no_manifest(mailing: Mailing) -> None:
    mailing.manifest = Path("-")
    with pytest.raises(ManifestError, match="each run reads it again"):
        mailing.run()
