"""One file to checked events, items and customers, with what is bad and what is set aside. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA
from recsys.data.importers.attributes import attributes_of_columns, attributes_of_objects
from recsys.data.importers.columns import ColumnUse, missing_column, resolve_columns
from recsys.data.importers.delimited import (
    Dialect,
    check_separator,
    first_line,
    header_names,
    read_delimited,
    recognise_separator,
)
from recsys.data.importers.described import check_descriptions
from recsys.data.importers.encoding import to_utf8
from recsys.data.importers.findings import ROW
from recsys.data.importers.formats import FORMATS
from recsys.data.importers.interactions import check_interactions, rule_of_rows
from recsys.data.importers.json_lines import read_json_lines
from recsys.data.importers.layouts import Described, Format, Layout, layout_of_header, layout_of_name, layouts_of_name
from recsys.data.importers.options import ImportOptions, Subject
from recsys.data.importers.parquet import read_parquet
from recsys.data.importers.quarantine import Quarantine
from recsys.data.importers.report import FileReport
from recsys.data.importers.source import FileType, Source, open_source
from recsys.data.importers.table import RawTable
from recsys.data.importers.texts import to_text
from recsys.data.importers.times import check_zone
from recsys.errors import InputError


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's good rows, checked, and the rest.

    Attributes
    ----------
    events, items, customers : in their schemas; empty where the file has none.
    repeated : events left out since the file gave their id before.
    twice : String; ids of items or customers that a file of these has in more than one row.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    customers: pl.DataFrame
    repeated: int
    quarantine: Quarantine
    report: FileReport
    twice: pl.Series = field(default_factory=lambda: pl.Series("twice", [], dtype=pl.String))

    def without_events(self) -> ReadFile:
        """The same, but for the events, which are many."""
        return replace(self, events=self.events.clear())


def find_format(name: str) -> Format:
    """A format by name; InputError with the names there are."""
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}", expected=f"one of {', '.join(sorted(FORMATS))}")
    return FORMATS[name]


def read_file(path: Path, options: ImportOptions) -> ReadFile:
    """Reads and checks one file. Raises InputError, naming the file, when it cannot be read as a whole."""
    named = find_format(options.format) if options.format else None
    if options.timezone:
        check_zone(options.timezone)
    source = open_source(path)
    layouts = tuple(each for each in (named.layouts if named else ()) if options.subject in (None, each.subject))
    layouts = layouts_of_name(layouts, source.name)
    table, layout = _table(source, named, layouts, options)
    if named and layout is None:
        layout = layout_of_header(layouts, table.frame.columns)
        if layout is None:
            raise _no_layout(path, named, layouts, table)
    subject = layout.subject if layout else options.subject or Subject.INTERACTIONS
    frame = table.frame.with_row_index(ROW)
    if layout and layout.prepare:
        frame = layout.prepare(frame)
    use = resolve_columns(path, [name for name in frame.columns if name != ROW], subject, layout, options)
    rows = frame.select(ROW, *(pl.col(theirs).alias(ours) for ours, theirs in use.ours.items()))
    try:
        if subject is Subject.INTERACTIONS:
            return _interactions(source, table, layout, options, use, rows)
        return _descriptions(source, table, layout, options, use, rows, frame, subject)
    except InputError as error:
        if str(path) in error.found:
            raise
        raise InputError(f"{path}: {error.found}", expected=error.expected, remedy=error.remedy) from error


def _table(
    source: Source, named: Format | None, layouts: tuple[Layout, ...], options: ImportOptions
) -> tuple[RawTable, Layout | None]:
    """The rows, and the layout where the text gave it away."""
    if source.type is FileType.PARQUET:
        return read_parquet(source.path, source.data), None
    fallback = named.fallback_encoding if named else None
    data, notes = to_utf8(source.path, source.data, options.encoding, fallback)
    if source.type is FileType.JSON_LINES:
        return read_json_lines(source.path, data), None
    separator = check_separator(options.separator) if options.separator else None
    layout = layout_of_name(layouts, source.name)
    if layout is None and layouts:
        line = first_line(data)
        layout = layout_of_header(layouts, header_names(line, separator or recognise_separator(line), quoted=True))
    dialect = Dialect(
        separator=separator or (layout.separator if layout else None),
        quoted=layout.quoted if layout else True,
        header=layout.header if layout else None,
    )
    table = read_delimited(source.path, data, dialect)
    return RawTable(table.frame, table.lines, table.originals, table.broken, (*notes, *table.notes)), layout


def _no_layout(path: Path, named: Format, layouts: tuple[Layout, ...], table: RawTable) -> InputError:
    known = "; ".join(
        f"{each.name} ({', '.join(each.files) if each.header else 'with ' + ', '.join(_shown(each))})"
        for each in layouts
    )
    return InputError(
        f"{path} is no file of the format {named.name}: its columns are {', '.join(table.frame.columns)}",
        expected=known or "a format with such rows",
        remedy="check --format and --as, or leave --format away and use --map",
    )


def _shown(layout: Layout) -> list[str]:
    return [*(layout.columns[name][0] for name in layout.needs), *layout.marks]


def _counts(names: pl.Series) -> dict[str, int]:
    counted = names.value_counts(sort=False).sort("count", names.name, descending=[True, False])
    return dict(counted.iter_rows())


def _report(
    source: Source, table: RawTable, layout: Layout | None, quarantine: Quarantine, times: str, notes: tuple[str, ...]
) -> FileReport:
    read_as = f"{source.type}, {layout.name}" if layout else str(source.type)
    return FileReport(
        path=source.path,
        read_as=read_as,
        rows=table.frame.height + len(table.broken),
        bad=_counts(quarantine.bad["cause"]),
        aside=_counts(quarantine.aside["rule"]),
        time_read_as=times,
        notes=(*table.notes, *notes),
    )


def _interactions(
    source: Source,
    table: RawTable,
    layout: Layout | None,
    options: ImportOptions,
    use: ColumnUse,
    rows: pl.DataFrame,
) -> ReadFile:
    columns = table.frame.columns

    def missing(name: str) -> InputError:
        return missing_column(source.path, name, columns, use.ours, Subject.INTERACTIONS)

    def require_item() -> None:
        raise missing("item_id")

    constant = options.event or (layout.kind if layout else None)
    if "kind" in use.ours and options.event and not options.event_may_yield:
        raise InputError(
            f"--event is {options.event}, but {source.path} says the kind in column {use.ours['kind']!r}",
            expected="one of the two",
            remedy="leave --event away, or add --map kind= to say that the column is no kind",
        )
    if "kind" not in use.ours and constant is None:
        raise missing("kind")
    checked = check_interactions(rows, use.ours, layout, options, require_item)
    notes = list(checked.notes)
    if use.extras:
        notes.append(f"columns not used: {', '.join(use.extras)}")
    if "timestamp" not in use.ours:
        notes.append("no times: they are stored as unknown")
    described = _nothing_described()
    if layout and layout.describe:
        texts = rows.with_columns(to_text(rows[name]).alias(name) for name in ("customer_id", "item_id"))
        usable = texts.join(checked.bad.select(ROW), on=ROW, how="anti")
        usable = usable.filter(rule_of_rows(usable.drop("customer_id"), options).is_null())
        described = layout.describe(usable)
    quarantine = Quarantine.of(source, table, rows, checked.bad, checked.aside)
    report = _report(source, table, layout, quarantine, checked.time_read_as, tuple(notes))
    return ReadFile(checked.events, described.items, described.customers, checked.repeated, quarantine, report)


def _nothing_described() -> Described:
    return Described(pl.DataFrame(schema=ITEM_SCHEMA), pl.DataFrame(schema=CUSTOMER_SCHEMA))


def _descriptions(
    source: Source,
    table: RawTable,
    layout: Layout | None,
    options: ImportOptions,
    use: ColumnUse,
    rows: pl.DataFrame,
    frame: pl.DataFrame,
    subject: Subject,
) -> ReadFile:
    wanted = [name for name in use.extras if layout is None or layout.extras is None or name in layout.extras]
    if source.type is FileType.JSON_LINES:
        further = attributes_of_objects(table.originals(frame[ROW]), wanted)
    else:
        further = attributes_of_columns(frame.select(ROW, *wanted).drop(ROW), layout.json_extras if layout else ())
    checked = check_descriptions(rows, further, use.ours, subject, layout, options)
    notes = list(checked.notes)
    if wanted:
        notes.append(f"kept as attributes: {', '.join(wanted)}")
    left = [name for name in use.extras if name not in wanted]
    if left:
        notes.append(f"columns not used: {', '.join(left)}")
    quarantine = Quarantine.of(source, table, rows, checked.bad, checked.aside)
    nothing = _nothing_described()
    is_items = subject is Subject.ITEMS
    return ReadFile(
        events=pl.DataFrame(schema=EVENT_SCHEMA),
        items=checked.rows if is_items else nothing.items,
        customers=nothing.customers if is_items else checked.rows,
        repeated=0,
        quarantine=quarantine,
        report=_report(source, table, layout, quarantine, "", tuple(notes)),
        twice=checked.twice,
    )
