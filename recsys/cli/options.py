"""Options that several commands share."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="BOOKMATCH_HOME",
        help="The shop's folder: its store, models and quarantined rows.",
        file_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
# How files are read, the same for every command that reads them; see docs/importing.md.
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="personalize, movielens, recbole, gorse, retailrocket, online-retail or amazon-reviews-2023.",
    ),
]
ColumnMap = Annotated[
    str,
    typer.Option("--map", metavar="OURS=THEIRS,…", help="Which of the files' columns is which of ours."),
]
KindsMap = Annotated[
    str,
    typer.Option("--kinds-map", metavar="THEIRS=OURS,…", help="Which of the files' kinds is which of ours."),
]
EventName = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="The kind of every row, where no column says it."),
]
Timezone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="The zone of times that name none, such as Europe/London."),
]
TimeUnit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="The unit of times that are numbers: s, ms, us or ns."),
]
Separator = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Between fields; recognised from the header otherwise."),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of text files that are not UTF-8."),
]
IgnoreItems = Annotated[
    str,
    typer.Option(metavar="CODES", help="Items that are none (postage, fees): codes or patterns such as DCGS*."),
]


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is no number of seconds; expected 0 or more, such as 60")
    return seconds


Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="TEXT",
        help='Only items that it lets through: an expression such as "price < 10", or the name of a saved one.',
    ),
]
FilterParameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="NAME=VALUE", help="The value of :NAME in the filter; may be repeated, for lists too."
    ),
]


def parameter_texts(parameters: list[str] | None) -> dict[str, list[str]]:
    """The values of a filter's parameters by name, as they were typed."""
    texts: dict[str, list[str]] = {}
    for each in parameters or ():
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{each!r} is no value of a parameter; expected NAME=VALUE, such as max=10")
        texts.setdefault(name, []).append(value)
    return texts


TuneBudget = Annotated[
    float,
    typer.Option(
        "--tune-budget",
        metavar="SECONDS",
        min=0,
        callback=_finite,
        help="What tuning may cost; a plan is made from it and the data's size. 0 takes the shipped settings.",
    ),
]
DEFAULT_TUNE_BUDGET = 60.0
"""As `training.tuning.TUNE_BUDGET`, which is not loaded before it is needed."""

DEFAULT_HOME = Path("shop")


def available_cores() -> int:
    """How many cores this process may use, 1 or more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
