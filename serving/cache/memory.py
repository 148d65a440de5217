"""The default cache: this process's own memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_OVERHEAD = 250
"""Bytes that an entry costs beside its value, measured with `sys.getsizeof` over the parts."""


class MemoryCache(Generic[K, V]):
    """The entries used last, as many as fit. Holds values themselves: what is put in is not to be changed.

    Parameters
    ----------
    max_bytes : what values and the overhead may add up to.
    ttl : seconds.
    clock : seconds from any origin; never runs backwards.
    """

    def __init__(self, max_bytes: int, ttl: float, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes_used(self) -> int:
        """At most `max_bytes`."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """What was put under the key, unless it is older than `ttl` or had to make room."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry[0]:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: K, value: V, size: int) -> None:
        """Keeps a value of so many bytes. One that is larger than the whole cache is not kept."""
        if key in self._entries:
            self._forget(key)
        size += ENTRY_OVERHEAD
        if size > self._max_bytes:
            return
        while self._bytes + size > self._max_bytes:
            self._forget(next(iter(self._entries)))
        self._entries[key] = (self._clock() + self._ttl, value, size)
        self._bytes += size

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._bytes = 0

    def _forget(self, key: K) -> None:
        self._bytes -= self._entries.pop(key)[2]
