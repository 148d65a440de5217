"""How plans of campaigns are shown."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.console import Console
from rich.table import Table

from recsys.cli.text import verbatim

if TYPE_CHECKING:
    from serving.email.planned import PlanHeader, PlannedMail
    from serving.email.previewing import Preview


def plan_json(header: PlanHeader, folder: Path) -> str:
    """The totals for programs."""
    return orjson.dumps({"folder": str(folder)} | totals(header), option=orjson.OPT_INDENT_2).decode()


def totals(header: PlanHeader) -> dict[str, object]:
    """What of a header is about how many customers."""
    return {
        name: getattr(header, name)
        for name in ("campaign", "purpose", "planned_at", "bundle", "audience", "planned", "suppressed", "counted")
    }


def print_plan(console: Console, header: PlanHeader, folder: Path) -> None:
    """The totals for people; they sum to the audience."""
    table = Table("", "customers", title=verbatim(f"campaign {header.campaign}"), title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("planned", f"{header.planned:,}")
    for cause, count in header.suppressed.items():
        table.add_row(verbatim(f"suppressed: {cause.replace('_', ' ')}"), f"{count:,}")
    table.add_row("audience", f"{header.audience:,}", style="bold")
    console.print(table)
    for name, count in header.counted.items():
        if count:
            console.print(f"{count:,} {_COUNTED.get(name, name)}")
    console.print(verbatim(f"the plan is in {folder}; nothing was sent"), soft_wrap=True)


_COUNTED = {
    "shops_language": "in the shop's language, as theirs is not known",
    "shops_time_zone": "in the shop's time zone, as theirs is not known",
    "unknown_customers": "named in the file, of whom nothing is known",
    "other_language": "in another language than theirs, of which there are no words",
}


def preview_json(found: Preview) -> str:
    """Mails for programs."""
    said = {
        "audience": found.audience,
        "mails": [asdict(mail) for mail in found.mails],
        "suppressed": dict(found.suppressed),
        "outside": found.outside,
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()


def print_preview(console: Console, found: Preview) -> None:
    """Mails for people."""
    console.print(f"{found.audience:,} customers are in the audience")
    for mail in found.mails:
        _print_mail(console, mail)
    for customer, cause in found.suppressed:
        console.print(verbatim(f"{customer} gets no mail: {cause.replace('_', ' ')}"))
    for customer in found.outside:
        console.print(verbatim(f"{customer} is not in the audience"))


def _print_mail(console: Console, mail: PlannedMail) -> None:
    at = datetime.fromtimestamp(mail.not_before / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    console.print()
    console.print(verbatim(f"{mail.customer_id} <{mail.address}>, {mail.language}, not before {at}"), soft_wrap=True)
    console.print(verbatim(mail.theme), style="bold", soft_wrap=True)
    for block in mail.blocks:
        table = Table("item", "title", "price", "because", title=verbatim(block.heading), title_justify="left")
        for item in block.items:
            price = "" if item.price is None else f"{item.price:,.2f} {item.currency or ''}"
            table.add_row(*map(verbatim, (item.item_id, item.title, price, item.reason)))
        console.print(table)
