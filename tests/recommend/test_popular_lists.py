"""Lists of the shop: popular, rising, new; masks at the answer, evidence that sums to the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.catalog_index import CatalogIndex
from recsys.data.events import EventKind
from recsys.data.signals import EventWeights
from recsys.errors import InputError
from recsys.recommend.popular_lists import NO_TIMES, Order, PopularQuestion, shop_list, shown, window_days
from recsys.recommend.types import Answer, Request
from tests.worlds import DAY, START, event_frame, published

NEWEST = 60
NOW = START + (NEWEST + 5) * DAY
ROWS = [
    # Six steady readers, so that there is enough to learn from.
    *((f"u{n}", item, EventKind.PURCHASE, 10 + n) for n in range(6) for item in ("steady", "old")),
    *((f"u{n}", "steady", EventKind.PURCHASE, 40 + n) for n in range(6)),
    *((f"r{n}", "rising", EventKind.VIEW, 55) for n in range(30)),
    *((f"o{n}", "old", EventKind.VIEW, 20) for n in range(30)),
    ("u0", "first", EventKind.VIEW, NEWEST),
]
CATALOGUE = [
    {"item_id": "steady", "category": "crime", "published": START - 400 * DAY},
    {"item_id": "rising", "category": "crime"},
    {"item_id": "untouched", "category": "garden", "published": START + 58 * DAY},
    {"item_id": "sold out", "category": "garden", "published": START + 59 * DAY, "available": False},
]
LATER = [
    *CATALOGUE,
    {"item_id": "newcomer", "category": "garden", "published": START + 61 * DAY},
    {"item_id": "undated", "category": "crime"},
    {"item_id": "tomorrow", "category": "garden", "published": NOW + DAY},
]


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A catalogue."""
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


class Shop:
    """A bundle under a catalogue."""

    def __init__(self, bundle: ModelBundle, rows: list[dict[str, Any]]) -> None:
        self.bundle = bundle
        self.catalog = Catalog.from_items(frame(rows), bundle.items)
        self.index = CatalogIndex.from_items(frame(rows), bundle.items)

    def ask(
        self,
        order: Order = Order.POPULAR,
        days: int | None = None,
        category: str | None = None,
        limit: int = 20,
        exclude: frozenset[str] = frozenset(),
    ) -> Answer:
        """The answer to one question."""
        listed = shop_list(self.bundle, self.catalog, self.index, PopularQuestion(order, days, category))
        return shown(listed, self.index, self.catalog, Request(limit=limit, now=NOW, exclude=exclude))

    def ids(self, *args: Any, **named: Any) -> list[str]:
        """Its items."""
        return [item.item_id for item in self.ask(*args, **named).items]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Trained on the catalogue of that day, asked when three more items stand in it."""
    bundle = published(tmp_path_factory.mktemp("popular"), event_frame(ROWS), catalogue=frame(CATALOGUE))
    return Shop(bundle, LATER)


@pytest.fixture(scope="module")
def timeless(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same where nobody knows when anything happened."""
    rows = [(customer, item, kind, None) for customer, item, kind, _ in ROWS]
    return Shop(published(tmp_path_factory.mktemp("timeless"), event_frame(rows), catalogue=frame(CATALOGUE)), LATER)


def test_popular_items_of_a_window_are_those_that_most_turned_to_in_it(shop: Shop) -> None:
    """All of the history, and the newest days; scores are customers, each a purchase a day at most."""
    view = EventWeights().kinds[EventKind.VIEW].weight
    everything = {item.item_id: item.score for item in shop.ask().items}
    assert everything == pytest.approx({"old": 6 + 30 * view, "rising": 30 * view, "steady": 12, "first": view})
    assert [*everything] == ["old", "rising", "steady", "first"]
    assert shop.ids(days=30) == ["rising", "steady", "first"]
    assert shop.ids(days=1) == ["first"]


def test_rising_items_are_those_that_surely_grew(shop: Shop) -> None:
    """What thirty people look at who did not before rises; what six bought before and after does not."""
    (rising,) = shop.ask(Order.RISING, days=15).items
    assert (rising.item_id, rising.reason.code) == ("rising", "rising")
    assert rising.score > 3
    assert shop.ids(Order.RISING) == ["rising"]


def test_new_items_come_by_date(shop: Shop) -> None:
    """The catalogue's date, else the first event's; nobody need have touched them, nor the models know them; an unknown
    item without a date dates from the newest event."""
    assert shop.ids(Order.NEW, days=7) == ["newcomer", "first", "undated", "untouched", "rising"]
    assert shop.ids(Order.NEW)[-3:] == ["rising", "old", "steady"]
    newcomer = shop.ask(Order.NEW).items[0]
    assert newcomer.score == pytest.approx((START / DAY) + 61, abs=1e-5)


