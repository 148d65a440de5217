"""What another policy would have brought, from what was shown by the one that ran: inverse propensities.

A *decision* is one slot of one answer: in its context the logging policy showed an action with a known probability, its
propensity, and a reward followed. The target policy would have shown the same action with another probability.
Decisions of one customer belong together when it is asked how sure an estimate is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import InputError
from recsys.metrics.uncertainty import RESAMPLES, Interval, intervals

Floats = npt.NDArray[np.float64]

IPS, SNIPS, DOUBLY_ROBUST, LOGGED = "ips", "snips", "doubly_robust", "logged"


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was logged, and what the target policy says of it; n decisions. All arrays are float64, shape (n,).

    Attributes
    ----------
    reward : what followed.
    propensity : with which probability the logging policy showed what it showed, above 0 and at most 1.
    target : with which probability the target policy shows the same there, 0 to 1.
    expected : a reward model's word on what was shown; zeros without a model.
    expected_of_target : the mean of its words over what the target policy would show there; zeros without a model.
    group : int64; decisions of one group are resampled together.
    """

    reward: Floats
    propensity: Floats
    target: Floats
    expected: Floats
    expected_of_target: Floats
    group: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.reward):
            raise InputError("no decision was logged", expected="impressions with their propensities")
        low, high = float(self.propensity.min()), float(self.propensity.max())
        if not 0 < low <= high <= 1:
            raise InputError(
                f"propensities from {low:g} to {high:g}",
                expected="probabilities above 0 and at most 1, as they were when the list was made",
                remedy="leave out impressions whose propensity is not known",
            )
        if not 0 <= float(self.target.min()) <= float(self.target.max()) <= 1:
            raise InputError("target probabilities outside of 0 to 1", expected="probabilities")


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """What the target policy is worth per decision.

    Attributes
    ----------
    estimates : `ips`, `snips`, `doubly_robust`, and `logged`: the mean of what was seen.
    effective : the effective sample size (Kish 1965), (Σ w)² / Σ w²: so many decisions of the target policy's own would
        say as much.
    weighted : decisions whose weight is above 0: what the two policies have in common.
    clipped : the share of these whose weight was cut.
    """

    estimates: Mapping[str, Interval]
    effective: float
    weighted: int
    clipped: float


def evaluate_policy(decisions: Decisions, clip: float = np.inf, seed: int = 0, resamples: int = RESAMPLES) -> OffPolicy:
    """The value of the target policy by three estimators.

    With w = min(target / propensity, clip), r the reward, q and q_π what a model expects of what was shown and of the
    target policy: `ips` = Σ w r / n (Horvitz and Thompson 1952; unbiased without clipping), `snips` = Σ w r / Σ w
    (Swaminathan and Joachims 2015; biased by O(1/n), of much less variance), `doubly_robust` = Σ (q_π + w (r − q)) / n
    (Dudík, Langford and Li 2011; unbiased when either the propensities or the model are right). Clipping trades
    variance for a bias towards nothing in the first two, and towards the model in the third.

    Raises InputError for a clip that is not above 0.

    >>> logged = Decisions(
    ...     np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.zeros(2), np.zeros(2), np.arange(2)
    ... )
    >>> found = evaluate_policy(logged)
    >>> found.estimates["ips"].mean, found.estimates["snips"].mean, found.effective
    (1.0, 1.0, 1.0)
    """
    if not clip > 0:
        raise InputError(f"weights clipped at {clip}", expected="a number above 0")
    raw = decisions.target / decisions.propensity
    weight = np.minimum(raw, clip)
    used = int(np.count_nonzero(weight))
    residual = decisions.expected_of_target + weight * (decisions.reward - decisions.expected)
    sums = _summed(
        np.column_stack([np.ones_like(weight), decisions.reward, weight * decisions.reward, weight, residual]),
        decisions.group,
    )
    return OffPolicy(
        estimates={
            LOGGED: _ratio(sums[:, 1], sums[:, 0], seed, resamples),
            IPS: _ratio(sums[:, 2], sums[:, 0], seed, resamples),
            SNIPS: _ratio(sums[:, 2], sums[:, 3], seed, resamples),
            DOUBLY_ROBUST: _ratio(sums[:, 4], sums[:, 0], seed, resamples),
        },
        effective=float(weight.sum() ** 2 / (weight**2).sum()) if used else 0.0,
        weighted=used,
        clipped=float(np.count_nonzero(raw > clip) / used) if used else 0.0,
    )


def _summed(values: Floats, group: npt.NDArray[np.int64]) -> Floats:
    """The rows of each group added up: shape (groups, columns)."""
    _, place = np.unique(group, return_inverse=True)
    return np.column_stack([np.bincount(place, weights=column) for column in values.T])


def _ratio(above: Floats, below: Floats, seed: int, resamples: int) -> Interval:
    """Σ above / Σ below and its interval, over groups: NaN where nothing is below.

    By linearisation: the ratio R varies as the mean of (above − R · below) / mean(below) does.
    """
    whole = float(below.sum())
    if not whole:
        return Interval(*[float("nan")] * 4)
    ratio = float(above.sum()) / whole
    (around,) = intervals(((above - ratio * below) / below.mean())[:, None] + ratio, seed, resamples)
    return Interval(ratio, around.low, around.high, around.p)
