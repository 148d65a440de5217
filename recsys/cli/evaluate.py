"""`bookmatch evaluate`: what would have been recommended, against what customers went on to want."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.evaluation_report import show
from recsys.cli.given import given, spelled
from recsys.cli.options import (
    DEFAULT_HOME,
    DEFAULT_TUNE_BUDGET,
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
    TuneBudget,
    available_cores,
)
from recsys.cli.replaying import (
    Clip,
    Logged,
    Replayed,
    RewardKind,
    RewardName,
    Typed,
    refuse_without_replay,
    replay_shop,
)
from recsys.cli.sweeping import SweepFile, sweep_configurations

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
    context: typer.Context,
    protocol: Annotated[ProtocolName, typer.Argument(help="How the history is divided.")] = ProtocolName.TIME,
    train: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The history; may be repeated. Without it the shop's store is read."),
    ] = None,
    home: Home = DEFAULT_HOME,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="What has to be foreseen; for split.")] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Models see what was before, and foresee the rest; for time. The newest tenth by default.",
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(metavar="DAYS", help="How long the test window is; for time.", show_default=False)
    ] = None,
    windows: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many windows one after another, fitted anew for each; for time.")
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", metavar="DIR", help="A new folder for metrics.json and customers.parquet."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            metavar="KIND,…",
            help="The kinds of events to predict; of a store what its lists predict, of files purchase.",
        ),
    ] = "",
    kinds: Annotated[str, typer.Option(metavar="KIND,…", help="The kinds that models may see; all by default.")] = "",
    items: Annotated[Path | None, typer.Option(metavar="FILE", help="Further candidates: a file of items.")] = None,
    repeats: Annotated[
        RepeatsName, typer.Option(help="What becomes of items that a customer has already.")
    ] = RepeatsName.EXCLUDE,
    mask: Annotated[
        str,
        typer.Option(
            metavar="KIND,…",
            help="By which kinds a customer has an item; the target, of a store also all that the shop masks.",
        ),
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
    sweep: SweepFile = None,
    replay: Replayed = "",
    logged: Logged = "",
    reward: RewardKind = RewardName.CLICK,
    clip: Clip = None,
    as_json: Json = False,
) -> None:
    """Train on a part of a history and score the lists on the rest, beside simple and classic models."""
    from recsys.cli.progress import Bars
    from recsys.data.importers.options import build_options
    from training.evaluation.asked import Asked, Protocol, parse_ks, parse_rules
    from training.evaluation.running import run
    from training.fitting import TrainingConfig
    from training.stages import StageLog

    if replay:
        replay_shop(context, Typed(home, replay, logged, reward, clip, output, seed), as_json=as_json)
        return
    refuse_without_replay(context)
    _refuse_ignored(context, from_files=bool(train))
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
        train=tuple(train or ()),
        home=None if train else home,
        test=test,
        cut=cut,
        days=days,
        windows=windows,
        items=items,
        ks=parse_ks(k),
        options=options,
    )
    config = TrainingConfig(seed=seed, threads=threads or available_cores())
    if sweep is not None:
        sweep_configurations(sweep, asked, config, output, as_json=as_json)
        return
    with Bars(visible=not as_json) as bars:
        report = run(asked, config, output, StageLog(bars), tune_budget, ["bookmatch", *sys.argv[1:]])
    if as_json:
        import orjson

        typer.echo(orjson.dumps(report.metrics, option=orjson.OPT_INDENT_2).decode())
        return
    show(report.metrics, asked.ks)
    if output is not None:
        typer.echo(f"the report is in {output}")


_OF_EVENT_FILES = ("format_", "kinds_map", "event")
"""Options that say how files of events are read; those of other files serve `--items` too."""
_OF_FILES = ("columns", "separator", "encoding", "ignore_items", "max_bad")


def _refuse_ignored(context: typer.Context, *, from_files: bool) -> None:
    """InputError for an option that would have no effect."""
    from recsys.errors import InputError

    typed = given(context)
    if "sweep" in typed and "tune_budget" in typed:
        raise InputError("--tune-budget beside --sweep", expected="one of them: a sweep tunes nothing")
    if from_files and "home" in typed:
        raise InputError("--home beside --train", expected="the store of a shop, or files, and not both")
    without = {*_OF_EVENT_FILES, *(() if "items" in typed else _OF_FILES)}
    if not from_files and typed & without:
        named = spelled(context, typed & without)
        raise InputError(
            f"{named} without --train",
            expected="options about files only beside files",
            remedy="give --train, or leave it",
        )
