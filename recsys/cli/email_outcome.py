"""How mailings read on a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import typer
from rich.console import Console
from rich.table import Table

from recsys.cli.text import verbatim
from recsys.stores.ledger import MailState, Totals

if TYPE_CHECKING:
    from recsys.experiments.report import Compared
    from recsys.stores.ledger import Mailing
    from recsys.stores.protocols import Store
    from serving.email.outcome import Outcome
    from serving.email.sending import Sent

_MOST_SHOWN = 20


def sent_json(done: Sent) -> dict[str, object]:
    """One run of sending, for programs."""
    return {
        "mailing": done.mailing,
        "stopped": done.sending.stopped or None,
        "left_uncertain": done.left_uncertain,
        "put_off": done.sending.put_off,
        "next_at": done.sending.next_at,
        "retries": done.sending.retries,
        "moved": {str(state): count for state, count in done.sending.moved.items()},
        **totals_json(done.totals),
    }


def totals_json(totals: Totals) -> dict[str, object]:
    """How an audience is divided, for programs."""
    return {
        "audience": totals.audience,
        **{str(state): count for state, count in totals.states.items()},
        "causes": dict(totals.causes),
        "forgotten": totals.forgotten,
        "reconciles": totals.reconciles,
    }


def print_sent(console: Console, done: Sent) -> None:
    """The same for people."""
    console.print(_totals_table(done.mailing, done.totals))
    if done.left_uncertain:
        console.print(f"{done.left_uncertain:,} mails were under way when an earlier run ended; they are uncertain now")
    if done.sending.put_off:
        at = datetime.fromtimestamp((done.sending.next_at or 0) / 1000, UTC)
        console.print(
            f"{done.sending.put_off:,} wait for the end of quiet hours, the first until {at:%Y-%m-%d %H:%M} UTC: "
            "send again then"
        )
    if done.totals.states[MailState.UNCERTAIN]:
        console.print("who is uncertain is listed by `bookmatch email report`; --resend-uncertain sends again")
    if done.sending.stopped:
        console.print(verbatim(f"stopped: {done.sending.stopped}"), style="red", soft_wrap=True)
        console.print("nothing is lost: what waits is sent by the next `bookmatch email send`")


def listed(store: Store, mailings: Sequence[Mailing]) -> list[dict[str, object]]:
    """One row for each mailing."""
    return [
        {"mailing": each.name, "campaign": each.campaign, "purpose": each.purpose, "planned": each.planned}
        | totals_json(store.ledger.totals(each.name))
        for each in mailings
    ]


def print_listed(console: Console, rows: list[dict[str, object]], *, as_json: bool) -> None:
    """The same for people, or as JSON."""
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        console.print("no mailing yet; plan a campaign and send it: docs/email-delivery.md")
        return
    states = [str(state) for state in MailState]
    table = Table("mailing", "audience", *states)
    table.columns[0].no_wrap = True
    for name, column in zip(("audience", *states), table.columns[1:], strict=True):
        # A heading may be broken; a number that is cut short would be another one.
        column.overflow, column.justify = "fold", "right"
        column.min_width = max(len(f"{row[name]:,}") for row in rows)
    for row in rows:
        table.add_row(verbatim(str(row["mailing"])), f"{row['audience']:,}", *(f"{row[state]:,}" for state in states))
    console.print(table)


def outcome_json(outcome: Outcome, unserved: Sequence[str], months: float) -> str:
    """Everything, for programs."""
    said = {
        "mailing": outcome.mailing.name,
        "campaign": outcome.mailing.campaign,
        "purpose": outcome.mailing.purpose,
        "planned": outcome.mailing.planned,
        **totals_json(outcome.totals),
        "reach": outcome.reach,
        "uncertain_customers": outcome.uncertain,
        "opened": outcome.opened,
        "clicked": outcome.clicked,
        "bought": outcome.bought,
        "purchases": outcome.purchases,
        "revenue": dict(outcome.revenue),
        "bounced": outcome.bounced,
        "left": outcome.left,
        "places": dict(outcome.places),
        "exposed": [
            {"item_id": each.item_id, "mails": each.mails, "available": each.available, "stock": each.stock}
            for each in outcome.exposed
        ],
        "lift": None if outcome.lift is None else [_compared_json(each) for each in outcome.lift.compared],
        "unserved": {"months": months, "customers": len(unserved), "ids": list(unserved)},
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()


def print_outcome(console: Console, outcome: Outcome, unserved: Sequence[str], months: float) -> None:
    """The same for people."""
    console.print(_totals_table(outcome.mailing.name, outcome.totals))
    if not outcome.totals.reconciles:
        console.print("the ledger does not add up: somebody changed it by hand, or it is damaged", style="red")
    if outcome.uncertain:
        shown = ", ".join(outcome.uncertain[:_MOST_SHOWN])
        more = len(outcome.uncertain) - _MOST_SHOWN
        console.print(verbatim(f"uncertain: {shown}" + (f" and {more:,} more (--json)" if more > 0 else "")))
    did = Table("what the mails brought", "", show_header=True)
    did.columns[1].justify = "right"
    did.add_row("reach", f"{outcome.reach:.1%}")
    for name in ("opened", "clicked", "bought", "purchases", "bounced", "left"):
        did.add_row(name, f"{getattr(outcome, name):,}")
    for currency, amount in outcome.revenue.items():
        did.add_row(f"revenue {currency}".strip(), f"{amount:,.2f}")
    console.print(did)
    if outcome.places:
        console.print("places by block: " + ", ".join(f"{kind} {share:.0%}" for kind, share in outcome.places.items()))
    if outcome.exposed:
        items = Table("item", "mails", "available", "stock", title="most often in mails", title_justify="left")
        for each in outcome.exposed[:10]:
            stock = "–" if each.stock is None else f"{each.stock:g}"
            items.add_row(verbatim(each.item_id), f"{each.mails:,}", "yes" if each.available else "no", stock)
        console.print(items)
    _print_lift(console, outcome)
    console.print(f"{len(unserved):,} customers with consent were sent no mail for {months:g} months")


def _print_lift(console: Console, outcome: Outcome) -> None:
    if outcome.lift is None:
        console.print("no lift: the campaign holds nobody out")
        return
    table = Table("over the holdout", "holdout", "mailed", "lift", title="lift", title_justify="left")
    for each in outcome.lift.compared:
        lift = each.lift
        text = "too little data" if lift is None else f"{lift.value:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})"
        table.add_row(each.metric.replace("_", " "), f"{each.control.value:.4g}", f"{each.arm.value:.4g}", text)
    console.print(table)
    for warning in outcome.lift.warnings:
        console.print(verbatim(warning), style="yellow", soft_wrap=True)


def _compared_json(each: Compared) -> dict[str, object]:
    lift = each.lift
    return {
        "metric": each.metric,
        "holdout": each.control.value,
        "mailed": each.arm.value,
        "lift": None if lift is None else {"value": lift.value, "low": lift.low, "high": lift.high},
    }


def _totals_table(name: str, totals: Totals) -> Table:
    table = Table("", "customers", title=verbatim(name), title_justify="left")
    table.columns[1].justify = "right"
    for state, count in totals.states.items():
        if count and state is not MailState.SUPPRESSED:
            table.add_row(str(state), f"{count:,}")
    for cause, count in totals.causes.items():
        table.add_row(verbatim(f"suppressed: {cause.replace('_', ' ')}"), f"{count:,}")
    if totals.forgotten:
        table.add_row("forgotten since", f"{totals.forgotten:,}")
    table.add_row("audience", f"{totals.audience:,}", style="bold")
    return table
