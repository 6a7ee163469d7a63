"""A strict parser of `multipart/form-data` (RFC 7578, with the grammar of RFC 2046).

Strict on purpose: it takes what the standards tell a *sender* to write and nothing that they merely ask a receiver to
put up with, so that a sloppy sender is found here and not by Market.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

#: Bounds on what is parsed, so that a hostile body costs little.
MAX_PARTS: Final = 100
MAX_PART_HEAD: Final = 16 * 1024

# RFC 2046, 5.1.1: 1 to 70 characters, the last one no space.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEADER_NAME = re.compile(_WORD)
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_WORD})=(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD}))")
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class MultipartError(ValueError):
    """The body, or the Content-Type that announces it, is not well-formed; the text is a sentence that says where."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form.

    name:          of the form's field.
    filename:      as it was meant, `%22` undone; None if the part has none.
    content_type:  as it was sent; None if the part has none.
    headers:       names and values in the order of arrival, as they were sent.
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
    return found.group().lower(), _parameters(value[found.end() :], "the Content-Type")


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


def parse_multipart(body: bytes, boundary: bytes) -> tuple[Part, ...]:
    """Return the parts of `body`; MultipartError, and nothing else, for whatever is not well-formed."""
    delimiter = b"--" + boundary
    if not body.startswith(delimiter):
        raise MultipartError("the body does not begin with the boundary that the Content-Type announces")
    parts: list[Part] = []
    position = len(delimiter)
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
        parts.append(_part(body[position + 2 : end], number))
        position = end + 2 + len(delimiter)
    if body[position + 2 :] not in (b"", b"\r\n"):
        raise MultipartError("something follows the closing boundary")
    if not parts:
        raise MultipartError("the body has no parts")
    return tuple(parts)


def _part(raw: bytes, number: int) -> Part:
    where = f"part {number}"
    head, blank, content = raw.partition(b"\r\n\r\n")
    if not blank:
        raise MultipartError(f"the headers of {where} are not ended by an empty line")
    if len(head) > MAX_PART_HEAD:
        raise MultipartError(f"the headers of {where} are longer than {MAX_PART_HEAD} bytes")
    headers = tuple(_header(line, where) for line in head.split(b"\r\n"))
    disposition = _single(headers, "content-disposition", where)
    if disposition is None:
        raise MultipartError(f"{where} has no Content-Disposition")
    kind, _, _ = disposition.partition(";")
    if kind.strip(" \t").lower() != "form-data":
        raise MultipartError(f"the Content-Disposition of {where} is not form-data")
    given = _parameters(disposition[len(kind) :], f"the Content-Disposition of {where}")
    parameters = dict(given)
    if len(parameters) < len(given):
        raise MultipartError(f"the Content-Disposition of {where} has a parameter twice")
    if "filename*" in parameters:
        raise MultipartError(f"the Content-Disposition of {where} has filename*, which RFC 7578 4.2 forbids")
    if "name" not in parameters:
        raise MultipartError(f"the Content-Disposition of {where} has no name")
    content_type = _single(headers, "content-type", where)
    if content_type is not None and _MEDIA_TYPE.match(content_type) is None:
        raise MultipartError(f"the Content-Type of {where} is not a media type")
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


def _single(headers: tuple[tuple[str, str], ...], name: str, where: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name]
    if len(values) > 1:
        raise MultipartError(f"{where} has more than one header {name}")
    return values[0] if values else None


def _parameters(text: str, where: str) -> list[tuple[str, str]]:
    """Split the `; name=value` of a header, names in lower case."""
    parameters: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip(" \t"))
    while position < end:
        found = _PARAMETER.match(text, position)
        if found is None:
            raise MultipartError(f"{where} has a parameter that is not of the form `; name=value`")
        name, quoted, token = found.groups()
        parameters.append((name.lower(), token if quoted is None else _unquoted(quoted)))
        position = found.end()
    return parameters


def _unquoted(text: str) -> str:
    r"""Undo both ways in use to write a name: HTML's `%22` for a quote, and a backslash before `"` and `\` (RFC 822).

    A backslash before anything else stands for itself, as browsers write it.
    """
    return re.sub(r"\\([\"\\])", r"\1", text).replace("%22", '"')
