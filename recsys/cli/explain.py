"""`bookmatch explain`: everything that an answer to a customer knows."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Filter, FilterParameters, Home, Json, parameter_texts


def explain(
    customer: Annotated[str, typer.Argument(help="The customer's id.", metavar="CUSTOMER")],
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many items at most.")] = 20,
    exclude: Annotated[list[str] | None, typer.Option(help="An item that must not be listed; may be repeated.")] = None,
    placement: Annotated[str, typer.Option(help="The spot that the list is for.")] = "default",
    item: Annotated[str | None, typer.Option(help="Why this item is on the list, or why not.")] = None,
    wanted: Filter = None,
    parameters: FilterParameters = None,
    as_json: Json = False,
) -> None:
    """Show what the service answers to a customer, and all that it is made from."""
    import asyncio
    import logging
    import os

    from rich.console import Console

    from recsys.cli.explain_report import print_report, report_json
    from recsys.cli.explaining import explained_answer
    from serving.http.filtering import FilterAsked
    from serving.http.logs import configure_logging
    from serving.http.settings import Settings
    from serving.http.settings_file import with_file

    settings = Settings.from_environment(with_file({**os.environ, "BOOKMATCH_HOME": str(home)}))
    configure_logging(logging.WARNING, settings.log_format)
    filtered = None if wanted is None else FilterAsked(wanted, parameter_texts(parameters), None, ())
    excluded = frozenset(exclude or ())
    report = asyncio.run(explained_answer(settings, customer, limit, excluded, item, placement, filtered))
    if as_json:
        typer.echo(report_json(report))
    else:
        print_report(Console(), report)
