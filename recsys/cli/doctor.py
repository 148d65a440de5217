"""`bookmatch doctor`: is this machine, store, cache and bundle fit to serve?"""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

_MARKS = {"ok": ("✓", "green"), "note": ("i", "cyan"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


def doctor(
    home: Home = DEFAULT_HOME,
    workers: Annotated[int, typer.Option(min=1, help="As many as will be served with.")] = 1,
    host: Annotated[str, typer.Option(help="The address that will be listened on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port that will be listened on.")] = 8000,
    seconds: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long each look through the whole store may take.")
    ] = 10.0,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as problems in the exit code.")] = False,
    as_json: Json = False,
) -> None:
    """Check the machine, the store, the models and the cache. Exit code 1 when something keeps it from serving."""
    import os
    import time

    import orjson

    from serving.doctor.circumstances import Circumstances
    from serving.doctor.examine import examine
    from serving.doctor.findings import Severity, worst
    from serving.http.app import wall_clock
    from serving.http.settings import Settings
    from serving.http.settings_file import with_file

    os.environ["BOOKMATCH_HOME"] = str(home)
    seen = Circumstances(
        settings=Settings.from_environment(with_file(os.environ)),
        environment=os.environ,
        now=wall_clock,
        timer=time.perf_counter,
        workers=workers,
        host=host,
        port=port,
        seconds=seconds,
    )
    found = []
    for finding in examine(seen):
        found.append(finding)
        if not as_json:
            _show(finding.to_json())
    state = worst(found)
    if as_json:
        document = {"state": str(state), "findings": [finding.to_json() for finding in found]}
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    raise typer.Exit(int(state is Severity.PROBLEM or (strict and state is Severity.WARNING)))


def _show(finding: dict[str, str]) -> None:
    from recsys.cli.text import harmless

    mark, colour = _MARKS[finding["severity"]]
    typer.secho(f"{mark} {finding['check']}", fg=colour, nl=False)
    typer.echo(f": {harmless(finding['found'])}")
    for name in ("expected", "remedy"):
        if finding[name]:
            typer.echo(f"    {'to do' if name == 'remedy' else name}: {harmless(finding[name])}")
