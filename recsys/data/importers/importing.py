"""Files into a shop's store: all are read and judged first, then all are written in one transaction.

Between reading and writing the rows wait in memory, and on disk once there are many: see `Waiting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from recsys.data.importers.options import ImportOptions
from recsys.data.importers.quarantine import Quarantine
from recsys.data.importers.reading import ReadFile, read_file
from recsys.data.importers.report import FileReport, ImportReport
from recsys.data.importers.waiting import Waiting
from recsys.errors import TooManyBadRowsError
from recsys.shop import ShopFolder
from recsys.stores.protocols import Ingested, Store

_BATCH = 1_000_000
_CLOSING = "closing"
_BARS = 10
"""So many bars fit on a screen."""
Step = Callable[[str, int, int], None]
"""Called as work goes on: what is being done, how much of it is done, how much there is."""


def silent(what: str, done: int, total: int) -> None:
    """A `Step` that tells nobody."""


def import_files(
    paths: Sequence[Path],
    options: ImportOptions,
    folder: ShopFolder,
    open_store: Callable[[Path], Store],
    step: Step = silent,
) -> ImportReport:
    """Imports files into the shop's store and writes their bad rows and rows set aside to its quarantine folder.

    Raises InputError for a file that cannot be read as a whole and TooManyBadRowsError for one with more bad rows than
    allowed (its quarantine files are written, so that they can be looked at); in both cases nothing of any file is
    stored. The same holds when the process is stopped.
    """
    with Waiting(folder.home) as waiting:
        files, heights = [], []
        for file in _read_each(paths, options, step):
            waiting.put(file.events)
            heights.append(file.events.height)
            files.append(file.without_events())
        placed = []
        for file, kept in zip(files, _kept_rows(files, folder, open_store), strict=True):
            bad, aside = kept.write(folder.quarantine)
            placed.append(replace(file, report=replace(file.report, bad_file=bad, aside_file=aside)))
        _judge(placed, options.max_bad)
        folder.home.mkdir(parents=True, exist_ok=True)
        store = open_store(folder.store)
        try:
            with store.transaction():
                reports = [
                    _store(file, waiting.take(), store, tell)
                    for file, tell in zip(placed, _tellers(placed, heights, step), strict=True)
                ]
                step(_CLOSING, 0, 1)
        finally:
            store.close()
        step(_CLOSING, 1, 1)
    return ImportReport(tuple(reports), written=True)


def rehearse(paths: Sequence[Path], options: ImportOptions, step: Step = silent) -> ImportReport:
    """The report of an import that writes nothing: what is good counts as added, as the store is not asked.

    Raises as `import_files` does.
    """
    files, reports = [], []
    for file in _read_each(paths, options, step):
        reports.append(
            file.report.stored(
                Ingested(file.events.height, file.repeated),
                Ingested(file.items.height, 0),
                Ingested(file.customers.height, 0),
            )
        )
        files.append(file.without_events())
    _judge(files, options.max_bad)
    return ImportReport(tuple(reports), written=False)


def read_files(paths: Sequence[Path], options: ImportOptions, step: Step = silent) -> list[ReadFile]:
    """What an import of these files would store; writes nothing. Raises as `import_files` does."""
    files = list(_read_each(paths, options, step))
    _judge(files, options.max_bad)
    return files


def _read_each(paths: Sequence[Path], options: ImportOptions, step: Step) -> Iterator[ReadFile]:
    for done, path in enumerate(paths):
        step("reading", done, len(paths))
        yield read_file(path, options)
    step("reading", len(paths), len(paths))


def _judge(files: Sequence[ReadFile], max_bad: float) -> None:
    """Raises TooManyBadRowsError for the first file with more bad rows than allowed."""
    for file in files:
        report = file.report
        if report.bad_share <= max_bad:
            continue
        total = sum(report.bad.values())
        causes = ", ".join(f"{cause} {count:,}" for cause, count in report.bad.items())
        first = file.quarantine.bad.row(0, named=True)
        field = f", {first['field']}" if first["field"] else ""
        raise TooManyBadRowsError(
            f"{report.path}: {total:,} of {report.rows - sum(report.aside.values()):,} rows are bad "
            f"({report.bad_share:.1%}): {causes}. The first is line {first['line']}{field}: found {first['found']!r}, "
            f"expected {first['expected']}",
            expected=f"at most {max_bad:.4g} of the rows ({max_bad:.1%}); nothing was imported",
            remedy=_remedy(report),
        )


def _remedy(report: FileReport) -> str:
    look = f"see {report.bad_file}; " if report.bad_file else ""
    return f"{look}correct the file or the options, or raise --max-bad"


def _kept_rows(
    files: Sequence[ReadFile], folder: ShopFolder, open_store: Callable[[Path], Store]
) -> Sequence[Quarantine]:
    """What may be kept of the files' bad rows and rows set aside: none of customers who asked to be forgotten."""
    found = [file.quarantine for file in files]
    if not folder.store.exists():
        return found
    store = open_store(folder.store)
    try:
        return [each.without(store.persons.forgotten) for each in found]
    finally:
        store.close()


def _tellers(files: Sequence[ReadFile], heights: Sequence[int], step: Step) -> Iterator[Callable[[int], None]]:
    """For each file, what is called with how many of its rows are stored: a bar for each of few files, one for many."""
    before, total = 0, sum(heights)
    for file, height in zip(files, heights, strict=True):
        if len(files) > _BARS:
            yield partial(_tell, step, "storing", before, total)
        else:
            yield partial(_tell, step, f"storing {file.report.path.name}", 0, height)
        before += height


def _tell(step: Step, what: str, before: int, total: int, done: int) -> None:
    step(what, before + done, total)


def _store(file: ReadFile, events: pl.DataFrame, store: Store, tell: Callable[[int], None]) -> FileReport:
    done = Ingested(0, file.repeated)
    for start in range(0, events.height, _BATCH):
        tell(start)
        ingested = store.events.ingest(events.slice(start, _BATCH))
        done = Ingested(
            done.added + ingested.added, done.known + ingested.known, forgotten=done.forgotten + ingested.forgotten
        )
    tell(events.height)
    nothing = Ingested(0, 0)
    items = store.catalog.put(file.items) if file.items.height else nothing
    customers = store.customers.put(file.customers) if file.customers.height else nothing
    return file.report.stored(done, items, customers)
