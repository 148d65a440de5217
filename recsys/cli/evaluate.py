"""`bookmatch evaluate`: what would have been recommended, against what customers went on to want."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import (
    DEFAULT_TUNE_BUDGET,
    ColumnMap,
    Encoding,
    EventName,
    FormatName,
    IgnoreItems,
    Json,
    KindsMap,
    Separator,
    TimeUnit,
    Timezone,
    TuneBudget,
    available_cores,
)

if TYPE_CHECKING:
    from rich.table import Table

    from training.evaluation.running import Report

_MS_PER_SECOND = 1000


class ProtocolName(StrEnum):
    """As `training.evaluation.asked.Protocol`, which is not loaded before it is needed."""

    SPLIT = "split"
    LEAVE_LAST_OUT = "leave-last-out"
    TIME = "time"


class RepeatsName(StrEnum):
    """As `training.evaluation.held_out.Repeats`."""

    EXCLUDE = "exclude"
    ALLOW = "allow"
    ONLY = "only"


def evaluate(
    protocol: Annotated[ProtocolName, typer.Argument(help="How the history is divided.")],
    train: Annotated[list[Path], typer.Option(metavar="FILE", help="The history; may be repeated.")],
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="What has to be foreseen; for split.")] = None,
    cut: Annotated[
        str | None, typer.Option(metavar="TIME", help="Models see what was before, and foresee the rest; for time.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", metavar="DIR", help="A new folder for metrics.json and customers.parquet."),
    ] = None,
    target: Annotated[str, typer.Option(metavar="KIND,…", help="The kinds of events to predict.")] = "purchase",
    kinds: Annotated[str, typer.Option(metavar="KIND,…", help="The kinds that models may see; all by default.")] = "",
    items: Annotated[Path | None, typer.Option(metavar="FILE", help="Further candidates: a file of items.")] = None,
    repeats: Annotated[
        RepeatsName, typer.Option(help="What becomes of items that a customer has already.")
    ] = RepeatsName.EXCLUDE,
    mask: Annotated[
        str, typer.Option(metavar="KIND,…", help="By which kinds a customer has an item; the target by default.")
    ] = "",
    k: Annotated[str, typer.Option("--k", metavar="N,…", help="How many places of a list are looked at.")] = "10,20",
    tune_budget: TuneBudget = DEFAULT_TUNE_BUDGET,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
    format_: FormatName = None,
    columns: ColumnMap = "",
    kinds_map: KindsMap = "",
    event: EventName = None,
    timezone: Timezone = None,
    time_unit: TimeUnit = None,
    separator: Separator = None,
    encoding: Encoding = None,
    ignore_items: IgnoreItems = "",
    max_bad: Annotated[
        str, typer.Option(metavar="SHARE", help="With more bad rows than this share, nothing is evaluated.")
    ] = "1%",
    as_json: Json = False,
) -> None:
    """Train on a part of a history and score the lists on the rest, beside simple and classic models."""
    from recsys.cli.progress import Bars
    from recsys.data.importers.options import build_options
    from training.evaluation.asked import Asked, Protocol, parse_ks, parse_rules
    from training.evaluation.running import run
    from training.fitting import TrainingConfig
    from training.stages import StageLog

    options = build_options(
        now=int(time.time() * _MS_PER_SECOND),
        format=format_,
        columns=columns,
        kinds=kinds_map,
        event=event,
        timezone=timezone,
        time_unit=time_unit,
        separator=separator,
        encoding=encoding,
        ignore_items=ignore_items,
        max_bad=max_bad,
    )
    asked = Asked(
        protocol=Protocol(protocol),
        rules=parse_rules(target, kinds, repeats, mask),
        train=tuple(train),
        test=test,
        cut=cut,
        items=items,
        ks=parse_ks(k),
        options=options,
    )
    config = TrainingConfig(seed=seed, threads=threads or available_cores())
    with Bars(visible=not as_json) as bars:
        report = run(asked, config, output, StageLog(bars), tune_budget)
    if as_json:
        import orjson

        typer.echo(orjson.dumps(report.metrics, option=orjson.OPT_INDENT_2).decode())
        return
    _show(report, asked.ks)
    if output is not None:
        typer.echo(f"the report is in {output}")


def _show(report: Report, ks: tuple[int, ...]) -> None:
    from rich.console import Console

    from recsys.metrics.ranking import COVERAGE, PER_CUSTOMER

    console, found = Console(), report.metrics
    for note in found["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(
        f"{found['customers']:,} customers with {found['test_pairs']:,} test items, {found['unknown_customers']:,} of "
        f"them unknown to training; {found['items']:,} candidates; settings chosen on "
        f"{found['validation']['pairs']:,} validation pairs"
    )
    for k in ks:
        table = _table("model", [f"{name}@{k}" for name in (*PER_CUSTOMER, COVERAGE)])
        for name, metrics in found["models"].items():
            if metrics is not None:
                table.add_row(name, *(f"{metrics[f'{each}@{k}']:.4f}" for each in (*PER_CUSTOMER, COVERAGE)))
        console.print(table)
        table = _table("blend minus", [f"{name}@{k}" for name in ("recall", "ndcg")])
        for name, metrics in found["differences"].items():
            table.add_row(name, *(_difference(metrics[f"{each}@{k}"]) for each in ("recall", "ndcg")))
        console.print(table)
    for name, cause in found["causes"].items():
        console.print(f"no {name}: {cause}", markup=False, highlight=False)
    spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in found["seconds"].items())
    console.print(f"seconds: {spent}; peak memory {found['peak_rss_bytes'] / 1e6:,.0f} MB", highlight=False)


def _table(first: str, columns: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _difference(interval: dict[str, float]) -> str:
    return f"{interval['mean']:+.4f} [{interval['low']:+.4f}, {interval['high']:+.4f}]"
