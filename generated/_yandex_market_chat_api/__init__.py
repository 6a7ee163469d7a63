"""A client library for accessing Yandex Market Partner API, sending a file to a chat"""

from .client import AuthenticatedClient, Client

__all__ = (
    "AuthenticatedClient",
    "Client",
)
