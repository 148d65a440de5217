"""`bookmatch related`: what goes with an item."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json


class RelationName(StrEnum):
    """As `recsys.models.related.Relation`, which is not loaded before it is needed."""

    SIMILAR = "similar"
    BOUGHT_TOGETHER = "bought_together"
    AFTER = "after"


_TITLES = {
    RelationName.SIMILAR: "goes with",
    RelationName.BOUGHT_TOGETHER: "is bought together with",
    RelationName.AFTER: "is bought after",
}


def related(
    item: Annotated[str, typer.Argument(help="The item's id.", metavar="ITEM")],
    relation: Annotated[RelationName, typer.Option(help="In which way.")] = RelationName.SIMILAR,
    home: Home = DEFAULT_HOME,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many items at most.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(help="An item that must not be listed; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Show what goes with an item."""
    from rich.console import Console

    from recsys.cli.answering import evidence_ids, open_shop, print_answer, print_json
    from recsys.models.related import Relation
    from recsys.shop import ShopFolder

    with open_shop(ShopFolder(home)) as shop:
        answer = shop.recommender.related(item, shop.catalog, shop.request(limit, exclude or []), Relation(relation))
        titles = shop.titles([*evidence_ids(answer), item])
        if as_json:
            print_json({"item_id": item, "relation": str(relation)}, shop.bundle.bundle_id, answer, titles)
            return
        print_answer(Console(), answer, titles, f"{_TITLES[relation]} {item} {titles.get(item, '')}".rstrip())
