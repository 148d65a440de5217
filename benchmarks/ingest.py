"""How fast the embedded store takes events, against a bare `executemany` into the same table.

Both sides write the same events with the same indexes, in WAL mode with `synchronous=FULL`, in batches of the same
size, in turns. The bare side is given all that the store has to find out: integers for the ids, tuples ready to bind,
no duplicates, no foreign keys to check; so a ratio of 1 would mean that all of that costs nothing.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.events import EVENT_SCHEMA, KIND_CODES, Event, EventKind
from recsys.stores import open_store
from recsys.stores.sqlite import schema

BULK_ROWS = 200_000  # Larger frames go to the archive, which `benchmarks.scale` measures.
BULK_ROUNDS = 5
BATCHES = {100: 60, 1_000: 20}
BATCH_ROUNDS = 5
TARGET = 0.5

_CUSTOMERS = 60_000
_ITEMS = 25_000
_KINDS = (EventKind.VIEW, EventKind.ADD_TO_CART, EventKind.PURCHASE)
_COLUMNS = ("customer", "exposure", "seq", "event_id", "item", "kind", "timestamp", "quantity", "price")
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"

BareRow = tuple[int, int, int, str, int, int, int, float, float]


@dataclass(frozen=True)
class Sides:
    """The rates of both sides, round by round, in rows per second."""

    what: str
    store: Sequence[float]
    bare: Sequence[float]

    def row(self) -> tuple[str, str, str, str]:
        """(what, measured, against, target) as text."""
        ratio = statistics.median(ours / bare for ours, bare in zip(self.store, self.bare, strict=True))
        return (
            self.what,
            f"{statistics.median(self.store):,.0f} rows/s",
            f"bare executemany {statistics.median(self.bare):,.0f} rows/s, ratio {ratio:.2f}",
            f"ratio {TARGET} or more: {'met' if ratio >= TARGET else 'MISSED'}",
        )


def _events(rows: int, first: int, rng: np.random.Generator) -> tuple[pl.DataFrame, list[BareRow]]:
    """The same events as a frame and as rows for the table; ids without any order, as hashes have none."""
    customer = rng.integers(1, _CUSTOMERS + 1, rows).tolist()
    item = np.minimum((rng.power(0.4, rows) * _ITEMS).astype(int) + 1, _ITEMS).tolist()
    kind = [_KINDS[code] for code in rng.integers(0, len(_KINDS), rows)]
    event_id = [raw.hex() for raw in rng.integers(0, 2**63, (rows, 2)).view("V16").ravel().tolist()]
    timestamp = (1_600_000_000_000 + 1_000 * np.arange(first, first + rows)).tolist()
    price = np.round(rng.uniform(1, 50, rows), 2).tolist()
    frame = pl.DataFrame(
        {
            "event_id": event_id,
            "customer_id": [f"customer-{number}" for number in customer],
            "item_id": [f"item-{number}" for number in item],
            "kind": [str(one) for one in kind],
            "timestamp": timestamp,
            "quantity": [1.0] * rows,
            "price": price,
        }
    )
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_SCHEMA.items() if name not in frame]
    bare = [
        (customer[i], 0, first + i, event_id[i], item[i], KIND_CODES[kind[i]], timestamp[i], 1.0, price[i])
        for i in range(rows)
    ]
    return frame.with_columns(missing).select(list(EVENT_SCHEMA)), bare


def _bare_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{256 * 1024}")
    for statement in schema.VERSION_1:
        connection.execute(statement)
    return connection


def _write_bare(connection: sqlite3.Connection, rows: Sequence[BareRow]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, rows)
    connection.execute("COMMIT")


def _rate(rows: int, work: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return rows / (time.perf_counter() - start)


def _bulk(folder: Path, rng: np.random.Generator) -> Sides:
    """One whole import into an empty store."""
    store_rates, bare_rates = [], []
    frame, rows = _events(BULK_ROWS, 1, rng)
    for turn in range(BULK_ROUNDS):
        with closing(open_store(folder / f"store-{turn}.db")) as store:
            store_rates.append(_rate(BULK_ROWS, lambda: store.events.ingest(frame)))
        with closing(_bare_database(folder / f"bare-{turn}.db")) as bare:
            bare_rates.append(_rate(BULK_ROWS, lambda: _write_bare(bare, rows)))
    return Sides(f"SQLite ingest, one frame of {BULK_ROWS:,} rows", store_rates, bare_rates)


def _append(folder: Path, size: int, batches: int, rng: np.random.Generator) -> Sides:
    """Live events, a batch at a time, beside the history that the bulk rounds left."""
    store_rates, bare_rates = [], []
    first = 10 * BULK_ROWS
    with (
        closing(open_store(folder / "store-0.db")) as store,
        closing(_bare_database_again(folder / "bare-0.db")) as bare,
    ):
        for turn in range(BATCH_ROUNDS):
            frame, rows = _events(size * batches, first * size + turn * size * batches, rng)
            events = [Event(**{**row, "kind": EventKind(row["kind"])}) for row in frame.iter_rows(named=True)]
            starts = range(0, size * batches, size)
            ours = [events[start : start + size] for start in starts]
            theirs = [rows[start : start + size] for start in starts]
            store_rates.append(_rate(len(events), lambda: [store.events.append(batch) for batch in ours]))  # noqa: B023
            bare_rates.append(_rate(len(events), lambda: [_write_bare(bare, batch) for batch in theirs]))  # noqa: B023
    return Sides(f"SQLite append, batches of {size:,} events", store_rates, bare_rates)


def _bare_database_again(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{256 * 1024}")
    return connection


def measure() -> list[Sides]:
    """Both sides of every case, measured in turns."""
    rng = np.random.default_rng(20_240_601)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            _bulk(folder, rng),
            *(_append(folder, size, batches, rng) for size, batches in BATCHES.items()),
        ]


def run() -> list[tuple[str, str, str, str]]:
    """What was done, what was measured, against what, and the target: one row per case, all text."""
    return [sides.row() for sides in measure()]


if __name__ == "__main__":
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "against", "target")
    for line in run():
        table.add_row(*line)
    Console(width=150).print(table)
