"""Customers in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.described import DescribedTable
from recsys.stores.sqlite.forgotten import Forgotten, without_forgotten

# Multiplying by this prime and keeping the last 32 bits puts numbers in an order that has nothing to do with theirs.
_SAMPLE = """
    SELECT customer_id FROM customers WHERE merged_into IS NULL
    ORDER BY ((customer + ?) * 2654435761) % 4294967296, customer LIMIT ?
"""


class SqliteCustomers:
    """Implements `CustomerStore`."""

    def __init__(self, database: Database, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._rows = DescribedTable(database, "customers", CUSTOMER_SCHEMA)

    def put(self, customers: pl.DataFrame) -> Ingested:
        """See `CustomerStore`."""
        with self._database.transaction():
            kept = without_forgotten(customers, self._forgotten)
            done = self._rows.put(kept)
        return replace(done, forgotten=len(customers) - len(kept))

    def read(self) -> pl.DataFrame:
        """See `CustomerStore`."""
        return self._rows.read()

    def get(self, customer_ids: Sequence[str]) -> pl.DataFrame:
        """See `CustomerStore`."""
        return self._rows.get(customer_ids)

    def sample(self, size: int, seed: int) -> list[str]:
        """See `CustomerStore`."""
        return [customer_id for (customer_id,) in self._database.query(_SAMPLE, (seed, size))]
