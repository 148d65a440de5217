"""The cache that all workers and machines share: Redis.

Nothing that Redis does can cost an answer. Every call ends within the timeout, whatever the server is: down, paused,
full, slow or not Redis at all. After failures in a row a circuit breaker leaves it alone, so that the timeout is paid
once per pause and not once per answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from serving.cache.breaker import CircuitBreaker
from serving.cache.protocol import FULL, PAUSED, PROTOCOL, TIMED_OUT, UNREACHABLE, CacheUnavailableError

T = TypeVar("T")

MAX_CONNECTIONS = 32
"""Per worker; callers beyond that wait within their timeout."""


def is_address(url: str) -> bool:
    """Whether the client library can make a connection of this address; nothing is connected to."""
    try:
        pool = BlockingConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError):
        return False
    return True


class RedisCache:
    """Entries in Redis, each with a time to live.

    Parameters
    ----------
    url : redis://…, rediss://… or unix://….
    timeout : seconds that one call may take, connecting and waiting for a connection included.
    ttl : seconds.
    clock : seconds from any origin, for the circuit breaker.
    """

    def __init__(self, url: str, timeout: float, ttl: int, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._ttl = ttl
        self._breaker = CircuitBreaker(clock)
        self._refusal: str | None = None
        # RESP2 without a client name: a new connection costs no round trip before the first command.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        self._redis = Redis.from_pool(pool)

    @property
    def trouble(self) -> str | None:
        """See `Cache`."""
        return PAUSED if self._breaker.is_open else self._refusal

    async def get(self, key: str) -> bytes | None:
        """See `Cache`."""
        value = await self._bounded(self._redis.get, key)
        if value is not None and not isinstance(value, bytes):
            raise CacheUnavailableError(PROTOCOL, f"the server answered {type(value).__name__} to GET")
        return value

    async def put(self, key: str, value: bytes) -> None:
        """See `Cache`."""

        async def write(name: str) -> object:
            return await self._redis.set(name, value, ex=self._ttl)

        await self._bounded(write, key)
        self._refusal = None

    async def forget(self, prefix: str) -> int:
        """See `Cache`. Keys are met in steps, each bounded as every call; there are no wildcards in a prefix."""
        found: set[bytes] = set()
        cursor = 0

        async def step(_: str) -> tuple[int, list[bytes]]:
            following, keys = await self._redis.scan(cursor, match=f"{prefix}*", count=1_000)
            return int(following), [key for key in keys if isinstance(key, bytes)]

        async def remove(_: str) -> int:
            return int(await self._redis.unlink(*found))

        while True:
            cursor, keys = await self._bounded(step, prefix)
            found.update(keys)
            if not cursor:
                break
        return await self._bounded(remove, prefix) if found else 0

    async def close(self) -> None:
        """See `Cache`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.aclose()
        except Exception:  # noqa: S110 - a server that is gone cannot be told goodbye
            pass

    async def _bounded(self, command: Callable[[str], Awaitable[T]], key: str) -> T:
        """One command within the timeout; every failure becomes a CacheUnavailableError and feeds the breaker."""
        if not self._breaker.allows():
            raise CacheUnavailableError(PAUSED)
        try:
            async with asyncio.timeout(self._timeout):
                result = await command(key)
        except ResponseError as error:
            # The server lives and says no (full, read-only, loading): fast, so the breaker stays closed for reads.
            self._breaker.succeeded()
            full = isinstance(error, OutOfMemoryError | ReadOnlyError) or "MISCONF" in str(error)
            self._refusal = FULL if full else PROTOCOL
            raise CacheUnavailableError(self._refusal, str(error)) from error
        except (TimeoutError, RedisTimeoutError) as error:
            self._breaker.failed()
            raise CacheUnavailableError(TIMED_OUT) from error
        except Exception as error:
            # Whatever a broken or foreign server makes the client library raise is a miss, not an error of ours.
            self._breaker.failed()
            cause = UNREACHABLE if isinstance(error, OSError | RedisConnectionError) else PROTOCOL
            raise CacheUnavailableError(cause, repr(error)) from error
        self._breaker.succeeded()
        return result
