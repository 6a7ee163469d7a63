"""The name under which a file is sent, and the type that belongs to it."""

import re
import unicodedata

# Common limit of file systems; the API documents none. In bytes of UTF-8, so it bounds the characters as well.
MAX_NAME_BYTES = 255
FALLBACK_TYPE = "application/octet-stream"

# Our own, so that the type does not depend on the machine (the `mimetypes` module reads /etc/mime.types).
# The first extension of a type is the one that a file without a name gets.
_EXTENSIONS = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg jpeg jpe",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/avif": "avif",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/svg+xml": "svg",
    "video/mp4": "mp4 m4v",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/3gpp": "3gp",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/rtf": "rtf",
    "text/csv": "csv",
    "text/plain": "txt log",
    "text/html": "html htm",
    "application/json": "json",
    "application/xml": "xml",
    "application/zip": "zip",
    "application/vnd.rar": "rar",
    "application/x-7z-compressed": "7z",
    "application/gzip": "gz",
    "application/x-tar": "tar",
    FALLBACK_TYPE: "bin",
}
_TYPES = {extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()}

# Control characters (C0, DEL, C1), line and paragraph separators, what marks, overrides or isolates the direction of
# text (Unicode Standard Annex 9), with the deprecated controls beside it, and byte order marks: a name must not show as
# another. Joiners stay: Persian and emoji need them.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff]")
_PLAINLY_A_PATH = re.compile(r"[/.~]|\\\\|[A-Za-z]:[/\\]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# RFC 9110, section 8.3.1, in printable ASCII.
_CONTENT_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+( *;[ -~]*)?")


def clean_name(name: str) -> str:
    """Return `name` in NFC, without what cannot or must not be sent; empty if nothing is left.

    Of what is plainly a path the last component; in any other name ("УПД № 12/А") a slash or backslash becomes "_". A
    lone surrogate (an undecodable byte of a path) becomes the replacement character.
    """
    if not name.isprintable():  # as all of the unwanted are not
        name = _SURROGATE.sub("\ufffd", _UNWANTED.sub("", name))
    # Only now, since what was taken out may have stood between a letter and its accent.
    name = unicodedata.normalize("NFC", name).strip()
    plainly_a_path = _PLAINLY_A_PATH.match(name)
    name = name.replace("\\", "/")
    name = name.rpartition("/")[2].strip() if plainly_a_path else name.replace("/", "_")
    # Many servers decode RFC 2047 words in a file name, which would bring back all that was taken out.
    return "" if name in (".", "..") else _shorten(name).replace("=?", "=_")


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
    _, dot, extension = name.rpartition(".")
    return _TYPES.get(extension.lower(), FALLBACK_TYPE) if dot else FALLBACK_TYPE


def default_name(content_type: str) -> str:
    """Return a name for a file that has none, with an extension that fits its type."""
    essence = content_type.partition(";")[0].strip().lower()
    return f"file.{_EXTENSIONS.get(essence, 'bin').split()[0]}"


def is_content_type(value: str) -> bool:
    """Whether `value` can stand in a Content-Type header."""
    return _CONTENT_TYPE.fullmatch(value) is not None
