"""`bookmatch experiments`: which experiments there are, and what came of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.experiments import Experiment
    from recsys.shop import ShopFolder

app = typer.Typer(help="List experiments and report what came of them.", no_args_is_help=True)
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="As of a day's end (2026-12-24) or a time (2026-12-24T08:00:00Z), UTC; now otherwise."
    ),
]


@app.command("list")
def list_experiments(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show the experiments of the placements in force, and those that are only known from what was recorded."""
    import time

    import orjson
    from rich.console import Console

    from recsys.cli.experiments_report import listed, listed_table
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder
    from recsys.stores import open_store

    shop = ShopFolder(home)
    experiments = PlacementRepository(shop.placements).current().experiments
    store = open_store(shop.store, create=False, read_only=True)
    try:
        rows = listed(experiments, store, int(time.time() * 1000))
    finally:
        store.close()
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    elif rows:
        Console().print(listed_table(rows))
    else:
        typer.echo("no experiment yet; say one in the file of placements and publish it: docs/experiments.md")


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="As the file of placements calls it.", metavar="NAME")],
    as_of: AsOf = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Compare the arms of an experiment: lifts with intervals that hold however often they are looked at."""
    from rich.console import Console

    from recsys.cli.experiments_report import moment, print_report, report_json
    from recsys.experiments.report import report_on
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.http.tokens import RecommendationTokens

    shop, until = ShopFolder(home), moment(as_of)
    experiment = _named(shop, name)
    store = open_store(shop.store, create=False, read_only=True)
    try:
        tokens = RecommendationTokens(store.secret())

        def arm_of(token: str) -> str | None:
            identity = tokens.verify(token)
            return None if identity is None else identity.arm

        found = report_on(experiment, store, until, arm_of)
    finally:
        store.close()
    if as_json:
        typer.echo(report_json(found))
    else:
        print_report(Console(), found)


def _named(shop: ShopFolder, name: str) -> Experiment:
    """The experiment as the newest version that has it says; InputError where none does."""
    from recsys.errors import InputError
    from recsys.recommend.placements import PlacementRepository

    repository = PlacementRepository(shop.placements)
    newest = repository.current_id() or 0
    for number in range(newest, 0, -1):
        for experiment in repository.read(number).experiments:
            if experiment.name == name:
                return experiment
    raise InputError(
        f"there is no experiment {name!a} in any version of the placements",
        expected="the name of one, as `bookmatch experiments list` shows them",
        remedy="publish it with `bookmatch placements publish FILE`",
    )
