"""What can be said of a store file without using it: whether it is whole, how much is in it, and whether ids agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from recsys.stores.archive.partition import Partition
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.scan import summary

_BUSY_SECONDS: Final = 1.0
_EXAMPLES: Final = 3
_FAULTS: Final = 5


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store holds.

    Attributes
    ----------
    events, newest : how many, and the latest time of one (milliseconds UTC); None where no event has a time.
    since : how many are later than the time that was asked about.
    items : distinct items in events, but for those that were taken off.
    without_row, without_row_examples : how many of these the catalogue does not have, and some of their ids.
    rows : items that the catalogue has.
    never, never_examples : how many of these are in no event, and some of their ids.
    showable : rows that may be shown at the time that was asked about.
    unsaid : rows that do not say whether they are available; they count as available.
    """

    events: int
    newest: int | None
    since: int
    items: int
    without_row: int
    without_row_examples: tuple[str, ...]
    rows: int
    never: int
    never_examples: tuple[str, ...]
    showable: int
    unsaid: int


def store_version(path: Path) -> int:
    """The version of the store in a file. Raises StoreError when it cannot be read."""
    with _reading(path) as database:
        return int(database.one("PRAGMA user_version")[0])


def faults(path: Path, seconds: float) -> list[str]:
    """What SQLite's quick check finds wrong, at most five faults; empty when the file is whole.

    Raises TimeoutError when it is not done in time, StoreError when the file cannot be read.
    """
    with _reading(path) as database, database.at_most(seconds):
        found = [str(row[0]) for row in database.query(f"PRAGMA quick_check({_FAULTS})")]
    return [] if found == ["ok"] else found


def survey(path: Path, since: int, now: int, seconds: float) -> Survey:
    """What is in the store at `path` and its archive.

    Raises TimeoutError when it is not known in time, StoreError when the store or its archive cannot be read.
    """
    with _reading(path) as database, database.at_most(seconds), database.snapshot():
        archive = Archive(database, path.with_name(f"{path.name}-archive"))
        known = summary(database, archive)
        later = database.one("SELECT count(*) FROM events WHERE timestamp > ?", (since,))[0]
        later += sum(_later(partition, since) for partition in archive.partitions())
        live = database.query("SELECT DISTINCT item FROM events WHERE item IS NOT NULL")
        closed = [np.unique(partition.item) for partition in archive.partitions()]
        numbers = np.unique(np.concatenate([np.array([row[0] for row in live], dtype=np.int64), *closed]))
        used = orjson.dumps(numbers[numbers > 0].tolist()).decode()
        in_events = "item IN (SELECT value FROM json_each(?))"
        missing = f"FROM items WHERE has_row = 0 AND removed = 0 AND {in_events}"
        silent = f"FROM items WHERE has_row = 1 AND NOT {in_events}"
        examples = f"ORDER BY item LIMIT {_EXAMPLES}"
        rows, showable, unsaid = database.one(_ROWS, (now, now))
        return Survey(
            events=sum(known["events"].values()),
            newest=known["last"],
            since=int(later),
            items=database.one(f"SELECT count(*) FROM items WHERE removed = 0 AND {in_events}", (used,))[0],  # noqa: S608
            without_row=database.one(f"SELECT count(*) {missing}", (used,))[0],
            without_row_examples=_ids(database, f"SELECT item_id {missing} {examples}", used),
            rows=rows,
            never=database.one(f"SELECT count(*) {silent}", (used,))[0],
            never_examples=_ids(database, f"SELECT item_id {silent} {examples}", used),
            showable=showable or 0,
            unsaid=unsaid or 0,
        )


_ROWS = """
    SELECT count(*),
           sum(coalesce(available, 1) AND (published IS NULL OR published <= ?) AND (expires IS NULL OR expires > ?)),
           sum(available IS NULL)
    FROM items WHERE has_row = 1
"""


def _ids(database: Database, sql: str, used: str) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in database.query(sql, (used,)))


def _later(partition: Partition, since: int) -> int:
    last = partition.details["last"]
    if last is None or last <= since:
        return 0
    values, missing = partition.piece(slice(0, len(partition))).numbers["timestamp"]
    return int(((values > since) if missing is None else (values > since) & ~missing).sum())


@contextmanager
def _reading(path: Path) -> Iterator[Database]:
    database = Database.open(path, mode="ro", busy_seconds=_BUSY_SECONDS)
    try:
        yield database
    finally:
        database.close()
