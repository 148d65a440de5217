"""`bookmatch related`: what goes with an item."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json


def related(
    item: Annotated[str, typer.Argument(help="The item's id.", metavar="ITEM")],
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many items at most.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(help="An item that must not be listed; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Show what goes with an item."""
    from rich.console import Console

    from recsys.cli.answering import evidence_ids, open_shop, print_answer, print_json
    from recsys.shop import ShopFolder

    with open_shop(ShopFolder(home)) as shop:
        answer = shop.recommender.related(item, shop.catalog, shop.request(limit, exclude or []))
        titles = shop.titles([*evidence_ids(answer), item])
        if as_json:
            print_json({"item_id": item}, shop.bundle.bundle_id, answer, titles)
            return
        print_answer(Console(), answer, titles, f"goes with {item} {titles.get(item, '')}".rstrip())
