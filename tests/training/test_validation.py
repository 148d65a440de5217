"""What a shop's settings are chosen on: drawn from what training sees, and kept from the models meanwhile."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions
from recsys.data.signals import UNKNOWN_TIME
from recsys.recommend.placement import DEFAULT_PLACEMENT
from tests.training.tuning.tuned_worlds import BUY, TARGET, VIEW, interactions, shelves
from tests.worlds import DAY, START, event_frame, event_table, two_tastes
from training.evaluation.held_out import HeldOut
from training.tuning import Validation
from training.validation import LEAST_CUSTOMERS, LEAST_EVENTS, predicted_kinds, validation_of

BUSY = 260


def busy(customers: int = BUSY) -> pl.DataFrame:
    """Customers who buy on days 0 to 90 and, all but the last ten, one thing more on days 95 to 99, looking at it."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for user in range(customers):
        bought = [f"i{(user * 5 + place * (1 + user % 3)) % 40:02}" for place in range(8)]
        rows += [(f"u{user:03}", item, BUY, (user + 11 * place) % 91) for place, item in enumerate(bought)]
        if user < customers - 10:
            rows += [(f"u{user:03}", f"i{(user * 7 + 3) % 40:02}", kind, 95 + user % 5) for kind in (VIEW, BUY)]
    return event_frame(rows)


def drawn(frame: pl.DataFrame, seed: int = 0, most_events: int = 10**9) -> Validation:
    """The validation of a frame."""
    found = validation_of(event_table(frame), TARGET, seed, most_events)
    assert not isinstance(found, str), found
    return found


def wishes(part: HeldOut) -> set[tuple[str, str]]:
    """What is to be foreseen, by id."""
    start, item = part.relevant.indptr, part.relevant.item
    return {
        (customer, part.training.items[int(each)])
        for row, customer in enumerate(part.customer_ids)
        for each in item[start[row] : start[row + 1]]
    }


def pairs(frame: pl.DataFrame) -> set[tuple[str, str]]:
    """The pairs of customer and item of a frame."""
    return set(frame.select("customer_id", "item_id").iter_rows())


def learned(history: Interactions) -> set[tuple[str, str]]:
    """The pairs that models see."""
    return {
        (history.customers[int(row)], history.items[int(item)])
        for row, item in zip(history.row, history.item, strict=True)
    }


