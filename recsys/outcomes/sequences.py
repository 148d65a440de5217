"""Confidence sequences: intervals that hold at every look together, so that an experiment may be looked at daily.

An interval of the usual kind holds at one moment that was fixed before; looked at every day for a month it excludes the
truth about five times as often as it says. A confidence sequence excludes it at any look, ever, with probability at
most alpha.
"""

from __future__ import annotations

import math
from typing import Final

ALPHA: Final = 0.05
"""How often a sequence may ever exclude the truth."""

_TOWARDS_SMALLEST: Final = 0.8
"""The part of alpha that is spent on finding the smallest effect worth finding; the rest finds any other, later."""


def half_width(standard_error: float, smallest: float, alpha: float = ALPHA) -> float:
    """Half the width of the interval around an estimate with this standard error: the narrower of two sequences, each
    with its part of alpha, so that both together exclude the truth with probability at most alpha.

    Parameters
    ----------
    standard_error : above 0.
    smallest : the smallest effect worth finding, in the estimate's unit; the interval holds for any other.
    alpha : how often the sequence may exclude the truth, ever.
    """
    return min(
        line(standard_error, smallest, _TOWARDS_SMALLEST * alpha),
        mixture(standard_error, smallest / 2, (1 - _TOWARDS_SMALLEST) * alpha),
    )


def line(standard_error: float, smallest: float, alpha: float) -> float:
    """Half the width of Wald's sequence (1945): the log-likelihood ratio of an effect θ against none has a drift down,
    and the chance that it ever exceeds log(2 / α) without one is α / 2 on each side.

    With information v = 1 / SE² as time, the sum of what was seen stays within a + b v of the truth, where 2 a b =
    log(2 / α) and b = θ / 2; the interval is a / v + b. It is the narrowest there is around v = 2 log(2 / α) / θ², and
    never narrower than θ / 2.
    """
    slope = smallest / 2
    return math.log(2 / alpha) / (2 * slope) * standard_error**2 + slope


def mixture(standard_error: float, smallest: float, alpha: float) -> float:
    """Half the width of the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024,
    Time-uniform central limit theory and asymptotic confidence sequences), which mixes over normal effects as Robbins
    (1970) did:

        σ · sqrt(2 (t ρ² + 1) / (t² ρ²) · log(sqrt(t ρ² + 1) / α))

    Time is information here too, v = 1 / SE², which is t / σ²; with x = t ρ² = v / η it reads
    SE · sqrt((1 + 1/x) · log((1 + x) / α²)). It shrinks to nothing. η makes it narrow where an effect of this size
    comes to be found: at v = −2 log α / θ², by their equation for ρ.
    """
    log_alpha = -2 * math.log(alpha)
    x = (log_alpha + math.log(log_alpha + 1)) * smallest**2 / (log_alpha * standard_error**2)
    return standard_error * math.sqrt((1 + 1 / x) * (math.log1p(x) + log_alpha))
