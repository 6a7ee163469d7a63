from enum import StrEnum


class ChatContextIdentifiableType(StrEnum):
    ORDER = "ORDER"
    RETURN = "RETURN"

    def __str__(self) -> str:
        return str(self.value)
