"""The study of experiments, small; docs/experiments.md has the large one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.experiments import DAYS, Shop, drawn, means, one_test, pooled, share, simulated, sums_of
from recsys.outcomes.lift import adjusted, mean_of


def test_sums_by_day_are_the_customers_own() -> None:
    """What the study takes from sums is what the report takes from single customers."""
    rng = np.random.default_rng(1)
    arms = [drawn(rng, Shop(0.3), 700, lift) for lift in (0.0, 0.5)]
    sums = [sums_of(arm) for arm in arms]
    for day in (0, 9, DAYS - 1):
        values, before, sides = [], [], []
        for side, arm in enumerate(arms):
            for customer in np.flatnonzero(arm.entry <= day):
                values.append(float(((arm.who == customer) & (arm.day <= day)).sum()))
                before.append(float(arm.before[customer]))
                sides.append(side)
        fair, side_of = adjusted(np.array(values), np.array(before)), np.array(sides)
        theta, middle = pooled(*sums, day)
        for side in (0, 1):
            expected = mean_of(fair[side_of == side])
            found = means(sums[side], day, theta, middle)
            assert found[:3] == pytest.approx(expected[:3])
            assert found.active == np.count_nonzero(np.array(values)[side_of == side])


def test_no_effect_is_shown_where_none_is() -> None:
    """Of 200 A/A tests looked at on thirty days at most five percent, plus two standard errors; a t-test looked at as
    often shows one in every fifth."""
    found = simulated(Shop(0.25), 4_000, 0.0, 200, seed=1)
    assert share(found, lambda each: each.sequence is not None) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert share(found, lambda each: each.daily_t is not None) > 0.15
    assert not any(each.ratio_off for each in found)


def test_an_effect_is_found_where_one_is() -> None:
    """Five percent on a hundred thousand customers of whom a third buys in a month."""
    rng = np.random.default_rng(2)
    found = [one_test(rng, Shop(0.36, 1.35), 100_000, 0.05) for _ in range(12)]
    assert share(found, lambda each: each.sequence is not None) >= 0.8
