"""Each oddity of data is planted once and found, with its count, share and examples; honest data have none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from tests.training.evaluation.divided_worlds import BUY, DAY, VIEW
from tests.training.evaluation.stored_shops import as_events, described
from training.evaluation.data_checks import DataCheck, data_checks
from training.evaluation.windows import Window

HOUR, MINUTE = 3_600_000, 60_000
NOTHING = described()
Planned = tuple[str, str, EventKind, int, float | None]


def visits(customers: int = 60, days: int = 40, seed: int = 0) -> list[Planned]:
    """Customers who look at a few things a day, minutes apart, on most days."""
    rng = np.random.default_rng(seed)
    return [
        (f"u{who}", f"i{rng.integers(200)}", VIEW, day * DAY + 9 * HOUR + int(step * MINUTE + who * 7), None)
        for who in range(customers)
        for day in range(days)
        for step in range(int(rng.integers(0, 5)))
    ]


def found(
    rows: Sequence[Planned],
    name: str,
    catalogue: pl.DataFrame = NOTHING,
    **further: tuple[Window, ...],
) -> DataCheck:
    """One check of a history."""
    checks = {check.name: check for check in data_checks(as_events(rows), catalogue, **further)}
    return checks[name]


def test_honest_data_have_no_oddities() -> None:
    """All checks are made, and find nothing."""
    checks = data_checks(as_events(visits()), NOTHING)
    assert [check.count for check in checks] == [0, 0, 0, 0, 0]
    assert len({check.name for check in checks}) == 5


def test_an_event_that_stands_there_twice_is_found() -> None:
    """Two copies of one and one of another are three; a repeat at another time is none."""
    rows = visits()
    again = [*rows, rows[3], rows[3], rows[8], (rows[9][0], rows[9][1], VIEW, rows[9][3] + 1, None)]
    check = found(again, "duplicated events")
    assert check.count == 3
    assert check.share == pytest.approx(3 / len(again))
    assert check.examples[0] == {"customer_id": rows[3][0], "item_id": rows[3][1], "kind": "view", "len": 3}


def test_a_program_is_found_among_people() -> None:
    """Somebody who looks at something every four seconds, where people take minutes; a large basket is one moment."""
    robot = [("robot", f"i{step}", VIEW, 12 * DAY + step * 4_000, None) for step in range(900)]
    basket: list[Planned] = [("wholesaler", f"i{step}", BUY, 12 * DAY, None) for step in range(900)]
    check = found([*visits(), *robot, *basket], "customers with impossible rates")
    assert (check.count, check.examples[0]["customer_id"]) == (1, "robot")
    assert check.share == pytest.approx(1 / 62)


def test_a_busy_shop_has_no_programs() -> None:
    """Where all rate a hundred things in an hour, a hundred and twenty is nothing odd."""
    rows = [
        (f"u{who}", f"i{step}", EventKind.RATE, who * DAY + step * 20_000, 3.0)
        for who in range(40)
        for step in range(80 + who)
    ]
    assert found(rows, "customers with impossible rates").count == 0


def test_somebody_in_a_hurry_is_no_program() -> None:
    """Forty moments of an hour are what people can do, even where all others have one."""
    rows = [(f"u{who}", "i", VIEW, who * DAY, None) for who in range(40)]
    hurried = [("hurried", f"i{step}", VIEW, DAY + step * MINUTE, None) for step in range(40)]
    assert found([*rows, *hurried], "customers with impossible rates").count == 0


def test_a_season_is_no_spike() -> None:
    """Three weeks with twenty times the events, one like the other, are the new usual."""
    rows = [
        (f"u{day}-{step}", f"i{step}", VIEW, day * DAY + step, None)
        for day in range(60)
        for step in range(200 if 30 <= day < 51 else 10)
    ]
    assert found(rows, "one-day spikes").count == 0


def test_a_day_that_stands_out_is_found() -> None:
    """A day with twenty times the events of the days around; growth and weekends are none."""
    spike: list[Planned] = [(f"u{step}", f"i{step}", VIEW, 20 * DAY + step, None) for step in range(3000)]
    check = found([*visits(), *spike], "one-day spikes")
    assert (check.count, check.examples[0]["day"]) == (1, "1970-01-21")
    growing = [
        (f"u{day}-{step}", f"i{step}", VIEW, day * DAY + step, None)
        for day in range(60)
        for step in range((10 + 5 * day) // (3 if day % 7 == 6 else 1))
    ]
    assert found(growing, "one-day spikes").count == 0


def test_too_short_a_history_says_nothing_of_days() -> None:
    """A fortnight has no usual day."""
    check = found(visits(days=10), "one-day spikes")
    assert (check.count, check.share) == (0, None)
    assert "too few to tell" in check.detail


def test_items_that_nobody_touched_are_counted() -> None:
    """Of the catalogue, with their titles."""
    check = found(visits(), "items without events", described(i1={}, dusty={"title": "Dusty"}))
    assert (check.count, check.share) == (1, 0.5)
    assert check.examples == ({"item_id": "dusty", "title": "Dusty"},)


def test_events_whose_order_nobody_knows_are_counted() -> None:
    """A basket of three, and dates without times of day; what lies exactly at a cut is told."""
    basket: list[Planned] = [("u0", f"b{step}", BUY, 50 * DAY, None) for step in range(3)]
    check = found([*visits(), *basket], "equal timestamps", windows=(Window(50 * DAY, 60 * DAY),))
    assert check.count == 3
    assert "3 events lie exactly at a cut" in check.detail
    dated = [(who, item, kind, at - at % DAY, rating) for who, item, kind, at, rating in visits()]
    assert "dates without a time of day" in found(dated, "equal timestamps").detail


def test_no_events_are_no_oddity() -> None:
    """An empty history, and one without times, are looked at without complaint."""
    untimed = as_events(visits()).with_columns(pl.lit(None, pl.Int64).alias("timestamp"))
    for rows in (as_events([]), untimed):
        checks = data_checks(rows, NOTHING)
        assert [check.count for check in checks[1:3]] == [0, 0]
        assert all(check.to_json()["examples"] == [] for check in checks[1:3])


@settings(max_examples=25, deadline=None)
@given(factor=st.integers(1, 50), seed=st.integers(0, 5))
def test_thresholds_go_with_the_data(factor: int, seed: int) -> None:
    """The same shop with so many times the customers has the same oddities: none."""
    rows = visits(customers=10 + factor, days=20, seed=seed)
    assert [check.count for check in data_checks(as_events(rows), NOTHING)] == [0, 0, 0, 0, 0]
