"""How much better an arm is than the control: relative differences of means, with intervals for daily looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.outcomes.sequences import ALPHA, half_width

Floats = npt.NDArray[np.float64]

ENOUGH = 30
"""So many customers of an arm have to have done something before a mean over it is near enough to normal."""

WINSORISED_AT = 0.99
"""Amounts above this share of all amounts that are not zero count as much as the one there."""


class Mean(NamedTuple):
    """A mean over customers, or a ratio of two.

    Attributes
    ----------
    value : the mean.
    relative_variance : the variance of the mean, divided by its square.
    customers, active : how many it is over, and how many of them are not zero.
    """

    value: float
    relative_variance: float
    customers: int
    active: int

    @property
    def is_enough(self) -> bool:
        """Whether an interval around it says what it claims."""
        return self.active >= ENOUGH and self.value > 0 and math.isfinite(self.relative_variance)


@dataclass(frozen=True, slots=True)
class Lift:
    """How much larger one mean is than another, as a share of the other: 0.05 is five percent more.

    Attributes
    ----------
    low, high : of the confidence sequence; the truth is ever outside with probability at most alpha.
    standard_error : of the logarithm of the ratio.
    """

    value: float
    low: float
    high: float
    standard_error: float

    @property
    def is_found(self) -> bool:
        """Whether no difference is excluded."""
        return self.low > 0 or self.high < 0


def mean_of(values: Floats) -> Mean:
    """The mean of one value for each customer."""
    count, active = len(values), int(np.count_nonzero(values))
    mean = float(values.mean()) if count else 0.0
    if count < 2 or mean <= 0:
        return Mean(mean, math.inf, count, active)
    return Mean(mean, float(values.var(ddof=1)) / count / mean**2, count, active)


def ratio_of(numerator: Floats, denominator: Floats) -> Mean:
    """The ratio of two sums over customers, such as clicks per item shown.

    Its variance is that of the mean of n_i / N − d_i / D over customers (the delta method; Deng, Knoblich and Lu 2018):
    what one customer was shown and clicked is not independent, customers are.
    """
    count, active = len(numerator), int(np.count_nonzero(numerator))
    above, below = (float(each.mean()) if count else 0.0 for each in (numerator, denominator))
    if count < 2 or above <= 0 or below <= 0:
        return Mean(above / below if below > 0 else 0.0, math.inf, count, active)
    linear = numerator / above - denominator / below
    return Mean(above / below, float(linear.var(ddof=1)) / count, count, active)


def lift_of(arm: Mean, control: Mean, smallest: float, alpha: float = ALPHA) -> Lift | None:
    """The lift of one arm over the control; None while there is too little of either.

    Counted on the logarithm of the ratio, whose variance is the sum of the relative variances: its information is the
    same for any unit, and no lift is below −100 %.

    Parameters
    ----------
    smallest : the smallest lift worth finding; the interval is made to find it soonest and holds for any other.
    """
    if not (arm.is_enough and control.is_enough):
        return None
    log_ratio = math.log(arm.value / control.value)
    error = math.sqrt(arm.relative_variance + control.relative_variance)
    if not error > 0:
        return None
    wide = half_width(error, math.log1p(smallest), alpha)
    return Lift(math.expm1(log_ratio), math.expm1(log_ratio - wide), math.expm1(min(log_ratio + wide, 700.0)), error)


def adjusted(values: Floats, before: Floats) -> Floats:
    """The values less what was to be expected of each customer from before the experiment (CUPED; Deng, Xu, Kohavi and
    Walker 2013): y − θ (x − mean of x), θ = cov(x, y) / var(x).

    Arms cannot change what was before, so the lift stays and its variance shrinks by the square of the correlation.

    Parameters
    ----------
    values, before : float64, shape (customers,), of all arms together.
    """
    spread = float(before.var()) if len(before) else 0.0
    if not spread > 0:
        return values
    theta = float(np.mean((before - before.mean()) * (values - values.mean()))) / spread
    return np.asarray(values - theta * (before - before.mean()))


def winsorised(values: Floats) -> Floats:
    """The values with the largest ones cut down to the `WINSORISED_AT` quantile of those above zero, of all arms
    together: one order of a school must not decide an experiment. The lift is then that of the amounts so cut."""
    above = values[values > 0]
    return np.minimum(values, np.quantile(above, WINSORISED_AT)) if len(above) else values
