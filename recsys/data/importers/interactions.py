"""Rows of interactions to events: mapped, typed, checked, each with an id."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate

import orjson
import polars as pl

from recsys.data.events import EVENT_SCHEMA, KINDS_WITHOUT_ITEM, MAX_ID_LENGTH, EventKind
from recsys.data.importers.event_ids import derive_event_ids
from recsys.data.importers.findings import ROW, Findings
from recsys.data.importers.layouts import Layout, loose, loose_text
from recsys.data.importers.options import ImportOptions
from recsys.data.importers.table import Cause
from recsys.data.importers.texts import to_text
from recsys.data.importers.times import TimeReading, parse_times
from recsys.data.importers.values import (
    check_id,
    check_number,
    check_objects,
    is_missing,
    is_whole_float,
    to_whole,
)

NO_CUSTOMER = "no_customer"
IGNORED_ITEM = "ignored_item"
_FUTURE_SLACK_MS = 86_400_000
_TEXTS = ("event_id", "customer_id", "item_id", "kind", "session_id", "recommendation_id", "currency")
_LONGEST = {"recommendation_id": 4096, "currency": 16}


@dataclass(frozen=True, slots=True)
class CheckedInteractions:
    """What became of a file's rows of interactions.

    Attributes
    ----------
    events : in `EVENT_SCHEMA`, each `event_id` once.
    repeated : rows left out since an earlier row gave the same `event_id`.
    bad : `ROW`, cause, field, found, expected.
    aside : `ROW`, rule.
    time_read_as : how times were read; empty when there are none.
    notes : for the report.
    """

    events: pl.DataFrame
    repeated: int
    bad: pl.DataFrame
    aside: pl.DataFrame
    time_read_as: str
    notes: tuple[str, ...]


def check_interactions(
    rows: pl.DataFrame,
    names: dict[str, str],
    layout: Layout | None,
    options: ImportOptions,
    require_item: Callable[[], None],
) -> CheckedInteractions:
    """Events of rows under our column names (and `ROW`), values as in the file; columns may be missing.

    `names` gives the file's name of each of our columns, for messages. `require_item` is called when a kind needs an
    item and no column says it; it raises. Raises InputError where a whole column cannot be read.
    """
    notes = _notes_on_ids(rows, names)
    rows = rows.with_columns(to_text(rows[name]).alias(name) for name in _TEXTS if name in rows.columns)
    if "kind" in rows.columns:
        unused = [theirs for theirs in options.kinds if theirs not in rows["kind"]]
        notes += [f"--kinds-map names {theirs!r}, which no row has" for theirs in unused]
    aside = rule_of_rows(rows, options)
    kept = rows.filter(aside.is_null()) if aside.null_count() < len(aside) else rows
    rules = [rows.select(ROW, aside.alias("rule")).filter(pl.col("rule").is_not_null())]
    findings = Findings(kept[ROW])
    typed, read_as = _typed(kept, names, layout, options, findings)
    if layout and layout.finish:
        typed = layout.finish(typed)
        if "aside" in typed.columns:
            marked = typed.select(ROW, pl.col("aside").alias("rule")).filter(pl.col("rule").is_not_null())
            rules.append(marked)
    if "item_id" not in kept.columns and not typed["kind"].is_in([str(kind) for kind in KINDS_WITHOUT_ITEM]).all():
        require_item()
    _check_ranges(typed, kept, options, findings)
    good = findings.good
    bad = findings.table()
    if len(rules) > 1:
        good = good & typed["aside"].is_null()
        bad = bad.join(rules[1], on=ROW, how="anti")
    events = typed.filter(good).select(pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items())
    events = _with_ids(events)
    unique = events.filter(pl.col("event_id").is_first_distinct()) if "event_id" in kept.columns else events
    return CheckedInteractions(
        unique, events.height - unique.height, bad, pl.concat(rules).sort(ROW), read_as, tuple(notes)
    )


def _notes_on_ids(rows: pl.DataFrame, names: dict[str, str]) -> list[str]:
    notes = []
    for name in ("customer_id", "item_id"):
        if name not in rows.columns:
            continue
        if is_whole_float(rows[name]):
            notes.append(f"{name} is a column of floats ({names[name]}); 13085.0 is read as the id 13085")
        elif rows[name].dtype == pl.String and rows[name].head(1000).str.contains(r"^\d+\.0$").any():
            notes.append(f"{name} ({names[name]}) has ids such as 13085.0, kept as they are written")
    return notes


def rule_of_rows(rows: pl.DataFrame, options: ImportOptions) -> pl.Series:
    """Per row, the rule by which it is set aside, or null. Ids are text already."""
    rule = pl.Series([None] * rows.height, dtype=pl.String)
    if options.ignore_items and "item_id" in rows.columns:
        matches = re.compile("|".join(translate(pattern) for pattern in options.ignore_items)).match
        ignored = [item for item in rows["item_id"].drop_nulls().unique() if matches(item)]
        if ignored:
            rule = rule.set(rows["item_id"].is_in(ignored).fill_null(False), IGNORED_ITEM)
    if "customer_id" in rows.columns:
        missing = rows["customer_id"].is_null()
        if missing.any():
            rule = rule.set(missing, NO_CUSTOMER)
    return rule


def _mapped_kinds(kept: pl.DataFrame, layout: Layout | None, options: ImportOptions) -> pl.Series:
    """Our kinds, and the file's own text where it is none of ours."""
    constant = options.event or (layout.kind if layout else None)
    if "kind" not in kept.columns:
        return pl.repeat(str(constant), kept.height, dtype=pl.String, eager=True) if constant else _nothing(kept)
    kind = kept["kind"]
    table = {str(each): str(each) for each in EventKind}
    distinct = kind.drop_nulls().unique()
    if layout and layout.kinds:
        loosely = {loose(theirs): str(ours) for theirs, ours in layout.kinds.items()}
        by_text = dict(zip(distinct, loose_text(distinct), strict=True))
        table |= {text: loosely[form] for text, form in by_text.items() if form in loosely}
    table |= {theirs: str(ours) for theirs, ours in options.kinds.items()}
    moved = {text: table[text] for text in distinct if text in table and table[text] != text}
    return kind.replace(list(moved), list(moved.values())) if moved else kind


