"""An audience, where the recommender has nothing personal to say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.errors import UnknownItemError
from recsys.recommend.audience import audience
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import Rules
from recsys.recommend.types import Answer, Request
from tests.worlds import published, two_tastes


class Unconvinced(Recommender):
    """Lists popular items alone, as where the factors speak against what the neighbours name."""

    def recommend(self, history: History, catalog: Catalog, request: Request, rules: Rules | None = None) -> Answer:
        """As if nothing scored above 0."""
        return super().recommend(history.without_taste(), catalog, request, rules)


def test_what_is_only_popular_finds_no_audience(tmp_path: Path) -> None:
    """Somebody whose history names the book is in its audience as long as the recommender itself recommends it; a book
    that the models do not know is an error."""
    bundle = published(tmp_path, two_tastes())
    rows = [HistoryRow(f"c{book}", EventKind.PURCHASE.code, None, book, 1.0, None) for book in range(3)]
    people = [("ann", History.from_stored(StoredHistory.of(1, rows), bundle.items))]
    catalog = Catalog.from_items(pl.DataFrame(schema=ITEM_SCHEMA), bundle.items)
    assert [each.customer_id for each in audience(Recommender(bundle), catalog, "c4", people, 0)] == ["ann"]
    assert list(audience(Unconvinced(bundle), catalog, "c4", people, 0)) == []
    with pytest.raises(UnknownItemError):
        audience(Recommender(bundle), catalog, "no such book", [], 0)
