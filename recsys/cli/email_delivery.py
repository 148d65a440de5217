"""`bookmatch email send|export|bounces|report|rotate-key`: what happens to a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.shop import ShopFolder
    from recsys.stores.protocols import Store
    from serving.email.planned import Plan
    from serving.email.sending import Sent
    from serving.email.settings import DeliverySettings

PlanPath = Annotated[
    Path,
    typer.Argument(
        help="The folder of a plan, or a campaign's file: then its newest plan in the shop's folder.", metavar="PLAN"
    ),
]


def send(
    plan: PlanPath,
    home: Home = DEFAULT_HOME,
    resend_uncertain: Annotated[
        bool,
        typer.Option(
            "--resend-uncertain",
            help="Send mails again of which nobody knows whether they were taken, under the same Message-ID.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Send the mails of a plan that were not sent yet. What was said since the plan counts: consent, caps, quiet hours,
    stock and prices.
    """
    import time

    from recsys.cli.auditing import now
    from recsys.cli.progress import Bars
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.email.deliver import SendClocks
    from serving.email.sending import restraint_of
    from serving.email.sending import send as send_plan

    shop = ShopFolder(home)
    found, settings = find_plan(shop, plan), delivery_settings(shop)
    restraint = restraint_of(found.folder)
    store = open_store(shop.store, create=False)
    try:
        with Bars(visible=not as_json) as bars:
            bars.start("sending", found.header.planned)
            count = 0

            def step(mails: int) -> None:
                nonlocal count
                count += mails
                bars.advance(count)

            done = send_plan(
                shop,
                store,
                found,
                restraint,
                settings,
                SendClocks(now, time.monotonic),
                resend_uncertain=resend_uncertain,
                progress=step,
            )
        _audit(store, done)
    finally:
        store.close()
    _tell(done, as_json=as_json)
    if done.sending.stopped:
        raise typer.Exit(1)


