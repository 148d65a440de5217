"""Intervals that hold at every look together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from recsys.outcomes.sequences import ALPHA, half_width, line, mixture

WALKS, STEPS = 3_000, 800
SMALLEST = 0.1


def ever_outside(width: Callable[[float, float, float], float], drift: float = 0.0, alpha: float = ALPHA) -> float:
    """The share of walks of normal steps whose mean is ever farther from the drift than the width, looked at always."""
    rng = np.random.default_rng(1)
    means = rng.normal(size=(WALKS, STEPS)).cumsum(axis=1) / np.arange(1, STEPS + 1)
    widths = np.array([width(1 / math.sqrt(step), SMALLEST, alpha) for step in range(1, STEPS + 1)])
    return float((np.abs(means - drift) > widths).any(axis=1).mean())


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("width", [half_width, line, mixture])
def test_the_truth_is_ever_outside_in_alpha_of_all_cases(
    width: Callable[[float, float, float], float], alpha: float
) -> None:
    """At most, whatever the number of looks; and not in so few that the interval would be needlessly wide."""
    share = ever_outside(width, alpha=alpha)
    assert alpha / 10 < share <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / WALKS)


def test_a_usual_interval_does_not_hold() -> None:
    """Looked at as often, 1.96 standard errors exclude the truth far more often than in one of twenty cases."""
    assert ever_outside(lambda error, *_: 1.96 * error) > 0.4


def test_what_is_worth_finding_is_found_sooner() -> None:
    """Where an effect of the smallest size comes to be found the interval is narrower than the mixture alone."""
    error = SMALLEST / 3.2
    assert half_width(error, SMALLEST) < 0.95 * mixture(error, SMALLEST, ALPHA)
    assert ever_outside(half_width, drift=2 * SMALLEST) > 0.99


def test_it_shrinks_to_nothing() -> None:
    """With enough data any effect is found, however small beside the one that was planned for."""
    assert half_width(1e-5, SMALLEST) < 1e-4


def test_the_mixture_is_the_paper_s() -> None:
    """By its own letters: t, σ and ρ, where ρ is the one that is narrowest at t* for this alpha."""
    sigma, t, alpha, smallest = 3.0, 700.0, 0.03, 0.2
    t_star = -2 * math.log(alpha) * sigma**2 / smallest**2
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / t_star)
    scaled = t * rho**2
    expected = sigma * math.sqrt(2 * (scaled + 1) / (t**2 * rho**2) * math.log(math.sqrt(scaled + 1) / alpha))
    assert mixture(sigma / math.sqrt(t), smallest, alpha) == pytest.approx(expected)
