"""Doubles, changed manifests, changed files."""

from __future__ import annotations

import os

import pytest

from yandex_market_chat.batch import ManifestError
from yandex_market_chat.testing import Answer

from .conftest import Mailing, chats

KEYED = "business_id,chat_id,file,key"


def duplicates(mailing: Mailing, *lines: str) -> dict[int, int]:
    mailing.write(*lines, header=KEYED)
    result = mailing.run(report=mailing.folder / "report.csv")
    assert result.sent == sum(mailing.arrived().values()) == result.total
    assert len(mailing.report()) == len(lines)
    assert [row["outcome"] for row in mailing.report()].count("duplicate") == len(result.duplicates)
    return dict(result.duplicates)


def test_the_same_content_for_the_same_chat_is_sent_once(mailing: Mailing) -> None:
    (mailing.folder / "copy.pdf").write_bytes((mailing.folder / "a.pdf").read_bytes())
    lines = ["1,2,a.pdf,", "1,2,copy.pdf,", "1,3,copy.pdf,", "2,2,a.pdf,", "1,2,b.pdf,", "1,2,a.pdf,", "1,2,copy.pdf,"]
    assert duplicates(mailing, *lines) == {3: 2, 7: 2, 8: 2}
    assert mailing.arrived() == {(1, 2): 2, (1, 3): 1, (2, 2): 1}


def test_lines_with_keys_of_their_own_are_meant(mailing: Mailing) -> None:
    lines = ["1,2,a.pdf,", "1,2,a.pdf,x", "1,2,a.pdf,y", "1,2,a.pdf,", "1,2,a.pdf,x"]
    assert duplicates(mailing, *lines) == {2: 3, 5: 3, 6: 3}
    assert mailing.arrived() == {(1, 2): 2}


def test_a_key_of_ones_own_that_is_like_a_default(mailing: Mailing) -> None:
    assert duplicates(mailing, "1,2,a.pdf,", "1,2,a.pdf,1/2/a.pdf") == {3: 2}


