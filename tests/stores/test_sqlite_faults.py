"""What the embedded store keeps when processes are killed, disks fill up and files vanish."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from recsys.data.events import Event, EventKind
from recsys.errors import StoreUnavailableError
from recsys.stores import open_store
from recsys.stores.sqlite.store import SqliteStore

WRITERS = Path(__file__).parent / "writers.py"


def events(first: int, count: int, customer_id: str = "ann") -> list[Event]:
    """Events e<first>, e<first + 1>, …, each on an item of its own."""
    return [
        Event(event_id=f"e{n}", customer_id=customer_id, kind=EventKind.VIEW, item_id=f"i{n}", context="x" * 500)
        for n in range(first, first + count)
    ]


def writer(what: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that writes and prints a line for each thing it knows to be stored."""
    command = [sys.executable, str(WRITERS), what, str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(path: Path) -> set[str]:
    """The event ids in the file, which must be sound."""
    with closing(open_store(path)) as store:
        store.events.read()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return {event_id for (event_id,) in connection.execute("SELECT event_id FROM events")}


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    """After kill -9 in a loop of appends, every acknowledged batch is there, and each batch whole or not at all."""
    path = tmp_path / "store.db"
    with writer("append", path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    there = stored(path)
    # The last line may have been cut off by the kill; it is then no acknowledgement.
    for line in lines:
        if line.endswith("\n"):
            assert set(json.loads(line)) <= there
    batches = Counter(event_id.split("-")[0] for event_id in there)
    assert len(batches) >= acknowledged
    assert set(batches.values()) == {10}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_ingest_that_is_ended_leaves_nothing(tmp_path: Path, end: signal.Signals) -> None:
    """Killed or interrupted between rows, none of the frame is there, and the same frame goes in afterwards."""
    path = tmp_path / "store.db"
    with writer("ingest", path, "slow") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "20000\n"
        process.send_signal(end)
        process.stdout.readlines()
    assert process.returncode != 0
    assert stored(path) == set()
    with writer("ingest", path) as process:
        output, _ = process.communicate(timeout=60)
    assert output.splitlines()[-1] == "added 50000"
    assert len(stored(path)) == 50_000


def test_processes_append_at_once(tmp_path: Path) -> None:
    """Two processes that write the same and different events: each event is new exactly once, none is lost."""
    path = tmp_path / "store.db"
    open_store(path).close()
    processes = [writer("race", path, name) for name in ("left", "right")]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    new = Counter(event_id for output in outputs for line in output.splitlines() for event_id in json.loads(line))
    assert set(new.values()) == {1}
    assert set(new) == stored(path)
    assert {event_id.split("-")[0] for event_id in new} == {"left", "right", "both"}
    with closing(open_store(path)) as store:
        assert len(store.histories.get("ann", 10_000).rows) == len(new)
        assert store.histories.version("ann") == len(new)


def test_a_full_disk_refuses_the_write_and_nothing_else(tmp_path: Path) -> None:
    """The write fails loudly and leaves nothing; reads go on; when there is space again writes do too."""
    with closing(open_store(tmp_path / "store.db")) as store:
        assert isinstance(store, SqliteStore)
        store.events.append(events(0, 5))
        (pages,) = store._database.one("PRAGMA page_count")
        store._database.query(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailableError, match=r"disk is full.*free space"):
            store.events.append(events(5, 500))
        assert len(store.histories.get("ann", 1000).rows) == 5
        assert store.histories.version("ann") == 5
        assert store.events.append(events(0, 5)) == [False] * 5
        store._database.query("PRAGMA max_page_count = 1000000")
        assert store.events.append(events(5, 500)) == [True] * 500


def test_a_transaction_that_the_database_gave_up_stays_given_up(tmp_path: Path) -> None:
    """When SQLite itself rolls back in the middle, later writes of the block are not stored one by one."""
    path = tmp_path / "store.db"

    def write(store: SqliteStore) -> None:
        with store.transaction():
            store.events.append(events(0, 5))
            # What SQLite does by itself on some errors of the disk.
            store._database._connection.rollback()
            store.events.append(events(5, 5))

    with closing(open_store(path)) as store:
        assert isinstance(store, SqliteStore)
        with pytest.raises(StoreUnavailableError, match="gave up the transaction"):
            write(store)
        assert store.events.append(events(0, 1)) == [True]
    assert stored(path) == {"e0"}


def test_a_store_that_was_removed_takes_no_events(tmp_path: Path) -> None:
    """A file removed or replaced under a running process refuses writes: they would be lost with it."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.events.append(events(0, 1))
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(StoreUnavailableError, match=r"removed or replaced.*restart"):
            store.events.append(events(1, 1))
        (tmp_path / "elsewhere.db").rename(path)
        assert store.events.append(events(1, 1)) == [True]
        path.rename(tmp_path / "elsewhere.db")
        path.touch()
        with pytest.raises(StoreUnavailableError, match="removed or replaced"):
            store.events.append(events(2, 1))
        path.unlink()


def test_a_locked_store_is_told_after_the_wait(tmp_path: Path) -> None:
    """Another program in the middle of a write makes ours wait as long as asked, then fail and store nothing."""
    path = tmp_path / "store.db"
    with (
        closing(open_store(path, busy_seconds=0.05)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="another process is writing"):
            store.events.append(events(0, 1))
        assert store.histories.get("ann", 5).version == 0
        other.execute("ROLLBACK")
        assert store.events.append(events(0, 1)) == [True]
