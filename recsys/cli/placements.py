"""`bookmatch placements`: what the shop's lists show; check a change, see what it would do, publish it, undo it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

app = typer.Typer(help="Check, compare, preview, publish and roll back what lists show.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A file of placements, TOML.", metavar="FILE", dir_okay=False)]
Sample = Annotated[int, typer.Option(min=1, max=10_000, help="With so many customers, drawn from all.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draw.")]
By = Annotated[str, typer.Option(help="Who publishes it; the name of the system's user otherwise.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many items lists have.")]
_SHOWN = Annotated[int | None, typer.Argument(help="A version's number; the one in force otherwise.", metavar="N")]


@app.command()
def check(
    file: File, home: Home = DEFAULT_HOME, sample: Sample = 20, seed: Seed = 0, limit: Limit = 10, as_json: Json = False
) -> None:
    """Say whether a file could be published: every rule is read, and lists of real customers are made by it."""
    from recsys.cli.placements_report import checked_json
    from recsys.cli.trying import Wanted, open_trial
    from recsys.recommend.placements import PlacementsFileError, placements_text
    from recsys.shop import ShopFolder

    text = placements_text(file)
    with open_trial(ShopFolder(home), Wanted((), sample, seed, limit)) as shop:
        customers = len(shop.trial.customers)
        try:
            placements = shop.read(text, str(file))
            shop.check(placements)
        except PlacementsFileError as error:
            if not as_json:
                raise
            typer.echo(checked_json(str(file), customers, error.faults))
            raise typer.Exit(1) from error
        if as_json:
            typer.echo(checked_json(str(file), customers, ()))
            return
        names = ", ".join(placements.placements)
        typer.echo(f"{file} can be published; lists of {customers} customers were made at each of: {names}")


@app.command()
def diff(
    file: Annotated[Path | None, typer.Argument(help="A file; the version in force otherwise.", metavar="FILE")] = None,
    against: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="The version that it is compared with; 0 is the built-in one."),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Show which rules differ, of a file and the version in force, or of two versions."""
    from rich.console import Console

    from recsys.cli.placements_report import changes_json, print_changes
    from recsys.recommend.placements import PlacementRepository, placements_text, read_placements
    from recsys.recommend.placements.comparing import changes
    from recsys.shop import ShopFolder

    repository = PlacementRepository(ShopFolder(home).placements)
    current = repository.current_id() or 0
    if file is None:
        number = max(current - 1, 0) if against is None else against
        new, title = repository.current(), _version(current)
    else:
        number = current if against is None else against
        new, title = read_placements(placements_text(file), str(file)), str(file)
    old = repository.at(number)
    found = changes(old, new)
    if as_json:
        typer.echo(changes_json(found))
    else:
        print_changes(Console(), found, f"from {_version(number)} to {title}")


