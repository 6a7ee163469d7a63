"""Shared limits in Redis or Valkey, for processes on several hosts."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ._engine import PATIENCE, Decide, EngineError, T

DAY = 24 * 60 * 60 * 1000
"""Milliseconds after which an unused state is forgotten."""
_WRITE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisEngine:
    """The state of a key is one value, written if it is still what was read."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        told: dict[str, Any] = getattr(client.connection_pool, "connection_kwargs", {})
        self._where = told.get("path") or f"{told.get('host', 'localhost')}:{told.get('port', 6379)}"
        self._write = client.register_script(_WRITE)

    @classmethod
    def at(cls, url: str) -> RedisEngine:
        """Use a client of our own: bounded in time, and without its repeats."""
        client = redis.Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # raises for what it does not know; connects nowhere
        return cls(client)

    def update(self, key: str, decide: Decide[T]) -> T:
        """Compare and swap; who loses decides again by what the winner wrote."""
        name = f"yandex-market-chat:{{{key}}}"
        try:
            for _ in range(50):
                pipe: Any = self._client.pipeline(transaction=False)
                value, (seconds, micros) = pipe.get(name).time().execute()
                text = value.decode(errors="replace") if isinstance(value, bytes) else value
                written, result = decide(text, seconds + micros / 1e6)
                if written is None or self._write(keys=[name], args=[value or "", written, DAY]):
                    return result
        except redis.RedisError as error:
            # Its text may name what the URL holds; the class says enough.
            raise EngineError(f"Redis at {self._where} cannot be used: {type(error).__name__}") from None
        raise EngineError(f"Redis at {self._where} cannot be used: others always write first")
