"""Whether customers were split as planned."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from recsys.outcomes import sample_ratio as module
from recsys.outcomes.sample_ratio import sample_ratio


def test_the_odds_are_those_of_the_customers_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each next customer is foretold from those before and from the plan; the odds are the product of the ratios."""
    monkeypatch.setattr(module, "_CONCENTRATION", 10.0)
    shares = [Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)]
    counts, odds, looks, best = [0, 0, 0], Fraction(1), [], Fraction(1)
    for arm in [0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]:
        odds *= (10 * shares[arm] + counts[arm]) / (10 + sum(counts)) / shares[arm]
        counts[arm] += 1
        looks.append(list(counts))
        best = max(best, odds)
    told = sample_ratio(np.array(looks), np.array([float(share) for share in shares]))
    assert told.p_value == pytest.approx(float(1 / best))
    assert best > 1


def test_false_alarms_are_as_rare_as_said() -> None:
    """Of two thousand fair experiments with three arms, looked at two hundred times each."""
    rng = np.random.default_rng(1)
    shares = np.array([0.5, 0.4, 0.1])
    p_values = np.array(
        [sample_ratio(rng.multinomial(50, shares, size=200).cumsum(axis=0), shares).p_value for _ in range(2_000)]
    )
    for alpha in (0.05, 0.2):
        assert (p_values <= alpha).mean() <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / 2_000)
    assert (p_values < 1).mean() > 0.2


def test_a_split_that_loses_customers_is_found() -> None:
    """Five of a hundred customers of one arm are lost: found among fifty thousand. Of nobody nothing is said."""
    rng = np.random.default_rng(2)
    counts = rng.multinomial(1_000, [0.5 / 0.975, 0.475 / 0.975], size=50).cumsum(axis=0)
    assert sample_ratio(counts, np.array([0.5, 0.5])).is_off
    assert sample_ratio(np.zeros((0, 2), dtype=np.int64), np.array([0.5, 0.5])).p_value == 1
