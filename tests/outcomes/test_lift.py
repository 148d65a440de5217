"""How much better an arm is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.outcomes.lift import Mean, adjusted, lift_of, mean_of, ratio_of, winsorised


def test_means_and_ratios_vary_as_their_formulas_say() -> None:
    """The variance of the logarithm of each, over many draws of the same customers' kind, is the one that is told."""
    rng = np.random.default_rng(1)
    logs, told = [], []
    for _ in range(2_000):
        shown = rng.poisson(6.0, 400).astype(np.float64) + 1
        clicked = rng.binomial(shown.astype(np.int64), rng.beta(2, 6, 400)).astype(np.float64)
        mean, ratio = mean_of(clicked), ratio_of(clicked, shown)
        logs.append((math.log(mean.value), math.log(ratio.value)))
        told.append((mean.relative_variance, ratio.relative_variance))
    np.testing.assert_allclose(np.var(logs, axis=0), np.mean(told, axis=0), rtol=0.1)


def test_too_little_says_nothing() -> None:
    """No interval before thirty customers of both arms did something, and none of nothing."""
    rng = np.random.default_rng(1)
    values = np.zeros(1_000)
    values[:29] = 1.0
    enough = mean_of(rng.binomial(1, 0.3, 1_000).astype(np.float64))
    assert lift_of(mean_of(values), enough, 0.05) is None
    values[29] = 1.0
    assert lift_of(mean_of(values), enough, 0.05) is not None
    for nothing in (np.zeros(0), np.zeros(50), np.ones(1), -np.ones(50)):
        assert lift_of(mean_of(nothing), enough, 0.05) is None
        assert lift_of(enough, ratio_of(nothing, np.zeros(len(nothing))), 0.05) is None


@given(
    value=st.floats(0.01, 100), other=st.floats(0.01, 100), one=st.floats(1e-6, 0.1), two=st.floats(1e-6, 0.1),
    unit=st.floats(0.001, 1_000),
)  # fmt: skip
def test_lift_has_no_unit_and_no_side(value: float, other: float, one: float, two: float, unit: float) -> None:
    """In other units it is the same; seen from the other arm its interval is turned around."""
    arm, control = Mean(value, one, 1_000, 500), Mean(other, two, 1_000, 500)
    lift = lift_of(arm, control, 0.05)
    scaled = lift_of(arm._replace(value=value * unit), control._replace(value=other * unit), 0.05)
    back = lift_of(control, arm, 0.05)
    assert lift is not None
    assert scaled is not None
    assert back is not None
    assert -1 < lift.low < lift.value < lift.high
    assert (scaled.low, scaled.high) == pytest.approx((lift.low, lift.high), rel=1e-6, abs=1e-9)
    # A lift close to −100 % has few digits left beyond those of the 1 that it is counted from.
    assert 1 + back.low == pytest.approx(1 / (1 + lift.high), rel=1e-9, abs=1e-15)


def test_what_was_before_takes_out_what_was_to_be_expected() -> None:
    """The variance shrinks by the square of the correlation, and the means of the arms differ as they did."""
    rng = np.random.default_rng(2)
    rates = rng.gamma(0.6, 1.0, 40_000)
    before, after = rng.poisson(3 * rates).astype(np.float64), rng.poisson(rates).astype(np.float64)
    fair = adjusted(after, before)
    kept = 1 - np.corrcoef(before, after)[0, 1] ** 2
    assert fair.var() == pytest.approx(kept * after.var())
    assert kept < 0.8
    assert fair.mean() == pytest.approx(after.mean())
    assert adjusted(after, np.ones(len(after))) is after
    assert len(adjusted(np.zeros(0), np.zeros(0))) == 0


def test_one_order_of_a_school_does_not_decide() -> None:
    """Amounts above the 99th of a hundred are cut to it; zeros and the others stay."""
    values = np.concatenate([np.zeros(1_000), np.arange(1.0, 200.0), [1e6]])
    cut = winsorised(values)
    assert cut.max() == pytest.approx(np.quantile(np.append(np.arange(1.0, 200.0), 1e6), 0.99))
    assert (cut[:1_190] == values[:1_190]).all()
    assert winsorised(np.zeros(3)).tolist() == [0, 0, 0]
