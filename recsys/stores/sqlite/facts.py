"""Facts about customers in SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from recsys.data.events import KIND_BY_CODE
from recsys.stores.admission import check_frame, storable
from recsys.stores.archive.partition import Partition
from recsys.stores.facts import KEPT_SCHEMA, PEOPLE_SCHEMA
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, as_json
from recsys.stores.sqlite.names import ROOT_OF_ID, Names
from recsys.stores.sqlite.undone import merged, undone_seqs

_PEOPLE = "SELECT customer_id, account_id, has_row FROM customers WHERE merged_into IS NULL ORDER BY customer_id"
_LAST = """
    SELECT customer, kind, max(timestamp) FROM events
    WHERE timestamp < ? AND seq NOT IN (SELECT value FROM json_each(?)) GROUP BY customer, kind
"""
_KEEP = """
    INSERT INTO customer_facts (customer, facts, round)
    SELECT customer, ?, ? FROM customers WHERE customer_id = ? AND merged_into IS NULL
    ON CONFLICT (customer) DO UPDATE SET facts = excluded.facts, round = excluded.round
"""
_DROP_OLD = "DELETE FROM customer_facts WHERE round <> ?"
_GET = f"SELECT facts FROM customer_facts WHERE customer = {ROOT_OF_ID}"  # noqa: S608
_READ = """
    SELECT customer_id, facts FROM customer_facts JOIN customers USING (customer)
    WHERE merged_into IS NULL ORDER BY customer_id
"""
_ABOUT = "SELECT value FROM meta WHERE key = 'customer_facts'"
_ROUND = "SELECT value FROM meta WHERE key = 'customer_facts_round'"
_LAST_BY_NUMBER = {"customer": pl.Int64(), "kind": pl.Int64(), "last": pl.Int64()}
_KIND_NAMES = {code: str(kind) for code, kind in KIND_BY_CODE.items()}
_ROWS_AT_ONCE = 20_000


class SqliteFacts:
    """Implements `FactStore`."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._customers = Names(database, "customers", "customer")

    def people(self) -> pl.DataFrame:
        """See `FactStore`."""
        rows = self._database.query(_PEOPLE)
        columns = zip(*rows, strict=True) if rows else ([] for _ in PEOPLE_SCHEMA)
        return pl.DataFrame(dict(zip(PEOPLE_SCHEMA, columns, strict=True))).select(
            pl.col(name).cast(dtype) for name, dtype in PEOPLE_SCHEMA.items()
        )

    def last(self, until: int) -> pl.DataFrame:
        """See `FactStore`."""
        with self._database.snapshot():
            undone = undone_seqs(self._database, self._archive)
            live = self._database.query(_LAST, (until, as_json(undone)))
            parts = [pl.DataFrame(live, schema=_LAST_BY_NUMBER, orient="row")]
            parts += [_closed(each, until, undone) for each in self._archive.each()]
            self._archive.release()
            ids, row_of = self._customers.all(merged(self._database))
        # What the archive still has of somebody who is being forgotten is nobody's.
        found = pl.concat(parts).filter(pl.col("customer") < len(row_of))
        owner = pl.Series("owner", row_of[found["customer"].to_numpy()])
        newest = (
            found.with_columns(owner).filter(pl.col("owner") >= 0).group_by("owner", "kind").agg(pl.col("last").max())
        )
        return newest.select(
            ids.gather(newest["owner"]).alias("customer_id"),
            pl.col("kind").replace_strict(_KIND_NAMES, return_dtype=pl.String),
            "last",
        )

    def keep(self, facts: pl.DataFrame, about: str) -> int:
        """See `FactStore`."""
        check_frame(facts, KEPT_SCHEMA, "fact", ids=("customer_id",))
        # Each keeping has a number, so that what it did not write anew can be told apart in the end.
        with self._database.transaction():
            this = int(self._database.one(_ROUND)[0]) + 1
            self._database.run("UPDATE meta SET value = ? WHERE key = 'customer_facts_round'", (this,))
        before = self._database.changed_rows
        for rows in self._portions(facts):
            with self._database.transaction():
                self._database.run_many(_KEEP, ((body, this, customer_id) for customer_id, body in rows.iter_rows()))
        kept = self._database.changed_rows - before
        with self._database.transaction():
            self._database.run(_DROP_OLD, (this,))
            self._database.run("UPDATE meta SET value = ? WHERE key = 'customer_facts'", (about,))
        return kept

    def _portions(self, facts: pl.DataFrame) -> Iterator[pl.DataFrame]:
        # In the order of the index of ids.
        ordered = facts.sort("customer_id")
        return (ordered.slice(start, _ROWS_AT_ONCE) for start in range(0, len(ordered), _ROWS_AT_ONCE))

    def get(self, customer_id: str) -> str | None:
        """See `FactStore`."""
        if not storable(customer_id):
            return None
        for (facts,) in self._database.query(_GET, (customer_id,)):
            return str(facts)
        return None

    def read(self) -> pl.DataFrame:
        """See `FactStore`."""
        return pl.DataFrame(self._database.query(_READ), schema=KEPT_SCHEMA, orient="row")

    def about(self) -> str | None:
        """See `FactStore`."""
        (about,) = self._database.one(_ABOUT)
        return about or None


def _closed(partition: Partition, until: int, undone: list[int]) -> pl.DataFrame:
    """The last of each customer and kind in one partition."""
    times, missing = partition.numbers["timestamp"].part(0, len(partition))
    counts = times < until
    if missing is not None:
        counts &= ~missing
    if undone:
        counts &= ~np.isin(partition.seq_of(slice(0, len(partition))), undone)
    rows = np.flatnonzero(counts)
    frame = pl.DataFrame({"customer": partition.customer_of(rows), "kind": partition.kind[rows], "last": times[rows]})
    newest = frame.group_by("customer", "kind").agg(pl.col("last").max())
    return newest.select(pl.col(name).cast(dtype) for name, dtype in _LAST_BY_NUMBER.items())
