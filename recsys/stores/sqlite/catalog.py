"""Items in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.data.catalog import ITEM_SCHEMA
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.described import DescribedTable


class SqliteCatalog:
    """Implements `CatalogStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = DescribedTable(database, "items", ITEM_SCHEMA)

    def put(self, items: pl.DataFrame) -> Ingested:
        """See `CatalogStore`."""
        with self._database.transaction():
            done = self._rows.put(items)
            if done.added or done.changed:
                self._database.run("UPDATE meta SET value = value + 1 WHERE key = 'catalog_version'")
        return done

    def read(self) -> pl.DataFrame:
        """See `CatalogStore`."""
        return self._rows.read()

    def get(self, item_ids: Sequence[str]) -> pl.DataFrame:
        """See `CatalogStore`."""
        return self._rows.get(item_ids)

    def version(self) -> int:
        """See `CatalogStore`."""
        (version,) = self._database.one("SELECT value FROM meta WHERE key = 'catalog_version'")
        return int(version)
