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
    placement: Annotated[str, typer.Option(metavar="NAME", help="The spot that the list is for.")] = "default",
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
    from recsys.data.shown import MOST_IMPRESSIONS, Shown
    from recsys.recommend.placed import placed
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder

    with open_shop(ShopFolder(home)) as shop:
        stored = shop.store.histories.get(customer, HISTORY_LIMIT)
        past = History.from_stored(stored, shop.bundle.items)
        spot = PlacementRepository(ShopFolder(home).placements).current().placement(placement)
        recommender, items, asker = shop.recommender.at(spot), shop.table(), shop.asker(customer, past)
        request = shop.request(limit, exclude or [])
        if wanted is not None:
            where = shop.where(wanted, parameter_texts(parameters), asker, items, request.now, spot.where)
            request = replace(request, where=where)
        shown = Shown.of(shop.store.histories.shown(customer, MOST_IMPRESSIONS)[1], shop.bundle.items)
        answer, moved = placed(recommender, asker, shop.catalog, items, request, shown)
        newest = list(reversed(stored.rows))[:history]
        titles = shop.titles(sorted({row.item_id for row in newest} | set(evidence_ids(answer))))
        if as_json:
            did_what = [row._asdict() | {"kind": str(KIND_BY_CODE[row.kind])} for row in newest]
            foreseen = recommender.relevance.described() if recommender.relevance else None
            about: dict[str, object] = {
                "customer_id": customer,
                "placement": {"name": placement, "moved": dict(moved)},
                "history": did_what,
                "relevance": foreseen,
            }
            print_json(about, shop.bundle.bundle_id, answer, titles)
            return
        console = Console()
        if newest:
            title = f"the newest {len(newest)} of {len(stored.rows)} events"
            table = Table("when (UTC)", "did", "item", "title", title=title, title_justify="left")
            for row in newest:
                when = utc(row.timestamp) if row.timestamp is not None or row.position is None else f"#{row.position}"
                cells = [when, did(KIND_BY_CODE[row.kind]), row.item_id, titles.get(row.item_id, "")]
                table.add_row(*map(verbatim, cells))
            console.print(table)
        heading = f"for customer {customer}" + ("" if placement == "default" else f" at {placement}")
        print_answer(console, answer, titles, heading, recommender.relevance)
