"""Events of some kinds in a period, exposures too: for counting what came of what was shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.outcomes.exposure import OUTCOME_SCHEMA
from recsys.stores.archive.partition import Partition
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, as_json
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.undone import merged, undone_seqs

_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.Int64(),
    "seq": pl.Int64(),
    "item": pl.Int64(),
    "kind": pl.Int64(),
    "timestamp": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "recommendation_id": pl.String(),
    "context": pl.String(),
}
_LIVE = f"""
    SELECT {", ".join(_COLUMNS)} FROM events
    WHERE timestamp >= ? AND timestamp < ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY customer
"""  # noqa: S608
_TEXTS = ("price", "currency", "recommendation_id", "context")
_ROWS_AT_ONCE = 50_000


def period(
    database: Database,
    archive: Archive,
    names: tuple[Names, Names],
    kinds: Collection[EventKind],
    since: int,
    until: int,
) -> pl.DataFrame:
    """See `EventStore.period`; inside a snapshot. `names` are those of customers and of items."""
    codes = sorted(kind.code for kind in kinds)
    parts = [pl.DataFrame(schema=_COLUMNS), *_live(database, codes, since, until)]
    parts += [_closed(each, codes, since, until) for each in archive.each() if _meets(each, since, until)]
    events = pl.concat(parts)
    taken_back = undone_seqs(database, archive)
    archive.release()
    if taken_back:
        events = events.filter(~pl.col("seq").is_in(taken_back))
    customers, items = names
    kind_names = {code: str(KIND_BY_CODE[code]) for code in codes}
    events = events.sort("seq")
    return (
        events.with_columns(
            _texts(events["customer"], *customers.all(merged(database))).alias("customer_id"),
            _texts(events["item"], *items.all({})).alias("item_id"),
            pl.col("kind").replace_strict(kind_names, return_dtype=pl.String),
        )
        # What the archive still has of somebody who is being forgotten is nobody's.
        .filter(pl.col("customer_id").is_not_null())
        .select(list(OUTCOME_SCHEMA))
    )


def _texts(numbers: pl.Series, ids: pl.Series, row_of: npt.NDArray[np.int32]) -> pl.Series:
    """The ids of numbers; null for none, and for one that there is not any more."""
    wanted = numbers.fill_null(len(row_of)).to_numpy()
    rows = np.append(row_of, np.int32(-1))[np.minimum(wanted, len(row_of))]
    return ids.gather(pl.Series(rows).set(pl.Series(rows < 0), None))


def _live(database: Database, codes: list[int], since: int, until: int) -> Iterator[pl.DataFrame]:
    for rows in database.chunks(_LIVE, [since, until, as_json(codes)], _ROWS_AT_ONCE):
        yield pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _meets(partition: Partition, since: int, until: int) -> bool:
    first, last = partition.details["first"], partition.details["last"]
    return first is not None and first < until and last >= since


def _closed(partition: Partition, codes: list[int], since: int, until: int) -> pl.DataFrame:
    """Those in one partition."""
    times, missing = partition.numbers["timestamp"].part(0, len(partition))
    wanted = np.isin(partition.kind, np.array(codes, dtype=np.int8)) & (times >= since) & (times < until)
    if missing is not None:
        wanted &= ~missing
    found = partition.some(np.flatnonzero(wanted), ("timestamp", "quantity"), _TEXTS)
    return found.select(pl.col(name).cast(dtype) for name, dtype in _COLUMNS.items())
