"""Items in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import overload

import polars as pl

from recsys.data.catalog import ITEM_SCHEMA, UNREAD, CatalogChanges
from recsys.stores.admission import storable
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.described import DescribedTable

_ANY = "changed > ?"
# Said twice: only the constant lets SQLite see that the index of changed rows will do.
_NEWER = "changed > 0 AND changed > ?"
_AMONG = "item_id IN (SELECT value FROM json_each(?))"
_HERE = f"SELECT item_id FROM items WHERE NOT removed AND {_AMONG}"  # noqa: S608 - our own text
_REMOVED = "SELECT item_id FROM items WHERE removed"
_EMPTIED = ", ".join(f"{column} = NULL" for column in ITEM_SCHEMA if column != "item_id")
_REMOVE = f"UPDATE items SET {_EMPTIED}, has_row = 0, removed = 1, changed = ? WHERE item_id = ?"  # noqa: S608 - our own text


_BULK = "SELECT value FROM meta WHERE key = 'catalog_bulk'"

BULK_ROWS = 10_000
"""More rows than this are put without a mark on each, which would cost a third of the time: what changed since an
earlier version is then everything, as it mostly is after an import."""


class SqliteCatalog:
    """Implements `CatalogStore`.

    Each row carries the version of the catalogue at which it changed last, or 0 when that was in a put of many rows;
    `catalog_bulk` is the version of the last of those.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = DescribedTable(database, "items", ITEM_SCHEMA, marks=("changed", "removed"))

    def put(self, items: pl.DataFrame) -> Ingested:
        """See `CatalogStore`."""
        with self._database.transaction():
            next_version = self.version() + 1
            is_bulk = len(items) > BULK_ROWS
            done = self._rows.put(items, marks=(0 if is_bulk else next_version, 0))
            if done.added or done.changed:
                self._reach(next_version)
                if is_bulk:
                    self._database.run("INSERT OR REPLACE INTO meta VALUES ('catalog_bulk', ?)", (next_version,))
        return done

    def remove(self, item_ids: Sequence[str]) -> list[bool]:
        """See `CatalogStore`."""
        with self._database.transaction():
            wanted = sorted({identifier for identifier in item_ids if storable(identifier)})
            here = {item_id for (item_id,) in self._database.matching(_HERE, wanted)}
            if here:
                next_version = self.version() + 1
                self._database.run_many(_REMOVE, ((next_version, item_id) for item_id in sorted(here)))
                self._reach(next_version)
        removed = []
        for item_id in item_ids:
            removed.append(item_id in here)
            here.discard(item_id)
        return removed

    def read(self) -> pl.DataFrame:
        """See `CatalogStore`."""
        return self._rows.read()

    def get(self, item_ids: Sequence[str]) -> pl.DataFrame:
        """See `CatalogStore`."""
        return self._rows.get(item_ids)

    @overload
    def changes(self, since: int) -> CatalogChanges: ...

    @overload
    def changes(self, since: int, at_most: int | None, also: Collection[str] = ()) -> CatalogChanges | None: ...

    def changes(self, since: int, at_most: int | None = None, also: Collection[str] = ()) -> CatalogChanges | None:
        """See `CatalogStore`."""
        with self._database.snapshot():
            bulk = self._database.query(_BULK)
            if bulk and since < bulk[0][0]:
                since = UNREAD
            newer = _ANY if since == UNREAD else _NEWER
            if at_most is not None and len(also) + self._count(newer, since, at_most + 1) > at_most:
                return None
            items = self._rows.where(newer, (since,))
            removed = {one for (one,) in self._database.query(f"{_REMOVED} AND {newer}", (since,))}
            more = sorted({each for each in also if storable(each)} - removed - set(items["item_id"] if also else ()))
            if more:
                items = pl.concat([items, self._rows.get(more)]).sort("item_id")
                removed |= {one for (one,) in self._database.matching(f"{_REMOVED} AND {_AMONG}", more)}
            return CatalogChanges(items, sorted(removed), self.version())

    def version(self) -> int:
        """See `CatalogStore`."""
        (version,) = self._database.one("SELECT value FROM meta WHERE key = 'catalog_version'")
        return int(version)

    def _count(self, newer: str, since: int, enough: int) -> int:
        """How many rows and removed items changed after that version, counted up to `enough`."""
        rows = f"SELECT 1 FROM items WHERE (has_row OR removed) AND {newer} LIMIT ?"  # noqa: S608 - our own text
        (count,) = self._database.one(f"SELECT count(*) FROM ({rows})", (since, enough))  # noqa: S608 - our own text
        return int(count)

    def _reach(self, version: int) -> None:
        self._database.run("UPDATE meta SET value = ? WHERE key = 'catalog_version'", (version,))
