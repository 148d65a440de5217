"""How `bookmatch explain` shows what it found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from recsys.cli.explaining import FIRST, Report, Standing
from recsys.cli.text import did, utc, verbatim


def report_json(report: Report) -> str:
    """The service's answer, and beside its fields `customer_id` and `made_from`."""
    parts = {key: value for key, value in asdict(report).items() if key not in ("answer", "customer_id")}
    shown = {"customer_id": report.customer_id, **report.answer, "made_from": parts}
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def print_report(console: Console, report: Report) -> None:
    """For people."""
    served = report.answer["served_from"]
    console.print(verbatim(f"customer {report.customer_id}"), style="bold")
    console.print(
        f"history: {report.events} events, {report.earlier} older things that were had or refused, "
        f"{report.unknown_items} events on items that the models do not know"
    )
    if report.taste:
        console.print(_taste_table(report))
    if report.answer["items"]:
        console.print(_list_table(report))
    if report.standing is not None:
        _print_standing(console, report.standing, report)
    masked = ", ".join(f"{name} {count}" for name, count in served["masked"].items())
    console.print(f"left out: {masked}")
    for name in ("fallback", "short", "degraded"):
        if served[name] is not None:
            console.print(verbatim(f"{name}: {served[name]}"))
    weights = ", ".join(f"{name} {weight:.3f}" for name, weight in report.weights.items())
    console.print(f"sources: {', '.join(served['sources']) or 'none'}; weights here: {weights or 'none'}")
    console.print(f"bundle: {served['bundle']}")


def _taste_table(report: Report) -> Table:
    table = Table("item", "title", "strength", "mostly", "events", "newest (UTC)", title="what speaks")
    for each in report.taste:
        newest = utc(each.newest)
        cells = [each.item_id, report.titles.get(each.item_id, ""), f"{each.strength:.3f}", did(each.kind)]
        table.add_row(*map(verbatim, [*cells, str(each.events), newest]))
    return table


def _list_table(report: Report) -> Table:
    table = Table("", "item", "title", "score", "reason", "shares", title="the list")
    for place, each in enumerate(report.answer["items"], start=1):
        shares = "; ".join(_share(part, report) for part in each["reason"]["evidence"])
        title = report.titles.get(each["item_id"], "")
        cells = [str(place), each["item_id"], title, f"{each['score']:.5f}", each["reason"]["code"], shares]
        table.add_row(*map(verbatim, cells))
    return table


def _share(part: dict[str, Any], report: Report) -> str:
    if part["item_id"] is None:
        return f"{part['kind']} {part['share']:.5f}"
    return f"{did(part['kind'])} {report.titles.get(part['item_id'], part['item_id'])} {part['share']:.5f}"


def _print_standing(console: Console, standing: Standing, report: Report) -> None:
    title = report.titles.get(standing.item_id, "")
    console.print(verbatim(f"item {standing.item_id} {title}".rstrip()), style="bold")
    if standing.place is not None:
        console.print(f"is on the list, place {standing.place}")
    elif standing.masked is not None:
        console.print(verbatim(f"is not on the list: {standing.masked} ({standing.because})"))
    elif standing.place_further is not None:
        console.print(f"is not on the list: it comes at place {standing.place_further} of a longer one")
    else:
        console.print(f"is not on the list, nor among the first {FIRST}")
    if standing.score is None:
        console.print("the history says nothing for it")
    for source, part in standing.parts.items():
        console.print(f"  {source}: {part:.5f}")
    if standing.score is not None:
        console.print(f"  together: {standing.score:.5f}")
