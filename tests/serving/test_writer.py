"""Requests that come together are written together, and none pays for another's fault."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recsys.data.events import Event
from recsys.errors import StoreUnavailableError
from serving.http.metrics import Metrics
from serving.http.store_handle import StoreHandle
from serving.http.writer import MAX_WAITING, EventWriter
from tests.serving.shop import purchase

Append = Callable[[Sequence[Event]], list[bool]]


class _Store:
    """Stands for a store whose writes the test watches."""

    def __init__(self, append: Append) -> None:
        self.events = self
        self.append = append

    def secret(self) -> bytes:
        return b"s"

    def close(self) -> None:
        pass


@contextmanager
def writing(path: Path, append: Append) -> Iterator[EventWriter]:
    """A writer over `append`."""
    path.touch()

    def open_at(_: Path) -> Any:
        return _Store(append)

    writer = EventWriter(StoreHandle(path, open_at, time.monotonic, pause=0.0), Metrics(), time.monotonic)
    writer.start()
    yield writer
    writer.close()


def batches(number: int, size: int) -> list[list[Event]]:
    """So many requests of so many events each."""
    return [[purchase(f"c{n}", f"i{k}", k) for k in range(size)] for n in range(number)]


async def append_all(writer: EventWriter, requests: list[list[Event]]) -> list[Any]:
    """All requests at once; what each got."""
    return await asyncio.gather(*(writer.append(events) for events in requests), return_exceptions=True)


def test_requests_that_wait_for_the_disk_share_the_next_write(tmp_path: Path) -> None:
    """Fifty requests during one slow write cost one more, and each gets its own results."""
    sizes = []
    first_is_on_its_way = threading.Event()

    def append(events: Sequence[Event]) -> list[bool]:
        sizes.append(len(events))
        first_is_on_its_way.set()
        time.sleep(0.1)
        return [event.item_id == "i0" for event in events]

    async def scenario(writer: EventWriter) -> None:
        first = asyncio.create_task(writer.append(batches(1, 2)[0]))
        await asyncio.to_thread(first_is_on_its_way.wait)
        results = await append_all(writer, batches(50, 3))
        assert await first == [True, False]
        assert results == [[True, False, False]] * 50

    with writing(tmp_path / "s", append) as writer:
        asyncio.run(scenario(writer))
    assert sizes == [2, 150]


def test_a_write_that_fails_fails_every_request_in_it(tmp_path: Path) -> None:
    """All are told; none is stored."""

    def append(events: Sequence[Event]) -> list[bool]:
        raise StoreUnavailableError("disk full")

    with writing(tmp_path / "s", append) as writer:
        results = asyncio.run(append_all(writer, batches(5, 2)))
    assert [str(result) for result in results] == ["disk full."] * 5


def test_one_requests_impossible_event_does_not_cost_the_others(tmp_path: Path) -> None:
    """What breaks a shared write is written again request by request."""

    def append(events: Sequence[Event]) -> list[bool]:
        if any(event.customer_id == "c2" for event in events):
            raise ValueError("c2")
        return [True] * len(events)

    with writing(tmp_path / "s", append) as writer:
        results = asyncio.run(append_all(writer, batches(5, 2)))
    assert [type(result) for result in results] == [list, list, ValueError, list, list]


def test_too_many_waiting_events_are_refused_instead_of_piling_up(tmp_path: Path) -> None:
    """Beyond the bound a request is told to come back; the others are written."""
    release = threading.Event()

    def append(events: Sequence[Event]) -> list[bool]:
        release.wait(10)
        return [True] * len(events)

    async def scenario(writer: EventWriter) -> None:
        waiting = [asyncio.create_task(writer.append(events)) for events in batches(MAX_WAITING // 1000, 1000)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match="waiting to be written"):
            await writer.append(batches(1, 1)[0])
        release.set()
        await asyncio.gather(*waiting)
        assert await writer.append(batches(1, 1)[0]) == [True]

    with writing(tmp_path / "s", append) as writer:
        asyncio.run(scenario(writer))


def test_what_waits_is_written_before_the_writer_stops(tmp_path: Path) -> None:
    """Closing loses nothing, even for a client that went away."""
    written: list[int] = []

    def append(events: Sequence[Event]) -> list[bool]:
        time.sleep(0.05)
        written.append(len(events))
        return [True] * len(events)

    async def scenario(writer: EventWriter) -> None:
        tasks = [asyncio.create_task(writer.append(events)) for events in batches(4, 3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(writer.close)

    path = tmp_path / "s"
    with writing(path, append) as writer:
        asyncio.run(scenario(writer))
    assert sum(written) == 12


def test_other_work_is_done_after_the_events_before_it_and_hands_back_what_it_made(tmp_path: Path) -> None:
    """Order is kept between events and other writes; an error goes to who asked, and the thread goes on."""
    order: list[str] = []

    def append(events: Sequence[Event]) -> list[bool]:
        order.append("events")
        return [True] * len(events)

    def fails(_: object) -> int:
        raise ValueError("no")

    async def ask(writer: EventWriter) -> list[Any]:
        def work(_: object) -> int:
            order.append("work")
            return 7

        return await asyncio.gather(
            writer.append(batches(1, 1)[0]), writer.run(work), writer.run(fails), writer.append(batches(1, 1)[0]),
            return_exceptions=True,
        )  # fmt: skip

    with writing(tmp_path / "store.db", append) as writer:
        first, made, failed, last = asyncio.run(ask(writer))
    assert (first, made, last) == ([True], 7, [True])
    assert isinstance(failed, ValueError)
    assert order == ["events", "work", "events"]
