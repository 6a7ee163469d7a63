"""What schemathesis would not think of: contents that look like forms, and file names that look like trouble.

Left to itself, 70 of 82 of its files were one picture of 67 bytes, and none had more than 332.
"""

from __future__ import annotations

import re
import string
import unicodedata
from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

#: Each by itself breaks some way of writing or reading forms that has been seen.
HOSTILE_CONTENTS = (
    b"\r\n--+++\r\n",
    b"%PDF-1.7\r\n--+++--\r\n",
    b'a\r\n--+++\r\nContent-Disposition: form-data; name="file"; filename="evil.exe"\r\n\r\nMZ\r\n--+++--\r\n',
    b"--+++",
    b"\r\n--",
    b"\r\n----\r\n\r\n",
    b"\r\n--boundary--\r\n",
    b"\r\n" * 40,
    b"\n--+++\n",
    b"\r",
    b"\n",
    b"\x00",
    b"\xff" * 3,
    b"\xef\xbb\xbf",
    bytes(range(256)),
    bytes(range(255, -1, -1)),
    b"Content-Type: text/html\r\n\r\n",
    b"--%s--\r\n" % (b"0" * 32),
    b"\r\n--" + b"f" * 32 + b"\r\n",
    b"\x1f\x8b\x08\x00",
    b"0\r\n\r\n",  # the end of a chunked body
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "Ё".encode() * 100,
)
#: Sizes at which buffers and pieces end.
PIECES = (1, 2, 4095, 4096, 16383, 16384, 65535, 65536, 65537, 131072)


def contents(limit: int) -> st.SearchStrategy[bytes]:
    """Contents of any kind, now and then around the size limit and now and then empty."""
    hostile = st.sampled_from(HOSTILE_CONTENTS)
    mixed = st.builds(lambda before, middle, after: before + middle + after, st.binary(), hostile, st.binary())
    sized = st.builds(_fill, st.sampled_from(PIECES), st.binary(min_size=1, max_size=8))
    around = st.builds(_fill, st.integers(limit - 2, limit + 1), st.binary(min_size=1, max_size=3))
    common = [hostile, mixed, st.binary(min_size=1), st.binary(min_size=1), mixed, sized]
    rare = st.one_of(around, st.just(b""))
    return st.integers(0, 15).flatmap(lambda dice: rare if dice == 15 else st.one_of(common))


def _fill(size: int, pattern: bytes) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


#: Each by itself has broken something somewhere.
HOSTILE_NAMES = (
    'a"b.pdf',
    "a%22b.pdf",
    "a\\b.pdf",
    "..\\..\\boot.ini",
    "../../etc/passwd",
    "/",
    "..",
    ".",
    "",
    " ",
    "a\r\nX-Injected: 1.pdf",
    "a\nb.pdf",
    "a\x00b.pdf",
    "a\x7fb.pdf",
    "a\x1bb.pdf",
    "a\x85b.pdf",
    "счёт № 7 «копия».pdf",
    "发票.pdf",
    "🧾👩‍👩‍👧.png",
    "photo\u202egpj.exe",
    "\u2066a\u2069.pdf",
    "a\u2028b.pdf",
    "e\u0301.pdf",
    "\udcff.pdf",
    "я" * 200 + ".pdf",
    "x" * 300,
    "x." + "y" * 300,
    "a;b=c.pdf",
    'a"; filename="b.exe',
    "a;filename*=UTF-8''b.exe",
    "C:\\Users\\я\\чек.pdf",
    "name.",
    ".htaccess",
    "%0d%0a.pdf",
    "=?utf-8?B?YQ==?=.pdf",
    "=?utf-8?Q?a?=\u202e=?utf-8?Q?=E2=80=AE?=",
    "УПД № 77/2026.pdf",
    "\ufeffbom.pdf",
    "\u200fאב.pdf",
)


#: Texts that are something else once they are badly escaped, or not at all.
HOSTILE_TEXTS = (
    " ",
    " a ",
    "a+b",
    "a%20b",
    "%",
    "a&b=c",
    "a=b;c",
    "a#b?c/d",
    "..",
    "../a",
    '"',
    "'",
    "\\",
    "null",
    "true",
    "0",
    "№ 7",
    "🧾👩‍👩‍👧",
    "e\u0301",
    "\u202egpj",
    "\x00",
    "\r\nX-Injected: 1",
    "cGFnZTo/+==",
)


def names() -> st.SearchStrategy[str]:
    """File names: any text, hostile ones, and both combined."""
    hostile = st.sampled_from(HOSTILE_NAMES)
    anything = st.text(st.characters(codec=None), max_size=40)
    return st.one_of(hostile, anything, st.builds(lambda a, b: a + b, anything, hostile))


def content_types() -> st.SearchStrategy[str]:
    """Types that the guess from no name would give."""
    token = st.text("abcxyz0189!#$&^_.+-", min_size=1, max_size=12)
    plain = st.builds(lambda a, b: f"x-{a}/{b}", token, token)
    return st.one_of(plain, plain.map(lambda kind: f'{kind}; charset="ü"'.encode("ascii", "ignore").decode()))


def moments() -> st.SearchStrategy[str]:
    """Moments as the documentation promises them, ISO 8601 with an offset, in each way that this can be written."""
    zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
        lambda delta: timedelta(minutes=delta // timedelta(minutes=1))
    )
    moment = st.datetimes(min_value=datetime(1000, 1, 1), timezones=zones.map(timezone))
    whole = moment.map(lambda value: value.replace(microsecond=0))
    return st.one_of(
        whole.map(datetime.isoformat),
        moment.map(datetime.isoformat),
        moment.map(lambda value: value.isoformat(timespec="milliseconds")),
        whole.map(lambda value: value.replace(tzinfo=None).isoformat() + "Z"),
    )


#: Unicode Standard Annex 9: marks, embeddings, overrides and isolates, which make a name show as another.
_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
#: With the deprecated controls (U+206A to U+206F) and the byte order mark.
_MARKS = "\u061c\u200e\u200f\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
_PATH = ("/", ".", "~", "\\\\", *(f"{drive}:{slash}" for drive in string.ascii_letters for slash in "/\\"))


def cleaned(name: str) -> str:
    """The name that may be sent for this one, by the rules in words and the Unicode tables; empty: nothing is left."""
    kept = "".join(
        "\ufffd" if unicodedata.category(character) == "Cs" else character
        for character in name
        if unicodedata.category(character) not in ("Cc", "Zl", "Zp")
        and unicodedata.bidirectional(character) not in _BIDI
        and character not in _MARKS
    )
    kept = unicodedata.normalize("NFC", kept).strip()
    if kept.startswith(_PATH):
        kept = re.split(r"[/\\]", kept)[-1].strip()
    kept = re.sub(r"[/\\]", "_", kept).replace("=?", "=_")
    return "" if kept in (".", "..") else kept
