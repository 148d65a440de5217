"""The bootstrap: against a loop, against theory, and the same whenever it is repeated."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.metrics import uncertainty
from recsys.metrics.uncertainty import (
    CONFIDENCE,
    Interval,
    Verdict,
    bootstrap_means,
    holm,
    intervals,
    paired_intervals,
    verdicts,
)


def test_means_are_those_of_resampled_rows() -> None:
    """Each row of means is the mean over rows drawn with replacement, the same rows in every column."""
    values = np.random.default_rng(1).random((7, 3))
    drawn = np.random.default_rng(5).integers(7, size=(40, 7), dtype=np.int32)
    expected = np.array([values[rows].mean(axis=0) for rows in drawn])
    np.testing.assert_allclose(bootstrap_means(values, seed=5, resamples=40), expected, atol=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many resamples are drawn at once does not change them."""
    values = np.random.default_rng(2).random((11, 2))
    whole = bootstrap_means(values, seed=3, resamples=50)
    monkeypatch.setattr(uncertainty, "_DRAWS_AT_ONCE", 70)
    np.testing.assert_allclose(bootstrap_means(values, seed=3, resamples=50), whole, atol=1e-12)


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    """For many bell-shaped values the interval is mean ± 1.96 standard errors."""
    values = np.random.default_rng(4).normal(3.0, 2.0, size=(4000, 1))
    (interval,) = intervals(values, seed=0)
    error = values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert interval.low == pytest.approx(interval.mean - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(interval.mean + 1.96 * error, abs=0.15 * error)


def test_paired_differences_are_surer_than_two_means() -> None:
    """Two models that differ by about as much for every customer differ for sure, however much customers differ."""
    rng = np.random.default_rng(6)
    first = rng.random(50)
    pairs = np.stack([first, first - 0.25 + rng.normal(0, 0.01, 50)], axis=1)
    alone, (between,) = paired_intervals(pairs, [(0, 1)], seed=0)
    assert between.high - between.low < 0.1 * min(each.high - each.low for each in alone)
    assert between.low < 0.25 < between.high


def test_a_difference_is_resampled_as_if_it_were_a_column() -> None:
    """From the means of both where they lack the same rows, from its own where they do not."""
    rng = np.random.default_rng(12)
    values = rng.random((60, 3))
    values[rng.random(60) < 0.3, 0] = np.nan
    values[:, 1] = np.where(np.isnan(values[:, 0]), np.nan, values[:, 1])
    for one, other in ((0, 1), (1, 2), (2, 0)):
        _, (found,) = paired_intervals(values, [(one, other)], seed=3, resamples=300)
        (expected,) = intervals((values[:, one] - values[:, other])[:, None], seed=3, resamples=300)
        assert astuple(found) == pytest.approx(astuple(expected), rel=1e-9)


def test_no_difference_seen_is_not_no_difference() -> None:
    """Of a hundred customers who all get the same, about three percent of all others may not (the rule of three); the
    sign test says how sure one constant difference is."""
    _, (same,) = paired_intervals(np.full((100, 2), 0.5), [(0, 1)], seed=0)
    assert (same.mean, same.p) == (0.0, 1.0)
    assert same.high == -same.low == pytest.approx(0.0295, abs=1e-4)
    (shifted,) = intervals(np.full((3, 1), 0.5), seed=0)
    assert shifted.p == pytest.approx(0.25)


def test_the_seed_decides() -> None:
    """The same seed gives the same interval, another seed another one."""
    values = np.random.default_rng(7).random((30, 1))
    assert intervals(values, seed=1) == intervals(values, seed=1)
    assert intervals(values, seed=1) != intervals(values, seed=2)


def test_nobody_cannot_be_resampled() -> None:
    """Without rows there is no interval, and that is said."""
    with pytest.raises(ValueError, match="no rows"):
        intervals(np.zeros((0, 1)), seed=0)


def test_a_mean_is_over_those_who_have_a_value() -> None:
    """NaN is nobody's value: as if these rows were not there, in each resample for itself."""
    rng = np.random.default_rng(8)
    values = rng.random((40, 2))
    values[rng.random(40) < 0.5, 1] = np.nan
    drawn = np.random.default_rng(9).integers(40, size=(60, 40), dtype=np.int32)
    expected = np.array([np.nanmean(values[rows], axis=0) for rows in drawn])
    np.testing.assert_allclose(bootstrap_means(values, seed=9, resamples=60), expected, atol=1e-12)
    (_, interval) = intervals(values, seed=9)
    assert interval.mean == pytest.approx(np.nanmean(values[:, 1]))


def test_nobody_has_a_value() -> None:
    """Then nothing is said, and no verdict is given."""
    (interval,) = intervals(np.full((5, 1), np.nan), seed=0)
    assert np.isnan([interval.mean, interval.low, interval.high, interval.p]).all()
    assert verdicts({"a": interval}) == {"a": Verdict.NO_CLEAR_DIFFERENCE}


def test_one_value_says_nothing_of_others() -> None:
    """Its interval is without bounds."""
    (interval,) = intervals(np.array([[0.5]]), seed=0)
    assert (interval.mean, interval.low, interval.high) == (0.5, float("-inf"), float("inf"))
    assert verdicts({"a": interval}) == {"a": Verdict.NO_CLEAR_DIFFERENCE}


def test_the_interval_and_its_p_say_the_same() -> None:
    """Zero is outside of the interval exactly when p is below what it leaves out."""
    rng = np.random.default_rng(10)
    for shift in np.linspace(-0.4, 0.4, 21):
        (interval,) = intervals(rng.normal(shift, 1.0, size=(60, 1)), seed=1)
        assert (interval.low > 0 or interval.high < 0) == (interval.p < 1 - CONFIDENCE)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """In 800 worlds with mostly equal lists, within two standard errors of 95 %."""
    rng = np.random.default_rng(11)
    # Column by column another world: their resamples are the same, which is no matter.
    worlds = np.where(rng.random((300, 800)) < 0.1, rng.normal(0.05, 0.5, (300, 800)), 0.0)
    found = intervals(worlds, seed=2, resamples=1_000)
    covered = np.mean([each.low <= 0.005 <= each.high for each in found])
    assert abs(covered - 0.95) < 2 * np.sqrt(0.95 * 0.05 / 800)


def test_rounding_is_no_difference() -> None:
    """The same prices in another order add up to another last digit: for all customers, or for one that is lost in the
    resampled means, that is nothing."""
    one, other = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert one != other
    for rows in (range(40), range(1)):
        values = np.full((40, 2), 1e6 * other)
        values[list(rows), 0] = 1e6 * one
        _, (difference,) = paired_intervals(values, [(0, 1)], seed=0)
        assert (difference.mean, difference.p) == (0.0, 1.0)


def test_a_handful_of_customers_prove_nothing() -> None:
    """However much alike their differences are, p is not below the sign test's."""
    (interval,) = intervals(np.array([[0.5], [0.5001], [0.5002]]), seed=0)
    assert interval.p == 0.25


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_by_step_rule(p: list[float]) -> None:
    """Against the rule as it is told: reject the smallest at α/m, the next at α/(m − 1) … until one is not rejected."""
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, place in enumerate(sorted(range(len(p)), key=lambda each: p[each])):
            if p[place] * (len(p) - step) > alpha:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected


def test_verdicts_say_which_way() -> None:
    """Up is better, down is worse; what would pass alone does not pass as one of many."""
    differences = {
        "up": Interval(0.2, 0.1, 0.3, 0.0001),
        "down": Interval(-0.2, -0.3, -0.1, 0.0001),
        "perhaps": Interval(0.1, 0.01, 0.2, 0.03),
        "perhaps too": Interval(0.1, 0.01, 0.2, 0.03),
    }
    unclear = Verdict.NO_CLEAR_DIFFERENCE
    expected = {"up": Verdict.BETTER, "down": Verdict.WORSE, "perhaps": unclear, "perhaps too": unclear}
    assert verdicts(differences) == expected
    assert verdicts({"perhaps": differences["perhaps"]}) == {"perhaps": Verdict.BETTER}