def _nothing(rows: pl.DataFrame, dtype: pl.DataType | None = None) -> pl.Series:
    return pl.Series([None], dtype=dtype or pl.String()).new_from_index(0, rows.height)


def _typed(
    kept: pl.DataFrame, names: dict[str, str], layout: Layout | None, options: ImportOptions, findings: Findings
) -> tuple[pl.DataFrame, str]:
    """All columns of `EVENT_SCHEMA` with their types (and those of the layout's hooks), and how times were read."""
    columns = {
        name: kept[name] if name in kept.columns else _nothing(kept, dtype) for name, dtype in EVENT_SCHEMA.items()
    }
    for name in ("event_id", "customer_id", "item_id", "session_id", "recommendation_id", "currency"):
        check_id(findings, name, columns[name], _LONGEST.get(name, 256))
    columns["kind"] = _mapped_kinds(kept, layout, options)
    for name in ("quantity", "price", "rating"):
        if name in kept.columns:
            cause = Cause.BAD_RATING if name == "rating" else Cause.BAD_NUMBER
            columns[name] = check_number(findings, name, kept[name], cause)
    if "quantity" not in kept.columns or columns["quantity"].null_count():
        columns["quantity"] = columns["quantity"].fill_null(1.0)
    if "position" in kept.columns:
        columns["position"] = to_whole(kept["position"])
        wrong = columns["position"].is_null() & ~is_missing(kept["position"])
        findings.add(wrong, Cause.BAD_POSITION, "position", kept["position"], "a whole number")
    read_as = _read_times(kept, names, layout, options, findings, columns)
    columns["context"] = check_objects(findings, "context", columns["context"], Cause.BAD_CONTEXT)
    currency = options.currency or (layout.currency if layout else None)
    if currency and columns["currency"].null_count() and columns["price"].count():
        filled = columns["currency"].fill_null(currency)
        columns["currency"] = filled.set(columns["price"].is_null() & columns["currency"].is_null(), None)
    typed = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    further = [name for name in kept.columns if name not in EVENT_SCHEMA]
    return typed.hstack(kept.select(further)), read_as


