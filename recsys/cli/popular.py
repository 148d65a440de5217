"""`bookmatch popular`: what is popular, rising or new in the shop."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json


class OrderName(StrEnum):
    """As `recsys.recommend.popular_lists.Order`, which is not loaded before it is needed."""

    POPULAR = "popular"
    RISING = "rising"
    NEW = "new"


def popular(
    order: Annotated[OrderName, typer.Option(help="What the list begins with.")] = OrderName.POPULAR,
    window: Annotated[str, typer.Option(help="`all`, or so many days, such as 30d.")] = "all",
    category: Annotated[str | None, typer.Option(help="Only items of this category of the catalogue.")] = None,
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many items at most.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(help="An item that must not be listed; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Show what is popular, rising or new."""
    from rich.console import Console

    from recsys.cli.answering import evidence_ids, open_shop, print_answer, print_json
    from recsys.data.catalog_index import CatalogIndex
    from recsys.recommend.popular_lists import Order, PopularQuestion, shop_list, shown, window_days
    from recsys.shop import ShopFolder

    question = PopularQuestion(Order(order), window_days(window), category)
    with open_shop(ShopFolder(home)) as shop:
        index = CatalogIndex.from_items(shop.store.catalog.read(), shop.bundle.items, shop.catalog.version)
        listed = shop_list(shop.bundle, shop.catalog, index, question)
        answer = shown(listed, index, shop.catalog, shop.request(limit, exclude or []))
        titles = shop.titles(evidence_ids(answer))
        if as_json:
            about: dict[str, object] = {"order": str(order), "window": window, "category": category}
            print_json(about, shop.bundle.bundle_id, answer, titles)
            return
        heading = f"{order}{'' if category is None else f' in {category}'}, {window}"
        print_answer(Console(), answer, titles, heading)
