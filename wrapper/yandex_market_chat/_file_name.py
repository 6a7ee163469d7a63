"""The name under which a file is sent, and the type that belongs to it."""

from __future__ import annotations

import re

# Common limit of file systems; the API documents none. In bytes of UTF-8, so it bounds the characters as well.
MAX_NAME_BYTES = 255
FALLBACK_TYPE = "application/octet-stream"

# Our own, so that the type does not depend on the machine (the `mimetypes` module reads /etc/mime.types).
# The first extension of a type is the one that a file without a name gets.
_TYPES = {
    "pdf": "application/pdf",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpe": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "avif": "image/avif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "svg": "image/svg+xml",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "3gp": "video/3gpp",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "rtf": "application/rtf",
    "csv": "text/csv",
    "txt": "text/plain",
    "log": "text/plain",
    "html": "text/html",
    "htm": "text/html",
    "json": "application/json",
    "xml": "application/xml",
    "zip": "application/zip",
    "rar": "application/vnd.rar",
    "7z": "application/x-7z-compressed",
    "gz": "application/gzip",
    "tar": "application/x-tar",
    "bin": FALLBACK_TYPE,
}
_EXTENSIONS = {content_type: extension for extension, content_type in reversed(_TYPES.items())}

# Control characters (C0, DEL, C1), line and paragraph separators, and what overrides or isolates the direction of
# text (Unicode Standard Annex 9): a name must not show as another.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# RFC 9110, section 8.3.1, in printable ASCII.
_CONTENT_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+( *;[ -~]*)?")


def clean_name(name: str) -> str:
    """Return the last component of `name` (separators of both systems), without what cannot or must not be sent.

    Empty if nothing is left. A lone surrogate (an undecodable byte of a path) becomes the replacement character.
    """
    last = re.split(r"[/\\]", name)[-1]
    last = _SURROGATE.sub("\ufffd", _UNWANTED.sub("", last)).strip()
    return "" if last in (".", "..") else _shorten(last)


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > 16:  # not what one would call an extension
        stem, dot, extension = name, "", ""
    room = MAX_NAME_BYTES - len((dot + extension).encode())
    # A character cut in two is dropped whole.
    return stem.encode()[:room].decode(errors="ignore").rstrip() + dot + extension


def guess_type(name: str) -> str:
    """Return the type that belongs to the extension of `name`."""
    return _TYPES.get(name.rpartition(".")[2].lower(), FALLBACK_TYPE) if "." in name else FALLBACK_TYPE


def default_name(content_type: str) -> str:
    """Return a name for a file that has none, with an extension that fits its type."""
    essence = content_type.partition(";")[0].strip().lower()
    return f"file.{_EXTENSIONS.get(essence, 'bin')}"


def is_content_type(value: str) -> bool:
    """Whether `value` can stand in a Content-Type header."""
    return _CONTENT_TYPE.fullmatch(value) is not None
