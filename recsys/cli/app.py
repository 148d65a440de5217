"""The command's root: which commands there are, and how errors are shown.

A command's module imports nothing heavy at its top; what it needs it imports when it runs, so that `--help` and a
mistyped option answer at once.
"""

from __future__ import annotations

import sys

import typer

from recsys import __version__
from recsys.cli import (
    audit,
    backup,
    customers,
    doctor,
    email,
    evaluate,
    experiments,
    explain,
    import_,
    keys,
    models,
    placements,
    popular,
    recommend,
    related,
    retrain,
    serve,
    simulate,
    train,
    upgrade,
)
from recsys.errors import BookmatchError

app = typer.Typer(
    name="bookmatch",
    help="A recommendation engine that shops run themselves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("simulate")(simulate.simulate)
app.command("import")(import_.import_files)
app.command("train")(train.train)
app.command("retrain")(retrain.retrain)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(models.app, name="models")
app.add_typer(placements.app, name="placements")
app.add_typer(experiments.app, name="experiments")
app.add_typer(customers.app, name="customers")
app.add_typer(email.app, name="email")
app.command("recommend")(recommend.recommend)
app.command("related")(related.related)
app.command("explain")(explain.explain)
app.command("popular")(popular.popular)
app.command("serve")(serve.serve)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("upgrade")(upgrade.upgrade)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.command("audit")(audit.audit)


INTERRUPTED = 130
"""The exit code after Ctrl-C, as typer gives it."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bookmatch {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """A recommendation engine that shops run themselves."""


def main() -> None:
    """Runs the command. Errors of the domain are told in one paragraph, exit code 1; Ctrl-C is 130."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            typer.echo("stopped; nothing was left half-written", err=True)
        raise
    except BookmatchError as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
        sys.exit(1)