@app.command()
def preview(
    file: File,
    home: Home = DEFAULT_HOME,
    customer: Annotated[list[str] | None, typer.Option(help="A customer's id; may be repeated.")] = None,
    sample: Sample = 3,
    seed: Seed = 0,
    placement: Annotated[list[str] | None, typer.Option(help="Only this placement; may be repeated.")] = None,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Show lists of real customers as they are and as a file would make them, side by side, and what each rule did."""
    from rich.console import Console

    from recsys.cli.placements_report import preview_json, print_preview
    from recsys.cli.trying import Wanted, open_trial
    from recsys.recommend.placements import PlacementRepository, placements_text
    from recsys.recommend.placements.comparing import changed_placements
    from recsys.shop import ShopFolder

    text = placements_text(file)
    with open_trial(ShopFolder(home), Wanted(tuple(customer or ()), sample, seed, limit)) as shop:
        new, old = shop.read(text, str(file)), PlacementRepository(ShopFolder(home).placements).current()
        names = [new.placement(name).name for name in placement or ()] or changed_placements(old, new)
        pairs = [pair for name in names for pair in shop.trial.compared(old.placements.get(name), new.placements[name])]
        titles = shop.titles(sorted({item for pair in pairs for item in pair.item_ids}))
        if as_json:
            typer.echo(preview_json(pairs, titles))
        else:
            print_preview(Console(), pairs, titles)


@app.command()
def publish(
    file: File,
    why: Annotated[str, typer.Option(help="What the change is for.")],
    by: By = "",
    home: Home = DEFAULT_HOME,
    force: Annotated[bool, typer.Option("--force", help="Even if lists would be empty; it is recorded.")] = False,
    sample: Sample = 20,
    seed: Seed = 0,
    limit: Limit = 10,
) -> None:
    """Put a file in force as a new version, if `check` finds nothing. Running services take it up by themselves."""
    import time

    from recsys.access.audit import Act
    from recsys.cli.auditing import audit_command, whoever_runs_this
    from recsys.cli.trying import Wanted, open_trial
    from recsys.errors import BundleError
    from recsys.recommend.placements import EmptyListsError, PlacementRepository, placements_text
    from recsys.shop import ShopFolder

    text, forced = placements_text(file), False
    try:
        with open_trial(ShopFolder(home), Wanted((), sample, seed, limit)) as shop:
            shop.check(shop.read(text, str(file)))
    except (EmptyListsError, BundleError) as error:
        if not force:
            raise
        typer.echo(f"published all the same: {error}", err=True)
        forced = True
    repository = PlacementRepository(ShopFolder(home).placements)
    now = int(time.time() * 1000)
    version = repository.publish(
        text, by=by or whoever_runs_this().name.removeprefix("user:"), why=why, now=now, forced=forced
    )
    audit_command(home, Act.PLACEMENTS_PUBLISHED, [str(version.number)])
    typer.echo(f"version {version.number} of the placements is in force")


@app.command("list")
def list_versions(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show every version, the oldest first: when, by whom and why it was put in force."""
    from rich.console import Console

    from recsys.cli.placements_report import print_versions, versions_json
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder

    versions = PlacementRepository(ShopFolder(home).placements).versions()
    if as_json:
        typer.echo(versions_json(versions))
    elif versions:
        print_versions(Console(), versions)
    else:
        typer.echo("nothing was published yet; the built-in placement `default` is in force")


@app.command()
def show(number: _SHOWN = None, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Print a version's file as it was given."""
    from recsys.cli.placements_report import version_json
    from recsys.errors import PlacementsError
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder

    repository = PlacementRepository(ShopFolder(home).placements)
    shown = repository.current_id() if number is None else number
    if shown is None:
        raise PlacementsError("nothing was published yet", remedy="publish a file with `bookmatch placements publish`")
    text = repository.text(shown)
    typer.echo(version_json(repository.version(shown), text) if as_json else text, nl=as_json)


@app.command("roll-back")
def roll_back(
    number: Annotated[
        int | None, typer.Argument(help="A version's number; the one before the one in force otherwise.", metavar="N")
    ] = None,
    by: By = "",
    why: Annotated[str, typer.Option(help="What was wrong.")] = "rolled back",
    home: Home = DEFAULT_HOME,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it does not fit the shop of today; it is recorded.")
    ] = False,
    sample: Sample = 20,
    seed: Seed = 0,
    limit: Limit = 10,
) -> None:
    """Put an earlier version in force again, as a new version, if `check` finds nothing; again, one further back."""
    import time

    from recsys.access.audit import Act
    from recsys.cli.auditing import audit_command, whoever_runs_this
    from recsys.cli.trying import Wanted, open_trial
    from recsys.errors import BundleError
    from recsys.recommend.placements import PlacementRepository, PlacementsFileError
    from recsys.shop import ShopFolder

    repository, forced = PlacementRepository(ShopFolder(home).placements), False
    to = repository.before() if number is None else number
    text = repository.text(to)
    try:
        with open_trial(ShopFolder(home), Wanted((), sample, seed, limit)) as shop:
            shop.check(shop.read(text, f"version {to}"))
    except (PlacementsFileError, BundleError) as error:
        if not force:
            typer.echo("not rolled back; --force does it all the same", err=True)
            raise
        typer.echo(f"rolled back all the same: {error}", err=True)
        forced = True
    now = int(time.time() * 1000)
    version = repository.roll_back(
        to, by=by or whoever_runs_this().name.removeprefix("user:"), why=why, now=now, forced=forced
    )
    audit_command(home, Act.PLACEMENTS_ROLLED_BACK, [str(version.number)])
    typer.echo(f"version {version.number} of the placements is in force: version {version.rolled_back_to} again")


def _version(number: int) -> str:
    return f"version {number}" if number else "the built-in placements"
