"""`bookmatch simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import Json

if TYPE_CHECKING:
    from recsys.simulation.folder import Written


def simulate(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist or be empty.")],
    books: Annotated[int, typer.Option("--books", help="Books in the catalogue, at least 50.")] = 2_000,
    customers: Annotated[int, typer.Option("--customers", help="Registered customers.")] = 5_000,
    events: Annotated[
        int, typer.Option("--events", help="Events, to within 10 %; at least one per customer.")
    ] = 200_000,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another shop of the same kind.")] = 1,
    end: Annotated[str, typer.Option("--end", help="The last simulated day (UTC).")] = "2026-10-31",
    days: Annotated[int, typer.Option("--days", help="How many days are simulated, at least 30.")] = 730,
    json: Json = False,
) -> None:
    """Write a sample bookshop: books, customers, two years of events, and the truth behind them.

    The same options give the same files, byte for byte. All names are invented.
    """
    from recsys.simulation.folder import write_shop
    from recsys.simulation.spec import ShopSpec

    spec = ShopSpec(books=books, customers=customers, events=events, seed=seed, end=end, days=days)
    if json or spec.blocks == 1:
        written = write_shop(spec, folder)
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("simulating", total=spec.blocks)
            written = write_shop(spec, folder, lambda done, _all: bar.update(task, completed=done))
    typer.echo(_as_json(written) if json else _as_text(written))


def _as_json(written: Written) -> str:
    import orjson

    return orjson.dumps({"folder": str(written.folder), "fresh": written.fresh, **written.record}).decode()


def _as_text(written: Written) -> str:
    record, folder = written.record, written.folder
    if not written.fresh:
        return f"{folder} holds this very simulation already; nothing was done"
    kinds = sorted(record["events_by_kind"].items(), key=lambda entry: -entry[1])
    width = max(len(kind) for kind, _ in kinds)
    lines = [
        f"{folder}: {record['books']:,} books, {record['customers']:,} customers, {record['events']:,} events",
        *(f"  {kind:<{width}}  {count:>12,}" for kind, count in kinds),
        "To import it:",
        f"  bookmatch import {folder / 'items.parquet'} --as items",
        f"  bookmatch import {folder / 'customers.parquet'} --as customers",
        f"  bookmatch email consents {folder / 'consents.parquet'}",
        f"  bookmatch import {folder}/events-*.parquet",
    ]
    return "\n".join(lines)
