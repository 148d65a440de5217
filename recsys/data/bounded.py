"""A memory for what can be made again, bounded by bytes: what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Bounded:
    """Values by key. May be used from several threads.

    Parameters
    ----------
    most_bytes : that all values together take, as they were said to take; a larger one is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes_used = 0
        """What the values take."""

    def get(self, key: Hashable) -> object | None:
        """What is kept under a key, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:  # noqa: SIM105 - asked for every answer: a context manager takes longer than all else
            self._entries.move_to_end(key)
        except KeyError:
            pass  # Another thread has dropped it meanwhile; the value is good all the same.
        return entry[0]

    def put(self, key: Hashable, value: object, size: int) -> None:
        """Keeps a value of so many bytes in the place of what was there."""
        with self._lock:
            old = self._entries.pop(key, None)
            self.bytes_used += size - (old[1] if old is not None else 0)
            self._entries[key] = (value, size)
            while self.bytes_used > self._most_bytes:
                _, (_, gone) = self._entries.popitem(last=False)
                self.bytes_used -= gone

    def __len__(self) -> int:
        return len(self._entries)
