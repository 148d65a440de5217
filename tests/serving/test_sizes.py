"""What each worker keeps in memory is bounded, and shown in the metrics."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np

from serving.cache.payload import RankedList, Sealer
from serving.http.metrics import Metrics
from serving.http.settings import Settings
from serving.http.shared_lists import MAX_PENDING_WRITES, SharedLists, Wanted
from tests.serving.service import FakeClock, Service


def size(text: str, name: str) -> float:
    """The value of a metric without labels."""
    found = re.search(rf"^bookmatch_{name} (\S+)$", text, re.M)
    assert found is not None, name
    return float(found[1])


def sizes(service: Service, *names: str) -> list[float]:
    """Values as /metrics shows them now."""
    text = service.get("/metrics").body.decode()
    return [size(text, name) for name in names]


def test_lists_and_histories_in_memory_are_counted(home: Path, clock: FakeClock) -> None:
    """They grow with what is asked, up to the bound, and are gone with the time to live and the histories' bound."""
    with Service(Settings(home=home, history_cache_size=2, cache_ttl=60), clock) as service:
        names = ("cache_entries", "cache_bytes", "history_copies", "events_waiting", "cache_pending_writes")
        assert sizes(service, *names) == [0.0] * 5
        service.get("/v1/customers/c1/recommendations")
        entries, first, histories, *others = sizes(service, *names)
        assert (entries, histories, others) == (1, 1, [0, 0])
        assert first > len(service.get("/v1/customers/c1/recommendations").body) / 2
        for number in range(2, 6):
            service.get(f"/v1/customers/c{number}/recommendations")
        entries, five, histories, *_ = sizes(service, *names)
        assert (entries, histories) == (5, 2)
        assert 3 * first < five < 8 * first


class NeverDone:
    """A cache in which nothing ever arrives."""

    trouble: str | None = None

    async def get(self, key: str) -> bytes | None:
        """Nothing is there."""
        return None

    async def put(self, key: str, value: bytes) -> None:
        """Waits for ever."""
        await asyncio.Event().wait()

    async def forget(self, prefix: str) -> int:
        """Nothing is there."""
        return 0

    async def close(self) -> None:
        """See `Cache`."""


def test_lists_on_their_way_are_counted_and_bounded() -> None:
    """A cache that takes nothing holds up so many lists and no more; each of them is found meanwhile."""

    async def check() -> None:
        lists = SharedLists(NeverDone(), Metrics(), lambda: 0)
        sealer = Sealer(b"s" * 32)
        empty = np.empty(0, dtype=np.int32)
        ranked = RankedList(b"", empty, empty, [], None, {}, None, 0, 1)
        found = []
        for number in [*range(MAX_PENDING_WRITES + 10), 0, MAX_PENDING_WRITES + 1]:
            wanted = Wanted(sealer, f"k{number}", lambda: ranked, lambda kept: kept, lambda _: 0.0)
            found.append((await lists.find(wanted))[1].status)
            assert lists.pending_writes == min(len(found), MAX_PENDING_WRITES)
        assert found == ["miss"] * (MAX_PENDING_WRITES + 10) + ["hit", "miss"]
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(lists.settle(), return_exceptions=True)
        assert lists.pending_writes == 0

    asyncio.run(check())
