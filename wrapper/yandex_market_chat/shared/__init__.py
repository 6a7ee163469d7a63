"""What several processes, and several hosts, share: Market's limits count over all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from .._options import check_count, refuse

if TYPE_CHECKING:
    from ._engine import Engine
    from ._keeper import Keeper, Turn


class SharedLimits:
    """One quota and four slots per business for all who share them: threads, processes, hosts.

    Market counts 4 requests at once and 1 000 an hour per business over all of a cabinet's programs. Made by `file` or
    `redis`, and passed to clients as `shared_limits`. Nothing is opened before the first send. They fail open: if the
    engine is away, a send waits for it at most `grace` seconds, then its process goes on alone with one request at once
    per business and a WARNING in the log; another tells when the engine is back. No send is lost or fails for it. The
    shared state holds hosts, ids of businesses, names of operations, counts and times: no key and no file name.

    Sources: https://yandex.ru/dev/market/partner-api/doc/ru/concepts/limits
    """

    def __init__(self, *misplaced: object) -> None:
        refuse("SharedLimits are made by SharedLimits.file(path) or SharedLimits.redis(url_or_client).")

    _keeper: Any  # a Keeper, which is imported later
    _where: str

    @classmethod
    def file(
        cls, path: str | os.PathLike[str], *, slots: int = 4, lease: float = 30.0, grace: float = 2.0
    ) -> SharedLimits:
        """Share by a file, among the processes and containers of one machine.

        Args:
            path: of an SQLite file on a local disk (no network file system); made with mode 0600 if there is none. A
                broken one is set aside with a WARNING.
            slots: requests at once per business, from 1. Market allows 4.
            lease: seconds after which the slot of a killed process is free again, from 1 to 3600. While a request is in
                flight it is renewed.
            grace: seconds for which a send waits for an engine that is away, from 0 to 3600.

        Returns:
            What clients take as `shared_limits`.

        Raises:
            InvalidRequestError: an argument cannot be used.
        """
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if not isinstance(text, str) or not text or "\0" in text:
            refuse("SharedLimits.file takes the path of a file.")
        from ._file import FileEngine  # with sqlite3: only for who shares by a file

        return cls._made(FileEngine(text), repr(text), slots, lease, grace)

    @classmethod
    def redis(
        cls, url_or_client: str | Any, *, slots: int = 4, lease: float = 30.0, grace: float = 2.0
    ) -> SharedLimits:
        """Share by Redis or Valkey, among hosts. Needs `pip install 'yandex-market-chat[redis]'`.

        Args:
            url_or_client: redis://, rediss:// or unix://, with user, password and database as redis-py reads them; or a
                `redis.Redis`, whose own time-outs hold. It may use GET, SET, TIME, EVALSHA and SCRIPT LOAD on the keys
                yandex-market-chat:*, which expire after a day.
            slots: as for `file`.
            lease: as for `file`.
            grace: as for `file`.

        Returns:
            What clients take as `shared_limits`.

        Raises:
            InvalidRequestError: an argument cannot be used, or redis-py is not installed.
        """
        try:
            import redis

            from ._redis import RedisEngine
        except ImportError:
            refuse("Shared limits in Redis need redis-py: pip install 'yandex-market-chat[redis]'.")
        if isinstance(url_or_client, str):
            try:
                engine = RedisEngine.at(url_or_client)
            except Exception:  # its text may hold the password
                engine = None
            if engine is None:
                del url_or_client
                refuse("The URL of the shared limits cannot be used; it is like redis://host:6379/0.")
        elif isinstance(url_or_client, redis.Redis):
            engine = RedisEngine(url_or_client)
        else:
            refuse(
                "SharedLimits.redis takes a URL or a redis.Redis (for AsyncChatClient, too: no redis.asyncio client), "
                f"not {type(url_or_client).__name__}."
            )
        return cls._made(engine, "redis", slots, lease, grace)

    @classmethod
    def _made(cls, engine: Engine, where: str, slots: int, lease: float, grace: float) -> SharedLimits:
        check_count("slots", slots)
        for name, value, least in (("lease", lease, 1), ("grace", grace, 0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 3600:
                refuse(f"{name} must be a number of seconds from {least} to 3600.")
        from ._keeper import Keeper  # with asyncio: for who shares

        made = cls.__new__(cls)
        made._keeper, made._where = Keeper(engine, slots, float(lease), float(grace)), where
        return made

    def __repr__(self) -> str:
        return f"<SharedLimits {getattr(self, '_where', 'not made')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("SharedLimits cannot be pickled: make them anew in each process.")


class Limits:
    """Shared limits as one client uses them."""

    def __init__(self, shared: SharedLimits, host: str) -> None:
        self._keeper: Keeper = shared._keeper
        self._host = host

    def ask(self, business_id: int, operation: str) -> Turn:
        """Ask for the turn of a request."""
        return self._keeper.ask(f"{self._host}/{business_id}", operation)


_by_text: dict[str, SharedLimits] = {}


def limits_of(value: Any, host: str) -> Limits | None:
    """Return what a client, or else the environment, names; clients that name the same engine share its keeper, too."""
    if value is None and not (value := os.environ.get("YANDEX_MARKET_SHARED_LIMITS")):
        return None
    if isinstance(value, SharedLimits):
        return Limits(value, host)
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        refuse("shared_limits must be a path, a URL (redis://, rediss://, unix://, file:) or SharedLimits.")
    if text not in _by_text:
        scheme, separator, rest = text.partition(":")
        if scheme in ("redis", "rediss", "unix") and separator:
            _by_text[text] = SharedLimits.redis(text)
        elif "://" in text and scheme != "file":
            del value, text, rest
            refuse("shared_limits must be a path or a URL that begins with redis://, rediss://, unix:// or file:.")
        else:
            path = rest.removeprefix("//") if scheme == "file" and separator else text
            _by_text[text] = SharedLimits.file(path)
    return Limits(_by_text[text], host)
