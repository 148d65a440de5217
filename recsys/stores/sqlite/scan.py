"""Reads of the whole store: for training and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import KIND_BY_CODE
from recsys.data.interactions import EventTable
from recsys.stores.archive.partition import Partition
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, as_json
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.undone import merged, undone_seqs

_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.Int32(),
    "item": pl.Int32(),
    "kind": pl.Int8(),
    "timestamp": pl.Int64(),
    "position": pl.Int64(),
    "quantity": pl.Float32(),
    "rating": pl.Float32(),
}
# In the order of the table itself: left to choose, SQLite walks an index and fetches each row from the table apart.
_IN_TABLE_ORDER = "ORDER BY customer"
_FROM = f"""
    SELECT {", ".join(_COLUMNS)} FROM events
    WHERE exposure = 0 AND item IS NOT NULL AND kind <> {schema.UNDO_CODE}
"""  # noqa: S608
_READ = f"{_FROM} {_IN_TABLE_ORDER}"
_READ_WITHOUT = f"{_FROM} AND seq NOT IN (SELECT value FROM json_each(?)) {_IN_TABLE_ORDER}"  # noqa: S608
_KINDS = "SELECT kind, count(*), min(timestamp), max(timestamp) FROM events GROUP BY kind ORDER BY kind"
_ROWS_AT_ONCE = 50_000
_NOBODY = -1


def read(database: Database, customers: Names, items: Names, archive: Archive, as_of: int | None = None) -> EventTable:
    """See `EventStore.read`; inside a snapshot."""
    customer_ids, customer_row = customers.all(merged(database))
    item_ids, item_row = items.all({})
    undone = undone_seqs(database, archive, before=as_of)
    # Looking for what was taken back touches pages all over the archive, which count as memory while they are mapped.
    archive.release()
    parts = [pl.DataFrame(schema=_COLUMNS), *_live(database, undone)]
    taken_back = np.array(sorted(undone), dtype=np.int64)
    parts += [_closed(partition, taken_back) for partition in archive.each()]
    columns = {}
    for name in _COLUMNS:
        # Column by column, so that what was read is not held twice.
        columns[name] = pl.concat([part[name] for part in parts], rechunk=True)
        for part in parts:
            part.drop_in_place(name)
    numbers = {"customer": customer_row, "item": item_row}
    for name, row_of in numbers.items():
        columns[name] = pl.Series(name, _rows(row_of, columns[name].to_numpy()), dtype=pl.Int32)
    events = pl.DataFrame(columns)
    # What the archive still has of somebody who is being forgotten is nobody's.
    if (events["customer"] == _NOBODY).any():
        events = events.filter(pl.col("customer") != _NOBODY)
    return EventTable(events=events, customer_ids=customer_ids, item_ids=item_ids)


def _rows(row_of: npt.NDArray[np.int32], numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The rows of numbers, `_NOBODY` for one that there is not any more."""
    if not len(numbers) or int(numbers.max()) < len(row_of):
        return np.asarray(row_of[numbers])
    known = numbers < len(row_of)
    return np.where(known, row_of[np.where(known, numbers, 0)], np.int32(_NOBODY))


def _live(database: Database, undone: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The rows of the table."""
    sql, values = (_READ_WITHOUT, [as_json(undone)]) if undone else (_READ, [])
    for rows in database.chunks(sql, values, _ROWS_AT_ONCE):
        columns = zip(_COLUMNS.items(), zip(*rows, strict=True), strict=True)
        yield pl.DataFrame([pl.Series(name, column, dtype=dtype) for (name, dtype), column in columns])


def _closed(partition: Partition, taken_back: npt.NDArray[np.int64]) -> pl.DataFrame:
    """The behaviour in one partition that was not taken back."""
    counts = np.diff(partition.starts)
    piece = partition.piece(slice(0, len(partition)))
    kept = np.arange(len(partition)) < np.repeat(partition.behaviour, counts)
    kept &= piece.item > 0
    if len(taken_back):
        kept &= ~np.isin(piece.seq, taken_back)
    columns = {
        "customer": pl.Series(np.repeat(partition.customers, counts)[kept]),
        "item": pl.Series(piece.item[kept]),
        "kind": pl.Series(piece.kind[kept]),
    }
    for name, (values, missing) in piece.numbers.items():
        column = pl.Series(values[kept])
        columns[name] = column if missing is None else column.set(pl.Series(missing[kept]), None)
    return pl.DataFrame([columns[name].cast(dtype).alias(name) for name, dtype in _COLUMNS.items()])


def summary(database: Database, archive: Archive) -> Mapping[str, Any]:
    """See `EventStore.summary`; inside a snapshot."""
    live = database.query(_KINDS)
    counts = Counter({code: count for code, count, _, _ in live})
    times = [time for _, _, earliest, latest in live for time in (earliest, latest)]
    for partition in archive.partitions():
        counts.update({int(code): count for code, count in partition.details["kinds"].items()})
        times += [partition.details["first"], partition.details["last"]]
    known = [time for time in times if time is not None]
    return {
        "customers": database.one("SELECT count(*) FROM customers WHERE merged_into IS NULL")[0],
        "items": database.one("SELECT count(*) FROM items")[0],
        "events": {str(KIND_BY_CODE[code]): counts[code] for code in sorted(counts)},
        "first": min(known, default=None),
        "last": max(known, default=None),
    }
