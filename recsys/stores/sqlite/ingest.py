"""Many events at once, from a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import polars as pl

from recsys.data.events import EVENT_SCHEMA, KIND_CODES
from recsys.stores.archive.partition import ROWS
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.sequence import known_ids, reserve

# Small enough that Ctrl-C and the progress bar are answered many times a second.
_ROWS_AT_ONCE = 20_000
# Below this the order of insertion does not matter.
_LATE_INDEX_ROWS = 20_000
_IDS = ("customer_id", "item_id")
_KINDS = pl.DataFrame(
    {
        "kind": [str(kind) for kind in KIND_CODES],
        "code": list(KIND_CODES.values()),
        "exposure": [int(kind.is_exposure) for kind in KIND_CODES],
    }
)


ARCHIVED_ROWS = 250_000
"""A frame of at least so many rows goes to the archive: less is quicker, and found quicker, as rows of the table."""


def ingest(
    database: Database,
    customers: Names,
    items: Names,
    archive: Archive,
    events: pl.DataFrame,
    progress: Callable[[int], None] | None,
) -> Ingested:
    """See `EventStore.ingest`; inside a write transaction."""
    if len(events) >= ARCHIVED_ROWS:
        return _to_archive(database, customers, items, archive, events, progress)
    empty = not database.query("SELECT 1 FROM events LIMIT 1") and not archive.partitions()
    fresh = events.filter(pl.col("event_id").is_first_distinct())
    if not empty:
        ids = fresh["event_id"].sort().to_list()
        fresh = _without(fresh, known_ids(database, ids) | archive.known(ids))
    archive.noted(fresh["event_id"])
    known = len(events) - len(fresh)
    rows = _numbered(database, customers, items, fresh)
    with _index_built_late(database) if empty and len(rows) >= _LATE_INDEX_ROWS else nullcontext():
        for done in _insert(database, rows):
            if progress is not None:
                progress(known + done)
    return Ingested(added=len(rows), known=known)


def _insert(database: Database, rows: pl.DataFrame) -> Iterator[int]:
    """Writes the rows; yields how many are written so far, at least once."""
    # What is null in the whole frame need not be bound; binding is much of the time.
    bound = rows.select(column for column in rows if column.null_count() < len(column))
    insert = f"INSERT INTO events ({', '.join(bound.columns)}) VALUES ({', '.join('?' * bound.width)})"  # noqa: S608
    for start in range(0, len(bound), _ROWS_AT_ONCE):
        part = bound.slice(start, _ROWS_AT_ONCE)
        database.run_many(insert, zip(*(column.to_list() for column in part), strict=True))
        if start + len(part) < len(rows):
            yield start + len(part)
    yield len(rows)


@contextmanager
def _index_built_late(database: Database) -> Iterator[None]:
    """Leaves the index of event ids for last: ids come in no order, and one sort costs less than as many insertions
    here and there. Inside the transaction, so nobody ever sees the table without it."""
    database.run("DROP INDEX event_ids")
    yield
    database.run(schema.EVENT_IDS)


def _to_archive(
    database: Database,
    customers: Names,
    items: Names,
    archive: Archive,
    events: pl.DataFrame,
    progress: Callable[[int], None] | None,
) -> Ingested:
    """Undos become rows of the table, where every answer looks for them; everything else becomes a partition."""
    fresh = events.filter(pl.col("event_id").is_first_distinct())
    fresh = _without(fresh, archive.known_of_many(fresh["event_id"]))
    archive.noted(fresh["event_id"])
    known = len(events) - len(fresh)
    rows = _numbered(database, customers, items, fresh)
    is_undo = rows["kind"] == schema.UNDO_CODE
    undos, others = rows.filter(is_undo), rows.filter(~is_undo)
    for _ in _insert(database, undos):
        pass
    if len(others):
        ready = others.select(pl.col(name).cast(dtype) for name, dtype in ROWS.items())
        archive.stage(ready, (lambda done: progress(known + done)) if progress is not None else None)
    if progress is not None:
        progress(len(events))
    return Ingested(added=len(fresh), known=known)


def _without(events: pl.DataFrame, known: set[str]) -> pl.DataFrame:
    """The events that are not among those known."""
    if not known:
        return events
    return events.join(pl.DataFrame({"event_id": list(known)}), on="event_id", how="anti", maintain_order="left")


def _numbered(database: Database, customers: Names, items: Names, events: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table `events`, in its order: each page of the table is then written once."""
    first = reserve(database, len(events)) if len(events) else 1
    numbers = {"customer": customers, "item": items}
    rows = events.join(_KINDS, on="kind", how="left", maintain_order="left").with_columns(
        pl.int_range(first, first + len(events), dtype=pl.Int64).alias("seq")
    )
    for number, names in numbers.items():
        text = f"{number}_id"
        found = names.intern(rows[text].drop_nulls().unique().to_list())
        table = pl.DataFrame(
            {text: list(found.keys()), number: list(found.values())}, schema={text: pl.String, number: pl.Int64}
        )
        rows = rows.join(table, on=text, how="left", maintain_order="left")
    kept = [name for name in EVENT_SCHEMA if name not in _IDS and name != "kind"]
    return rows.select("customer", "exposure", "seq", "item", pl.col("code").alias("kind"), *kept).sort(
        "customer", "exposure", "seq"
    )