def test_a_category_is_exact_and_holds_newcomers(shop: Shop) -> None:
    """Only its members, in each order; one that is not there is an error."""
    assert shop.ids(category="crime") == ["rising", "steady"]
    assert shop.ids(Order.NEW, 7, "garden") == ["newcomer", "untouched"]
    assert shop.ids(Order.RISING, 15, "garden") == []
    with pytest.raises(InputError, match=r"'gardn'\. Expected: one of 'crime', 'garden'"):
        shop.ask(category="gardn")


def test_what_may_not_be_shown_is_counted_and_the_others_move_up(shop: Shop) -> None:
    """Sold out, not yet published, excluded by the request: each under its rule."""
    answer = shop.ask(Order.NEW, 7, exclude=frozenset({"undated", "first", "tomorrow", "nobody knows"}))
    assert [item.item_id for item in answer.items] == ["newcomer", "untouched", "rising"]
    assert answer.masked == {"unavailable": 2, "excluded": 2}
    assert answer.short == (
        "items that may be shown and that appeared in the newest 7 days: 3 (left out: 2 unavailable, 2 excluded)"
    )
    assert shop.ask(Order.NEW, 7, limit=3).short is None


def test_without_times_a_window_falls_back_to_the_whole_history_and_says_so(timeless: Shop) -> None:
    """Popular items are those of always; nothing is known to rise; what has a date in the catalogue may be new."""
    answer = timeless.ask(days=7)
    assert (answer.fallback, answer.items) == (NO_TIMES, timeless.ask().items)
    assert timeless.ask().fallback is None
    rising = timeless.ask(Order.RISING, days=7)
    assert (rising.items, rising.fallback) == ((), None)
    assert "does not say when" in str(rising.short)
    assert timeless.ids(Order.NEW, days=7) == ["newcomer", "untouched", "steady"]


def test_growth_needs_a_time_before(shop: Shop) -> None:
    """A window as long as the history has nothing to be compared with."""
    assert shop.ask(Order.RISING, days=365).items == ()
    assert shop.ask(Order.RISING, days=365).short == (
        "the history reaches back 51 days: there is nothing to compare 365 of them with"
    )


@given(
    order=st.sampled_from(list(Order)),
    days=st.none() | st.integers(1, 365),
    category=st.sampled_from([None, "crime", "garden"]),
    limit=st.integers(1, 8),
    exclude=st.frozensets(st.sampled_from(["old", "rising", "newcomer", "undated", "what"])),
)
def test_what_holds_for_every_list(
    shop: Shop, order: Order, days: int | None, category: str | None, limit: int, exclude: frozenset[str]
) -> None:
    """No item twice, none that is masked, never more than asked, fewer only with a cause, scores descend, evidence sums
    to them, and the same question has the same answer."""
    answer = shop.ask(order, days, category, limit, exclude)
    ids = [item.item_id for item in answer.items]
    assert len(set(ids)) == len(ids) <= limit
    assert not exclude & set(ids)
    assert not {"sold out", "tomorrow"} & set(ids)
    assert (answer.short is None) == (len(ids) == limit)
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    for item in answer.items:
        assert sum(part.share for part in item.reason.evidence) == item.score
    assert answer == shop.ask(order, days, category, limit, exclude)


@pytest.mark.parametrize(("text", "days"), [("all", None), ("1d", 1), ("30d", 30), ("365d", 365)])
def test_windows_are_read(text: str, days: int | None) -> None:
    """All, or so many days."""
    assert window_days(text) == days


@pytest.mark.parametrize(
    "text", ["", "0d", "07d", "366d", "30", "d", "30D", " 30d", "30d\n", "٣d", "1e2d", "ALL", "-1d"]
)
def test_other_windows_are_refused(text: str) -> None:
    """The error says what there is."""
    with pytest.raises(InputError, match="such as `30d`"):
        window_days(text)


def test_there_is_a_list_even_of_a_shop_that_says_nothing_of_its_items(shop: Shop, tmp_path: Path) -> None:
    """Without a catalogue what is new is what was touched first lately."""
    bare = Shop(published(tmp_path, event_frame(ROWS)), [])
    assert bare.ids(Order.NEW, days=7) == ["first", "rising"]
    assert bare.ids() == shop.ids()
