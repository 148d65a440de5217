"""Rows of items and customers: mapped, typed, checked; what our schema has no column for becomes attributes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.importers.attributes import merged
from recsys.data.importers.findings import ROW, Findings
from recsys.data.importers.interactions import IGNORED_ITEM, rule_of_rows
from recsys.data.importers.layouts import Layout
from recsys.data.importers.options import ImportOptions, Subject
from recsys.data.importers.table import Cause
from recsys.data.importers.texts import to_text
from recsys.data.importers.times import TimeReading, parse_times
from recsys.data.importers.values import check_id, check_number, check_objects, is_missing, to_flag

_IDS = ("item_id", "customer_id", "account_id")


@dataclass(frozen=True, slots=True)
class CheckedDescriptions:
    """What became of a file's rows of items or customers.

    Attributes
    ----------
    rows : in `ITEM_SCHEMA` or `CUSTOMER_SCHEMA`, each id once.
    bad : `ROW`, cause, field, found, expected.
    aside : `ROW`, rule.
    notes : for the report.
    twice : String; ids that stood in more than one row.
    """

    rows: pl.DataFrame
    bad: pl.DataFrame
    aside: pl.DataFrame
    notes: tuple[str, ...]
    twice: pl.Series


def check_descriptions(
    rows: pl.DataFrame,
    further: pl.Series,
    names: dict[str, str],
    subject: Subject,
    layout: Layout | None,
    options: ImportOptions,
) -> CheckedDescriptions:
    """Items or customers of rows under our column names (and `ROW`), values as in the file; columns may be missing.

    `further` holds a JSON object per row (or null) that joins the row's own attributes. Of rows with the same id the
    last counts. Raises InputError where a whole column cannot be read.
    """
    schema = ITEM_SCHEMA if subject is Subject.ITEMS else CUSTOMER_SCHEMA
    key = "item_id" if subject is Subject.ITEMS else "customer_id"
    rows = rows.with_columns(to_text(rows[name]).alias(name) for name in _IDS if name in rows.columns)
    ignored = pl.Series([None] * rows.height, dtype=pl.String)
    if subject is Subject.ITEMS:
        rule = rule_of_rows(rows.drop("customer_id", strict=False), options)
        ignored = rule.set((rule != IGNORED_ITEM).fill_null(False), None)
    kept = rows.filter(ignored.is_null())
    further = further.filter(ignored.is_null())
    findings = Findings(kept[ROW])
    findings.add(kept[key].is_null(), Cause.MISSING_ID, key, kept[key], "an id")
    columns = {
        name: _column(name, kept, names, dtype, layout, options, findings)
        if name in kept.columns
        else _empty(kept, dtype)
        for name, dtype in schema.items()
    }
    currency = options.currency or (layout.currency if layout else None)
    if currency and "currency" in columns:
        priced = columns["price"].is_not_null() & columns["currency"].is_null()
        columns["currency"] = columns["currency"].set(priced, currency)
    columns["attributes"] = merged(columns["attributes"], further)
    described = pl.DataFrame([column.alias(name) for name, column in columns.items()]).filter(findings.good)
    unique = described.unique(key, keep="last", maintain_order=True)
    notes = []
    if unique.height < described.height:
        notes.append(f"{described.height - unique.height:,} rows repeat an earlier row's {key}; the last one counts")
    aside = rows.select(ROW, ignored.alias("rule")).filter(pl.col("rule").is_not_null())
    twice = described[key].filter(described[key].is_duplicated()).unique(maintain_order=True)
    return CheckedDescriptions(unique, findings.table(), aside, tuple(notes), twice)


def _empty(rows: pl.DataFrame, dtype: pl.DataType) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, rows.height)


def _column(
    name: str,
    kept: pl.DataFrame,
    names: dict[str, str],
    dtype: pl.DataType,
    layout: Layout | None,
    options: ImportOptions,
    findings: Findings,
) -> pl.Series:
    """One column with its type; what does not fit is found."""
    raw = kept[name]
    if name == "attributes":
        return check_objects(findings, name, raw, Cause.BAD_ATTRIBUTES)
    if dtype == pl.Boolean:
        flag = to_flag(raw)
        findings.add(flag.is_null() & ~is_missing(raw), Cause.BAD_FLAG, name, raw, "true or false")
        return flag
    if dtype == pl.Float64:
        value = check_number(findings, name, raw)
        findings.add(value < 0, Cause.BAD_PRICE, name, raw, "a number of 0 or more")
        return value
    if dtype == pl.Int64:
        zone = options.timezone or (layout.timezone if layout else None)
        times = parse_times(names[name], raw, TimeReading(zone, options.time_unit))
        findings.add(times.malformed, Cause.BAD_TIME, name, raw, times.expected)
        skipped = f"a time that exists in {zone} (clocks skip it)"
        findings.add(times.nonexistent, Cause.NONEXISTENT_TIME, name, raw, skipped)
        return times.ms
    text = to_text(raw)
    if name in _IDS:
        check_id(findings, name, text)
    return text
