"""`bookmatch models`: which bundles there are and which one answers."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

app = typer.Typer(help="List, show, compare, promote and roll back published models.", no_args_is_help=True)
BundleId = Annotated[str, typer.Argument(help="A bundle's id, as `bookmatch models list` shows it.", metavar="BUNDLE")]


@app.command("list")
def list_bundles(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show every bundle, the oldest first, and which one is in force."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from recsys.bundle import BundleRepository
    from recsys.cli.text import utc, verbatim
    from recsys.errors import BundleError
    from recsys.shop import ShopFolder

    repository = BundleRepository(ShopFolder(home).models)
    current = repository.current_id()
    rows = []
    for bundle_id in repository.bundle_ids():
        row: dict[str, object] = {"bundle": bundle_id, "in_force": bundle_id == current}
        try:
            manifest, build = repository.manifest(bundle_id), repository.build(bundle_id)
            row |= {"built": build.get("at"), "software": manifest.software, "error": None}
            row |= {key: manifest.data.get(key) for key in ("customers", "items", "events")}
        except BundleError as error:
            row |= {"error": str(error)}
        rows.append(row)
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        typer.echo("no bundle yet; train one with `bookmatch train`")
        return
    table = Table("", "bundle", "built (UTC)", "customers", "items", "events")
    for row in rows:
        mark = "▶" if row["in_force"] else ""
        if row["error"]:
            table.add_row(mark, verbatim(str(row["bundle"])), verbatim(f"unreadable: {row['error']}"))
        else:
            counts = [f"{row[key]:,}" for key in ("customers", "items", "events")]
            table.add_row(mark, str(row["bundle"]), utc(row["built"]), *counts)
    Console().print(table)


@app.command()
def show(bundle: BundleId = "", home: Home = DEFAULT_HOME) -> None:
    """Print a bundle's manifest, and how it was built, as JSON; without BUNDLE that of the one in force."""
    import orjson

    from recsys.bundle import BundleRepository
    from recsys.errors import BundleError
    from recsys.shop import ShopFolder

    repository = BundleRepository(ShopFolder(home).models)
    bundle_id = bundle or repository.current_id()
    if bundle_id is None:
        raise BundleError("nothing has been published yet", remedy="train a bundle with `bookmatch train`")
    shown = {
        "bundle": bundle_id,
        "in_force": bundle_id == repository.current_id(),
        "manifest": repository.manifest(bundle_id).to_json(),
        "build": repository.build(bundle_id),
    }
    typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())


@app.command()
def promote(bundle: BundleId, home: Home = DEFAULT_HOME) -> None:
    """Put an earlier bundle in force."""
    import time

    from recsys.access.audit import Act
    from recsys.bundle import BundleRepository
    from recsys.cli.auditing import audit_command
    from recsys.shop import ShopFolder

    BundleRepository(ShopFolder(home).models).promote(bundle, int(time.time() * 1000))
    audit_command(home, Act.BUNDLE_PROMOTED, [bundle])
    typer.echo(f"bundle {bundle} is in force")


@app.command()
def rollback(home: Home = DEFAULT_HOME) -> None:
    """Go back to the bundle that was in force before the current one."""
    import time

    from recsys.access.audit import Act
    from recsys.bundle import BundleRepository
    from recsys.cli.auditing import audit_command
    from recsys.shop import ShopFolder

    bundle = BundleRepository(ShopFolder(home).models).rollback(int(time.time() * 1000))
    audit_command(home, Act.BUNDLE_ROLLED_BACK, [bundle])
    typer.echo(f"bundle {bundle} is in force again")


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, metavar="N", help="So many stay: those that rolling back leads to.")] = 5,
    home: Home = DEFAULT_HOME,
) -> None:
    """Remove old bundles; never the one in force, those of experiments, nor the newest that was never in force."""
    from recsys.access.audit import Act
    from recsys.bundle import BundleRepository
    from recsys.cli.auditing import audit_command
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder

    shop = ShopFolder(home)
    repository = BundleRepository(shop.models)
    gone = repository.prune(keep, PlacementRepository(shop.placements).current().bundles)
    if gone:
        audit_command(home, Act.BUNDLES_PRUNED, gone)
    typer.echo(f"removed {len(gone)} bundles, {len(repository.bundle_ids())} stay")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A bundle's id.", metavar="A")],
    second: Annotated[str, typer.Argument(help="Another one's; the one in force by default.", metavar="B")] = "",
    home: Home = DEFAULT_HOME,
    k: Annotated[str, typer.Option("--k", metavar="N,…", help="How many places of a list are looked at.")] = "10,20",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare two bundles on what customers did since both were trained: quality, coverage, how alike their lists are,
    what a list costs, size and settings."""
    from recsys.cli.models_compare import compare_models

    compare_models(home, first, second, k, seed, threads, as_json=as_json)
