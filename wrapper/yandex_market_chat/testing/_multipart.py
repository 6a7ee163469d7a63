"""A parser of `multipart/form-data` (RFC 7578, with the grammar of RFC 2046): as strict as these, and no stricter.

Refused is what a sender must not write and a receiver would misread. What a sender must not write and every receiver
ignores is refused only if asked for (`strict`): `filename*`, needless headers, a semicolon too many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Bounds on what is parsed, so that a hostile body costs little.
MAX_PARTS: Final = 100
MAX_PART_HEAD: Final = 16 * 1024

# RFC 2046, 5.1.1: 1 to 70 characters, the last one no space.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEADER_NAME = re.compile(_WORD)
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 9110, 5.6.6: nothing around the `=`, and a parameter may be missing between or behind the semicolons.
_HTTP_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_WORD})=(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD})))?")
# RFC 2183 and RFC 2045, 5.1: blanks are free, as everywhere in the headers of a mail; braces may stand in a token.
_TOKEN = rf"{_WORD[:-2]}{{}}]+"
_MAIL_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|({_TOKEN})))?")
# As browsers write it, in whose quotes a backslash is like any other character.
_HTML_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})[ \t]*=[ \t]*(?:\"([^\"]*)\"|({_TOKEN})))?")

# RFC 7578, 4.8: the only headers that a part may have. RFC 2045, 6.2: the encodings that change nothing.
_PART_HEADERS: Final = ("content-disposition", "content-type", "content-transfer-encoding")
_IDENTITIES: Final = ("7bit", "8bit", "binary")


class MultipartError(ValueError):
    """The body, or the Content-Type that announces it, is not well-formed; the text is a sentence that says where."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form.

    Attributes:
        name: of the form's field.
        filename: as it was meant: `%22`, `%0D` and `%0A` undone, as HTML has senders write a quote and the ends of
            lines, and a backslash before a quote; None if the part has none. `filename*` is ignored.
        content_type: as it was sent; None if the part has none.
        headers: names and values in the order of arrival, as they were sent.
        content: the bytes.
    """

    name: str
    filename: str | None
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    content: bytes = field(repr=False)


def parse_media_type(value: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a Content-Type like `multipart/form-data; boundary=x` into media type, in lower case, and parameters."""
    found = _MEDIA_TYPE.match(value)
    if found is None:
        raise MultipartError("the Content-Type is not a media type")
    given = _parameters(value[found.end() :], _HTTP_PARAMETER, lambda quoted: re.sub(r"\\(.)", r"\1", quoted))
    if given is None:
        raise MultipartError("the Content-Type has a parameter that is not of the form `; name=value`")
    return found.group().lower(), [pair for pair in given if pair[0]]


def boundary_of(parameters: list[tuple[str, str]]) -> bytes:
    """Find the boundary among the parameters of a Content-Type."""
    values = [value for name, value in parameters if name == "boundary"]
    if not values:
        raise MultipartError("the Content-Type has no boundary")
    if len(values) > 1:
        raise MultipartError("the Content-Type has more than one boundary")
    boundary = values[0].encode("utf-8", "surrogatepass")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise MultipartError("the boundary is not 1 to 70 of the characters that RFC 2046 allows")
    return boundary


def parse_multipart(body: bytes, boundary: bytes, *, strict: bool = False) -> tuple[Part, ...]:
    """Return the parts of `body`; MultipartError, and nothing else, for whatever is not well-formed."""
    delimiter = b"--" + boundary
    # What stands before the first and behind the last boundary is ignored (RFC 2046, 5.1.1), if the lines are its own.
    position = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if position == 1:
        raise MultipartError("no line of the body begins with the boundary that the Content-Type announces")
    parts: list[Part] = []
    position += len(delimiter)
    while body[position : position + 2] != b"--":
        number = len(parts) + 1
        if number > MAX_PARTS:
            raise MultipartError(f"the body has more than {MAX_PARTS} parts")
        if body[position : position + 2] != b"\r\n":
            raise MultipartError(f"the boundary before part {number} does not end its line with CRLF")
        # From here and not from behind the CRLF, so that two boundaries in a row are seen as such.
        end = body.find(b"\r\n" + delimiter, position)
        if end < 0:
            raise MultipartError(f"part {number} is not ended by the boundary")
        parts.append(_part(body[position + 2 : end], number, strict=strict))
        position = end + 2 + len(delimiter)
    if body[position + 2 : position + 4] not in (b"", b"\r\n"):
        raise MultipartError("something follows the closing boundary on its line")
    if not parts:
        raise MultipartError("the body has no parts")
    return tuple(parts)


