"""Exposures: noted while answering, written in batches, and what is lost when the process dies."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from recsys.outcomes.exposure import DAY_MS
from recsys.stores import open_store
from serving.http import exposures
from serving.http.exposures import WRITE_SECONDS, Exposures
from serving.http.metrics import Metrics
from serving.http.store_handle import StoreHandle
from serving.http.writer import EventWriter


@contextmanager
def worker(path: Path) -> Iterator[tuple[Exposures, EventWriter, Metrics]]:
    """One worker's exposures over a real store."""
    metrics = Metrics()
    opened = StoreHandle(path, lambda at: open_store(at, busy_seconds=0.05), time.monotonic, pause=0.0)
    writer = EventWriter(opened, metrics, time.monotonic)
    writer.start()
    yield Exposures(writer, metrics), writer, metrics
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty store's file."""
    open_store(tmp_path / "store.db").close()
    return tmp_path / "store.db"


def served(path: Path) -> list[tuple[object, ...]]:
    """What the store has."""
    with closing(open_store(path)) as store:
        return sorted(store.exposures.served("x", 10 * DAY_MS).rows())


def counted(metrics: Metrics, status: str) -> float:
    """What the metric says."""
    return metrics.exposures.labels(status)._value.get()


def test_the_first_of_the_day_is_written_and_every_answer_counts(path: Path) -> None:
    """Asked a hundred times, a customer is one row; the answers' sums are of all hundred."""

    async def scenario(noted: Exposures) -> None:
        for number in range(100):
            noted.served("x", "a", "ann", 5 + number, seconds=0.5, short=number < 3)
        await noted.write()
        noted.served("x", "a", "ann", 500, seconds=1.0, short=False)
        noted.served("x", "a", "ann", DAY_MS, seconds=1.0, short=False)
        await noted.write()
        await noted.write()

    with worker(path) as (noted, _, metrics):
        asyncio.run(scenario(noted))
        assert counted(metrics, "written") == 2
    assert served(path) == [("ann", "a", 5, DAY_MS, 2)]
    with closing(open_store(path)) as store:
        assert store.exposures.answered("x").rows() == [("a", 0, 101, 3, 51.0, 26.0), ("a", 1, 1, 0, 1.0, 1.0)]


def test_what_is_remembered_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is forgotten in memory is written again, which changes nothing."""
    monkeypatch.setattr(exposures, "MAX_KNOWN", 3)

    async def scenario(noted: Exposures) -> None:
        for number in range(20):
            noted.served("x", "a", f"c{number % 5}", 100 + number, seconds=0.0, short=False)
            assert len(noted._known) <= 3
        await noted.write()

    with worker(path) as (noted, _, _):
        asyncio.run(scenario(noted))
    assert [row[2] for row in served(path)] == [100, 101, 102, 103, 104]


def test_what_the_store_does_not_take_now_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes for long nothing is lost up to a bound; what is beyond it is counted."""
    monkeypatch.setattr(exposures, "MAX_WAITING", 4)

    async def scenario(noted: Exposures) -> None:
        for number in range(3):
            noted.served("x", "a", f"c{number}", 1, seconds=1.0, short=False)
        with closing(open_store(path)) as other, other.transaction():
            await noted.write()
            for number in range(3, 9):
                noted.served("x", "a", f"c{number}", 1, seconds=1.0, short=True)
            await noted.write()
        await noted.write()

    with worker(path) as (noted, _, metrics):
        asyncio.run(scenario(noted))
        assert (counted(metrics, "written"), counted(metrics, "dropped")) == (4, 5)
    assert [row[0] for row in served(path)] == ["c0", "c1", "c2", "c3"]
    with closing(open_store(path)) as store:
        assert store.exposures.answered("x").rows() == [("a", 0, 9, 6, 9.0, 9.0)]


def test_an_id_that_no_store_holds_spoils_nothing(path: Path) -> None:
    """Others of the same batch are written."""

    async def scenario(noted: Exposures) -> None:
        noted.served("x", "a", "\ud800", 1, seconds=0.0, short=False)
        noted.served("x", "a", "ann", 1, seconds=0.0, short=False)
        await noted.write()

    with worker(path) as (noted, _, _):
        asyncio.run(scenario(noted))
    assert [row[0] for row in served(path)] == ["ann"]


KILLED = """
import asyncio, sys, time
from pathlib import Path
from tests.serving.test_exposures import worker

async def serve(noted):
    asyncio.create_task(noted.keep_writing())
    for number in range(10**9):
        noted.served("x", "a", f"c{number:09}", 1, seconds=0.0, short=False)
        print(number, time.monotonic(), flush=True)
        await asyncio.sleep(0.002)

with worker(Path(sys.argv[1])) as (noted, _, _):
    asyncio.run(serve(noted))
"""


def test_a_killed_worker_loses_no_more_than_is_said(path: Path) -> None:
    """Everything noted before the last second and the write that was under way is there; a process that is killed
    without warning has written it."""
    slack = 2.0  # A machine that is busy with other things starts and ends a write late.
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    begun = float(first.split()[1])
    while time.monotonic() < begun + WRITE_SECONDS + slack + 1.0:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    noted = [line.split() for line in [first, *process.stdout] if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    due = {f"c{int(number):09}" for number, at in noted if float(at) < killed - WRITE_SECONDS - slack}
    there = {str(row[0]) for row in served(path)}
    assert due
    assert due <= there
    assert len(there) < len(noted)
