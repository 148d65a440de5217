"""The cache that all workers and machines share: Redis.

Nothing that Redis does can cost an answer. Every call ends within the timeout, whatever the server is: down, paused,
full, slow, giving its place to another or not Redis at all. After failures in a row a circuit breaker leaves that
server alone, so that the timeout is paid once per pause and not once per answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from serving.cache.address import AddressError, RedisAddress
from serving.cache.breaker import CircuitBreaker
from serving.cache.cluster import ClusterServers
from serving.cache.protocol import FULL, PAUSED, PROTOCOL, TIMED_OUT, UNREACHABLE, CacheUnavailableError
from serving.cache.servers import Argument, OneServer, SentinelServers, Servers

MAX_CALLS: Final = 32
"""Calls at a time to each server; callers beyond that wait within their timeout."""

_MAX_CONNECTIONS: Final = 2 * MAX_CALLS
"""To each server. More than calls, as one that was cut off may still be closing when its call has ended."""


@dataclass(slots=True)
class _Health:
    """How one server has been; `refusal` is why it refused a command lately, one of `CAUSES`."""

    breaker: CircuitBreaker
    refusal: str | None = None
    calls: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CALLS))


class RedisCache:
    """Entries in Redis, each with a time to live.

    Parameters
    ----------
    url : see `RedisAddress`. Raises AddressError when it is none.
    timeout : seconds that one call may take: finding the server, connecting and waiting for a connection included.
    ttl : seconds.
    clock : seconds from any origin, for the circuit breakers.
    """

    def __init__(self, url: str, timeout: float, ttl: int, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._ttl = ttl
        self._clock = clock
        self._servers = _servers(RedisAddress.parse(url), timeout)
        self._health: dict[str, _Health] = {}

    @property
    def trouble(self) -> str | None:
        """See `Cache`; of several servers, whether any of those that are known now is left alone, else refused."""
        ailing = [name for name, health in self._health.items() if health.breaker.is_open or health.refusal]
        if not ailing:
            return None
        known = self._servers.names()
        found = [self._health[name] for name in ailing if name in known]
        if any(health.breaker.is_open for health in found):
            return PAUSED
        return found[0].refusal if found else None

    async def get(self, key: str) -> bytes | None:
        """See `Cache`."""
        _, value = await self._bounded(key, "GET", key)
        if value is not None and not isinstance(value, bytes):
            raise CacheUnavailableError(PROTOCOL, f"the server answered {type(value).__name__} to GET")
        return value

    async def put(self, key: str, value: bytes) -> None:
        """See `Cache`."""
        health, _ = await self._bounded(key, "SET", key, value, "EX", self._ttl)
        health.refusal = None

    async def forget(self, prefix: str) -> int:
        """See `Cache`. Keys are met in steps, each bounded as every call; there are no wildcards in a prefix.

        All keys of a prefix are on one server of a cluster: the part in braces alone decides which.
        """
        # A server says that a key moved, but not that it knows none that a pattern fits: the question finds the server.
        await self._bounded(prefix, "EXISTS", prefix)
        found: set[bytes] = set()
        cursor = 0
        while True:
            _, step = await self._bounded(prefix, "SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1_000)
            match step:
                case (int(cursor), list(keys)):
                    found.update(key for key in keys if isinstance(key, bytes))
                case _:
                    raise CacheUnavailableError(PROTOCOL, f"the server answered {type(step).__name__} to SCAN")
            if not cursor:
                break
        if not found:
            return 0
        _, removed = await self._bounded(prefix, "UNLINK", *found)
        return removed if isinstance(removed, int) else 0

    async def close(self) -> None:
        """See `Cache`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._servers.close()
        except Exception:  # noqa: S110 - a server that is gone cannot be told goodbye
            pass

    async def _bounded(self, key: str, *command: Argument) -> tuple[_Health, object]:
        """One command within the timeout; every failure becomes a CacheUnavailableError and feeds the breaker."""
        health = self._health_of(self._servers.name_of(key))
        if not health.breaker.allows():
            raise CacheUnavailableError(PAUSED)
        try:
            async with asyncio.timeout(self._timeout), health.calls:
                result = await self._servers.execute(key, *command)
        except ResponseError as error:
            # The server lives and says no (full, read-only): fast, so the breaker stays closed for reads.
            health.breaker.succeeded()
            if isinstance(error, ReadOnlyError):
                # It may have been the primary until a moment ago.
                self._servers.look_again()
            full = isinstance(error, OutOfMemoryError | ReadOnlyError) or "MISCONF" in str(error)
            health.refusal = FULL if full else PROTOCOL
            raise CacheUnavailableError(health.refusal, str(error)) from error
        except (TimeoutError, RedisTimeoutError) as error:
            self._failed(health)
            raise CacheUnavailableError(TIMED_OUT) from error
        except Exception as error:
            # Whatever a broken or foreign server makes the client library raise is a miss, not an error of ours.
            self._failed(health)
            cause = UNREACHABLE if isinstance(error, OSError | RedisConnectionError) else PROTOCOL
            raise CacheUnavailableError(cause, f"{type(error).__name__}: {error}") from error
        health.breaker.succeeded()
        return health, result

    def _failed(self, health: _Health) -> None:
        health.breaker.failed()
        self._servers.look_again()

    def _health_of(self, name: str) -> _Health:
        health = self._health.get(name)
        if health is None:
            # Servers that left are forgotten when another comes: there are never more than there are servers.
            known = self._servers.names()
            self._health = {name: health for name, health in self._health.items() if name in known}
            health = self._health[name] = _Health(CircuitBreaker(self._clock))
        return health


def check_address(url: str) -> None:
    """Raises AddressError when no cache can be made of this; nothing is connected to."""
    address = RedisAddress.parse(url)
    try:
        _servers(address, timeout=1.0)
    except (ValueError, TypeError):
        raise AddressError("one of its options is not known here") from None


def _servers(address: RedisAddress, timeout: float) -> Servers:
    if address.topology == "sentinel":
        return SentinelServers(address, timeout, _MAX_CONNECTIONS)
    if address.topology == "cluster":
        return ClusterServers(address, timeout, _MAX_CONNECTIONS)
    return OneServer(address, timeout, _MAX_CONNECTIONS)
