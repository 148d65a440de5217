"""What is bought together goes by baskets, and by histories where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.errors import InputError
from recsys.models.similarity import SimilarityConfig, SimilarityScore
from recsys.models.similarity_together import Together, TogetherConfig, fit_together
from tests.oracles import beyond_expected
from tests.worlds import event_frame, event_table

BUY = EventKind.PURCHASE
COUNTING = SimilarityConfig(score=SimilarityScore.EXPECTED)
Row = tuple[str, str, EventKind, int | None]


def together(rows: list[Row], config: TogetherConfig | None = None, threads: int = 1) -> tuple[Together, Interactions]:
    """The lists of (customer, item, kind, day)."""
    interactions = Interactions.from_events(event_table(event_frame(rows)))
    return fit_together(interactions, EventWeights(), config or TogetherConfig(COUNTING), threads), interactions


def weight(rows: list[Row], one: str, other: str, config: TogetherConfig | None = None) -> float:
    """What the first item says about the second."""
    found, interactions = together(rows, config)
    position = interactions.items.position
    return float(found.neighbours.matrix()[position(one), position(other)])


def shop() -> list[Row]:
    """Everybody buys a kettle with tea on one day, and a book on another; others buy pairs of other things."""
    rows: list[Row] = []
    for number in range(8):
        rows += [(f"u{number}", item, BUY, number) for item in ("kettle", "tea")]
        rows.append((f"u{number}", "book", BUY, number + 40))
        rows += [(f"v{number}", f"{side}{number % 3}", BUY, number) for side in ("x", "y")]
    return rows


def test_a_basket_is_one_day_of_one_customer() -> None:
    """Kettle and tea share baskets; the book of another day does not, though the same customers bought it."""
    rows = shop()
    assert weight(rows, "kettle", "tea") == pytest.approx(weight(rows, "tea", "kettle"))
    assert weight(rows, "kettle", "tea") > 1
    assert weight(rows, "kettle", "book") == 0
    assert together(rows)[0].baskets


def test_weights_are_the_score_over_baskets() -> None:
    """With baskets written out by hand as rows, the oracle gives the same."""
    rows = shop()
    found, interactions = together(rows)
    baskets = sorted({(customer, day) for customer, _, _, day in rows})
    held = np.zeros((len(baskets), len(interactions.items)))
    for customer, item, _, day in rows:
        held[baskets.index((customer, day)), interactions.items.position(item)] = 1
    np.testing.assert_allclose(
        found.neighbours.matrix().toarray(), beyond_expected(held, 1.0, 0.5), rtol=1e-5, atol=1e-6
    )


def test_without_baskets_histories_take_their_place() -> None:
    """Where times are unknown, or everything is bought alone, what one customer bought at all is together."""
    unknown: list[Row] = [(customer, item, kind, None) for customer, item, kind, _ in shop()]
    alone: list[Row] = [(customer, item, kind, place) for place, (customer, item, kind, _) in enumerate(shop())]
    for rows in (unknown, alone):
        assert not together(rows)[0].baskets
        assert weight(rows, "kettle", "book") > 1


def test_a_resellers_order_is_no_basket() -> None:
    """An order of more items than the cap makes no pair; one as large as the cap does."""
    rows = shop() + [(f"r{number}", item, BUY, 0) for number in range(3) for item in ("p", "q", "r")]
    config = TogetherConfig(COUNTING, basket_cap=2)
    assert weight(rows, "p", "q", config) == 0
    assert weight(rows, "p", "q", replace(config, basket_cap=3)) > 0


def test_what_went_back_was_not_bought() -> None:
    """A returned item leaves the basket."""
    rows = shop() + [(f"u{number}", "tea", EventKind.RETURN, 60) for number in range(8)]
    assert weight(rows, "kettle", "tea") == 0


def test_one_customers_habit_is_no_pair_for_all() -> None:
    """Ten baskets of one customer fall to a minimum of two customers."""
    rows = shop() + [("habit", item, BUY, day) for day in range(10) for item in ("jam", "bread")]
    config = TogetherConfig(replace(COUNTING, minimum_customers=2))
    assert weight(rows, "jam", "bread", config) == 0
    assert weight(rows, "kettle", "tea", config) > 0


def test_threads_do_not_change_a_bit() -> None:
    """One thread and two give the same bytes."""
    one, two = (together(shop(), threads=threads)[0].neighbours for threads in (1, 2))
    for name, array in one.arrays().items():
        assert array.tobytes() == two.arrays()[name].tobytes(), name


def test_of_a_long_history_the_last_items_count() -> None:
    """Without baskets and with a cap of two, the first of three purchases makes no pair."""
    rows: list[Row] = [
        (f"u{number}", item, BUY, day) for number in range(6) for day, item in enumerate(("first", "second", "third"))
    ]
    config = TogetherConfig(replace(COUNTING, history_cap=2))
    assert weight(rows, "first", "second", config) == 0
    assert weight(rows, "second", "third", config) > 0


def test_settings_that_make_no_sense_are_refused() -> None:
    """Another score, or baskets of one, make no such lists."""
    with pytest.raises(InputError, match="cosine"):
        TogetherConfig(SimilarityConfig())
    with pytest.raises(InputError, match="basket_cap"):
        TogetherConfig(basket_cap=1)


def test_shops_too_large_for_one_number_per_row_are_sorted_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of sorting give the same bytes."""
    quick = together(shop())[0].neighbours
    monkeypatch.setattr("recsys.models.similarity_together._LARGEST_KEY", 0)
    thorough = together(shop())[0].neighbours
    for name, array in quick.arrays().items():
        assert array.tobytes() == thorough.arrays()[name].tobytes(), name
