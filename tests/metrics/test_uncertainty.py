"""The bootstrap: against a loop, against theory, and the same whenever it is repeated."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.metrics import uncertainty
from recsys.metrics.uncertainty import bootstrap_means, intervals


def test_means_are_those_of_resampled_rows() -> None:
    """Each row of means is the mean over rows drawn with replacement, the same rows in every column."""
    values = np.random.default_rng(1).random((7, 3))
    drawn = np.random.default_rng(5).integers(7, size=(40, 7))
    expected = np.array([values[rows].mean(axis=0) for rows in drawn])
    np.testing.assert_allclose(bootstrap_means(values, seed=5, resamples=40), expected, atol=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many resamples are drawn at once does not change them."""
    values = np.random.default_rng(2).random((11, 2))
    whole = bootstrap_means(values, seed=3, resamples=50)
    monkeypatch.setattr(uncertainty, "_DRAWS_AT_ONCE", 70)
    np.testing.assert_allclose(bootstrap_means(values, seed=3, resamples=50), whole, atol=1e-12)


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    """For many bell-shaped values the percentile interval is mean ± 1.96 standard errors."""
    values = np.random.default_rng(4).normal(3.0, 2.0, size=(4000, 1))
    (interval,) = intervals(values, seed=0)
    error = values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert interval.low == pytest.approx(interval.mean - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(interval.mean + 1.96 * error, abs=0.15 * error)


def test_paired_differences_are_surer_than_two_means() -> None:
    """Two models that differ by a constant for every customer differ for sure, however much customers differ."""
    first = np.random.default_rng(6).random(50)
    (interval,) = intervals((first - (first - 0.25))[:, None], seed=0)
    assert (interval.low, interval.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_the_seed_decides() -> None:
    """The same seed gives the same interval, another seed another one."""
    values = np.random.default_rng(7).random((30, 1))
    assert intervals(values, seed=1) == intervals(values, seed=1)
    assert intervals(values, seed=1) != intervals(values, seed=2)


def test_nobody_cannot_be_resampled() -> None:
    """Without rows there is no interval, and that is said."""
    with pytest.raises(ValueError, match="no rows"):
        intervals(np.zeros((0, 1)), seed=0)
