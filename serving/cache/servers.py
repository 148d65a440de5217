"""Reaching Redis, wherever it is just now: one server, or the primary that sentinels name. A cluster: see `cluster`.

Finding servers takes longer than one answer may wait: it is done by a search that goes on when the call that began it
has given up, so that the next call finds it done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final, Protocol

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from serving.cache.address import RedisAddress

log = structlog.get_logger("bookmatch.serving")

UNKNOWN: Final = ""
"""The name of the server as long as none was found."""

SEARCH_SECONDS: Final = 2.0
"""How long one search may take; answers do not wait for it longer than for any call."""

Argument = str | bytes | int


class Servers(Protocol):
    """What one cache is kept on. Used from one event loop."""

    def name_of(self, key: str) -> str:
        """The server that keeps this key, as host:port; `UNKNOWN` while it is not known."""
        ...

    def names(self) -> Collection[str]:
        """All servers that are known now."""
        ...

    async def execute(self, key: str, *command: Argument) -> object:
        """Sends one command about this key, once, and returns the answer. May raise anything, and may never return."""
        ...

    def look_again(self) -> None:
        """Told when a server failed: looks for its successor, where there may be one, without anybody waiting."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class Search:
    """One search at a time; those who wait for it may give up, and it goes on."""

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """The search that is under way, or a new one."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._bounded())
            # Whoever waits gets the error; where nobody does, the calls that fail meanwhile tell it.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def wait(self) -> None:
        """Returns when a search has ended. Raises what it raised."""
        await asyncio.shield(self.begin())

    async def close(self) -> None:
        """Ends the search."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _bounded(self) -> None:
        async with asyncio.timeout(SEARCH_SECONDS):
            await self._look()


def client_of(url: str, connect_timeout: float, connections: int, place: tuple[str, int] | None = None) -> Redis:
    """A client of one server that tries everything once; `place` is a host and port instead of the address's own.

    RESP2 without a client name: a new connection costs no round trip before the first command. Reading and writing have
    no timeouts of their own: the caller's one bounds the whole call, and each would cost a timer or a task.
    """
    pool = ConnectionPool.from_url(
        url,
        max_connections=connections,
        socket_timeout=None,
        socket_connect_timeout=connect_timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    if place is not None:
        pool.connection_kwargs |= {"host": place[0], "port": place[1]}
    return Redis.from_pool(pool)


class OneServer:
    """The server at an address."""

    _NAME = "server"

    def __init__(self, address: RedisAddress, connect_timeout: float, connections: int) -> None:
        self._client = client_of(address.url, connect_timeout, connections)

    def name_of(self, key: str) -> str:  # noqa: ARG002 - the protocol's
        """See `Servers`."""
        return self._NAME

    def names(self) -> Collection[str]:
        """See `Servers`."""
        return (self._NAME,)

    async def execute(self, key: str, *command: Argument) -> object:  # noqa: ARG002 - the protocol's
        """See `Servers`."""
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def look_again(self) -> None:
        """See `Servers`: there is nothing else to find."""

    async def close(self) -> None:
        """See `Servers`."""
        await self._client.aclose()


class SentinelServers:
    """The primary that the first sentinel to answer names."""

    def __init__(self, address: RedisAddress, connect_timeout: float, connections: int) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._connections = connections
        tls = {name: value for name, value in parse_url(address.url).items() if name.startswith("ssl_")}
        options = tls | {
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "ssl": address.tls,
            "socket_timeout": SEARCH_SECONDS,
            "socket_connect_timeout": SEARCH_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        }
        # Each by itself: asked in a row, one that is paused would keep the others from being asked at all.
        self._sentinels = [
            Sentinel([node], sentinel_kwargs=dict(options))  # type: ignore[no-untyped-call]
            for node in address.nodes
        ]
        self._primary: tuple[str, Redis] | None = None
        self._search = Search(self._look)

    def name_of(self, key: str) -> str:  # noqa: ARG002 - the protocol's
        """See `Servers`."""
        return UNKNOWN if self._primary is None else self._primary[0]

    def names(self) -> Collection[str]:
        """See `Servers`."""
        return (self.name_of(""),)

    async def execute(self, key: str, *command: Argument) -> object:  # noqa: ARG002 - the protocol's
        """See `Servers`."""
        if self._primary is None:
            await self._search.wait()
        assert self._primary is not None  # noqa: S101 - a search finds one or raises
        return await self._primary[1].execute_command(*command)  # type: ignore[no-untyped-call]

    def look_again(self) -> None:
        """See `Servers`."""
        self._search.begin()

    async def close(self) -> None:
        """See `Servers`."""
        await self._search.close()
        closing = [sentinel.aclose() for sentinel in self._sentinels]
        if self._primary is not None:
            closing.append(self._primary[1].aclose())
        await asyncio.gather(*closing, return_exceptions=True)

    async def _look(self) -> None:
        place = await self._named()
        name, before = f"{place[0]}:{place[1]}", self._primary
        if before is not None and before[0] == name:
            return
        self._primary = (name, client_of(self._address.url, self._connect_timeout, self._connections, place))
        if before is not None:
            log.warning("the cache's primary is another one", before=before[0], now=name)
            with suppress(Exception):  # a server that is gone cannot be told goodbye
                await before[1].aclose()

    async def _named(self) -> tuple[str, int]:
        asked = [asyncio.create_task(sentinel.discover_master(self._address.service)) for sentinel in self._sentinels]
        causes = []
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    host, port = await answer
                    return str(host), int(port)
                except Exception as error:
                    # A sentinel may be down, strange or know nothing: the others are as good.
                    causes.append(f"{type(error).__name__}: {error}")
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise RedisConnectionError(f"no sentinel names a primary: {'; '.join(causes)}")
