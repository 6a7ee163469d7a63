"""What several processes, and several hosts, share: Market's limits count over all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from .._options import check_count, refuse
from ._ledger import Ledger, entry_of, ledger_of
from ._named import named

if TYPE_CHECKING:
    from ._engine import Engine
    from ._keeper import Keeper, Turn
    from ._redis import RedisEngine


__all__ = ["Ledger", "Limits", "SharedLimits", "entry_of", "ledger_of", "limits_of"]


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
                corrupt file is renamed to ….broken, with a WARNING. A file of another kind is never changed: sharing is
                off.
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
        is_path = isinstance(text, str) and text.strip() and "\0" not in text and "://" not in text
        if not isinstance(text, str) or not is_path:
            del path, text  # a URL may hold a password
            refuse("SharedLimits.file takes the path of a file.")
        _check_options(slots, lease, grace)
        from ._file import FileEngine  # with sqlite3: only for who shares by a file

        return cls._made(FileEngine.at(text), repr(text), slots, lease, grace)

    @classmethod
    def redis(
        cls, url_or_client: str | Any, *, slots: int = 4, lease: float = 30.0, grace: float = 2.0
    ) -> SharedLimits:
        """Share by Redis or Valkey, among hosts. Needs `pip install 'yandex-market-chat[redis]'`.

        Args:
            url_or_client: redis://, rediss:// or unix://, with user, password and database as redis-py reads them; or a
                `redis.Redis`, whose own time-outs hold: give it a socket_timeout and a socket_connect_timeout of 0.5 s,
                and no retries. It may use GET, SET, TIME, EVALSHA and SCRIPT LOAD on the keys
                `yandex-market-chat:*`, which expire after a day.
            slots: as for `file`.
            lease: as for `file`.
            grace: as for `file`.

        Returns:
            What clients take as `shared_limits`.

        Raises:
            InvalidRequestError: an argument cannot be used, or redis-py is not installed.
        """
        url_or_client, given = None, url_or_client  # an error may be shown with the locals of this frame
        engine = _redis_engine(given)
        del given
        _check_options(slots, lease, grace)
        if isinstance(engine, str):
            refuse(engine)
        return cls._made(engine, "redis", slots, lease, grace)

    @classmethod
    def _made(cls, engine: Engine, where: str, slots: int, lease: float, grace: float) -> SharedLimits:
        from ._keeper import Keeper  # with asyncio: for who shares

        made = cls.__new__(cls)
        made._keeper, made._where = Keeper(engine, slots, float(lease), float(grace)), where
        return made

    def __repr__(self) -> str:
        return f"<SharedLimits {getattr(self, '_where', 'not made')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("SharedLimits cannot be pickled: create them in each process.")


def _check_options(slots: int, lease: float, grace: float) -> None:
    check_count("slots", slots)
    for name, value, least in (("lease", lease, 1), ("grace", grace, 0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 3600:
            refuse(f"{name} must be a number of seconds from {least} to 3600.")


def _redis_engine(given: Any) -> RedisEngine | str:
    """Return the engine, or why there is none: what is raised here would show a URL with its password."""
    try:
        import redis

        from ._redis import RedisEngine
    except ImportError:
        return "Shared limits in Redis need redis-py: pip install 'yandex-market-chat[redis]'."
    if isinstance(given, redis.Redis):
        return RedisEngine(given)
    if isinstance(given, str):
        try:
            return RedisEngine.at(given)
        except Exception:  # its text may hold the password
            return "The URL of the shared limits cannot be used; it is like redis://host:6379/0."
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    takes = "a URL or a redis.Redis (for AsyncChatClient, too: no redis.asyncio client)"
    return f"SharedLimits.redis takes {takes}, not {kind}."


class Limits:
    """Shared limits as one client uses them."""

    def __init__(self, shared: SharedLimits, host: str) -> None:
        self._keeper: Keeper = shared._keeper
        self._host = host

    def turn(self, business_id: int, operation: str) -> Turn:
        """Return the turn of a request, which is to be asked for."""
        from ._keeper import Turn

        return Turn(self._keeper, f"{self._host}/{business_id}", operation)

    def flush(self) -> None:
        """See to it that what has ended is told: a process may end next, in a way that runs nothing more."""
        self._keeper.flush()


def limits_of(value: Any, host: str) -> Limits | None:
    """Return what a client, or else the environment, names; clients that name the same engine share its keeper, too."""
    kinds = "a path, a URL (redis://, rediss://, unix://, file:) or SharedLimits (of a redis.Redis: .redis(client))"
    found = named(value, "shared_limits", SharedLimits, _made_from, kinds)
    return None if found is None else Limits(found, host)


def _made_from(text: str) -> SharedLimits:
    scheme, separator, rest = text.partition(":")
    if scheme in ("redis", "rediss", "unix") and separator:
        return SharedLimits.redis(text)
    is_file = scheme == "file" and separator
    if ("://" in text and not is_file) or (is_file and rest.startswith("//") and not rest.startswith("///")):
        del text, rest
        refuse("It must be a path, or begin with redis://, rediss://, unix:// or file:/ (file:///path).")
    return SharedLimits.file(rest.removeprefix("//") if is_file else text)
