"""`bookmatch import`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.options import (
    DEFAULT_HOME,
    ColumnMap,
    Encoding,
    EventName,
    FormatName,
    Home,
    IgnoreItems,
    Json,
    KindsMap,
    Separator,
    TimeUnit,
    Timezone,
)

_MS_PER_SECOND = 1000


def import_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="CSV, Parquet or JSON lines, plain or compressed.")
    ],
    home: Home = DEFAULT_HOME,
    subject: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="SUBJECT", help="What the rows are: interactions (the default), items, customers."
        ),
    ] = None,
    format_: FormatName = None,
    columns: ColumnMap = "",
    kinds: KindsMap = "",
    event: EventName = None,
    timezone: Timezone = None,
    time_unit: TimeUnit = None,
    separator: Separator = None,
    encoding: Encoding = None,
    currency: Annotated[
        str | None, typer.Option(metavar="CODE", help="Of all prices, where no column says it.")
    ] = None,
    ignore_items: IgnoreItems = "",
    max_bad: Annotated[
        str, typer.Option(metavar="SHARE", help="With more bad rows than this share, nothing is imported.")
    ] = "1%",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the report and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Import a shop's history, items or customers."""
    from recsys.access.audit import Act
    from recsys.cli.auditing import audit_command
    from recsys.cli.import_report import print_report, progress
    from recsys.data.importers import importing
    from recsys.data.importers.options import build_options
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store

    options = build_options(
        now=int(time.time() * _MS_PER_SECOND),
        subject=subject,
        format=format_,
        columns=columns,
        kinds=kinds,
        event=event,
        timezone=timezone,
        time_unit=time_unit,
        separator=separator,
        encoding=encoding,
        currency=currency,
        ignore_items=ignore_items,
        max_bad=max_bad,
    )
    with progress(visible=not json) as step:
        if dry_run:
            report = importing.rehearse(files, options, step)
        else:
            with shop_in_use(home):
                report = importing.import_files(files, options, ShopFolder(home), open_store, step)
                audit_command(home, Act.FILES_IMPORTED, [file.name for file in files])
    print_report(report, as_json=json)