def export(
    plan: PlanPath,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The new file.")],
    shape: Annotated[
        str,
        typer.Option("--shape", metavar="NAME", help="csv, parquet, jsonl, braze, mailchimp or sendgrid."),
    ] = "csv",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write what waits of a plan into a file for an e-mail service provider, and count it as sent."""
    from recsys.cli.auditing import now
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.email.export import Shape
    from serving.email.export import export as export_plan
    from serving.email.sending import restraint_of

    if shape not in list(Shape):
        raise typer.BadParameter(f"{shape!r} is no shape; expected one of {', '.join(Shape)}", param_hint="--shape")
    shop = ShopFolder(home)
    found, settings = find_plan(shop, plan), delivery_settings(shop, login=False)
    restraint = restraint_of(found.folder)
    store = open_store(shop.store, create=False)
    try:
        done = export_plan(shop, store, found, restraint, settings, to, Shape(shape), now)
        _audit(store, done)
    finally:
        store.close()
    _tell(done, as_json=as_json)


def bounces(
    files: Annotated[
        list[Path], typer.Argument(help="Messages, mailboxes (mbox), or folders of them (Maildir).", metavar="FILE...")
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Read delivery reports and complaints: addresses that are none get no more mails, who complains gets none."""
    import orjson

    from recsys.cli.auditing import now
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.email.bounces import process

    store = open_store(ShopFolder(home).store, create=False)
    try:
        done = process(store, files, now())
    finally:
        store.close()
    said: dict[str, object] = {str(kind): count for kind, count in done.returns.items()}
    said |= {"new": done.new, "undeliverable": done.undeliverable, "strange": done.strange}
    if as_json:
        typer.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
        return
    for name, count in said.items():
        typer.echo(f"{count:>8,} {_BOUNCE_WORDS.get(name, name)}")


def report(
    mailing: Annotated[
        str | None,
        typer.Argument(
            help="A mailing's name, the folder of its plan, or the campaign's file; without one, all mailings.",
            metavar="MAILING",
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="As of a day's end (2026-12-24) or a time (2026-12-24T08:00:00Z), UTC."),
    ] = None,
    unserved_months: Annotated[
        float, typer.Option("--unserved-months", min=0, help="Count who was sent no mail for so many months.")
    ] = 6.0,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Show who got a mailing, who did not and why, what they did then, and what the mails changed."""
    from rich.console import Console

    from recsys.cli.email_outcome import listed, outcome_json, print_listed, print_outcome
    from recsys.cli.experiments_report import moment
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.email.outcome import outcome_of, unserved
    from serving.http.tokens import RecommendationTokens

    shop, until = ShopFolder(home), moment(as_of)
    name = None if mailing is None else _mailing_name(shop, mailing)
    store = open_store(shop.store, create=False, read_only=True)
    try:
        mailings = store.ledger.mailings()
        if name is None:
            print_listed(Console(), listed(store, mailings), as_json=as_json)
            return
        found = next((each for each in mailings if each.name == name), None)
        if found is None:
            store.ledger.totals(name)  # Says what to do.
            return
        folder = shop.mailings
        outcome = outcome_of(
            store, found, RecommendationTokens(store.secret()).verify, _holdout(folder, found.name), until
        )
        alone = unserved(store, found.purpose, unserved_months, until)
    finally:
        store.close()
    if as_json:
        typer.echo(outcome_json(outcome, alone, unserved_months))
    else:
        print_outcome(Console(), outcome, alone, unserved_months)


def rotate_key(home: Home = DEFAULT_HOME) -> None:
    """Make a new key for links to unsubscribe. Links in mails that were sent go on working."""
    from recsys.shop import ShopFolder
    from serving.email.unsubscribe import read_keys
    from serving.email.unsubscribe import rotate_key as rotate

    folder = ShopFolder(home).email
    rotate(folder)
    typer.echo(f"links are signed by a new key from now on; {len(read_keys(folder)) - 1} older ones stay good")


def add_to(app: typer.Typer) -> None:
    """Adds these commands to `bookmatch email`."""
    app.command("send")(send)
    app.command("export")(export)
    app.command("bounces")(bounces)
    app.command("report")(report)
    app.command("rotate-key")(rotate_key)


_BOUNCE_WORDS = {
    "bounced": "mails came back for good",
    "delayed": "mails are delayed",
    "complained": "complaints",
    "new": "of them were not known before",
    "undeliverable": "addresses get no more mails",
    "strange": "messages are no report about a mail of this shop",
}


def find_plan(shop: ShopFolder, path: Path) -> Plan:
    """The plan in a folder, or the newest one of a campaign's file. Raises InputError where there is none."""
    import tomllib

    from recsys.errors import InputError
    from serving.email.planned import Plan

    if path.is_dir():
        return Plan(path)
    try:
        campaign = tomllib.loads(path.read_text(encoding="utf-8")).get("name")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no plan: {error}", expected="a plan's folder, or a campaign's file") from error
    plans = [Plan(each.parent) for each in shop.mailings.glob("*/plan.json")]
    ours = [plan for plan in plans if plan.header.campaign == campaign]
    if not ours:
        raise InputError(
            f"there is no plan of the campaign {campaign!a} in {shop.mailings}",
            remedy=f"make one with `bookmatch email plan {path}`",
        )
    return max(ours, key=lambda plan: plan.header.planned_at)


def delivery_settings(shop: ShopFolder, *, login: bool = True) -> DeliverySettings:
    """What the shop's `delivery.toml` says. Raises InputError; `login` asks for the password where a user is named."""
    import os

    from serving.email.settings import PASSWORD, read_settings

    return read_settings(shop.email, os.environ.get(PASSWORD) or (None if login else "-"))


def _mailing_name(shop: ShopFolder, text: str) -> str:
    from serving.email.sending import mailing_name

    path = Path(text)
    return mailing_name(find_plan(shop, path).header) if path.exists() else text


def _holdout(plans: Path, mailing: str) -> float:
    """The share that was held out of a mailing, as its plan says; 0 where the plan is gone."""
    from serving.email.planned import Plan
    from serving.email.sending import mailing_name

    for path in plans.glob("*/plan.json"):
        header = Plan(path.parent).header
        if mailing_name(header) == mailing:
            return header.holdout
    return 0.0


def _audit(store: Store, done: Sent) -> None:

    from recsys.access.audit import Act, audit
    from recsys.cli.auditing import now, whoever_runs_this

    result = ", ".join(f"{state} {count}" for state, count in sorted(done.sending.moved.items())) or "nothing"
    audit(store, Act.MAILS_SENT, [done.mailing], whoever_runs_this(), now(), result)


def _tell(done: Sent, *, as_json: bool) -> None:
    import orjson
    from rich.console import Console

    from recsys.cli.email_outcome import print_sent, sent_json

    if as_json:
        typer.echo(orjson.dumps(sent_json(done), option=orjson.OPT_INDENT_2).decode())
    else:
        print_sent(Console(), done)
