"""Bad rows and rows set aside, as files a person can look at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys.data.importers.findings import ROW
from recsys.data.importers.source import Source
from recsys.data.importers.table import RawTable
from recsys.data.importers.texts import to_text
from recsys.errors import InputError


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What one file leaves behind.

    Attributes
    ----------
    bad : line, cause, field, found, expected, row (the row's own text), customer (whom it is of; null where nobody can
        tell); in the file's order.
    aside : line, rule, row, customer.
    stem : the first part of the files' names: the file's own name and a hash of its content.
    """

    bad: pl.DataFrame
    aside: pl.DataFrame
    stem: str

    @classmethod
    def of(
        cls, source: Source, table: RawTable, rows: pl.DataFrame, bad: pl.DataFrame, aside: pl.DataFrame
    ) -> Quarantine:
        """From rows by number (`ROW`) to rows by line with their own text; `rows` may say whom each is of."""
        broken = pl.DataFrame(
            {
                "line": [row.line for row in table.broken],
                "cause": [str(row.cause) for row in table.broken],
                "field": [""] * len(table.broken),
                "found": [row.found for row in table.broken],
                "expected": [row.expected for row in table.broken],
                "row": [row.original for row in table.broken],
                "customer": [None] * len(table.broken),
            },
            schema=_BAD,
        )
        found = _with_lines(table, rows, bad).select(pl.col(name).cast(dtype) for name, dtype in _BAD.items())
        set_aside = _with_lines(table, rows, aside).select("line", "rule", "row", "customer")
        # A file system takes names of up to 255 bytes, and ours has more parts than the file's own.
        name = os.fsdecode(os.fsencode(source.path.name)[:_LONGEST_NAME])
        return cls(pl.concat([broken, found]).sort("line"), set_aside, f"{name}-{source.digest}")

    def without(self, forgotten: Callable[[Sequence[str]], Collection[str]]) -> Quarantine:
        """The same without the rows of customers who asked to be forgotten; `forgotten` tells which of some ids are.

        A row that could not be split into fields may be of whomever it names.
        """
        return replace(self, bad=_without(self.bad, forgotten), aside=_without(self.aside, forgotten))

    def write(self, folder: Path) -> tuple[Path | None, Path | None]:
        """Writes both files, each whole or not at all; returns where, None for one that would have no rows.

        A file of an earlier import of the same content is replaced, and removed when there is nothing to replace it.
        Raises InputError when a file cannot be written.
        """
        try:
            return (
                _write(self.bad, folder / f"{self.stem}.bad.csv"),
                _write(self.aside, folder / f"{self.stem}.aside.csv"),
            )
        except OSError as error:
            raise InputError(
                f"bad rows and rows set aside cannot be written to {folder}: {error}",
                expected="a folder with room that this user may write; nothing was imported",
                remedy="name another shop folder with --home, or free space on that disk",
            ) from error


_LONGEST_NAME = 180
_WORD = re.compile(r"""[^\s,;|"'{}\[\]]+""")
_BAD = {
    "line": pl.Int64(),
    "cause": pl.String(),
    "field": pl.String(),
    "found": pl.String(),
    "expected": pl.String(),
    "row": pl.String(),
    "customer": pl.String(),
}


def _with_lines(table: RawTable, rows: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    number = found[ROW]
    wanted = rows.join(found, on=ROW, how="semi").unique(ROW)
    customers = pl.Series([None] * len(wanted), dtype=pl.String)
    if "customer_id" in wanted.columns and len(wanted):
        customers = to_text(wanted["customer_id"])
    whose = wanted.select(ROW, customers.alias("customer"))
    return found.join(whose, on=ROW, how="left", maintain_order="left").with_columns(
        table.lines.gather(number).cast(pl.Int64).alias("line"),
        table.originals(number).cast(pl.String).alias("row"),
    )


def _without(rows: pl.DataFrame, forgotten: Callable[[Sequence[str]], Collection[str]]) -> pl.DataFrame:
    named = [
        {customer} if customer is not None else set(_WORD.findall(row))
        for row, customer in rows.select("row", "customer").iter_rows()
    ]
    gone = set(forgotten(sorted(set().union(*named))))
    return rows.filter(pl.Series([not names & gone for names in named], dtype=pl.Boolean)) if gone else rows


def _write(rows: pl.DataFrame, path: Path) -> Path | None:
    if not rows.height:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    # As text first: while polars writes a file itself, Ctrl-C returns before its threads have made the file.
    text = rows.drop("customer").write_csv()
    try:
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
