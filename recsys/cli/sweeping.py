"""`bookmatch evaluate --sweep`: several configurations side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.evaluation.asked import Asked
    from training.fitting import TrainingConfig

SweepFile = Annotated[
    Path | None,
    typer.Option(
        "--sweep", metavar="FILE", help="Fit and score each configuration of this TOML file; goes on where it stopped."
    ),
]


def sweep_configurations(
    path: Path, asked: Asked, config: TrainingConfig, folder: Path | None, *, as_json: bool
) -> None:
    """Runs a sweep and prints it; with a folder it is left there as JSON and Markdown."""
    import orjson

    from recsys.cli.progress import Bars
    from training.evaluation.report.folder import METRICS, require_writable, write_files
    from training.evaluation.sweep.presenting import as_markdown
    from training.evaluation.sweep.running import run_sweep
    from training.stages import StageLog

    if folder is not None:
        require_writable(folder)
    with Bars(visible=not as_json) as bars:
        found = run_sweep(path, asked, config, StageLog(bars))
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2)
    if folder is not None:
        write_files(folder, {METRICS: text, "sweep.md": as_markdown(found, asked.ks).encode()})
    if as_json:
        typer.echo(text.decode())
        return
    _show(found, asked.ks)
    if folder is not None:
        typer.echo(f"the report is in {folder}")


def _show(found: dict[str, Any], ks: tuple[int, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from training.evaluation.sweep.presenting import MARKS, head_of, rows_of

    console, (first, *others) = Console(), head_of(found, ks)
    console.print(f"{found['customers']:,} customers; {found['reused']} lists were there already", highlight=False)
    table = Table(first)
    for name in others:
        table.add_column(name, justify="right")
    for row in rows_of(found, ks, intervals=False):
        table.add_row(*row)
    console.print(table)
    console.print(f"{MARKS} Intervals: --json, or --output", markup=False, highlight=False)
