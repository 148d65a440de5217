"""The gate takes no more time than the fit: what it asks for follows from what is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.gate.shelves import CONFIG, LEARNED_UNTIL, shelves, tuned
from tests.worlds import event_table, no_catalogue, published
from training.gate import Budget, judge
from training.gate.budget import FIXED, FOR_LISTS, LEAST_SECONDS, LEAST_SHARE, SAFETY
from training.gate.rehearsal import drawn, expected_seconds
from training.stages import StageCost, StageLog


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_seconds_run_down_to_nothing() -> None:
    """From the moment that the budget is made; a fit that took no time leaves the least."""
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now = 4.0
    assert (budget.seconds, budget.spent, budget.left) == (10.0, 4.0, 6.0)
    clock.now = 40.0
    assert budget.left == 0.0
    assert Budget(0.01, clock).seconds == LEAST_SECONDS


@given(st.floats(2.0, 5_000.0), st.floats(0.0, 1.0), st.floats(0.01, 20_000.0))
def test_a_rehearsal_fits_into_what_is_left(fit: float, gone: float, expected: float) -> None:
    """What it will take on the share, with what does not shrink, is within what is left; but the least share is always
    learned from."""
    clock = Clock()
    budget = Budget(fit, clock)
    clock.now = gone * fit
    share = budget.share(expected)
    assert LEAST_SHARE <= share <= 1.0
    if share > LEAST_SHARE:
        assert expected * (FIXED + (1 - FIXED) * share) <= SAFETY * budget.left * (1 + 1e-9)


@given(st.integers(1, 500), st.floats(0.001, 100.0), st.floats(0.1, 1_000.0))
def test_as_many_are_asked_as_their_part_of_the_budget_allows(pilot: int, seconds: float, fit: float) -> None:
    """Never more than the most, and never fewer than were asked already."""
    budget = Budget(fit, Clock())
    number = budget.customers(pilot, seconds, 10_000)
    assert pilot <= number <= 10_000 or number == 10_000
    if number > pilot:
        assert number / pilot * seconds <= FOR_LISTS * budget.seconds * (1 + 1e-9)


def test_what_a_rehearsal_takes_follows_from_the_fit() -> None:
    """Reading, tuning's draw, contents, items' pages and writing are not done again."""
    costs = [StageCost(name, 2.0, 0) for name in ("read", "compile", "als", "content", "related", "publish")]
    assert expected_seconds(costs, 0.5) == 2.0


def test_customers_are_drawn_whole_whatever_their_order() -> None:
    """Everything or nothing of each, and the same ones from a store that numbers them otherwise."""
    frame = shelves(20)
    some = drawn(event_table(frame), 0.5, 3)
    other = drawn(event_table(frame.reverse()), 0.5, 3)
    kept, again = ({each.customer_ids[row] for row in each.events["customer"].unique()} for each in (some, other))
    assert kept == again
    assert 0.3 < len(kept) / frame["customer_id"].n_unique() < 0.7
    assert frame.filter(frame["customer_id"].is_in(list(kept))).height == some.events.height


def test_the_plan_is_made_from_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little time left the rehearsal learns from fewer customers, and the verdict says so; with much from all."""
    frame = shelves(80)
    in_force = published(tmp_path / "old", shelves(LEARNED_UNTIL), CONFIG)
    candidate = published(tmp_path / "new", frame, CONFIG)
    fitted = [StageCost("als", 100.0, 0)]
    monkeypatch.setattr("training.gate.judging.FOR_LATENCY", 0.0)
    shares = []
    for seconds in (70.0, 1_000.0):
        verdict = judge(
            event_table(frame), no_catalogue(), candidate, in_force, tuned(CONFIG), fitted, Budget(seconds, Clock()),
            StageLog(),
        )  # fmt: skip
        shares.append(verdict.judged["quality"]["learned_from"])
    assert shares[1] == 1.0
    assert shares[0] == pytest.approx((SAFETY * 70.0 / (100.0 * 300 * 6 / 2400) - FIXED) / (1 - FIXED), abs=0.25)
    assert shares[0] < 1.0
