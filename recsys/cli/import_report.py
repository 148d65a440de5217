"""How an import's progress and report look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import typer
from rich.console import Console
from rich.table import Table

from recsys.cli.progress import Bars
from recsys.cli.text import harmless
from recsys.data.importers.importing import Step
from recsys.data.importers.report import NOTHING, FileReport, ImportReport


@contextmanager
def progress(*, visible: bool) -> Iterator[Step]:
    """A bar per stage, on a terminal only."""
    with Bars(visible=visible) as bars:
        current = ""

        def step(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                bars.start(what, total)
                current = what
            bars.advance(done)
            if done >= total:
                bars.finish()
                current = ""

        yield step


def print_report(report: ImportReport, *, as_json: bool) -> None:
    """Prints the report on standard output."""
    if as_json:
        typer.echo(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    for each in report.files:
        _print_file(console, each, written=report.written)
    if not report.written:
        console.print("dry run: nothing was written; what the store already holds was not compared")


def _print_file(console: Console, file: FileReport, *, written: bool) -> None:
    console.print(harmless(f"{file.path} ({file.read_as})"), markup=False)
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column("what")
    table.add_column("rows", justify="right")
    table.add_row("rows read", f"{file.rows:,}")
    added = "added" if written else "to add"
    for name, ingested in (("events", file.events), ("items", file.items), ("customers", file.customers)):
        if ingested != NOTHING:
            table.add_row(f"{name} {added}", f"{ingested.added:,}")
        if ingested.changed:
            table.add_row(f"{name} changed", f"{ingested.changed:,}")
        if ingested.known:
            table.add_row(f"{name} known before", f"{ingested.known:,}")
        if ingested.forgotten:
            table.add_row(f"{name} of forgotten customers", f"{ingested.forgotten:,}")
    for rule, count in file.aside.items():
        table.add_row(f"set aside: {rule}", f"{count:,}")
    for cause, count in file.bad.items():
        table.add_row(f"bad: {cause}", f"{count:,}")
    console.print(table)
    for path, what in ((file.bad_file, "bad rows"), (file.aside_file, "rows set aside")):
        if path:
            console.print(harmless(f"  {what} are in {path}"), markup=False)
    if file.time_read_as:
        console.print(f"  times: {file.time_read_as}", markup=False)
    for note in file.notes:
        console.print(harmless(f"  note: {note}"), markup=False)
