from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.chat_context_dto import ChatContextDTO


T = TypeVar("T", bound="CreateChatRequest")


@_attrs_define
class CreateChatRequest:
    """What the chat is about. The older `orderId` was switched off in October 2026 and is left out; without `context`
    nothing would be asked for, so it is required here.

    """

    context: ChatContextDTO
    """ The order or the return that the chat is about. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        context = self.context.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "context": context,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.chat_context_dto import ChatContextDTO  # noqa: PLC0415

        d = dict(src_dict)
        context = ChatContextDTO.from_dict(d.pop("context"))

        create_chat_request = cls(
            context=context,
        )

        create_chat_request.additional_properties = d
        return create_chat_request

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
