"""Reads of the whole store: for training and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from recsys.data.events import KIND_BY_CODE
from recsys.data.interactions import EventTable
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.undone import undone_seqs

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


def as_json(numbers: Sequence[int]) -> str:
    """What `json_each(?)` reads."""
    return orjson.dumps(numbers).decode()


def read(database: Database, customers: Names, items: Names) -> EventTable:
    """See `EventStore.read`; inside a snapshot."""
    customer_ids, customer_row = customers.all()
    item_ids, item_row = items.all()
    undone = undone_seqs(database)
    sql, values = (_READ_WITHOUT, [as_json(undone)]) if undone else (_READ, [])
    parts = [pl.DataFrame(schema=_COLUMNS)]
    for rows in database.chunks(sql, values, _ROWS_AT_ONCE):
        columns = zip(_COLUMNS.items(), zip(*rows, strict=True), strict=True)
        parts.append(pl.DataFrame([pl.Series(name, column, dtype=dtype) for (name, dtype), column in columns]))
    events = pl.concat(parts, rechunk=True)
    events = events.with_columns(
        pl.Series("customer", customer_row[events["customer"].to_numpy()], dtype=pl.Int32),
        pl.Series("item", item_row[events["item"].to_numpy()], dtype=pl.Int32),
    )
    return EventTable(events=events, customer_ids=customer_ids, item_ids=item_ids)


def summary(database: Database) -> Mapping[str, Any]:
    """See `EventStore.summary`; inside a snapshot."""
    kinds = database.query(_KINDS)
    first = [earliest for _, _, earliest, _ in kinds if earliest is not None]
    last = [latest for _, _, _, latest in kinds if latest is not None]
    return {
        "customers": database.one("SELECT count(*) FROM customers")[0],
        "items": database.one("SELECT count(*) FROM items")[0],
        "events": {str(KIND_BY_CODE[code]): count for code, count, _, _ in kinds},
        "first": min(first, default=None),
        "last": max(last, default=None),
    }