def _part(raw: bytes, number: int, *, strict: bool) -> Part:
    where = f"part {number}"
    head, blank, content = raw.partition(b"\r\n\r\n")
    if not blank:
        raise MultipartError(f"the headers of {where} are not ended by an empty line")
    if len(head) > MAX_PART_HEAD:
        raise MultipartError(f"the headers of {where} are longer than {MAX_PART_HEAD} bytes")
    # A line that begins with a blank goes on with the header before it (RFC 5322, 2.2.3).
    headers = tuple(_header(line, where) for line in re.sub(rb"\r\n(?=[ \t])", b"", head).split(b"\r\n"))
    parameters = _disposition(headers, where, strict=strict)
    content_type = _single(headers, "content-type", where)
    if content_type is not None:
        _check_type(content_type, where)
    _check_encoding(headers, where)
    if strict:
        for name, _ in headers:
            if name.lower() not in _PART_HEADERS:
                raise MultipartError(f"{where} has the header {name}, which RFC 7578 4.8 forbids")
            if name.lower() == "content-transfer-encoding":
                raise MultipartError(f"{where} has a {name}, which RFC 7578 4.7 advises against")
    return Part(parameters["name"], parameters.get("filename"), content_type, headers, content)


def _header(line: bytes, where: str) -> tuple[str, str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise MultipartError(f"a header of {where} is not UTF-8") from None
    name, colon, value = text.partition(":")
    if not colon or _HEADER_NAME.fullmatch(name) is None:
        raise MultipartError(f"a header line of {where} is not of the form `Name: value`")
    if _CONTROL.search(value):
        raise MultipartError(f"a header of {where} has a control character")
    return name, value.strip(" \t")


def _single(headers: Sequence[tuple[str, str]], name: str, where: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name]
    if len(values) > 1:
        raise MultipartError(f"{where} has more than one header {name}")
    return values[0] if values else None


def _disposition(headers: Sequence[tuple[str, str]], where: str, *, strict: bool) -> dict[str, str]:
    disposition = _single(headers, "content-disposition", where)
    if disposition is None:
        raise MultipartError(f"{where} has no Content-Disposition")
    kind, _, _ = disposition.partition(";")
    if kind.strip(" \t").lower() != "form-data":
        raise MultipartError(f"the Content-Disposition of {where} is not form-data")
    where = f"the Content-Disposition of {where}"
    written = disposition[len(kind) :]
    # Both kinds of senders are known by whether the whole of it can be read so.
    given = _parameters(written, _MAIL_PARAMETER, _meant) or _parameters(written, _HTML_PARAMETER, _meant)
    if given is None:
        raise MultipartError(f"{where} has a parameter that is not of the form `; name=value`")
    names = [name for name, _ in given if name]
    if len(set(names)) < len(names):
        raise MultipartError(f"{where} has a parameter twice")
    if strict and any("*" in name for name in names):
        raise MultipartError(f"{where} has {next(n for n in names if '*' in n)}, which RFC 7578 4.2 forbids")
    if strict and len(names) < len(given):
        raise MultipartError(f"{where} has a semicolon without a parameter, which RFC 2183 does not know")
    if "name" not in names:
        raise MultipartError(f"{where} has no name")
    return dict(given)


def _check_type(content_type: str, where: str) -> None:
    found = _MEDIA_TYPE.match(content_type)
    if found is None:
        raise MultipartError(f"the Content-Type of {where} is not a media type")
    media_type = found.group().lower()
    # A file may be of any type, an archived page of `multipart/related` too; but who announces a boundary means a form.
    nested = media_type.startswith("multipart/") and re.search(r";[ \t]*boundary[ \t]*=", content_type, re.IGNORECASE)
    if nested or media_type == "multipart/mixed":
        raise MultipartError(f"{where} is a form of its own: several files are several parts (RFC 7578 4.3)")


def _check_encoding(headers: Sequence[tuple[str, str]], where: str) -> None:
    encoding = _single(headers, "content-transfer-encoding", where)
    if encoding is not None and encoding.lower() not in _IDENTITIES:
        # RFC 7578, 4.7: nobody decodes it, so it would arrive encoded.
        raise MultipartError(f"{where} has a Content-Transfer-Encoding that is not {', '.join(_IDENTITIES)}")


def _parameters(text: str, form: re.Pattern[str], unquote: Callable[[str], str]) -> list[tuple[str, str]] | None:
    """Split the `; name=value` of a header, names in lower case; two empty strings where only the semicolon is."""
    parameters: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip(" \t"))
    while position < end:
        found = form.match(text, position)
        if found is None:
            return None
        name, quoted, token = found.groups()
        parameters.append(((name or "").lower(), token or "" if quoted is None else unquote(quoted)))
        position = found.end()
    return parameters


def _meant(quoted: str) -> str:
    r"""Undo what senders do to a name to get it between quotes.

    Browsers write `%22`, `%0D` and `%0A`, and leave a backslash as it is (WHATWG HTML, 4.10.22.8). Whoever writes a
    quote as it is puts a backslash before it, and before each backslash too (RFC 2045, RFC 822).
    """
    text = re.sub(r"\\([\"\\])", r"\1", quoted) if '"' in quoted else quoted
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
