"""Beliefs go along with the store: what is read in parts is what is read at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import Event, EventKind
from recsys.recommend.exploration import Followed, Offer, explore, follow
from recsys.recommend.placement import Exploration
from recsys.stores import open_store
from recsys.stores.protocols import Store
from tests.worlds import DAY, START, published, two_tastes

Flags = npt.NDArray[np.bool_]
NOW = START + 40 * DAY


def shown(number: int, item: str, kind: EventKind = EventKind.IMPRESSION, at: int = NOW) -> Event:
    """Something about an item that a list showed."""
    return Event(event_id=f"x{number}", customer_id="ann", kind=kind, item_id=item, timestamp=at)


def rows(*items: tuple[str, str]) -> pl.DataFrame:
    """A catalogue of ids and categories."""
    return pl.DataFrame([{"item_id": item, "category": category} for item, category in items], schema=ITEM_SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the shop's catalogue."""
    store = open_store(tmp_path / "store.db")
    store.catalog.put(rows(("c0", "crime"), ("g0", "garden")))
    return store


def said(followed: Followed) -> tuple[object, ...]:
    """All that can be told apart of it."""
    beliefs = followed.beliefs
    return (
        followed.responses.rows(),
        sorted(followed.rows.rows()),
        [followed.index.id_of(place) for place in beliefs.explored.tolist()],
        beliefs.mean.tolist(),
        beliefs.draws.tolist(),
    )


def test_what_is_read_in_parts_is_what_is_read_at_once(store: Store, tmp_path: Path) -> None:
    """Impressions, purchases, a newcomer and an item that goes away, one reading after another."""
    bundle = published(tmp_path, two_tastes())
    followed = follow(store, bundle, None, NOW)
    for step in range(4):
        store.events.append([shown(10 * step, "c1"), shown(10 * step + 1, "new")])
        store.events.append([shown(10 * step + 2, "c1", EventKind.CLICK, NOW + 1)])
        if step == 1:
            store.catalog.put(rows(("new", "crime"), ("c1", "crime")))
        if step == 2:
            store.catalog.remove(["g0"])
        followed = follow(store, bundle, followed, NOW + step)
        assert said(followed) == said(follow(store, bundle, None, NOW))
    assert followed.responses.rows() == [("c1", 4, 4, 0), ("new", 4, 0, 0)]
    assert followed.index.id_of(followed.beliefs.explored[0]) == "new"
    store.close()


def test_another_bundle_finds_the_same_counts(store: Store, tmp_path: Path) -> None:
    """A newcomer that a new bundle knows keeps what was seen of it."""
    store.events.append([shown(1, "new")])
    before = follow(store, published(tmp_path / "one", two_tastes()), None, NOW)
    other = published(tmp_path / "two", two_tastes().with_columns(pl.col("item_id").str.replace("g5", "new")))
    assert said(follow(store, other, before, NOW)) == said(follow(store, other, None, NOW))
    store.close()


def test_what_is_old_is_forgotten_after_a_day(store: Store, tmp_path: Path) -> None:
    """Counts of 90 days: one reading goes on from another for a day, then everything is read anew."""
    bundle = published(tmp_path, two_tastes())
    store.events.append([shown(1, "c1", at=NOW - 90 * DAY), shown(2, "c2")])
    followed = follow(store, bundle, None, NOW)
    assert follow(store, bundle, followed, NOW + DAY - 1).responses.rows() == [("c1", 1, 0, 0), ("c2", 1, 0, 0)]
    assert follow(store, bundle, followed, NOW + DAY).responses.rows() == [("c2", 1, 0, 0)]
    store.close()


def test_a_list_explores_what_may_be_shown(store: Store, tmp_path: Path) -> None:
    """Newcomers and what is seldom, of the customer's category, neither sold out nor hidden nor, where there is a
    filter, what does not pass it."""
    rare = [{"item_id": f"rare {number}", "category": "crime"} for number in range(4)]
    bundle = published(tmp_path, two_tastes(), catalogue=pl.DataFrame(rare, schema=ITEM_SCHEMA))
    rare[3] |= {"available": False}
    more = [{"item_id": "c0", "category": "crime"}, {"item_id": "new", "category": "crime"}]
    gone = [{"item_id": "sold out", "category": "crime", "available": False}, {"item_id": "art", "category": "art"}]
    store.catalog.put(pl.DataFrame([*rare, *more, *gone], schema=ITEM_SCHEMA))
    followed = follow(store, bundle, None, NOW)
    catalog = Catalog.from_items(store.catalog.read(), bundle.items)
    c0, hidden, filtered, listed = (bundle.items.positions([item]) for item in ("c0", "rare 0", "rare 1", "g2"))
    taste, how = (c0, np.ones(1, dtype=np.float32)), Exploration(share=0.5, cost=1.0)

    def met(passing: Flags | None) -> set[str]:
        """Every item that any of many seeds explores."""
        showable, newcomers = catalog.showable(NOW), followed.index.shelf.showable(NOW)
        if passing is not None:
            showable, newcomers = showable & passing, np.zeros(len(newcomers), dtype=np.bool_)
        chances = explore(listed, taste, followed, how, Offer(showable, newcomers, hidden))
        lists = [chances.drawn(str(seed)) for seed in range(300)]
        return {followed.index.id_of(int(each.item[slot])) for each in lists for slot in each.slots}

    assert met(None) == {"rare 1", "rare 2", "new"}
    passing = np.ones(len(bundle.items), dtype=np.bool_)
    passing[filtered] = False
    assert met(passing) == {"rare 2"}
    store.close()
