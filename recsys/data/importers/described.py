"""Rows of items and customers: mapped, typed, checked; what our schema has no column for becomes attributes."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.importers.findings import ROW, Findings
from recsys.data.importers.interactions import IGNORED_ITEM, rule_of_rows
from recsys.data.importers.layouts import Layout
from recsys.data.importers.options import ImportOptions, Subject
from recsys.data.importers.table import Cause
from recsys.data.importers.times import TimeReading, parse_times
from recsys.data.importers.values import check_id, check_number, check_objects, is_missing, to_flag, to_text

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
    """

    rows: pl.DataFrame
    bad: pl.DataFrame
    aside: pl.DataFrame
    notes: tuple[str, ...]


def check_descriptions(
    rows: pl.DataFrame,
    extras: pl.DataFrame,
    names: dict[str, str],
    subject: Subject,
    layout: Layout | None,
    options: ImportOptions,
) -> CheckedDescriptions:
    """Items or customers of rows under our column names (and `ROW`), values as in the file; columns may be missing.

    `extras` holds the columns that become attributes, under the file's names, as many rows. Of rows with the same id
    the last counts. Raises InputError where a whole column cannot be read.
    """
    schema = ITEM_SCHEMA if subject is Subject.ITEMS else CUSTOMER_SCHEMA
    key = "item_id" if subject is Subject.ITEMS else "customer_id"
    rows = rows.with_columns(to_text(rows[name]).alias(name) for name in _IDS if name in rows.columns)
    ignored = pl.Series([None] * rows.height, dtype=pl.String)
    if subject is Subject.ITEMS:
        rule = rule_of_rows(rows.drop("customer_id", strict=False), options)
        ignored = rule.set((rule != IGNORED_ITEM).fill_null(False), None)
    kept = rows.filter(ignored.is_null())
    extras = extras.filter(ignored.is_null()) if extras.width else extras
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
    columns["attributes"] = _attributes(columns["attributes"], extras)
    described = pl.DataFrame([column.alias(name) for name, column in columns.items()]).filter(findings.good)
    unique = described.unique(key, keep="last", maintain_order=True)
    notes = []
    if unique.height < described.height:
        notes.append(f"{described.height - unique.height:,} rows repeat an earlier row's {key}; the last one counts")
    if extras.width:
        notes.append(f"kept as attributes: {', '.join(extras.columns)}")
    aside = rows.select(ROW, ignored.alias("rule")).filter(pl.col("rule").is_not_null())
    return CheckedDescriptions(unique, findings.table(), aside, tuple(notes))


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
        findings.add(times.malformed, Cause.BAD_TIME, name, raw, "seconds since 1970, or ISO 8601 text")
        skipped = f"a time that exists in {zone} (clocks skip it)"
        findings.add(times.nonexistent, Cause.NONEXISTENT_TIME, name, raw, skipped)
        return times.ms
    text = to_text(raw)
    if name in _IDS:
        check_id(findings, name, text)
    return text


def _attributes(given: pl.Series, extras: pl.DataFrame) -> pl.Series:
    """One JSON object per row of the file's own attributes and its further columns; null where there are none."""
    if not extras.width:
        return given
    present = extras.with_columns(
        pl.when(pl.col(name) != "").then(name) for name, dtype in extras.schema.items() if dtype == pl.String
    )
    members = [
        pl.when(pl.col(name).is_not_null()).then(pl.struct(name).struct.json_encode().str.head(-1).str.slice(1))
        for name in sorted(present.columns)
    ]
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    braced = pl.concat_str(pl.lit("{"), joined, pl.lit("}"))
    objects = present.select(pl.when(joined != "").then(braced)).to_series()
    if not given.count():
        return objects.rename("attributes")
    return pl.Series("attributes", [_merged(a, b) for a, b in zip(given, objects, strict=True)], dtype=pl.String)


def _merged(given: str | None, extra: str | None) -> str | None:
    if given is None or extra is None:
        return given or extra
    return orjson.dumps(orjson.loads(extra) | orjson.loads(given), option=orjson.OPT_SORT_KEYS).decode()
