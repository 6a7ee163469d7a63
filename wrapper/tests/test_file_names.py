"""Under which name and type a file arrives, whatever it is called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import mimetypes
import os
import random
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from contextlib import ExitStack
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest

from yandex_market_chat import InvalidRequestError
from yandex_market_chat._file_name import clean_name
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .handed_over import Reader, arrived, pipe, refused
from .test_async_iterators import Chunks
from .test_files import from_socket, member, packed, temporary


def in_ascii(value: object) -> str:
    """Return an id without a backslash: pytest escapes what `ids` has returned once more when it collects again."""
    return ascii(value).replace("\\", "/")


def disposition(server: MockServer) -> bytes:
    """Return the raw Content-Disposition line of the last request."""
    head, _, _ = server.requests[-1].body.partition(b"\r\n\r\n")
    (line,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-disposition:")]
    return line


def assert_sent_as(name: str, server: MockServer) -> None:
    raw = name.encode().replace(b'"', b"%22")
    assert disposition(server) == b'Content-Disposition: form-data; name="file"; filename="' + raw + b'"'


NAMES = {
    "plain": ("invoice.pdf", "invoice.pdf"),
    "Cyrillic": ("Счёт №12 от 1 июля.pdf", "Счёт №12 от 1 июля.pdf"),
    "decomposed, as on a Mac": ("и\u0306е\u0308.pdf", "йё.pdf"),
    "decomposed behind what is taken out": ("и\u202e\u0306\u0000.pdf", "й.pdf"),
    "decomposed Korean": ("\u1112\u1161\u11ab.pdf", "\ud55c.pdf"),
    "no composed form": ("x\u0306.pdf", "x\u0306.pdf"),
    "compatibility forms": ("\ufb01\uff0f\u2116.pdf", "\ufb01\uff0f\u2116.pdf"),
    "emoji with joiners": ("👨‍👩‍👧🏳️‍🌈.png", "👨‍👩‍👧🏳️‍🌈.png"),
    "quotes": ("a\"b'c.pdf", "a\"b'c.pdf"),
    "escaped quote": ("a%22b%0A%.pdf", "a%22b%0A%.pdf"),
    "parameters": ('a"; filename="b;c=d.pdf', 'a"; filename="b;c=d.pdf'),
    "Unix path": ("/home/me/a.pdf", "a.pdf"),
    "Windows path": ("C:\\Users\\me\\a.pdf", "a.pdf"),
    "Windows path with slashes": ("c:/Users/me/a.pdf", "a.pdf"),
    "path below": ("./b/a.pdf", "a.pdf"),
    "Windows path below": (".\\b\\a.pdf", "a.pdf"),
    "path at home": ("~/b\\a.pdf", "a.pdf"),
    "path of another's home": ("~me/a.pdf", "a.pdf"),
    "path behind blanks": (" \t/home/me/ a.pdf", "a.pdf"),
    "path behind what is taken out": ("\u202e\ufeff/home/me/a.pdf", "a.pdf"),
    "slash": ("УПД № 77/2026 от 01.02.pdf", "УПД № 77_2026 от 01.02.pdf"),
    "slash without extension": ("Счёт № 12/А", "Счёт № 12_А"),
    "backslash": ("Счёт № 12\\А.pdf", "Счёт № 12_А.pdf"),
    "slash at the end": ("a.pdf/", "a.pdf_"),
    "slash and dots": ("a/..", "a_.."),
    "both separators": ("a/b\\c/d\\e.pdf", "a_b_c_d_e.pdf"),
    "one backslash in front": ("\\a\\b.pdf", "_a_b.pdf"),
    "no drive": ("Дата: 1/2.pdf", "Дата: 1_2.pdf"),
    "address": ("https://example.org/a.pdf", "https:__example.org_a.pdf"),
    "share": ("\\\\server\\share\\a.pdf", "a.pdf"),
    "upwards": ("../../etc/passwd", "passwd"),
    "escape at the end": ('a.pdf\\"', 'a.pdf_"'),
    "parts of a word": ("=a?=b?c= ?=.pdf", "=a?=b?c= ?=.pdf"),
    "several dots": ("...a..pdf", "...a..pdf"),
    "three dots": ("...", "..."),
    "hidden": (".pdf", ".pdf"),
    "blanks around": ("  a b .pdf\t", "a b .pdf"),
    "line breaks": ("a\r\nX-Evil: 1\r\n\r\nb.pdf", "aX-Evil: 1b.pdf"),
    "every control character": (f"a{''.join(map(chr, [*range(32), *range(127, 160)]))}b.pdf", "ab.pdf"),
    "line separators": ("a\u2028b\u2029c\u0085d.pdf", "abcd.pdf"),
    "right-to-left override": ("invoice\u202efdp.exe", "invoicefdp.exe"),
    "every change of direction": ("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069a.pdf", "a.pdf"),
    "deprecated controls": ("a\u206a\u206f.pdf", "a.pdf"),
    "byte order mark": ("\ufeffa.pdf", "a.pdf"),
    "joiners": ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
    "right-to-left letters": ("حساب.pdf", "حساب.pdf"),
    "high surrogate": ("a\ud800.pdf", "a\ufffd.pdf"),
    "low surrogates": ("\udcff\udcfe.pdf", "\ufffd\ufffd.pdf"),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.values(), ids=NAMES)
def test_the_name_arrives_as_raw_utf_8_without_what_must_not_be_sent(
    name: str, expected: str, chat: Chat, server: MockServer
) -> None:
    sent = chat.send(b"x", name=name)
    assert sent.name == expected
    assert_sent_as(expected, server)
    assert [part.name for part in arrived(server)] == ["file"]


NOTHING_LEFT = [
    "",
    " ",
    "\t \u3000",
    ".",
    "..",
    "/a/..",
    "/a/",
    "/",
    "./",
    "C:\\a\\",
    "~/ ",
    "\r\n\0",
    "\u202e",
    "\u202e..",
]
NOTHING_LEFT += [".\0.", " . ", "\ufeff"]


@pytest.mark.parametrize("name", NOTHING_LEFT, ids=in_ascii)
def test_a_name_of_which_nothing_is_left_is_replaced(name: str, chat: Chat, server: MockServer) -> None:
    chat.send(b"x", name=name)
    assert_sent_as("file.bin", server)
    chat.send(b"x", name=name, content_type="application/pdf")
    assert_sent_as("file.pdf", server)
    assert [got.content_type for got in server.received] == ["application/octet-stream", "application/pdf"]


# U+202E in an encoded word of RFC 2047: decoded, as Tomcat, commons-fileupload and Python do, it shows "exe.jpg".
WORDS = [
    "=?utf-8?B?4oCuZ3BqLmV4ZQ==?=",
    "=?UTF-8?b?4oCuZ3BqLmV4ZQ?=",
    "=?utf-8?Q?=E2=80=AEgpj.exe?=",
    "=?Utf-8?q?=e2=80=aegpj.exe?=.pdf",
    "=?utf-8*en?q?=e2=80=aegpj.exe?=",
    "=?utf-16be?B?IC4AZwBwAGoALgBlAHgAZQ==?=",
    "=?x-unknown?Q?=E2=80=AE?=",
    "=??Q?=E2=80=AE?=",
    "=?utf-8?Q?a b=E2=80=AE?=",
    "Счёт =?utf-8?Q?=E2=80?= =?utf-8?Q?=AEgpj.exe?=",
    "a=?utf-8?Q?=E2=80=AE?=b",
    "==?utf-8?Q?=E2=80=AE?==?utf-8?Q?=E2=80=AE?=",
    "=\u202e?utf-8?B?4oCuZ3BqLmV4ZQ==?\u202d=",
    "\0=\0?utf-8\r\n?Q?=E2=80=AE?=",
    "=\ufeff?utf-8?Q?=E2=80=AE?=",
    "/home/me/=?utf-8?Q?=E2=80=AE?=",
    "C:\\=?utf-8?Q?a\\=?utf-8?Q?=E2=80=AE?=",
    "=?utf-8?Q?=E2=80=AE?=" + "x" * 300,
    "x" * 230 + "=?utf-8?Q?=E2=80=AE?=",
    "x" * 237 + "=?utf-8?Q?=E2=80=AE" + "y" * 50 + ".?=",
    "=?utf-8?Q?=E2=80=AE",
]


@pytest.mark.parametrize("name", WORDS, ids=in_ascii)
def test_no_encoded_word_brings_back_what_must_not_be_sent(
    name: str, chat: Chat, server: MockServer, tmp_path: Path
) -> None:
    own = tmp_path / "own name"
    own.write_bytes(b"x")
    for file in (Named(name), own):
        sent = chat.send(file, name=name if file is own else None).name
        assert "=?" not in sent
        assert len(sent.encode()) <= 255
        assert_sent_as(sent, server)
        for decoded in (str(make_header(decode_header(sent))), sent):
            assert FORBIDDEN.search(decoded) is None
            assert decoded == sent


def test_a_question_behind_an_equals_sign_is_the_price(chat: Chat, server: MockServer) -> None:
    chat.send(b"x", name="2+2=?.txt")
    assert_sent_as("2+2=_.txt", server)


LONG = {
    "ASCII": ("a" * 300, ".pdf", "a" * 251 + ".pdf"),
    "Cyrillic": ("я" * 300, ".pdf", "я" * 125 + ".pdf"),
    "Cyrillic, odd": ("a" + "я" * 300, ".pdf", "a" + "я" * 125 + ".pdf"),
    "emoji": ("😀" * 300, ".jpeg", "😀" * 62 + ".jpeg"),
    "several dots": ("a.b" * 100, ".docx", ("a.b" * 100)[:250] + ".docx"),
    "Cyrillic extension": ("я" * 300, ".док", "я" * 124 + ".док"),
    "without extension": ("я" * 300, "", "я" * 127),
    "very long extension": ("a", "." + "e" * 400, "a." + "e" * 253),
    "nothing but extension": ("", "." + "я" * 300, "." + "я" * 127),
    "blank at the cut": ("a" * 250 + " " + "b" * 50, ".pdf", "a" * 250 + ".pdf"),
    "longest": ("a" * 251, ".pdf", "a" * 251 + ".pdf"),
    "very long": ("я" * 1_000_000, ".pdf", "я" * 125 + ".pdf"),
    "decomposed": ("и\u0306" * 200, ".pdf", "й" * 125 + ".pdf"),
    "decomposed, shorter in NFC": ("и\u0306" * 125, ".pdf", "й" * 125 + ".pdf"),
    "longer in NFC": ("\u0958" * 50, ".pdf", "\u0915\u093c" * 41 + "\u0915.pdf"),
}


@pytest.mark.parametrize(("stem", "extension", "expected"), LONG.values(), ids=LONG)
def test_a_long_name_is_shortened_and_keeps_its_extension(
    stem: str, extension: str, expected: str, chat: Chat, server: MockServer
) -> None:
    assert len(expected.encode()) <= 255
    sent = chat.send(b"x", name=stem + extension)
    assert sent.name == expected
    assert_sent_as(expected, server)


NAMELESS: dict[str, Callable[[Path, ExitStack], Any]] = {
    "bytes": lambda *_: b"x",
    "bytearray": lambda *_: bytearray(b"x"),
    "memoryview": lambda *_: memoryview(b"x"),
    "BytesIO": lambda *_: io.BytesIO(b"x"),
    "spooled file": temporary,
    "spooled file on disk": lambda path, stack: temporary(path, stack, max_size=10),
    "temporary file": lambda path, stack: stack.enter_context(tempfile.TemporaryFile()),  # noqa: SIM115
    "pipe": pipe,
    "socket": from_socket,
    "gzip of a BytesIO": lambda path, stack: stack.enter_context(gzip.open(io.BytesIO(gzip.compress(b"x")))),  # noqa: SIM115
    "reader": lambda *_: Reader(b"x"),
    "async iterator": lambda *_: Chunks(),
}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, kind) for mode in ("sync", "async") for kind in NAMELESS if (mode, kind) != ("sync", "async iterator")],
)
def test_every_nameless_file_gets_a_name_that_fits_its_type(
    kind: str, chat: Chat, server: MockServer, tmp_path: Path
) -> None:
    types = {None: "file.bin", "application/pdf": "file.pdf", "IMAGE/JPEG; q=1": "file.jpg", "own/type": "file.bin"}
    for content_type, expected in types.items():
        with ExitStack() as stack:
            file = NAMELESS[kind](tmp_path / "unused", stack)
            if kind == "temporary file":
                file.write(b"x")
                file.seek(0)
            assert chat.send(file, content_type=content_type).name == expected
        assert_sent_as(expected, server)


class Named(Reader):
    def __init__(self, name: Any) -> None:
        super().__init__(b"x")
        self.name = name


OWN_NAMES: dict[Any, str] = {
    "a.pdf": "a.pdf",
    "dir/счёт.pdf": "счёт.pdf",
    "dir/и\u0306.pdf": "й.pdf",
    "C:\\dir\\a.pdf": "a.pdf",
    "dir/12\\А.pdf": "12_А.pdf",
    "счёт.pdf".encode(): "счёт.pdf",
    b"a\xff.pdf": "a\ufffd.pdf",
    "<stdin>": "file.bin",
    "<urllib response>": "file.bin",
    "": "file.bin",
    None: "file.bin",
    3: "file.bin",
    Path("a.pdf"): "file.bin",
}


@pytest.mark.parametrize(("own", "expected"), OWN_NAMES.items(), ids=map(in_ascii, OWN_NAMES))
def test_an_open_file_is_sent_under_its_own_name_if_that_is_one(
    own: Any, expected: str, chat: Chat, server: MockServer
) -> None:
    chat.send(Named(own))
    assert_sent_as(expected, server)
    chat.send(Named(own), name="b.png")
    assert_sent_as("b.png", server)


def test_a_file_on_disk_is_sent_under_its_own_name(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    path, odd = tmp_path / "счёт.pdf", tmp_path / "<1>.pdf"
    for each in (path, odd):
        each.write_bytes(b"x")
    with path.open("rb") as opened, odd.open("rb") as oddly_named:
        for file in (path, opened, odd, oddly_named):
            chat.send(file)
    chat.send(path, name="")  # as good as none
    assert [got.name for got in server.received] == ["счёт.pdf", "счёт.pdf", "<1>.pdf", "<1>.pdf", "счёт.pdf"]
    assert {got.content_type for got in server.received} == {"application/pdf"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a file have a name that is no UTF-8")
def test_a_file_of_any_name_that_the_system_takes_can_be_sent(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    names = {b"a\xff.pdf": "a\ufffd.pdf", "и\u0306.pdf".encode(): "й.pdf", "Счёт 12\\А.pdf".encode(): "Счёт 12_А.pdf"}
    for name, expected in names.items():
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as opened:
            opened.write(b"x")
        chat.send(os.fsdecode(path))
        assert_sent_as(expected, server)
        with open(path, "rb") as opened:
            chat.send(opened)
        assert_sent_as(expected, server)


def test_an_unpacked_file_is_sent_under_the_name_it_had(chat: Chat, server: MockServer, tmp_path: Path) -> None:
    kinds = {"gz": gzip}
    if sys.version_info >= (3, 13):  # before, the files of the others have no name
        kinds |= {"bz2": bz2, "xz": lzma}
    with ExitStack() as stack:
        for extension, module in kinds.items():
            chat.send(packed(tmp_path / f"table.csv.{extension}", stack, module))
            assert_sent_as("table.csv", server)
        chat.send(member(tmp_path / "a.zip", stack))
        assert_sent_as("inner.txt", server)
    assert [got.content_type for got in server.received] == ["text/csv"] * len(kinds) + ["text/plain"]


@pytest.mark.parametrize("name", [b"a.pdf", 1, Path("a.pdf"), ["a.pdf"]], ids=repr)
def test_a_name_that_is_no_text_is_refused(name: Any, chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidRequestError, "name must be a str", type(name).__name__):
        chat.send(b"x", name=name)


# What could break a header, a path or a terminal, often; all of Unicode, seldom.
TRICKY = [
    *'"\\/%;=:.<>\r\n\0\t \x1b\x7f\x85\u2028\u2029\u202e\u2066\u200d\ufeff',
    "%22",
    "../",
    "\\\\",
    "\ud83d",
    "=?",
    "?=",
]
TRICKY += ["и\u0306", "\u0338", "\u0306", "=?utf-8?q?=e2=80=ae?="]
FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff/\\\ud800-\udfff]|=\?"
)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_name_one_valid_part_arrives(seed: int, chat: Chat, server: MockServer) -> None:
    chance = random.Random(seed)
    sent = []
    for _ in range(75):
        length = chance.choice((1, 3, 10, 40, 300))
        pieces = [
            chance.choice(TRICKY) if chance.random() < 0.5 else chr(chance.randrange(chance.choice((0x80, 0x110000))))
            for _ in range(length)
        ]
        sent.append(chat.send(b"\r\n--", name="".join(pieces)).name)
    parts = arrived(server)
    assert [part.name for part in parts] == ["file"] * 75
    assert [part.content for part in parts] == [b"\r\n--"] * 75
    for name, part in zip(sent, parts, strict=True):
        assert part.filename == name.replace("%22", '"')  # the two cannot be told apart on the wire
        assert FORBIDDEN.search(name) is None
        assert 0 < len(name.encode()) <= 255
        assert name not in (".", "..")
        assert name == name.strip() == clean_name(name)
        assert unicodedata.is_normalized("NFC", name)


# Types

TYPES = {
    "pdf": "application/pdf",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "heic": "image/heic",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "txt": "text/plain",
    "zip": "application/zip",
    "rar": "application/vnd.rar",
    "7z": "application/x-7z-compressed",
    "unknown": "application/octet-stream",
    "pdf.sig": "application/octet-stream",
    "": "application/octet-stream",
}


@pytest.mark.parametrize(("extension", "expected"), TYPES.items(), ids=TYPES)
def test_the_type_follows_from_the_extension_and_not_from_the_machine(
    extension: str, expected: str, chat: Chat, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for guess in ("guess_type", "guess_file_type"):
        monkeypatch.setattr(mimetypes, guess, lambda *_, **__: ("a/lie", "gzip"), raising=False)
    monkeypatch.setattr(mimetypes, "types_map", dict.fromkeys(mimetypes.types_map, "a/lie"))
    for name in (f"a.{extension}", f"a.b.{extension.upper()}", f"C:\\a.txt\\Счёт.{extension.title()}", extension):
        sent = chat.send(b"x", name=name)
        assert sent.content_type == (expected if "." in name else "application/octet-stream")
    assert [part.content_type for part in arrived(server)] == [got.content_type for got in server.received]
    assert [got.content_type for got in server.received][:3] == [expected] * 3


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-own",
        "Text/CSV; charset=utf-8; header=present",
        'text/plain; a="b, c;d\\"e"',
        "message/rfc822; x=+++",
        "a/b",
        "image/svg+xml",
    ],
)
def test_a_given_type_arrives_byte_for_byte(content_type: str, chat: Chat, server: MockServer) -> None:
    sent = chat.send(b"x", name="a.pdf", content_type=content_type)
    assert sent.content_type == content_type
    head, _, _ = server.requests[0].body.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[-1] == b"Content-Type: " + content_type.encode()
    assert [part.content_type for part in arrived(server)] == [content_type]


NO_TYPES = [
    "",
    " ",
    "pdf",
    "/pdf",
    "application/",
    "a/b/c",
    "a b/c",
    " a/b",
    "a/b ",
    "a/b\r\nX-Evil: 1",
    "a/b\n",
    "a/b; c=\r\n d",
    "a/b\0",
    "a/b; c=\x7f",
    "a/б",
    "a/b; name=счёт",
    "a/b, c/d",
    b"a/b",
    ("a/b", "c"),
    1,
    "x" * 1_000_000,
]


@pytest.mark.parametrize("content_type", NO_TYPES, ids=lambda value: in_ascii(value)[:20])
def test_a_type_that_is_none_is_refused(content_type: Any, chat: Chat, server: MockServer) -> None:
    with refused(server, InvalidRequestError, "The content type must be like 'application/pdf'") as caught:
        chat.send(b"x", content_type=content_type)
    assert (caught.value.business_id, caught.value.chat_id) == (1, 2)
