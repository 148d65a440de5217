"""`bookmatch audit`: who did what to the shop."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json


def audit(
    home: Home = DEFAULT_HOME,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was done since: 7d, 12h, or a date or time in UTC.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what was done to this customer, known or forgotten.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every act of whoever looks after the shop: keys, items, customers, models, placements; oldest first."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from recsys.access.audit import customer_mark
    from recsys.cli.auditing import now
    from recsys.cli.spans import moment_before
    from recsys.cli.text import utc, verbatim
    from recsys.shop import ShopFolder
    from recsys.stores import open_store

    first = None if since is None else moment_before(since, now(), "--since")
    store = open_store(ShopFolder(home).store, create=False)
    try:
        lines = store.audit.read(first)
        mark = None if customer is None else customer_mark(store, customer)
    finally:
        store.close()
    shown = [line for line in lines if mark is None or mark in line.subjects]
    if as_json:
        fields = ("at", "actor", "act", "subjects", "number", "result", "request_id")
        rows = [{field: getattr(line, field) for field in fields} for line in shown]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("when (UTC)", "who", "what", "on", "result", "request")
    for line in shown:
        more = f" and {line.number - len(line.subjects):,} more" if line.number > len(line.subjects) else ""
        on = verbatim(", ".join(line.subjects) + more)
        table.add_row(utc(line.at), verbatim(line.actor), line.act, on, verbatim(line.result), line.request_id or "")
    Console().print(table)
