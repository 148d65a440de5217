"""Interest by day is what a plain group-by counts, and growth is sure growth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.stats import beta

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import UNKNOWN_TIME, EventWeights, KindWeight
from recsys.models.interest import PER_CUSTOMER, Interest, fit_interest
from tests.worlds import DAY, START, event_frame, event_table

WEIGHTS = EventWeights(
    kinds={
        EventKind.PURCHASE: KindWeight(1.0, 365.0),
        EventKind.ADD_TO_CART: KindWeight(0.8, 365.0),
        EventKind.VIEW: KindWeight(0.5, 180.0),
    }
)


def events(seed: int, days: int) -> pl.DataFrame:
    """Views, carts and purchases of a few customers over some days, at any hour; some of unknown time."""
    rng = np.random.default_rng(seed)
    kinds = [EventKind.VIEW, EventKind.PURCHASE, EventKind.ADD_TO_CART]
    rows = [
        (f"u{rng.integers(6)}", f"i{rng.integers(5)}", kinds[rng.integers(3)], 0 if rng.random() < 0.8 else None)
        for _ in range(300)
    ]
    hours = pl.Series(rng.integers(0, days * 24, len(rows)) * 3_600_000)
    return event_frame(rows).with_columns(pl.col("timestamp") + hours)


def counted(frame: pl.DataFrame, days: tuple[int, int] | None) -> dict[str, float]:
    """The oracle: weights added up per customer, item and day, capped, then added up per item. `days` as in
    `Interest.within`; None for everything."""
    weight = {str(kind): entry.weight for kind, entry in WEIGHTS.kinds.items()}
    age = (frame["timestamp"].max() - pl.col("timestamp")) // DAY
    rows = frame.with_columns(pl.col("kind").replace_strict(weight, return_dtype=pl.Float64), day=age)
    if days is not None:
        rows = rows.filter(pl.col("day").is_between(*days, closed="left"))
    each = rows.group_by("customer_id", "item_id", "day").agg(pl.col("kind").sum().clip(upper_bound=WEIGHTS.cap))
    return dict(each.group_by("item_id").agg(pl.col("kind").sum()).iter_rows())


def fitted(frame: pl.DataFrame) -> tuple[Interactions, Interest]:
    """The interactions of a frame and the interest in them."""
    interactions = Interactions.from_events(event_table(frame))
    return interactions, fit_interest(interactions, WEIGHTS)


@pytest.mark.parametrize("days", [40, 900])
def test_a_window_counts_what_a_group_by_counts(days: int) -> None:
    """Any two days, the whole history with its events of unknown time, and days that are no longer kept."""
    frame = events(days, days)
    interactions, interest = fitted(frame)
    assert interest.days == min(days, 730)
    for window in [(0, 1), (0, 7), (3, 11), (0, 365), (365, 730), (5, 5)]:
        found = dict(zip(interactions.items, (interest.within(*window) / PER_CUSTOMER).tolist(), strict=True))
        assert {item: count for item, count in found.items() if count} == pytest.approx(counted(frame, window))
    total = dict(zip(interactions.items, (interest.total / PER_CUSTOMER).tolist(), strict=True))
    assert total == pytest.approx(counted(frame, None))


def test_entries_are_sorted_and_the_first_event_is_the_first() -> None:
    """Days and items ascend; the date of an item is that of its earliest event with a time."""
    frame = events(3, 50)
    interactions, interest = fitted(frame)
    assert interest.indptr[-1] == len(interest.item) == len(interest.count)
    for first, last in pairwise(interest.indptr.tolist()):
        assert np.all(np.diff(interest.item[first:last]) > 0)
    assert interest.count.min() > 0
    oldest = dict(frame.group_by("item_id").agg(pl.col("timestamp").min()).iter_rows())
    assert dict(zip(interactions.items, interest.first.tolist(), strict=True)) == oldest


def test_without_times_there_are_no_days() -> None:
    """Everything is in the total, nothing in a window."""
    interactions, interest = fitted(
        event_frame([("u", "a", EventKind.PURCHASE, None), ("v", "a", EventKind.VIEW, None)])
    )
    assert (interest.days, interest.total.tolist()) == (0, [1500])
    assert interest.within(0, 30).tolist() == [0]
    assert interest.first.tolist() == [UNKNOWN_TIME]
    assert len(interactions) == 2


def test_what_was_returned_or_refused_is_no_interest() -> None:
    """A purchase counts nothing once it is taken back, on whatever day that was."""
    frame = event_frame(
        [
            ("u", "returned", EventKind.PURCHASE, 0),
            ("u", "returned", EventKind.RETURN, 5),
            ("v", "refused", EventKind.VIEW, 2),
            ("v", "refused", EventKind.NOT_INTERESTED, 6),
        ]
    )
    _, interest = fitted(frame)
    assert interest.total.tolist() == [0, 0]
    assert len(interest.item) == 0


def grown(before: int, now: int, days: int = 10, span: int = 20) -> float:
    """The growth of an item with so many customers in the newest days and in those before; an anchor sets the span."""
    rows = [
        ("anchor", "anchor", EventKind.PURCHASE, START_DAY - span + 1),
        ("anchor", "anchor", EventKind.VIEW, START_DAY),
    ]
    rows += [(f"n{n}", "item", EventKind.PURCHASE, START_DAY - 1) for n in range(now)]
    rows += [(f"b{n}", "item", EventKind.PURCHASE, START_DAY - days - 1) for n in range(before)]
    interactions, interest = fitted(event_frame(rows))
    return float(interest.growth(days)[interactions.items.position("item")])


START_DAY = 100


def test_few_that_tripled_do_not_grow_more_surely_than_many_that_doubled() -> None:
    """1 → 3 may be chance; 200 → 400 is none, and 20 → 80 is more."""
    assert grown(1, 3) < 1 < grown(200, 400) < 2 < grown(20, 80) < 4


def test_growth_is_the_lower_end_of_the_ratio_of_two_rates() -> None:
    """As drawn from the two posteriors; and a shorter time before makes the same counts less of a growth."""
    rng = np.random.default_rng(1)
    now, before = rng.gamma(30.5, 1.0, 400_000), rng.gamma(10.5, 1.0, 400_000)
    assert grown(10, 30) == pytest.approx(np.quantile(now / before, 0.05), rel=0.01)
    odds = beta.ppf(0.05, 30.5, 10.5) / beta.sf(beta.ppf(0.05, 30.5, 10.5), 30.5, 10.5)
    assert odds > 0
    assert grown(10, 30, span=15) == pytest.approx(grown(10, 30) / 2)


def test_the_start_of_the_window_is_one_day_after_the_newest_event() -> None:
    """An event 24 hours before the newest is of the day before, one a millisecond later is not."""
    frame = event_frame(
        [("u", "new", EventKind.VIEW, 1), ("u", "late", EventKind.VIEW, 0), ("u", "early", EventKind.VIEW, 0)]
    )
    times = pl.Series([START + DAY, START + 1, START])
    interactions, interest = fitted(frame.with_columns(timestamp=times))
    assert [interactions.items[place] for place in np.flatnonzero(interest.within(0, 1))] == ["late", "new"]
    assert [interactions.items[place] for place in np.flatnonzero(interest.within(1, 2))] == ["early"]
