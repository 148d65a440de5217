"""Several callers that want the same thing at the same time: one makes it, the others wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Values that are being made just now, by key. Used from one event loop; holds nothing that nobody is making."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Future[tuple[V] | None]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def share(self, key: K, make: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """The value, and whether this caller made it.

        What `make` raises reaches all who wait. A maker that is cancelled takes nobody with it: the next one makes the
        value.
        """
        while (other := self._under_way.get(key)) is not None:
            # Shielded: a caller that is cancelled must not end what the others wait for.
            made = await asyncio.shield(other)
            if made is not None:
                return made[0], False
        promise = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            value = await make()
        except Exception as error:
            promise.set_exception(error)
            promise.exception()  # where nobody else waits, nobody else need be told
            raise
        else:
            promise.set_result((value,))
            return value, True
        finally:
            del self._under_way[key]
            if not promise.done():
                promise.set_result(None)
