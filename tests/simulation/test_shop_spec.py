"""Which shops can be asked for."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest

from recsys.errors import InputError
from recsys.simulation.blocks import Simulation
from recsys.simulation.spec import PARAMETERS, ShopSpec


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"books": 49}, "books is 49"),
        ({"books": 20_000_000}, "books is 20000000"),
        ({"customers": 0}, "customers is 0"),
        ({"customers": 300, "events": 299}, "299 events are fewer than 300 customers"),
        ({"seed": -1}, "seed is -1"),
        ({"days": 7}, "days is 7"),
        ({"drift": 1.5}, "drift is 1.5"),
        ({"gift_share": float("nan")}, "gift_share is nan"),
        ({"launch_boost": 0.7, "off_taste_share": 0.4}, "launch_boost 0.7 and off_taste_share 0.4"),
        ({"activity_spread": 9.0}, "activity_spread is 9.0"),
        ({"currency": "euro"}, "currency is 'euro'"),
        ({"end": "31.10.2026"}, "end is '31.10.2026'"),
        ({"end": "2026-02-30"}, "end is '2026-02-30'"),
        ({"end": "20261031"}, "end is '20261031'"),
        ({"end": "1971-01-01"}, "begin before 1970"),
        ({"events_per_block": 10}, "events_per_block is 10"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, int | float | str], found: str) -> None:
    """A parameter out of range, or two that contradict each other, are named with their values."""
    with pytest.raises(InputError, match=found.replace(".", r"\.")):
        ShopSpec(**wrong)  # type: ignore[arg-type]


def test_every_parameter_says_what_it_changes() -> None:
    """The docstring has an entry for each field."""
    assert ShopSpec.__doc__ is not None
    for name in PARAMETERS:
        assert f"\n    {name} : " in ShopSpec.__doc__


def test_the_time_ends_with_the_last_day() -> None:
    """The span covers whole days, the last one included."""
    spec = ShopSpec(end="2025-03-01", days=31)
    assert spec.end_ms == datetime(2025, 3, 2, tzinfo=UTC).timestamp() * 1000
    assert spec.start_ms == datetime(2025, 1, 30, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize("factor", [1, 3, 40, 1_000])
def test_blocks_do_not_grow_with_the_shop(factor: int) -> None:
    """More customers with as many events each make more blocks, not larger ones; the blocks hold every customer."""
    spec = ShopSpec(customers=25_001 * factor, events=1_000_000 * factor)
    events_per_block = spec.customers_per_block * spec.events / spec.customers
    assert events_per_block <= spec.events_per_block
    assert (spec.blocks - 1) * spec.customers_per_block < spec.customers <= spec.blocks * spec.customers_per_block


def test_memory_does_not_grow_with_the_number_of_customers() -> None:
    """Making any block of a shop four times as large takes no more memory than of the small one."""

    def peak(factor: int) -> int:
        spec = ShopSpec(books=500, customers=600 * factor, events=24_000 * factor, events_per_block=24_000)
        tracemalloc.start()
        try:
            simulation = Simulation(spec)
            for number in range(spec.blocks):
                simulation.block(number)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(4) < 1.3 * peak(1)


def test_a_block_is_the_same_whenever_it_is_made() -> None:
    """Blocks may be made in any order, alone or together."""
    spec = ShopSpec(books=100, customers=300, events=6_000, events_per_block=2_000)
    together = [Simulation(spec).block(number) for number in range(spec.blocks)]
    alone = Simulation(spec).block(2)
    for column in ("kind", "look", "when", "quantity", "rating", "undoes"):
        np.testing.assert_array_equal(getattr(alone.rows, column), getattr(together[2].rows, column))
    assert not np.array_equal(together[0].rows.when[:50], together[1].rows.when[:50])


@pytest.mark.parametrize(
    "odd",
    [
        {"release_share": 1.0},
        {"release_share": 0.9, "days": 30},
        {"release_share": 0.0, "launch_boost": 1.0, "off_taste_share": 0.0},
        {"series_share": 1.0, "gift_share": 1.0},
        {"series_share": 0.0, "gift_share": 0.0, "off_taste_share": 1.0, "launch_boost": 0.0},
        {"stock_out_share": 1.0, "household_share": 1.0},
        {"customers": 1, "events": 5_000, "activity_spread": 0.0},
        {"customers": 2_000, "events": 2_000},
        {"books": 50, "end": "1972-06-01", "days": 800},
        {"seed": 2**64, "drift": 1.0},
    ],
)
def test_odd_shops_hold_the_same_rules(odd: dict[str, int | float | str]) -> None:
    """At the edges of the parameters nothing happens before publication or outside the time, and counts still fit."""
    spec = ShopSpec(**{"books": 80, "customers": 100, "events": 8_000, **odd})  # type: ignore[arg-type]
    simulation = Simulation(spec)
    block = simulation.block(0)
    looks, rows, books = block.looks, block.rows, simulation.books
    assert (books.published[looks.book] <= looks.when).all()
    assert (rows.when >= spec.start_ms).all()
    assert (rows.when < spec.end_ms).all()
    assert (books.published >= 0).all()
    assert books.published.min() < spec.start_ms
    assert abs(len(rows.kind) - spec.events) < 0.25 * spec.events
