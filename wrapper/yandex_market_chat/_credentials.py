"""The secrets of a client: what goes into one request header, and nowhere else."""

import base64
import os
from collections.abc import Mapping
from typing import AnyStr, NoReturn
from urllib.parse import quote, unquote, urlsplit

import httpx

from ._options import refuse

API_KEY_VARIABLE = "YANDEX_MARKET_API_KEY"
_AROUND = "\ufeff\u200b\xa0 \t\r\n"
"""What editors, shells and web pages leave around a key: a byte order mark, blanks, line breaks."""
# A shorter one (a proxy's password can be anything) would stand in texts by chance.
SHORTEST_SECRET = 6


class Credentials:
    """The key or token of a client, and the password of its proxy.

    Not a dataclass, and slotted: `repr`, `vars`, a debugger's list of locals and pickle show nothing of it.
    """

    __slots__ = ("_name", "_secrets", "headers")

    def __init__(
        self, api_key: str | None, oauth_token: str | None, proxy: str | None, others: Mapping[str, str]
    ) -> None:
        if api_key is not None and oauth_token is not None:
            refuse("Both api_key and oauth_token were given; pass at most one.")
        if oauth_token is not None:
            secret = _checked("The OAuth token", oauth_token)
            self._name, value = "Authorization", f"Bearer {secret}"
        else:
            source = "The API key" if api_key is not None else f"The API key in ${API_KEY_VARIABLE}"
            api_key = os.environ.get(API_KEY_VARIABLE) if api_key is None else api_key
            if api_key is None:
                refuse(f"No credentials: pass api_key=..., or set {API_KEY_VARIABLE}.")
            secret = _checked(source, api_key)
            self._name, value = "Api-Key", secret
        # What each request of the client says: made once, and kept where nothing shows it.
        self.headers = httpx.Headers({**others, self._name: value})
        secrets = [secret]
        via = urlsplit(proxy or "")
        if via.password:
            user, password = unquote(via.username or ""), unquote(via.password)
            secrets += [password, via.password, base64.b64encode(f"{user}:{password}".encode()).decode()]
        elif via.username:  # a token in the place of the user
            secrets += [unquote(via.username), via.username]
        # As some write it in JSON or in a URL, and what follows the colon if it is echoed as a header of its own.
        secrets += [s for each in secrets for s in (each.replace("/", "\\/"), quote(each, ""), each.partition(":")[2])]
        self._secrets = tuple(secret.encode() for secret in secrets if len(secret) >= SHORTEST_SECRET)

    def redact(self, text: AnyStr) -> AnyStr:
        """Return what came from elsewhere without the secrets: a server or proxy may echo what it was sent."""
        if isinstance(text, str):
            return self.redact(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")
        for secret in self._secrets:
            text = text.replace(secret, b"[removed]")
        return text

    def redact_end(self, content: bytes) -> bytes:
        """Do the same for a secret in the middle of which the content breaks off."""
        for secret in self._secrets:
            for length in range(len(secret) - 1, SHORTEST_SECRET - 1, -1):
                if content.endswith(secret[:length]):
                    return content[:-length] + b"[removed]"
        return content

    def __repr__(self) -> str:
        return f"<credentials for {self._name}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials cannot be pickled or copied")


def _checked(source: str, value: object) -> str:
    # Never the value in the sentence, not even a part of it.
    if not isinstance(value, str):
        refuse(f"{source} must be a str, not {type(value).__name__}.")
    value = value.strip(_AROUND)
    if not value:
        refuse(f"{source} is empty.")
    if "\0" in value:
        refuse(f"{source} holds NUL characters, as UTF-16 does; save it as UTF-8.")
    if any(not "!" <= character <= "~" for character in value):
        refuse(f"{source} must be printable ASCII without blanks or line breaks inside.")
    return value
