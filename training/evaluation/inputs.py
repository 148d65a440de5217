"""The files of an evaluation, read as `bookmatch import` reads them. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.importing import read_files
from recsys.data.importers.options import ImportOptions, Subject
from recsys.data.importers.reading import ReadFile
from recsys.data.importers.times import TimeReading, check_zone, parse_times
from recsys.errors import InputError


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read.

    Attributes
    ----------
    train : in `EVENT_SCHEMA`.
    test : in `EVENT_SCHEMA`; None for protocols that make the test themselves.
    items : String; ids of candidates that may have no events.
    catalogue : in `ITEM_SCHEMA`; what all files say of items, the last row of each.
    notes : what the reading found, per file.
    """

    train: pl.DataFrame
    test: pl.DataFrame | None
    items: pl.Series
    catalogue: pl.DataFrame
    notes: tuple[str, ...]


def read_inputs(
    train: Sequence[Path], test: Path | None, items: Path | None, target: EventKind, options: ImportOptions
) -> Inputs:
    """Reads the files of an evaluation.

    Parameters
    ----------
    target : what a row of the test file is when neither a column nor `options.event` says it.
    options : of all files. The test file and the file of items need not have every mapped column, and `options.event`
        is for the files in which no column says the kind.

    Raises as `importing.import_files` does.
    """
    learned = read_files(train, replace(options, subject=Subject.INTERACTIONS, event_may_yield=test is not None))
    # As in a store, an event that two files hold is one event.
    rows = pl.concat([file.events for file in learned]).unique("event_id", keep="first", maintain_order=True)
    files, tested = list(learned), None
    if test is not None:
        (foreseen,) = read_files(
            [test],
            replace(
                options,
                subject=Subject.INTERACTIONS,
                event=options.event or target,
                columns_may_miss=True,
                event_may_yield=True,
            ),
        )
        files.append(foreseen)
        tested = foreseen.events
    ids = pl.Series("item_id", [], dtype=pl.String)
    if items is not None:
        (listed,) = read_files([items], _for_items(options))
        files.append(listed)
        ids = listed.items["item_id"]
    described = pl.concat([file.items for file in files]).unique("item_id", keep="last", maintain_order=True)
    return Inputs(rows, tested, ids, described, tuple(note for file in files for note in _notes(file)))


def parse_cut(text: str, options: ImportOptions) -> int:
    """A time as the user types it, in milliseconds UTC; InputError when it is none or names no zone."""
    is_number = pl.Series([text]).str.strip_chars().cast(pl.Float64, strict=False).is_not_null().all()
    unit = options.time_unit if is_number else None
    times = parse_times("--cut", pl.Series([text]), TimeReading(_zone(options), unit))
    moment = times.ms[0]
    if not isinstance(moment, int):
        raise InputError(
            f"--cut is {text!r}", expected="a time such as 2024-05-01T00:00:00Z, or a number since 1970 as in the file"
        )
    return moment


def _zone(options: ImportOptions) -> str | None:
    return check_zone(options.timezone) if options.timezone else None


def _for_items(options: ImportOptions) -> ImportOptions:
    """The options for a file of items: of the mapped columns those that items have."""
    columns = {ours: theirs for ours, theirs in options.columns.items() if ours in Subject.ITEMS.fields}
    return replace(
        options, subject=Subject.ITEMS, columns=columns, kinds={}, event=None, columns_may_miss=True, ignore_items=()
    )


def _notes(file: ReadFile) -> list[str]:
    report = file.report
    parts = [f"{cause} {count:,}" for cause, count in (*report.bad.items(), *report.aside.items())]
    left_out = f"; left out: {', '.join(parts)}" if parts else ""
    return [f"{report.path.name}: {report.rows:,} rows read{left_out}"]
