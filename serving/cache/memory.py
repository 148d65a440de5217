"""The default cache: this process's own memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

ENTRY_OVERHEAD = 250
"""Bytes that an entry costs beside its key and value, measured with `sys.getsizeof` over the parts."""


class MemoryCache:
    """The entries used last, as many as fit.

    Parameters
    ----------
    max_bytes : what keys, values and the overhead may add up to.
    ttl : seconds.
    clock : seconds from any origin; never runs backwards.
    """

    trouble: str | None = None
    remote = False

    def __init__(self, max_bytes: int, ttl: float, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes_used(self) -> int:
        """At most `max_bytes`."""
        return self._bytes

    async def get(self, key: str) -> bytes | None:
        """See `Cache`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        until, value = entry
        if self._clock() >= until:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes) -> None:
        """See `Cache`. A value larger than the whole cache is not kept."""
        if key in self._entries:
            self._forget(key)
        size = _size(key, value)
        if size > self._max_bytes:
            return
        while self._bytes + size > self._max_bytes:
            self._forget(next(iter(self._entries)))
        self._entries[key] = (self._clock() + self._ttl, value)
        self._bytes += size

    async def close(self) -> None:
        """See `Cache`."""
        self._entries.clear()
        self._bytes = 0

    def _forget(self, key: str) -> None:
        _, value = self._entries.pop(key)
        self._bytes -= _size(key, value)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD
