from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import types
from ..types import File

T = TypeVar("T", bound="SendFileToChatRequest")


@_attrs_define
class SendFileToChatRequest:
    file: File
    """ Content of the file, at least one byte and at most 5 MB. This is taken as 5 242 880 bytes; the documentation
    does not say whether it means that or 5 000 000, nor whether the general limit of 512 KB on request bodies holds
    here. Also not documented: which types are allowed, the rules for file names, and what becomes of an empty file,
    which is therefore not to be sent. """

    def to_dict(self) -> dict[str, Any]:
        file = self.file.to_tuple()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "file": file,
            }
        )

        return field_dict

    def to_multipart(self) -> types.RequestFiles:
        files: types.RequestFiles = []

        files.append(("file", self.file.to_tuple()))

        return files

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        file = File(payload=BytesIO(d.pop("file")))

        send_file_to_chat_request = cls(
            file=file,
        )

        return send_file_to_chat_request
