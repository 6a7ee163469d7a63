"""A client library for accessing Yandex Market Partner API, sending files to chats"""

from .client import AuthenticatedClient, Client

__all__ = (
    "AuthenticatedClient",
    "Client",
)
