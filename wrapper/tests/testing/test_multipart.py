"""The multipart parser: what it reads, and that nothing makes it fail in any other way than its own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from yandex_market_chat.testing._multipart import MultipartError, boundary_of, parse_media_type, parse_multipart


def body(disposition: str, content: bytes = b"x", headers: str = "") -> bytes:
    return f"--b\r\nContent-Disposition: {disposition}\r\n{headers}\r\n".encode() + content + b"\r\n--b--"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"счёт №5.pdf"', "счёт №5.pdf"),
        ('"📎.png"', "📎.png"),
        ('"a%22b.pdf"', 'a"b.pdf'),
        (r'"a\"b.pdf"', 'a"b.pdf'),
        (r'"a\\b.txt"', r"a\\b.txt"),  # as browsers and node write it: two backslashes are two
        (r'"a\b.txt"', r"a\b.txt"),
        (r'"\"', "\\"),
        (r'"a\\"', r"a\\"),
        (r'"a\\\"b.pdf"', r"a\"b.pdf"),  # as Go writes it, and curl long ago
        (r'"\"a\b\\c\""', r'"a\b\c"'),
        ('"a%0D%0Ab.pdf"', "a\r\nb.pdf"),
        ('"a%0Ab%0Dc%22"', 'a\nb\rc"'),
        ('"%0d%0a%2522%5C%00"', "%0d%0a%2522%5C%00"),
        (r'"C:\new\table.csv"', r"C:\new\table.csv"),
        ('"a;b=c, d.pdf"', "a;b=c, d.pdf"),
        ('"100%.pdf"', "100%.pdf"),
        ('""', ""),
        ("plain.pdf", "plain.pdf"),
    ],
)
def test_file_names(written: str, meant: str) -> None:
    (part,) = parse_multipart(body(f'form-data; name="file"; filename={written}'), b"b")
    assert part.filename == meant


@pytest.mark.parametrize(
    ("written", "name", "filename"),
    [
        (r'name="\"; filename="a.pdf"', "\\", "a.pdf"),
        (r'name="file"; filename="a\"; x="y\"', "file", "a\\"),
        (r'name="a\"; filename=\"b"', 'a"; filename="b', None),
        ('name={file}; filename="a"', "{file}", "a"),
    ],
)
def test_where_a_quote_ends(written: str, name: str, filename: str | None) -> None:
    (part,) = parse_multipart(body(f"form-data; {written}"), b"b")
    assert (part.name, part.filename) == (name, filename)


def test_parts_in_order_with_their_headers() -> None:
    text = (
        b'--b\r\ncontent-disposition:form-data ;NAME="a" ; filename="x"\r\nContent-Type: Text/Plain; q=1 \r\n'
        b"X-Y: z\r\n\r\n"
        b"\r\n\r\n--\r\n--b\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--b--\r\n"
    )
    first, second = parse_multipart(text, b"b")
    assert (first.name, first.filename, first.content_type, first.content) == (
        "a",
        "x",
        "Text/Plain; q=1",
        b"\r\n\r\n--",
    )
    assert first.headers[0] == ("content-disposition", 'form-data ;NAME="a" ; filename="x"')
    assert first.headers[2] == ("X-Y", "z")
    assert (second.name, second.filename, second.content_type, second.content) == ("b", None, None, b"")


def test_any_content_survives() -> None:
    source = random.Random(5)
    pieces = [b"\r\n", b"--", b"b", b"-", b"\n", b"\r", b"\0", b"\xff", b"Content-Type: a", b"\r\n--c", b"=", b""]
    for _ in range(2000):
        content = b"".join(source.choices(pieces, k=source.randrange(12)))
        if b"\r\n--b" in b"\r\n" + content:
            continue
        (part,) = parse_multipart(body('form-data; name="file"', content), b"b")
        assert part.content == content


def test_10_000_malformed_bodies() -> None:
    source = random.Random(7)
    good = body(
        'form-data; name="file"; filename="a\\"b%22.pdf"', headers="Content-Type: text/plain; charset=utf-8\r\n"
    )
    tokens = [
        b"\r\n",
        b"--b",
        b"--",
        b'"',
        b"\\",
        b";",
        b"=",
        b":",
        b" ",
        b"\0",
        b"\xff",
        b"name",
        b"filename*",
        b"%22",
    ]
    refused = 0
    for _ in range(10_000):
        text = bytearray(good)
        for _ in range(source.randrange(1, 6)):
            start = source.randrange(len(text) + 1)
            text[start : start + source.randrange(4)] = source.choice(tokens)
        try:
            parse_multipart(bytes(text), b"b")
        except MultipartError:
            refused += 1
    assert refused > 5000


def test_10_000_content_types() -> None:
    source = random.Random(11)
    letters = 'multipart/form-data; boundary="x\\";=,é\x00 %'
    for _ in range(10_000):
        text = "".join(source.choices(letters, k=source.randrange(40)))
        for candidate in (text, f"multipart/form-data{text}", f"multipart/form-data; boundary={text}"):
            with suppress(MultipartError):
                boundary_of(parse_media_type(candidate)[1])


@pytest.mark.parametrize(
    "make",
    [
        lambda many: body("form-data" + "; a=b" * 300 * many),
        lambda many: body('form-data; name="' + "\\" * 1500 * many),
        lambda many: b"--b" + b"\r\n--b" * 20_000 * many,
        lambda many: body('form-data; name="file"', b"\r\n--" * 50_000 * many),
    ],
    ids=["parameters", "escapes", "parts", "nearly delimiters"],
)
def test_is_linear(make: Callable[[int], bytes]) -> None:
    """A parser that looks again at what it has seen takes 64 times as long for eight times as much."""

    def cost(text: bytes) -> float:
        began = time.process_time()
        with suppress(MultipartError):
            parse_multipart(text, b"b")
        return time.process_time() - began

    few, many = (min(cost(make(size)) for _ in range(3)) for size in (1, 8))
    assert many < 32 * few + 0.1
