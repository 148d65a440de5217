"""Customers in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.described import DescribedTable


class SqliteCustomers:
    """Implements `CustomerStore`."""

    def __init__(self, database: Database) -> None:
        self._rows = DescribedTable(database, "customers", CUSTOMER_SCHEMA)

    def put(self, customers: pl.DataFrame) -> Ingested:
        """See `CustomerStore`."""
        return self._rows.put(customers)

    def read(self) -> pl.DataFrame:
        """See `CustomerStore`."""
        return self._rows.read()

    def get(self, customer_ids: Sequence[str]) -> pl.DataFrame:
        """See `CustomerStore`."""
        return self._rows.get(customer_ids)
