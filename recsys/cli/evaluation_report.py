"""What an evaluation found, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COMPARED = ("recall", "ndcg")
_TRACK_TITLES = {
    "discovery": "discovery: what was new to the customer",
    "repeat": "repeat: what the customer had already",
}
_RULES = {"exclude": "discovery", "only": "repeat"}


def show(found: Mapping[str, Any], ks: Sequence[int]) -> None:
    """Prints the content of `metrics.json` as tables: the track that was asked for first, then the others."""
    from rich.console import Console

    console = Console()
    for note in found["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False)
    for check in found["checks"]["data"]:
        if check["count"]:
            share = "" if check["share"] is None else f" ({check['share']:.2%})"
            console.print(f"warning: {check['name']}: {check['count']:,}{share}", markup=False, highlight=False)
    console.print(f"leak checks: {len(found['checks']['leaks'])} passed", highlight=False)
    console.print(
        f"{found['customers']:,} customers with {found['test_pairs']:,} test items, {found['unknown_customers']:,} of "
        f"them unknown to training; {found['items']:,} candidates; settings chosen on "
        f"{found['validation']['pairs']:,} validation pairs"
    )
    asked = _RULES.get(found["config"]["repeats"])
    if asked is None:
        # Neither discovery nor repeats alone: what was asked for is in no track.
        _show_track(console, "repeats allowed", found, ks)
    for name in sorted(found["tracks"], key=lambda name: name != asked):
        # What was not asked for comes in short: at the last k alone.
        _show_track(console, _TRACK_TITLES[name], found["tracks"][name], ks if name == asked else ks[-1:])
    _show_windows(console, found["windows"], asked or "discovery", max(ks))
    spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in found["seconds"].items())
    console.print(f"seconds: {spent}; peak memory {found['peak_rss_bytes'] / 1e6:,.0f} MB", highlight=False)


def _show_track(console: Console, title: str, track: Mapping[str, Any], ks: Sequence[int]) -> None:
    from recsys.metrics.ranking import COVERAGE, PER_CUSTOMER

    if "models" not in track:
        console.print(f"{title}: nobody is asked: {track['cause']}", markup=False, highlight=False)
        return
    console.print(f"{title}; {track['customers']:,} customers", markup=False, highlight=False)
    for k in ks:
        table = _table("model", [f"{name}@{k}" for name in (*PER_CUSTOMER, COVERAGE)])
        for name, metrics in track["models"].items():
            if metrics is not None:
                table.add_row(name, *(f"{metrics[f'{each}@{k}']:.4f}" for each in (*PER_CUSTOMER, COVERAGE)))
        console.print(table)
        table = _table("blend minus", [f"{name}@{k}" for name in _COMPARED])
        for name, metrics in track["differences"].items():
            table.add_row(name, *(_difference(metrics[f"{each}@{k}"]) for each in _COMPARED))
        console.print(table)
    for name, cause in track["causes"].items():
        console.print(f"no {name}: {cause}", markup=False, highlight=False)


def _show_windows(console: Console, windows: Sequence[Mapping[str, Any]], name: str, k: int) -> None:
    """Of several windows what each says alone; the tables above pool them."""
    if len(windows) < 2:
        return
    found = [each["tracks"][name] for each in windows]
    models = dict.fromkeys(model for track in found for model in track.get("models", {}))
    table = _table(f"recall@{k}, {name}", [each["cut"].removesuffix("T00:00:00Z") for each in windows])
    for model in models:
        there = [(track.get("models", {}).get(model) or {}).get(f"recall@{k}") for track in found]
        table.add_row(model, *("" if value is None else f"{value:.4f}" for value in there))
    console.print(table)


def _table(first: str, columns: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _difference(found: Mapping[str, Any]) -> str:
    bounds = f"{found['mean']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
    return f"{bounds} {found['verdict']}" if "verdict" in found else bounds
