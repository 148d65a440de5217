"""What the benchmark of exploration says of shares, on numbers whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exploration.__main__ import old_part, reached
from benchmarks.exploration.measures import LATELY, Cohort, Measured, share_of_fair


def shop(own: list[float], fair: list[float]) -> Measured:
    """One shop whose new good books have these shares by age; the old ones have half of the oracle's."""
    cohort = Cohort(np.array(own), np.array(fair))
    return Measured(cohort, 0.2, 0.4, expected=1.0, purchases=1, explored=0, slots=1, lost=0.0)


def test_a_share_is_of_the_days_lately_and_of_all_shops() -> None:
    """Sums over shops and days, not means of ratios."""
    days = LATELY + 2
    one, other = shop([0.1] * days, [0.2] * days), shop([0.0] * days, [0.6] * days)
    assert share_of_fair([one.cohort]).tolist() == pytest.approx([0.5] * days)
    assert share_of_fair([one.cohort, other.cohort]).tolist() == pytest.approx([0.125] * days)
    late = shop([0.0] * (days - 1) + [1.4], [0.2] * days)
    assert share_of_fair([late.cohort])[-1] == pytest.approx(1.4 / (0.2 * LATELY))


def test_fair_is_reached_on_the_first_day_that_has_it() -> None:
    """Counted from 1; never is a day more than there are."""
    days = LATELY + 3
    risen = shop([0.0, 0.0, *[0.6] * (days - 2)], [0.2] * days)
    assert old_part([risen]) == pytest.approx(0.5)
    assert reached([risen], old_part([risen])) == 3
    assert reached([shop([0.0] * days, [0.2] * days)], 0.5) > days
