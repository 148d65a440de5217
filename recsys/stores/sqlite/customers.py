"""Customers in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.stores.protocols import PERMISSION_SCHEMA, Ingested
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.described import DescribedTable
from recsys.stores.sqlite.forgotten import Forgotten, without_forgotten
from recsys.stores.sqlite.names import ROOT

# Multiplying by this prime and keeping the last 32 bits puts numbers in an order that has nothing to do with theirs.
_SAMPLE = """
    SELECT customer_id FROM customers WHERE merged_into IS NULL
    ORDER BY ((customer + ?) * 2654435761) % 4294967296, customer LIMIT ?
"""


# Of several statements the latest counts, of two of the same moment the no: as `recsys.data.profile.in_force`.
_PERMISSIONS = f"""
    WITH said AS (
        SELECT {ROOT} AS root, granted, row_number() OVER (
            PARTITION BY {ROOT} ORDER BY stated DESC, granted
        ) AS place
        FROM consents JOIN customers USING (customer) WHERE purpose = ?
    ), told AS (
        SELECT root, granted FROM said WHERE place = 1
        UNION ALL
        SELECT customer, NULL FROM profiles JOIN customers USING (customer)
        WHERE NOT recommendations AND merged_into IS NULL
    )
    SELECT customers.customer_id, max(told.granted), coalesce(min(profiles.recommendations), 1)
    FROM told JOIN customers ON customers.customer = told.root
    LEFT JOIN profiles ON profiles.customer = told.root
    GROUP BY told.root ORDER BY customers.customer_id
"""  # noqa: S608


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

    def permissions(self, purpose: str) -> pl.DataFrame:
        """See `CustomerStore`."""
        rows = self._database.query(_PERMISSIONS, (purpose,))
        frame = pl.DataFrame(rows, schema=list(PERMISSION_SCHEMA), orient="row", infer_schema_length=None)
        return frame.with_columns(pl.col(name).cast(dtype) for name, dtype in PERMISSION_SCHEMA.items())

    def sample(self, size: int, seed: int) -> list[str]:
        """See `CustomerStore`."""
        return [customer_id for (customer_id,) in self._database.query(_SAMPLE, (seed, size))]
