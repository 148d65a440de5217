"""How many trials a budget is good for."""

from __future__ import annotations

import time
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from tests.training.tuning.tuned_worlds import interactions, shelves
from training.fitting import TrainingConfig
from training.tuning.plan import (
    COSTS,
    LEAST_CUSTOMERS,
    MOST_CELLS,
    MOST_CUSTOMERS,
    MOST_TRIALS,
    CostTable,
    Plan,
    plan_for,
)

HISTORY = interactions(shelves(30))
CONFIG = TrainingConfig()
SLOW = CostTable(event=1e-4, pair=1e-5, regression=1e-6, cell=1e-5, value=1e-8, trial=0.01, start=0.5)


def planned(budget: float, history: Interactions = HISTORY, config: TrainingConfig = CONFIG) -> Plan:
    """The plan on a machine so slow that a small shop is work."""
    return plan_for(budget, history, 25, 7, config, SLOW)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_larger_budget_is_good_for_no_fewer_trials(one: float, other: float) -> None:
    """Trials never become fewer; the plan stays within the budget, and one trial alone is never planned."""
    small, large = planned(min(one, other)), planned(max(one, other))
    assert small.trials <= large.trials <= MOST_TRIALS
    assert small.blend <= large.blend
    for plan, budget in ((small, min(one, other)), (large, max(one, other))):
        assert plan.trials != 1
        assert plan.expected_seconds <= budget + 1e-3


def test_the_range_of_plans_is_seen() -> None:
    """The machine of these tests shows all there is: nothing, the blend alone, some trials and the most."""
    plans = [planned(tenths / 10) for tenths in range(1, 1500)]
    assert plans[0] == Plan(0, False, 25, 0.0)
    assert plans[-1].trials == MOST_TRIALS
    assert {plan.trials for plan in plans} >= {0, 2, 3, 30}
    assert all(plan.trials != 1 for plan in plans)
    assert any(plan.blend and not plan.trials for plan in plans)


def test_more_history_is_good_for_no_more_trials() -> None:
    """Twice the customers, the same items: each trial costs more."""
    twice = pl.concat([shelves(30), shelves(30).with_columns(("w" + pl.col("customer_id")).alias("customer_id"))])
    pairs = [(planned(budget / 4), planned(budget / 4, interactions(twice))) for budget in range(1, 200)]
    assert all(large.trials <= small.trials for small, large in pairs)
    assert any(large.trials < small.trials for small, large in pairs)


def test_no_clock_and_no_machine_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is made without asking for the time, and is the same for any number of threads."""

    def refused() -> float:
        raise AssertionError("a clock was looked at")

    for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns", "monotonic_ns", "perf_counter_ns"):
        monkeypatch.setattr(time, name, refused)
    plans = [planned(3.0, config=replace(CONFIG, threads=threads)) for threads in (1, 2, 16)]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0].trials > 1


def test_what_a_trial_costs_on_any_data_is_counted() -> None:
    """A tiny shop's trials are not free: a budget of seconds is not planned to hold more than it can."""
    assert COSTS.trial > 0
    assert COSTS.start > 0
    plan = plan_for(COSTS.start + 10 * COSTS.trial, HISTORY, 25, 7, CONFIG)
    assert plan.trials <= 10
    assert plan_for(COSTS.start * 0.99, HISTORY, 25, 7, CONFIG) == Plan(0, False, 25, 0.0)


@pytest.mark.parametrize("items", [10, 5_000, 20_000, 100_000, 3_000_000])
def test_large_catalogues_are_judged_on_fewer_customers(items: int) -> None:
    """The scores that a trial computes are bounded, from the least to the most customers."""
    history = replace(HISTORY, items=range(items))  # type: ignore[arg-type]
    asked = plan_for(1e9, history, 90_000, 1, CONFIG).customers
    assert LEAST_CUSTOMERS <= asked <= MOST_CUSTOMERS
    assert asked == LEAST_CUSTOMERS or asked * items <= MOST_CELLS
    assert asked == MOST_CUSTOMERS or (asked + 1) * items > MOST_CELLS
    assert plan_for(1e9, history, 7, 1, CONFIG).customers == 7
