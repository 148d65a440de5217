"""Tables of things that have an id and a row of attributes: items and customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

import polars as pl

from recsys.errors import InputError
from recsys.stores.admission import check_frame, storable
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite.database import Database

_ROWS_AT_ONCE = 20_000


class DescribedTable:
    """Rows in `schema`, by the id that is its first column; ids without a row belong to events and are not shown.

    `marks` are whole numbers beside the row, which are written when it changes and are no part of what is compared.
    """

    def __init__(
        self, database: Database, table: str, schema: Mapping[str, pl.DataType], marks: Sequence[str] = ()
    ) -> None:
        self._database = database
        self._noun = table.removesuffix("s")
        self._schema = schema
        self._key, *rest = schema
        self._marks = marks
        columns, written = ", ".join(schema), (*schema, *marks)
        new = ", ".join(f"excluded.{column}" for column in rest)
        # Only names from this project's schemas are put into the text of statements; values are always bound.
        self._put = (
            f"INSERT INTO {table} ({', '.join(written)}, has_row) VALUES ({', '.join('?' * len(written))}, 1)"  # noqa: S608
            f" ON CONFLICT ({self._key}) DO UPDATE SET ({', '.join(written[1:])}, has_row)"
            f" = ({', '.join(f'excluded.{column}' for column in written[1:])}, 1)"
            # IS NOT is the comparison for which two nulls are equal.
            f" WHERE NOT {table}.has_row OR ({', '.join(f'{table}.{column}' for column in rest)}) IS NOT ({new})"
        )
        self._select = f"SELECT {columns} FROM {table} WHERE has_row"  # noqa: S608
        among = f"{self._key} IN (SELECT value FROM json_each(?))"  # noqa: S608
        self._select_some = f"{self._select} AND {among}"
        self._count = f"SELECT count(*) FROM {table} WHERE has_row AND {among}"  # noqa: S608

    def put(self, frame: pl.DataFrame, marks: Sequence[int] = ()) -> Ingested:
        """See `CatalogStore.put`; joins the transaction that it is called in. What changes gets these marks."""
        check_frame(frame, self._schema, self._noun, ids=(self._key,))
        if frame[self._key].null_count():
            raise InputError(f"a frame of {self._noun}s has rows without {self._key}", expected="an id in every row")
        last = frame.unique(self._key, keep="last").sort(self._key)
        rows = last.with_columns(pl.lit(value).alias(name) for name, value in zip(self._marks, marks, strict=True))
        with self._database.bulk(), self._database.transaction():
            there = sum(count for (count,) in self._database.matching(self._count, last[self._key].to_list()))
            before = self._database.changed_rows
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                self._database.run_many(self._put, rows.slice(start, _ROWS_AT_ONCE).iter_rows())
            written = self._database.changed_rows - before
        added = len(last) - there
        return Ingested(added=added, known=len(frame) - written, changed=written - added)

    def read(self) -> pl.DataFrame:
        """All rows, ordered by id."""
        rows = self._database.query(f"{self._select} ORDER BY {self._key}")
        return self._frame(rows)

    def get(self, ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these ids, ordered by id."""
        wanted = sorted({identifier for identifier in ids if storable(identifier)})
        return self._frame(list(self._database.matching(self._select_some, wanted))).sort(self._key)

    def where(self, condition: str, values: Sequence[object]) -> pl.DataFrame:
        """The rows for which a condition on columns of the table holds, ordered by id."""
        # Sorted here: for one row a data frame's sort takes longer than all else, and by an index SQLite would rather
        # walk over the table than sort.
        return self._frame(sorted(self._database.query(f"{self._select} AND {condition}", values), key=itemgetter(0)))

    def _frame(self, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
        columns = zip(*rows, strict=True) if rows else ([] for _ in self._schema)
        return pl.DataFrame(
            [_series(name, values, dtype) for (name, dtype), values in zip(self._schema.items(), columns, strict=True)]
        )


def _series(name: str, values: Sequence[object], dtype: pl.DataType) -> pl.Series:
    """SQLite has no truth values: they come back as 0 and 1."""
    if dtype == pl.Boolean:
        return pl.Series(name, values, dtype=pl.Int8).cast(pl.Boolean)
    return pl.Series(name, values, dtype=dtype)
