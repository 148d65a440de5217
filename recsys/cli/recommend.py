"""`bookmatch recommend`: one customer's list, with reasons."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Filter, FilterParameters, Home, Json, parameter_texts


def recommend(
    customer: Annotated[str, typer.Argument(help="The customer's id.", metavar="CUSTOMER")],
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many items at most.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(help="An item that must not be listed; may be repeated.")] = None,
    history: Annotated[int, typer.Option(min=0, help="Show so many of the customer's newest events, too.")] = 8,
    wanted: Filter = None,
    parameters: FilterParameters = None,
    as_json: Json = False,
) -> None:
    """Show what would be recommended to a customer, and why."""
    from dataclasses import replace

    from rich.console import Console
    from rich.table import Table

    from recsys.cli.answering import evidence_ids, open_shop, print_answer, print_json
    from recsys.cli.text import did, utc, verbatim
    from recsys.data.events import KIND_BY_CODE
    from recsys.data.history import HISTORY_LIMIT, History
    from recsys.shop import ShopFolder

    with open_shop(ShopFolder(home)) as shop:
        stored = shop.store.histories.get(customer, HISTORY_LIMIT)
        past = History.from_stored(stored, shop.bundle.items)
        request = shop.request(limit, exclude or [])
        if wanted is not None:
            texts = parameter_texts(parameters)
            request = replace(request, where=shop.where(wanted, texts, customer, past, request.now))
        answer = shop.recommender.recommend(past, shop.catalog, request)
        newest = list(reversed(stored.rows))[:history]
        titles = shop.titles(sorted({row.item_id for row in newest} | set(evidence_ids(answer))))
        if as_json:
            did_what = [row._asdict() | {"kind": str(KIND_BY_CODE[row.kind])} for row in newest]
            foreseen = shop.recommender.relevance.described() if shop.recommender.relevance else None
            about: dict[str, object] = {"customer_id": customer, "history": did_what, "relevance": foreseen}
            print_json(about, shop.bundle.bundle_id, answer, titles)
            return
        console = Console()
        if newest:
            shown = f"the newest {len(newest)} of {len(stored.rows)} events"
            table = Table("when (UTC)", "did", "item", "title", title=shown, title_justify="left")
            for row in newest:
                when = utc(row.timestamp) if row.timestamp is not None or row.position is None else f"#{row.position}"
                cells = [when, did(KIND_BY_CODE[row.kind]), row.item_id, titles.get(row.item_id, "")]
                table.add_row(*map(verbatim, cells))
            console.print(table)
        print_answer(console, answer, titles, f"for customer {customer}", shop.recommender.relevance)