def _read_times(
    kept: pl.DataFrame,
    names: dict[str, str],
    layout: Layout | None,
    options: ImportOptions,
    findings: Findings,
    columns: dict[str, pl.Series],
) -> str:
    if "timestamp" not in kept.columns:
        return ""
    raw = kept["timestamp"]
    zone = options.timezone or (layout.timezone if layout else None)
    times = parse_times(
        names["timestamp"], raw, TimeReading(zone, options.time_unit, layout.time_formats if layout else ())
    )
    columns["timestamp"] = times.ms
    findings.add(times.malformed, Cause.BAD_TIME, "timestamp", raw, times.expected)
    findings.add(
        times.nonexistent, Cause.NONEXISTENT_TIME, "timestamp", raw, f"a time that exists in {zone} (clocks skip it)"
    )
    return times.read_as


def _check_ranges(typed: pl.DataFrame, kept: pl.DataFrame, options: ImportOptions, findings: Findings) -> None:
    """What must hold between and of typed values."""

    def raw(name: str) -> pl.Series:
        return kept[name] if name in kept.columns else typed[name]

    kind = typed["kind"]
    known = kind.is_in([str(each) for each in EventKind]).fill_null(False)
    findings.add(~known, Cause.UNKNOWN_KIND, "kind", raw("kind"), f"one of {', '.join(EventKind)}; or use --kinds-map")
    needs_item = ~kind.is_in([str(each) for each in KINDS_WITHOUT_ITEM])
    without = typed["item_id"].is_null() & needs_item
    findings.add(without, Cause.MISSING_ITEM, "item_id", typed["item_id"], "an item, as this kind of event needs one")
    findings.add(typed["quantity"] <= 0, Cause.BAD_QUANTITY, "quantity", raw("quantity"), "a number above 0")
    findings.add(typed["price"] < 0, Cause.BAD_PRICE, "price", raw("price"), "a number of 0 or more")
    time = typed["timestamp"]
    findings.add(time < 0, Cause.TIME_BEFORE_1970, "timestamp", raw("timestamp"), "a time from 1970 on")
    late = time > options.now + _FUTURE_SLACK_MS
    findings.add(late, Cause.TIME_IN_FUTURE, "timestamp", raw("timestamp"), "a time at most one day ahead of now")
    undo = (kind == EventKind.UNDO).fill_null(False)
    if undo.any():
        places = undo.arg_true()
        named = pl.Series([_names_event(text) for text in typed["context"].gather(places)], dtype=pl.Boolean)
        pointless = pl.repeat(False, typed.height, dtype=pl.Boolean, eager=True).scatter(places, ~named)
        expected = 'the event that is taken back: {"undoes": "<event_id>"}'
        findings.add(pointless, Cause.UNDO_WITHOUT_EVENT, "context", raw("context"), expected)


def _names_event(context: str | None) -> bool:
    undone = orjson.loads(context).get("undoes") if context else None
    return isinstance(undone, str) and 0 < len(undone) <= MAX_ID_LENGTH


def _with_ids(events: pl.DataFrame) -> pl.DataFrame:
    """The events with an id each: the file's where it gives one."""
    given = events["event_id"]
    missing = given.is_null()
    if not missing.any():
        return events
    derived = derive_event_ids(events.filter(missing))
    if missing.all():
        return events.with_columns(derived)
    placed = pl.Series([None] * events.height, dtype=pl.String).scatter(missing.arg_true(), derived)
    return events.with_columns(given.fill_null(placed).alias("event_id"))