def test_each_content_is_read_once_for_its_checksum(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    from yandex_market_chat.batch import _plan

    looked: list[str] = []
    look = _plan._look_at
    monkeypatch.setattr(_plan, "_look_at", lambda path, *more: looked.append(path.name) or look(path, *more))
    mailing.write(*chats(50), *chats(50, file="b.pdf"))
    assert mailing.run().sent == 100
    assert sorted(looked) == ["a.pdf", "b.pdf"]
    assert mailing.run().sent == 100
    assert len(looked) == 2


def test_a_key_for_two_things(mailing: Mailing) -> None:
    mailing.write("1,2,a.pdf,x", "1,2,b.pdf,x", "1,3,a.pdf,x", "1,2,a.pdf,x", header=KEYED)
    assert mailing.faults() == [
        (3, "the key 'x' stands for something else in line 2"),
        (4, "the key 'x' stands for something else in line 2"),
    ]


def test_a_changed_manifest_is_merged_by_key(mailing: Mailing) -> None:
    mailing.server.script_for(3, Answer(400))
    mailing.write("1,2,a.pdf", "1,3,a.pdf", "1,4,a.pdf")
    assert mailing.run().sent == 2
    mailing.write("1,9,a.pdf", "1,3,a.pdf", "1,2,a.pdf")
    result = mailing.run(retry_not_sent=True, report=mailing.folder / "report.csv")
    # What the manifest no longer has is not counted; that it was sent is not forgotten.
    assert (result.total, result.sent) == (3, 3)
    assert [(row["line"], row["chat_id"], row["outcome"]) for row in mailing.report()] == [
        ("2", "9", "sent"), ("3", "3", "sent"), ("4", "2", "sent"),
    ]  # fmt: skip
    mailing.write("1,4,a.pdf")
    assert mailing.run().sent == 1
    assert mailing.arrived() == {(1, 2): 1, (1, 3): 1, (1, 4): 1, (1, 9): 1}


def test_a_new_line_with_content_that_was_sent(mailing: Mailing) -> None:
    (mailing.folder / "copy.pdf").write_bytes((mailing.folder / "a.pdf").read_bytes())
    mailing.write("1,2,a.pdf")
    mailing.run()
    mailing.write("1,2,copy.pdf", "1,2,a.pdf")
    result = mailing.run()
    assert (result.sent, result.duplicates) == (1, ((2, 3),))
    assert mailing.arrived() == {(1, 2): 1}


def test_contradictions_with_the_journal(mailing: Mailing) -> None:
    mailing.write("1,2,a.pdf,x", header=KEYED)
    mailing.run()
    before = mailing.journal.read_bytes()
    mailing.write("1,3,a.pdf,y", "1,2,b.pdf,x", header=KEYED)
    with pytest.raises(ManifestError) as caught:
        mailing.run()
    assert caught.value.faults == ((3, "the key 'x' stands for something else in the journal (sent)"),)
    assert mailing.journal.read_bytes() == before


def test_on_resume_only_what_is_to_be_sent_is_checked(mailing: Mailing) -> None:
    mailing.server.script_for(3, Answer(400))
    mailing.write("1,2,a.pdf", "1,3,b.pdf")
    mailing.run()
    (mailing.folder / "a.pdf").unlink()
    assert mailing.run(retry_not_sent=True).sent == 2  # the manifest is as it was
    mailing.write("1,2,a.pdf", "1,3,b.pdf", "1,4,b.pdf")
    assert mailing.run().sent == 3
    mailing.write("1,2,a.pdf", "1,3,b.pdf", "1,4,b.pdf", "1,5,c.pdf", "1,5,a.pdf")
    with pytest.raises(ManifestError) as caught:
        mailing.run()
    assert [line for line, _ in caught.value.faults] == [6]


def test_a_file_that_is_missing_on_resume(mailing: Mailing) -> None:
    mailing.server.script_for(2, Answer(400))
    mailing.write("1,2,a.pdf")
    mailing.run()
    (mailing.folder / "a.pdf").unlink()
    assert mailing.run().not_sent == 1
    with pytest.raises(ManifestError, match="line 2"):
        mailing.run(retry_not_sent=True)
    assert mailing.states() == {"1/2/a.pdf": "not sent"}


def test_a_file_that_has_changed_between_two_runs(mailing: Mailing) -> None:
    mailing.server.script_for(2, Answer(400))
    mailing.server.script_for(3, Answer(400))
    mailing.write("1,2,a.pdf", "1,3,b.pdf")
    mailing.run()
    (mailing.folder / "a.pdf").write_bytes(b"%PDF fixed")
    os.utime(mailing.folder / "b.pdf", (1, 1))  # touched, not changed
    result = mailing.run(retry_not_sent=True)
    assert (result.sent, result.changed_files) == (2, 1)
    assert sorted(file.content for file in mailing.server.received) == [b"%PDF b", b"%PDF fixed"]


def test_a_file_that_changes_while_the_batch_runs(mailing: Mailing) -> None:
    mailing.write("1,2,a.pdf", "1,3,b.pdf", "1,4,c.pdf", "1,5,a.pdf")

    def change(_: object) -> None:
        (mailing.folder / "a.pdf").write_bytes(b"%PDF other")
        (mailing.folder / "b.pdf").write_bytes(b"%PDF longer than it was")
        (mailing.folder / "c.pdf").unlink(missing_ok=True)

    result = mailing.run(on_progress=change, report=mailing.folder / "report.csv")
    assert (result.not_sent, result.left) == (4, 0)
    assert not mailing.server.requests
    assert [row["error"] for row in mailing.report()] == [
        "FileChangedError", "FileChangedError", "FileNotFoundError", "FileChangedError",
    ]  # fmt: skip


def test_a_double_that_has_been_corrected_since_is_sent(mailing: Mailing) -> None:
    (mailing.folder / "copy.pdf").write_bytes((mailing.folder / "a.pdf").read_bytes())
    mailing.write("1,2,a.pdf", "1,2,copy.pdf")
    assert len(mailing.run().duplicates) == 1
    (mailing.folder / "copy.pdf").write_bytes(b"%PDF, the right one")
    result = mailing.run()
    assert (result.total, result.sent, result.duplicates) == (2, 2, ())
    assert [file.content for file in mailing.server.received] == [b"%PDF a", b"%PDF, the right one"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_double_that_is_still_one_is_not_sent(mailing: Mailing, gone: bool) -> None:
    copy = mailing.folder / "copy.pdf"
    copy.write_bytes((mailing.folder / "a.pdf").read_bytes())
    mailing.write("1,2,a.pdf", "1,2,copy.pdf")
    mailing.run()
    if gone:
        copy.unlink()
        with pytest.raises(ManifestError, match="line 3"):
            mailing.run()
    else:
        assert len(mailing.run().duplicates) == 1
    assert len(mailing.server.received) == 1


def spellings(mailing: Mailing) -> list[str]:
    """Other ways to a file that was sent as счета/1.pdf."""
    (mailing.folder / "link").symlink_to("счета", target_is_directory=True)
    (mailing.folder / "link.pdf").symlink_to("счета/1.pdf")
    (mailing.folder / "hard.pdf").hardlink_to(mailing.folder / "счета" / "1.pdf")
    (mailing.folder / "copy.pdf").write_bytes((mailing.folder / "счета" / "1.pdf").read_bytes())
    (mailing.folder.parent / f"{mailing.folder.name}-link").symlink_to(mailing.folder, target_is_directory=True)
    return [
        "./счета/1.pdf", "счета//1.pdf", "счета/./1.pdf", "счета/../счета/1.pdf", f"{mailing.folder}/счета/1.pdf",
        f"{mailing.folder}-link/счета/1.pdf", "link/1.pdf", "link.pdf", "hard.pdf", "copy.pdf",
    ]  # fmt: skip


def sent_as(mailing: Mailing, line: str, header: str = "business_id,chat_id,file,key") -> None:
    (mailing.folder / "счета").mkdir()
    (mailing.folder / "счета" / "1.pdf").write_bytes(b"%PDF 1")
    mailing.write(line, header=header)
    assert mailing.run().sent == 1


@pytest.mark.parametrize("keys", ["", ",x"])
@pytest.mark.parametrize("number", range(10))
def test_a_sent_file_by_another_path(mailing: Mailing, number: int, keys: str) -> None:
    sent_as(mailing, "1,1,счета/1.pdf,")
    mailing.write(f"1,1,{spellings(mailing)[number]}{keys or ','}", header=KEYED)
    before = mailing.run(dry_run=True)
    assert (before.due, before.sent, before.total) == (0, 1, 1)
    known = bool(keys) or number not in (0, 1, 2, 4)  # those are the same path
    assert before.duplicates == (((2, None),) if known else ())
    result = mailing.run(report=mailing.folder / "report.csv")
    assert (result.sent, result.due, result.duplicates) == (1, 0, before.duplicates)
    assert [row["outcome"] for row in mailing.report()] == ["sent"]
    # Known from now on, even if the file is written again.
    (mailing.folder / "счета" / "1.pdf").write_bytes(b"%PDF 2")
    mailing.write(f"1,1,{spellings_of(mailing)[number]}{keys or ','}", "1,2,c.pdf,", header=KEYED)
    assert mailing.run().due == 1
    assert mailing.arrived() == {(1, 1): 1, (1, 2): 1}


def spellings_of(mailing: Mailing) -> list[str]:
    for name in ("link", "link.pdf", "hard.pdf"):
        (mailing.folder / name).unlink()
    (mailing.folder.parent / f"{mailing.folder.name}-link").unlink()
    return spellings(mailing)


@pytest.mark.parametrize("number", range(10))
def test_a_keyed_file_by_another_path(mailing: Mailing, number: int) -> None:
    sent_as(mailing, "1,1,счета/1.pdf,x")
    path = spellings(mailing)[number]
    for key in ("x", ""):  # the same key; and none
        mailing.write(f"1,1,{path},{key}", header=KEYED)
        for _ in range(2):
            assert (mailing.run().due, len(mailing.server.received)) == (0, 1)
    # Keys of their own are meant.
    mailing.write(f"1,1,{path},y", header=KEYED)
    assert mailing.run().due == 1
    mailing.write(f"1,1,{path},x", f"1,1,{path},y", header=KEYED)
    assert mailing.run().due == 0
    assert mailing.arrived() == {(1, 1): 2}


def test_two_keys_for_a_file_that_was_sent_once_without(mailing: Mailing) -> None:
    mailing.write("1,1,a.pdf,", header=KEYED)
    mailing.run()
    mailing.write("1,1,a.pdf,x", "1,1,a.pdf,y", "1,1,a.pdf,", header=KEYED)
    result = mailing.run()
    assert (result.due, result.duplicates) == (1, ((2, None), (4, 2)))
    assert mailing.run().duplicates == ((4, 2),)
    assert mailing.arrived() == {(1, 1): 2}


def test_another_chat_or_business_is_another_item(mailing: Mailing) -> None:
    mailing.write("1,1,a.pdf")
    mailing.run()
    mailing.write("1,2,./a.pdf", "2,1,./a.pdf")
    assert mailing.run().due == 2


@pytest.mark.parametrize("key", ["", "x"])
def test_what_was_not_sent_keeps_its_state_by_another_path(mailing: Mailing, key: str) -> None:
    (mailing.folder / "copy.pdf").write_bytes((mailing.folder / "a.pdf").read_bytes())
    mailing.server.script_for(1, Answer(400))
    mailing.server.script_for(2, Answer(500))
    mailing.write("1,1,a.pdf,", "1,2,a.pdf,", "1,3,b.pdf,", header=KEYED)
    mailing.run()
    mailing.sql("UPDATE item SET state = 'pending' WHERE chat_id = 3")
    (mailing.folder / "a.pdf").unlink()
    (mailing.folder / "b.pdf").rename(mailing.folder / "d.pdf")
    lines = [
        f"1,{chat},{file},{key and f'{key}{chat}'}" for chat, file in ((1, "copy.pdf"), (2, "copy.pdf"), (3, "d.pdf"))
    ]
    mailing.write(*lines, header=KEYED)
    result = mailing.run()
    assert (result.due, result.not_sent, result.unknown, result.sent) == (1, 1, 1, 1)
    assert result.duplicates == ((2, None), (3, None))
    assert mailing.run(retry_not_sent=True, resend_unknown=True).sent == 3
    assert [(file.chat_id, file.name) for file in mailing.server.received if file.chat_id < 3] == [
        (1, "copy.pdf"), (2, "copy.pdf"),
    ]  # fmt: skip


def test_a_file_that_becomes_a_double_of_one_that_was_sent(mailing: Mailing) -> None:
    mailing.server.script_for(1, *[Answer(400)] * 2)
    mailing.write("1,1,a.pdf", "1,1,b.pdf", "1,2,b.pdf")
    mailing.server._service.script._by_chat[1].pop()
    mailing.run({"max_parallel": 1})
    assert mailing.states() == {"1/1/a.pdf": "not sent", "1/1/b.pdf": "sent", "1/2/b.pdf": "sent"}
    (mailing.folder / "a.pdf").write_bytes((mailing.folder / "b.pdf").read_bytes())
    result = mailing.run(retry_not_sent=True)
    assert (result.due, result.duplicates) == (0, ((2, 3),))
    assert mailing.arrived() == {(1, 1): 1, (1, 2): 1}
