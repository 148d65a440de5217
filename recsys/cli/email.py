"""`bookmatch email`: campaigns from a file to mails."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli import email_delivery
from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.shop import ShopFolder
    from serving.email.previewing import Preview

app = typer.Typer(help="Plan, preview and send campaigns by e-mail, and see what came of them.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A campaign's file, TOML; see docs/email.md.", metavar="CAMPAIGN.toml")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="As of when, such as 2026-11-01T08:00:00Z; now otherwise. Consents, stock and prices are those of now.",
    ),
]


@app.command()
def plan(
    file: File,
    home: Home = DEFAULT_HOME,
    at: At = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Where the plan is written; must not exist yet.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide who gets which mail, and write it down: nothing is sent.

    Everybody in the audience is planned or suppressed, with the first cause.
    """
    from rich.console import Console

    from recsys.cli.email_report import plan_json, print_plan
    from recsys.cli.emailing import open_mail_shop
    from recsys.cli.options import available_cores
    from recsys.cli.progress import Bars
    from recsys.shop import ShopFolder
    from serving.email.plan import make_plan
    from serving.email.planned import Plan

    now = moment(at)
    with open_mail_shop(home, now) as shop, Bars(visible=not as_json) as bars:
        campaign = shop.read(file)
        folder = to or ShopFolder(home).mailings / f"{campaign.name}-{_stamp(now)}"
        header = make_plan(campaign, shop.planning(campaign), now, folder, available_cores(), bars.follow)
        if shop.forget_meanwhile(folder):
            header = Plan(folder).header
    if as_json:
        typer.echo(plan_json(header, folder))
    else:
        print_plan(Console(), header, folder)


@app.command()
def preview(
    file: File,
    home: Home = DEFAULT_HOME,
    at: At = None,
    customer: Annotated[list[str] | None, typer.Option(help="A customer's id; may be repeated.")] = None,
    sample: Annotated[int, typer.Option(min=1, max=1_000, help="So many mails, drawn from the audience.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draw.")] = 0,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Write the mails there too, as pages, texts and messages."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what some customers of the audience would get, and why others would get nothing. Nothing is planned."""
    from rich.console import Console

    from recsys.cli.email_report import preview_json, print_preview
    from recsys.cli.emailing import open_mail_shop
    from recsys.cli.options import available_cores
    from recsys.shop import ShopFolder
    from serving.email.previewing import previewed

    now = moment(at)
    with open_mail_shop(home, now) as shop:
        campaign = shop.read(file)
        found = previewed(
            campaign, shop.planning(campaign), now, tuple(customer or ()), sample, seed, available_cores()
        )
    if to is not None:
        written = _write_files(found, ShopFolder(home), to, now)
    if as_json:
        typer.echo(preview_json(found))
    else:
        print_preview(Console(), found)
        if to is not None:
            typer.echo(f"the mails are in {written}; open it in a browser")


@app.command()
def consents(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, Parquet or JSON lines: customer_id, purpose, granted, source, stated.",
            dir_okay=False,
        ),
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Keep what customers said about being written to. What was said last counts, whenever it arrives."""
    import orjson

    from recsys.access.audit import Act
    from recsys.cli.auditing import audit_command
    from recsys.cli.progress import Bars
    from recsys.customers.consents import read_consents, record
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store

    statements = read_consents(file)
    with shop_in_use(home), Bars(visible=not as_json) as bars:
        store = open_store(ShopFolder(home).store)
        try:
            bars.start("consents", len(statements))
            done = record(store, statements, bars.advance)
        finally:
            store.close()
        audit_command(home, Act.FILES_IMPORTED, [file.name])
    if as_json:
        typer.echo(orjson.dumps({"added": done.added, "known": done.known, "forgotten": done.forgotten}).decode())
        return
    told = f"{file}: {done.added:,} new statements, {done.known:,} that were there already"
    typer.echo(
        told + (f", {done.forgotten:,} of customers who asked to be forgotten left out" if done.forgotten else "")
    )


def moment(at: str | None) -> int:
    """Milliseconds UTC of a time as ISO 8601 writes it, or now; one without a zone is in UTC."""
    import time

    if at is None:
        return int(time.time() * 1000)
    try:
        when = datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(f"{at!r} is no time; expected one such as 2026-11-01T08:00:00Z") from error
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)


def _stamp(now: int) -> str:
    return datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _write_files(found: Preview, shop: ShopFolder, to: Path, now: int) -> Path:
    from serving.email.preview import write_previews

    settings = email_delivery.delivery_settings(shop, login=False)
    return write_previews(found.header, found.mails, to, shop.email, settings, now)


email_delivery.add_to(app)
