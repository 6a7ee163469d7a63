from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.chat_context_identifiable_type import ChatContextIdentifiableType

T = TypeVar("T", bound="ChatContextDTO")


@_attrs_define
class ChatContextDTO:
    """The order or the return that the chat is about."""

    type_: ChatContextIdentifiableType
    """ What the id names. `ORDER`, an order; `RETURN`, a return (FBY, FBS and Express). """
    id: int
    """ Id of the order or the return. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_.value

        id = self.id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "id": id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        type_ = ChatContextIdentifiableType(d.pop("type"))

        id = d.pop("id")

        chat_context_dto = cls(
            type_=type_,
            id=id,
        )

        chat_context_dto.additional_properties = d
        return chat_context_dto

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
