"""The chats that a client has opened, so that an order is not asked for twice."""

from collections import OrderedDict

MOST = 10_000
"""How many are remembered; then the oldest is forgotten."""


class Chats:
    """By business and order. Used by several threads: each operation is one of the dictionary's own."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int], int] = OrderedDict()

    def of(self, business_id: int, order_id: int) -> int | None:
        """Return the chat of an order, if it is remembered."""
        return self._known.get((business_id, order_id))

    def remember(self, business_id: int, order_id: int, chat_id: int) -> None:
        """Remember a chat."""
        self._known[business_id, order_id] = chat_id
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def forget(self, business_id: int, order_id: int | None) -> None:
        """Forget a chat that Market does not know."""
        if order_id is not None:
            self._known.pop((business_id, order_id), None)
