"""Ranked lists in a cache that is far: got, ranked when they are missing, and put there after the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from serving.cache.payload import Question, RankedList, Sealer
from serving.cache.protocol import DAMAGED, Cache, CacheUnavailableError
from serving.cache.single_flight import SingleFlight
from serving.http.metrics import Metrics

log = structlog.get_logger("bookmatch.serving")

MAX_PENDING_WRITES: Final = 64
"""Lists on their way into the cache; when it is slower than the answers, further ones are not kept."""

QUIET_MS: Final = 1000
"""Milliseconds without a failure after which trouble with the cache is said to be over."""

HIT, MISS, RECOMPUTED, UNAVAILABLE, OFF = "hit", "miss", "recomputed", "unavailable", "off"


Place = tuple[bytes | None, Question]
"""Of a list in this process's own memory: the store's secret, and the question."""


class CacheNote(NamedTuple):
    """What the cache did for an answer; as it stands in `served_from`.

    Attributes
    ----------
    status : `hit`; `miss`; `recomputed` (there was a list, but what may be shown changed); `unavailable`; `off`.
    age_s : seconds since the list was ranked; None when it was ranked for this answer.
    trouble : what is wrong with the cache, or None.
    found : which list of this process's own memory it was, and where it stands there; None for others.
    """

    status: str
    age_s: float | None = None
    trouble: str | None = None
    found: tuple[Place, RankedList] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list that an answer needs.

    Attributes
    ----------
    sealer : makes the cache's payloads.
    key : the cache's.
    rank : ranks it anew.
    still_good : the kept list without what may no longer be shown; None when it must be ranked anew.
    age : seconds since a list was ranked.
    """

    sealer: Sealer
    key: str
    rank: Callable[[], RankedList]
    still_good: Callable[[RankedList], RankedList | None]
    age: Callable[[RankedList], float]


class SharedLists:
    """The far cache as one worker's answers use it. A list that many want at the same time is ranked once.

    Parameters
    ----------
    now : milliseconds UTC.
    """

    def __init__(self, cache: Cache, metrics: Metrics, now: Callable[[], int]) -> None:
        self._cache = cache
        self._metrics = metrics
        self._now = now
        self._flights: SingleFlight[str, tuple[RankedList, CacheNote]] = SingleFlight()
        self._writes: dict[str, tuple[asyncio.Task[None], RankedList]] = {}
        self._reported: str | None = None
        self._failed_at = 0

    @property
    def pending_writes(self) -> int:
        """Lists on their way into the cache; at most `MAX_PENDING_WRITES`."""
        return len(self._writes)

    async def settle(self) -> None:
        """Waits for lists on their way into the cache."""
        await asyncio.gather(*(task for task, _ in self._writes.values()))

    async def forget(self, prefixes: Sequence[str]) -> int:
        """Removes all lists whose keys begin so; how many there were. Raises CacheUnavailableError."""
        # What is on its way would arrive after it was to be gone.
        await self.settle()
        try:
            return sum([await self._cache.forget(prefix) for prefix in prefixes])
        except CacheUnavailableError as error:
            self._failed("forget", error)
            raise

    async def find(self, wanted: Wanted) -> tuple[RankedList, CacheNote]:
        """The list. Raises what ranking raises; the cache's failures are told in the note."""
        # Until a list has arrived in the cache, whoever asks would miss it there.
        on_its_way = self._writes.get(wanted.key)
        usable = wanted.still_good(on_its_way[1]) if on_its_way is not None else None
        if usable is not None:
            return usable, CacheNote(HIT, wanted.age(usable), self._cache.trouble)
        (ranked, note), own = await self._flights.share(wanted.key, lambda: self._get_or_rank(wanted))
        if own:
            return ranked, note
        # What was found for another request is checked like what was kept: the catalogue may have changed meanwhile.
        usable = wanted.still_good(ranked)
        if usable is None:
            return wanted.rank(), note._replace(status=RECOMPUTED, age_s=None)
        return usable, note if note.status == UNAVAILABLE else note._replace(status=HIT, age_s=wanted.age(usable))

    async def _get_or_rank(self, wanted: Wanted) -> tuple[RankedList, CacheNote]:
        try:
            with self._metrics.cache_call("get"):
                payload = await self._cache.get(wanted.key)
        except CacheUnavailableError as error:
            self._failed("get", error)
            return wanted.rank(), CacheNote(UNAVAILABLE, trouble=error.cause)
        status = MISS
        if payload is not None:
            kept = wanted.sealer.unseal(wanted.key, payload)
            if kept is None:
                self._failed("get", CacheUnavailableError(DAMAGED))
            else:
                usable = wanted.still_good(kept)
                if usable is not None:
                    self._recovered()
                    return usable, CacheNote(HIT, wanted.age(usable), self._cache.trouble)
                status = RECOMPUTED
        ranked = wanted.rank()
        self._keep(wanted, ranked)
        return ranked, CacheNote(status, trouble=self._cache.trouble)

    def _keep(self, wanted: Wanted, ranked: RankedList) -> None:
        """Puts a list into the cache without the answer waiting for it."""
        key = wanted.key
        # Two writes of one key may arrive in any order: the second is left to the next answer that needs it.
        if len(self._writes) < MAX_PENDING_WRITES and key not in self._writes:
            task = asyncio.create_task(self._put(key, wanted.sealer.seal(key, ranked)))
            self._writes[key] = (task, ranked)
            task.add_done_callback(lambda _: self._writes.pop(key))

    async def _put(self, key: str, payload: bytes) -> None:
        try:
            with self._metrics.cache_call("put"):
                await self._cache.put(key, payload)
        except CacheUnavailableError as error:
            self._failed("put", error)
        else:
            self._recovered()

    def _recovered(self) -> None:
        """Tells the end of trouble, once all went well for a while: one of several servers may still be ill."""
        if self._reported is None or self._cache.trouble is not None or self._now() < self._failed_at + QUIET_MS:
            return
        log.info("the cache serves again", after=self._reported)
        self._reported = None

    def _failed(self, operation: str, error: CacheUnavailableError) -> None:
        self._metrics.cache_failures.labels(operation, error.cause).inc()
        self._failed_at = self._now()
        # Trouble is told once when it begins, not with every answer; the metric counts each.
        if self._reported is None:
            self._reported = error.cause
            log.warning("the cache does not serve", operation=operation, cause=error.cause, detail=str(error))
