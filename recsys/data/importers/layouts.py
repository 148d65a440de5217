"""What a publisher's file looks like, as data: which columns mean what, and how a file is told from the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.options import Subject

RowsHook = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Described:
    """Items and customers that a file of interactions tells of besides its events.

    `items` in `ITEM_SCHEMA`, `customers` in `CUSTOMER_SCHEMA`; each id once.
    """

    items: pl.DataFrame
    customers: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One kind of file of a format.

    Attributes
    ----------
    name : as error messages and reports say it.
    subject : what the rows are.
    columns : our column → the names it has there, compared in lower case without `_`, spaces and the like. A name of
        ours that is not in the schema goes to the hooks only, as text.
    needs : which of our columns must be found for a file to be of this layout.
    marks : further columns of theirs that must be there, to tell it from another; they are not mapped.
    header : the file's columns in order, when the file has no line that names them.
    files : shell patterns of the names such files have; only read when `header` is given.
    separator, quoted : of text files.
    kind : of every row; None when a column says it or the user must.
    kinds : their kind → ours, compared as columns are.
    currency, timezone : of all rows, unless the user says otherwise.
    time_formats : layouts of times (strptime) besides ISO 8601.
    extras : which further columns become attributes of items and customers; None means all.
    json_extras : which further columns of text hold JSON.
    prepare : changes the file's rows before columns are mapped; may drop rows, keeps the row number column.
    finish : changes interactions whose values have their types, before ranges are checked. A column `aside` it adds
        names, per row, the rule by which the row is set aside.
    describe : items and customers from the mapped rows of interactions, rows without a customer included.
    """

    name: str
    subject: Subject
    columns: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    marks: tuple[str, ...] = ()
    header: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()
    separator: str | None = None
    quoted: bool = True
    kind: EventKind | None = None
    kinds: Mapping[str, EventKind] = field(default_factory=dict)
    currency: str | None = None
    timezone: str | None = None
    time_formats: tuple[str, ...] = ()
    extras: tuple[str, ...] | None = None
    json_extras: tuple[str, ...] = ()
    prepare: RowsHook | None = None
    finish: RowsHook | None = None
    describe: Callable[[pl.DataFrame], Described] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A publisher's format: its layouts, the most demanding first, and the encoding its text has when not UTF-8."""

    name: str
    layouts: tuple[Layout, ...]
    fallback_encoding: str | None = None


def loose(name: str) -> str:
    """A name as formats compare it: `InvoiceNo`, `invoice_no` and `Invoice No` are one. A `:type` is dropped."""
    return re.sub(r"[\W_]+", "", name.partition(":")[0].lower())


def loose_text(text: pl.Series) -> pl.Series:
    """`loose` for a column, but for the `:type`."""
    return text.str.to_lowercase().str.replace_all(r"[\W_]+", "")


def matched_columns(layout: Layout, columns: Sequence[str]) -> dict[str, str]:
    """Our column → the file's column, for those of the layout that are there."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(loose(column), column)
    found: dict[str, str] = {}
    for ours, names in layout.columns.items():
        there = [by_name[loose(name)] for name in names if loose(name) in by_name]
        if there:
            found[ours] = there[0]
    return found


def layout_of_header(layouts: Sequence[Layout], columns: Sequence[str]) -> Layout | None:
    """The first layout all of whose needed columns are among these."""
    there = {loose(column) for column in columns}
    for layout in layouts:
        marked = {loose(name) for name in layout.marks} <= there
        if layout.header is None and marked and set(layout.needs) <= matched_columns(layout, columns).keys():
            return layout
    return None


def layouts_of_name(layouts: Sequence[Layout], file_name: str) -> tuple[Layout, ...]:
    """The layouts with a header line whose files have such a name; all layouts when there is none."""
    named = [each for each in layouts if each.header is None and _is_named(each, file_name)]
    return tuple(named or layouts)


def _is_named(layout: Layout, file_name: str) -> bool:
    return any(fnmatchcase(file_name.lower(), pattern) for pattern in layout.files)


def layout_of_name(layouts: Sequence[Layout], file_name: str) -> Layout | None:
    """The first layout without a header line whose files have such a name."""
    for layout in layouts:
        if layout.header is not None and _is_named(layout, file_name):
            return layout
    return None
