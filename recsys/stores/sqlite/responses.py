"""What became of items that were shown: impressions, and the clicks and purchases that followed them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from recsys.data.events import EventKind
from recsys.stores.archive.partition import Partition
from recsys.stores.protocols import RESPONSE_SCHEMA, Responses
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, as_json
from recsys.stores.sqlite.undone import merged, undone_seqs

_SHOWN, _CLICK, _PURCHASE = EventKind.IMPRESSION.code, EventKind.CLICK.code, EventKind.PURCHASE.code
_ROWS = {"customer": pl.Int64(), "item": pl.Int64(), "kind": pl.Int64(), "timestamp": pl.Int64(), "seq": pl.Int64()}
_COLUMNS = "customer, item, kind, timestamp, seq"
# The kinds are written out: SQLite uses the partial index only for a condition that it can see.
_FRESH = f"""
    SELECT {_COLUMNS} FROM events
    WHERE kind IN ({schema.RESPONSE_CODES}) AND seq > ? AND timestamp >= ? AND item IS NOT NULL
"""  # noqa: S608
_SHOWN_TO = f"""
    SELECT {_COLUMNS} FROM events
    WHERE customer IN (SELECT value FROM json_each(?)) AND exposure = 1 AND kind = {_SHOWN} AND timestamp >= ?
"""  # noqa: S608
_ITEM_IDS = "SELECT item, item_id FROM items WHERE item IN (SELECT value FROM json_each(?))"
_ROWS_AT_ONCE = 50_000
_EARLIEST = -(2**63)


def read(database: Database, archive: Archive, after: int, since: int, within: int) -> Responses:
    """See `EventStore.responses`; inside a snapshot."""
    (last,) = database.one("SELECT value FROM meta WHERE key = 'last_seq'")
    counts = ~pl.col("seq").is_in(undone_seqs(database, archive)) & ~pl.col("customer").is_in(_leaving(database))
    person = merged(database)
    fresh = _of_persons(_fresh(database, archive, after, since).filter(counts), person)
    answers = fresh.filter(pl.col("kind") != _SHOWN)
    people = set(answers["person"].to_list())
    customers = sorted(people | {visitor for visitor, customer in person.items() if customer in people})
    earliest = max(_EARLIEST, since - within)
    shown = _of_persons(_shown_to(database, archive, customers, earliest).filter(counts), person)
    followed = (
        answers.sort("timestamp")
        .join_asof(
            shown.select("person", "item", "timestamp", before="timestamp").sort("timestamp"),
            on="timestamp",
            by=["person", "item"],
            check_sortedness=False,
        )
        .filter(pl.col("before") >= pl.col("timestamp").clip(lower_bound=_EARLIEST + within) - within)
    )
    counted = pl.concat([fresh.filter(pl.col("kind") == _SHOWN), followed.drop("before")])
    totals = counted.group_by("item").agg(
        *(
            (pl.col("kind") == kind).sum().cast(pl.Int64).alias(name)
            for name, kind in (("impressions", _SHOWN), ("clicks", _CLICK), ("purchases", _PURCHASE))
        )
    )
    ids = database.query(_ITEM_IDS, [as_json(totals["item"].to_list())])
    names = pl.DataFrame(ids, schema={"item": pl.Int64, "item_id": pl.String}, orient="row")
    return Responses(totals.join(names, on="item").select(*RESPONSE_SCHEMA).sort("item_id"), int(last))


def _fresh(database: Database, archive: Archive, after: int, since: int) -> pl.DataFrame:
    """The events that arrived after `after`, in `_ROWS`."""
    parts = _live(database, _FRESH, [after, since])
    for partition in archive.partitions():
        if int(partition.details["last_seq"]) > after:
            closed = _closed(partition, slice(0, len(partition)))
            parts.append(closed.filter((pl.col("seq") > after) & (pl.col("timestamp") >= since)))
    return pl.concat(parts)


def _shown_to(database: Database, archive: Archive, customers: Sequence[int], since: int) -> pl.DataFrame:
    """What these customers were shown, whenever it arrived, in `_ROWS`."""
    parts = _live(database, _SHOWN_TO, [as_json(customers), since])
    for partition in archive.partitions():
        there = np.intersect1d(partition.customers, np.array(customers, dtype=np.int32)).tolist()
        parts += [_closed(partition, partition.everything_of(customer)) for customer in there]
    shown = pl.concat(parts)
    return shown.filter((pl.col("kind") == _SHOWN) & (pl.col("timestamp") >= since))


def _live(database: Database, sql: str, values: Sequence[object]) -> list[pl.DataFrame]:
    """The rows of the table, in `_ROWS`."""
    chunks = database.chunks(sql, values, _ROWS_AT_ONCE)
    return [pl.DataFrame(schema=_ROWS), *(pl.DataFrame(rows, schema=_ROWS, orient="row") for rows in chunks)]


def _closed(partition: Partition, part: slice) -> pl.DataFrame:
    """The responses among successive rows of a partition, in `_ROWS`."""
    piece = partition.piece(part)
    when, missing = piece.numbers["timestamp"]
    kept = np.isin(piece.kind, (_SHOWN, _CLICK, _PURCHASE)) & (piece.item > 0)
    if missing is not None:
        kept &= ~missing
    rows = np.flatnonzero(kept)
    columns = (
        partition.customer_of(rows + part.start),
        piece.item[rows],
        piece.kind[rows],
        when[rows],
        piece.seq[rows],
    )
    return pl.DataFrame(
        [pl.Series(name, column).cast(dtype) for (name, dtype), column in zip(_ROWS.items(), columns, strict=True)]
    )


def _leaving(database: Database) -> list[int]:
    """The customers who are being forgotten and may still be in the archive."""
    return [customer for (customer,) in database.query("SELECT customer FROM erasures")]


def _of_persons(rows: pl.DataFrame, person: dict[int, int]) -> pl.DataFrame:
    """The rows with whom they belong to: a visitor who turned out to be a customer is that customer."""
    return rows.with_columns(person=pl.col("customer").replace(person))
