"""Three foreign parsers of forms, and one by hand; each is asked the same question.

None shares a line with the mock server's parser. What each returns is a list of parts, or None where it says no.
"""

from __future__ import annotations

import email.policy
import hashlib
from email.parser import BytesParser
from typing import Any, NamedTuple

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header as parse_werkzeug_header
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData
from werkzeug.sansio.multipart import Field as TextField

__all__ = ["PARSERS", "SeenPart", "by_email", "by_python_multipart", "by_werkzeug", "python_multipart"]


class SeenPart(NamedTuple):
    """A part, as a parser saw it. Names are as on the wire: what `%22` means is not the parsers' business."""

    name: str | None
    filename: str | None
    content_type: str | None
    size: int
    sha256: str


def _seen(name: str | None, filename: str | None, content_type: str | None, content: bytes) -> SeenPart:
    return SeenPart(name, filename, content_type, len(content), hashlib.sha256(content).hexdigest())


def by_python_multipart(content_type: str, body: bytes) -> list[SeenPart] | None:
    """Kludex/python-multipart, which Starlette uses."""
    _, options = parse_options_header(content_type)
    parts: list[dict[str, Any]] = []
    ended = False

    def begin() -> None:
        parts.append({"headers": {}, "field": b"", "value": b"", "content": []})

    def header_field(data: bytes, start: int, end: int) -> None:
        parts[-1]["field"] += data[start:end]

    def header_value(data: bytes, start: int, end: int) -> None:
        parts[-1]["value"] += data[start:end]

    def header_end() -> None:
        parts[-1]["headers"][parts[-1]["field"].lower()] = parts[-1]["value"]
        parts[-1]["field"] = parts[-1]["value"] = b""

    def data_piece(data: bytes, start: int, end: int) -> None:
        parts[-1]["content"].append(data[start:end])

    def finish() -> None:
        nonlocal ended
        ended = True

    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": begin,
                "on_header_field": header_field,
                "on_header_value": header_value,
                "on_header_end": header_end,
                "on_part_data": data_piece,
                "on_end": finish,
            },
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, KeyError):
        return None
    if not ended:
        return None
    seen = []
    for part in parts:
        _, disposition = parse_options_header(part["headers"].get(b"content-disposition"))
        texts = {key: value.decode("utf-8", "surrogateescape") for key, value in disposition.items()}
        kind = part["headers"].get(b"content-type")
        seen.append(
            _seen(
                texts.get(b"name"),
                texts.get(b"filename"),
                None if kind is None else kind.decode("latin-1"),
                b"".join(part["content"]),
            )
        )
    return seen


def by_werkzeug(content_type: str, body: bytes) -> list[SeenPart] | None:
    """Werkzeug's decoder, which Flask uses."""
    _, options = parse_werkzeug_header(content_type)
    parts: list[tuple[str, str | None, str | None, list[bytes]]] = []
    try:
        decoder = MultipartDecoder(options["boundary"].encode(), max_parts=100)
        decoder.receive_data(body)
        decoder.receive_data(None)
        while True:
            event = decoder.next_event()
            if isinstance(event, File):
                parts.append((event.name, event.filename, event.headers.get("content-type"), []))
            elif isinstance(event, TextField):
                parts.append((event.name, None, event.headers.get("content-type"), []))
            elif isinstance(event, Data):
                parts[-1][3].append(event.data)
            elif isinstance(event, Epilogue | NeedData):
                break
    except (ValueError, KeyError, RequestEntityTooLarge):
        return None
    if not isinstance(event, Epilogue):
        return None
    return [_seen(name, filename, kind, b"".join(content)) for name, filename, kind, content in parts]


def by_email(content_type: str, body: bytes) -> list[SeenPart] | None:
    """The standard library's parser of mail: another tradition altogether."""
    message = BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    if not message.is_multipart() or message.defects:
        return None
    seen = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        raw = dict(part.raw_items())
        _, disposition = parse_werkzeug_header(_text(raw.get("Content-Disposition", "")))
        seen.append(_seen(disposition.get("name"), disposition.get("filename"), raw.get("Content-Type"), content))
    return seen


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode()


PARSERS = {"python-multipart": by_python_multipart, "werkzeug": by_werkzeug, "email": by_email}
