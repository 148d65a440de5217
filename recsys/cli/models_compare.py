"""What `bookmatch models compare` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recsys.cli.options import available_cores

if TYPE_CHECKING:
    from rich.console import Console

    from training.stages import StageLog

_TABLED = ("recall", "ndcg", "hit_rate", "hard_to_find_recall", "revenue", "novelty", "coverage", "gini", "stability")
_MOST_SETTINGS = 20


def compare_models(home: Path, first: str, second: str, ks: str, seed: int, threads: int, *, as_json: bool) -> None:
    """Compares two bundles of a shop and prints what was found; `second` may be empty for the one in force."""
    import orjson
    from rich.console import Console

    from recsys.cli.progress import Bars
    from training.evaluation.asked import parse_ks
    from training.stages import StageLog

    with Bars(visible=not as_json) as bars:
        found = _found(home, first, second, parse_ks(ks), seed, threads or available_cores(), StageLog(bars))
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        print_compared(Console(), found)


def _found(
    home: Path, first: str, second: str, ks: tuple[int, ...], seed: int, threads: int, stages: StageLog
) -> dict[str, Any]:
    from contextlib import closing

    from recsys.bundle import BundleRepository
    from recsys.errors import BundleError, InputError
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from training.gate.comparing import compare_bundles

    shop = ShopFolder(home)
    repository = BundleRepository(shop.models)
    other = second or repository.current_id()
    if other is None:
        raise BundleError("nothing has been published yet", remedy="train a bundle with `bookmatch train`")
    if other == first:
        raise InputError(f"{first} beside itself", expected="two different bundles", remedy="name another one")
    bundles = (repository.load(first), repository.load(other))
    with closing(open_store(shop.store, create=False, read_only=True)) as store, stages.stage("read"):
        table, catalogue, customers = store.events.read(), store.catalog.read(), store.customers.read()
    found = compare_bundles(table, catalogue, customers, bundles, ks, seed, threads, stages)
    return found | {"bytes": {each.bundle_id: repository.size(each.bundle_id) for each in bundles}}


def print_compared(console: Console, found: Mapping[str, Any]) -> None:
    """The comparison for people."""
    from rich.table import Table

    from recsys.cli.text import utc, verbatim

    first, second = found["bundles"]
    window = found["window"]
    if window["cause"]:
        console.print(f"quality is not compared: {window['cause']}", markup=False, highlight=False)
    else:
        console.print(
            f"{found['customers']:,} customers, on what they did since {utc(window['since'])}, which neither has seen",
            highlight=False,
        )
    table = Table("metric", first, second, f"{second} minus {first}", "verdict")
    for metric in _metrics(found["models"][second]):
        values = [found["models"][each].get(metric) for each in (first, second)]
        told = found["differences"].get(metric)
        between = "" if told is None else f"{told['mean']:+.4f} [{told['low']:+.4f}, {told['high']:+.4f}]"
        cells = ["" if value is None else f"{value:.4f}" for value in values]
        table.add_row(metric, *map(verbatim, [*cells, between, "" if told is None else told["verdict"]]))
    console.print(table)
    latency = found["latency"]
    console.print(
        f"a list takes {latency['ratio']:.2f} times as long [{latency['low']:.2f}, {latency['high']:.2f}]: "
        f"{latency['seconds'][second] * 1e6:,.0f} µs, and {latency['seconds'][first] * 1e6:,.0f} µs with {first}; "
        f"{found['bytes'][second] / 1e6:,.1f} MB, and {found['bytes'][first] / 1e6:,.1f} MB",
        highlight=False,
    )
    _print_settings(console, found["settings"])


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in metrics if name.partition("@")[0] in _TABLED]


def _print_settings(console: Console, settings: Mapping[str, Sequence[Any]]) -> None:
    if not settings:
        console.print("they have the same settings")
        return
    console.print("settings that differ:")
    for path, (one, other) in list(settings.items())[:_MOST_SETTINGS]:
        console.print(f"  {path}: {one} → {other}", markup=False, highlight=False)
    if len(settings) > _MOST_SETTINGS:
        console.print(f"  and {len(settings) - _MOST_SETTINGS} more; --json has all")
