"""What answering asks of a cache."""

from __future__ import annotations

from typing import Protocol


class CacheUnavailableError(Exception):
    """The cache gave no answer. `cause` is one of `CAUSES`, for metrics, logs and `served_from`."""

    def __init__(self, cause: str, detail: str = "") -> None:
        self.cause = cause
        super().__init__(f"{cause}: {detail}" if detail else cause)


TIMED_OUT = "timed_out"
UNREACHABLE = "unreachable"
FULL = "full"
PROTOCOL = "protocol_error"
PAUSED = "paused"
DAMAGED = "damaged"
CAUSES = (TIMED_OUT, UNREACHABLE, FULL, PROTOCOL, PAUSED, DAMAGED)
"""Why a cache did not serve: no answer in time; no connection; it takes no more; it does not speak its protocol; it is
left alone for a while after failures; what it held is not what was put there."""


class Cache(Protocol):
    """A cache in another process: bytes by key, forgotten at any time. Used from one event loop."""

    @property
    def trouble(self) -> str | None:
        """The cause of the trouble that the cache is in, one of `CAUSES`; None while it works."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What was put under the key, or None. Raises CacheUnavailableError within a bounded time."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keeps the value for at most the cache's time to live. Raises CacheUnavailableError within a bounded time."""
        ...

    async def forget(self, prefix: str) -> int:
        """Removes everything whose key begins so; how much there was. Raises CacheUnavailableError."""
        ...

    async def close(self) -> None:
        """Lets go of connections; the cache is not used afterwards."""
        ...
