"""What is wrong with which row. A row is bad once, for the first cause found."""

from __future__ import annotations

import polars as pl

from recsys.data.importers.table import Cause
from recsys.data.importers.texts import shown

ROW = "\x00row"
"""The column that carries a row's number in the file, from 0; no file's column has this name."""

_SCHEMA = {ROW: pl.UInt32(), "cause": pl.String(), "field": pl.String(), "found": pl.String(), "expected": pl.String()}
_LONGEST_FOUND = 300


class Findings:
    """Collects bad rows of one frame of rows that all carry `ROW`."""

    def __init__(self, rows: pl.Series) -> None:
        self._rows = rows
        self._bad = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
        self._parts: list[pl.DataFrame] = []

    def add(self, wrong: pl.Series, cause: Cause, field: str, found: pl.Series, expected: str) -> None:
        """Marks the rows where `wrong` is true, but for those that are bad already.

        `found` is the file's own value, of any type; null shows as nothing.
        """
        fresh = wrong.fill_null(False) & ~self._bad
        if not fresh.any():
            return
        text = shown(found.filter(fresh))
        self._parts.append(
            pl.DataFrame(
                {ROW: self._rows.filter(fresh), "found": text.str.slice(0, _LONGEST_FOUND).fill_null("nothing")}
            ).select(
                pl.col(ROW).cast(pl.UInt32),
                cause=pl.lit(str(cause)),
                field=pl.lit(field),
                found=pl.col("found"),
                expected=pl.lit(expected),
            )
        )
        self._bad |= fresh

    @property
    def good(self) -> pl.Series:
        """Per row of the frame: true when nothing was found."""
        return ~self._bad

    def table(self) -> pl.DataFrame:
        """One row per bad row: `ROW`, cause, field, found, expected; in the file's order."""
        return pl.concat([pl.DataFrame(schema=_SCHEMA), *self._parts]).sort(ROW)