def test_with_times_the_newest_tenth_is_to_be_foreseen() -> None:
    """The cut lies where a tenth of the purchases is left; what was bought since, and was new, is to be foreseen."""
    frame = busy()
    found = drawn(frame)
    bought = frame.filter(pl.col("kind") == "purchase")
    times = bought["timestamp"].sort()
    cut = times[len(times) - len(times) // 10]
    assert found.described == {
        "drawn": "the newest tenth",
        "customers": len(found.lists.relevant),
        "share_of_customers": 1.0,
    }
    assert found.lists.until == cut
    since, before = bought.filter(pl.col("timestamp") >= cut), bought.filter(pl.col("timestamp") < cut)
    assert wishes(found.lists) == pairs(since) - pairs(before)
    assert len(found.lists.relevant) >= LEAST_CUSTOMERS
    assert found.lists.rules.placement.mask_kinds == DEFAULT_PLACEMENT.mask_kinds | TARGET


def test_no_training_event_is_at_or_after_the_cut() -> None:
    """The leak test: of every kind, everything that models see happened before what they have to foresee."""
    frame = busy()
    found = drawn(frame)
    for part in (found.lists, found.discovery, found.again):
        if part is None:
            continue
        assert part.until is not None
        assert len(part.training) == frame.filter(pl.col("timestamp") < part.until).height
        assert part.training.timestamp.max() < part.until
        assert not np.any(part.training.timestamp == UNKNOWN_TIME)


@pytest.mark.parametrize("order", ["unordered", "positions", "few customers"])
def test_else_a_tenth_of_each_customers_items_is(order: str) -> None:
    """Without times, or with few customers: one item of customers with five to fourteen, and none of its events is
    learned from."""
    frame = busy(LEAST_CUSTOMERS - 20 if order == "few customers" else BUSY)
    if order != "few customers":
        frame = frame.with_columns(timestamp=pl.lit(None, pl.Int64))
    if order == "positions":
        frame = frame.with_columns(position=pl.int_range(pl.len()))
    found = drawn(frame)
    assert found.described["drawn"] == "a tenth of each customer's items"
    wanted = wishes(found.lists)
    assert not wanted & learned(found.lists.training)
    assert wanted | learned(found.lists.training) == pairs(frame)
    assert len(wanted) == frame["customer_id"].n_unique()
    assert found.of_long_histories
    if order != "unordered":
        clock = "position" if order == "positions" else "timestamp"
        newest = frame.group_by("customer_id", "item_id").agg(pl.col(clock).max()).sort(clock)
        last = dict(newest.select("customer_id", clock).iter_rows())
        when = {(customer, item): value for customer, item, value in newest.iter_rows()}
        assert all(when[pair] == last[pair[0]] for pair in wanted)


def test_only_an_unordered_draw_hangs_on_the_seed() -> None:
    """Where there is an order the latest is taken, whatever the seed."""
    unordered = busy(60).with_columns(timestamp=pl.lit(None, pl.Int64))
    assert wishes(drawn(unordered, 0).lists) == wishes(drawn(unordered, 0).lists)
    assert wishes(drawn(unordered, 0).lists) != wishes(drawn(unordered, 1).lists)
    ordered = unordered.with_columns(position=pl.int_range(pl.len()))
    assert wishes(drawn(ordered, 0).lists) == wishes(drawn(ordered, 1).lists)


def renumbered(frame: pl.DataFrame, seed: int) -> EventTable:
    """The same events in a store that met customers and items in another order."""
    return event_table(frame.sample(fraction=1.0, shuffle=True, seed=seed))


def test_of_a_long_history_whole_customers_are_drawn() -> None:
    """About as many customers as have so many events, each with all of theirs; the share is told."""
    frame = busy()
    found = drawn(frame, most_events=frame.height // 2)
    share = found.described["share_of_customers"]
    assert share == (frame.height // 2) / frame.height
    kept = {found.lists.training.customers[row] for row in range(len(found.lists.training.customers))}
    kept |= set(found.lists.customer_ids)
    assert 0.35 * BUSY < len(kept) < 0.65 * BUSY
    own = frame.filter(pl.col("customer_id").is_in(sorted(kept)))
    assert learned(found.lists.training) | wishes(found.lists) == pairs(own)


@pytest.mark.parametrize("most_events", [10**9, 1200])
@pytest.mark.parametrize("timed", [True, False])
def test_how_a_store_numbers_and_orders_does_not_matter(most_events: int, timed: bool) -> None:
    """Rows in another order, customers under other numbers: to the last array the same validation."""
    frame = busy() if timed else busy().with_columns(timestamp=pl.lit(None, pl.Int64))
    one, other = (validation_of(renumbered(frame, seed), TARGET, 5, most_events) for seed in (1, 2))
    assert isinstance(one, Validation)
    assert isinstance(other, Validation)
    assert one.described == other.described
    for name in ("indptr", "item", "kind", "timestamp", "quantity"):
        np.testing.assert_array_equal(getattr(one.lists.training, name), getattr(other.lists.training, name), name)
    assert one.lists.customer_ids.to_list() == other.lists.customer_ids.to_list()
    np.testing.assert_array_equal(one.lists.relevant.item, other.lists.relevant.item)
    np.testing.assert_array_equal(one.lists.row, other.lists.row)


def test_customers_are_drawn_by_the_seed() -> None:
    """Another seed draws other customers."""
    frame = busy()
    drawn_by = [set(drawn(frame, seed, 1000).lists.customer_ids) for seed in (0, 0, 1)]
    assert drawn_by[0] == drawn_by[1] != drawn_by[2]


def test_repeats_are_judged_where_nothing_is_masked() -> None:
    """Where somebody buys again what they have, a second copy keeps those items, in the lists and among the wishes."""
    again = [(f"u{user:03}", f"i{(user * 5) % 40:02}", BUY, 98) for user in range(0, BUSY, 2)]
    extra = event_frame(again).with_columns(("again" + pl.col("event_id")).alias("event_id"))
    found = drawn(pl.concat([busy(), extra]))
    assert found.again is not None
    assert (found.again.masked.nnz, found.lists.masked.nnz > 0) == (0, True)
    assert wishes(found.again) > wishes(found.lists)
    assert {(user, item) for user, item, _, _ in again} <= wishes(found.again)
    assert drawn(shelves(40, views=False).unique(["customer_id", "item_id"])).again is None


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (
            event_frame([(f"u{user}", f"i{user % 3}", BUY, user) for user in range(50)]),
            "not enough|no customer has enough",
        ),
        (shelves(30).filter(pl.col("kind") == "view"), "no customer has enough items for validation"),
    ],
    ids=["one item each", "nothing to predict"],
)
def test_too_little_says_why(frame: pl.DataFrame, cause: str) -> None:
    """A history that nothing can be held out of gives the cause, not an error."""
    found = validation_of(event_table(frame), TARGET, 0)
    assert isinstance(found, str)
    assert any(each in found for each in cause.split("|"))


def test_when_everything_new_was_had_before_that_is_the_cause() -> None:
    """Everybody buys the same thing every day: there is nothing to discover."""
    frame = event_frame([(f"u{user:03}", f"i{user % 9}", BUY, day) for user in range(250) for day in range(10)])
    found = validation_of(event_table(frame), TARGET, 0)
    assert isinstance(found, str)
    assert found.startswith("no test item is left")


def test_lists_predict_purchases_or_what_comes_nearest() -> None:
    """The first kind with enough events; where none has enough, the one with most."""

    def of(**counts: int) -> frozenset[EventKind]:
        rows = [
            (f"u{number}", f"i{number % 5}", EventKind(kind), number)
            for kind, count in counts.items()
            for number in range(count)
        ]
        return predicted_kinds(interactions(event_frame(rows)))

    assert of(purchase=LEAST_EVENTS, view=5000) == {BUY}
    assert of(purchase=LEAST_EVENTS - 1, view=5000) == {VIEW}
    assert of(purchase=5, like=LEAST_EVENTS, view=5000) == {EventKind.LIKE}
    assert of(purchase=2, add_to_cart=7, view=7) == {EventKind.ADD_TO_CART}
    assert predicted_kinds(interactions(two_tastes())) == {BUY}


def test_these_shops_are_what_they_are_said_to_be() -> None:
    """The busy shop has enough customers in its newest tenth, which begins on day 95."""
    newest = busy().filter(pl.col("timestamp") >= START + 95 * DAY)["customer_id"].n_unique()
    assert newest == BUSY - 10 >= LEAST_CUSTOMERS
