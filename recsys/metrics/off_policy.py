"""What another policy would have brought, from what was shown by the one that ran: inverse propensities.

A *decision* is one slot of one answer: in its context the logging policy showed an action with a known probability, its
propensity, and a reward followed. The target policy would have shown the same action with another probability.
Decisions of one customer belong together when it is asked how sure an estimate is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import InputError
from recsys.metrics.uncertainty import RESAMPLES, Interval, intervals

Floats = npt.NDArray[np.float64]

_UNKNOWN = Interval(*[float("nan")] * 4)

_WIDEST = 2.0
"""Beyond this many times the value an interval says nothing on either scale."""

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
    differences : `ips`, `snips` and `doubly_robust`, each minus `logged`: paired, as they are of the same decisions.
    support : the mean of the weights before clipping, Σ target / propensity / n. Where everything that the target
        policy shows could have been shown it is 1 but for chance; where it is less, the log says nothing of the rest
        of the places: `ips` counts them as nothing, `snips` leaves them out, `doubly_robust` asks the model.
    effective : the effective sample size (Kish 1965), (Σ w)² / Σ w²: so many decisions of the target policy's own would
        say as much.
    weighted : decisions whose weight is above 0: what the two policies have in common.
    clipped : the share of these whose weight was cut.
    """

    estimates: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    support: Interval
    effective: float
    weighted: int
    clipped: float


def evaluate_policy(decisions: Decisions, clip: float = np.inf, seed: int = 0, resamples: int = RESAMPLES) -> OffPolicy:
    """The value of the target policy by three estimators.

    With w = min(target / propensity, clip), r the reward, q and q_π what a model expects of what was shown and of the
    target policy: `ips` = Σ w r / n (Horvitz and Thompson 1952; unbiased without clipping), `snips` = Σ w r / Σ w
    (Swaminathan and Joachims 2015; biased by O(1/n), of much less variance), `doubly_robust` = Σ (q_π + w (r − q)) / n
    (Dudík, Langford and Li 2011; unbiased when either the propensities or the model are right). Clipping trades
    variance for a bias towards nothing in the first two, and towards the model in the third. Intervals are over groups;
    those of estimates are on the logarithm.

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
    columns = [np.ones_like(weight), decisions.reward, weight * decisions.reward, weight, residual, raw]
    sums = _summed(np.column_stack(columns), decisions.group)
    number, reward, weighted_reward, weights, residuals, uncut = sums.T
    logged = (reward, number)
    ratios = {IPS: (weighted_reward, number), SNIPS: (weighted_reward, weights), DOUBLY_ROBUST: (residuals, number)}
    found = {LOGGED: logged} | ratios
    # One set of resamples for all of them.
    asked = [[each] for each in (*found.values(), (uncut, number))] + [[each, logged] for each in ratios.values()]
    told = _intervals(asked, seed, resamples)
    return OffPolicy(
        estimates=dict(zip(found, told[: len(found)], strict=True)),
        support=told[len(found)],
        differences=dict(zip(ratios, told[len(found) + 1 :], strict=True)),
        effective=float(weight.sum() ** 2 / (weight**2).sum()) if used else 0.0,
        weighted=used,
        clipped=float(np.count_nonzero(raw > clip) / used) if used else 0.0,
    )


def _summed(values: Floats, group: npt.NDArray[np.int64]) -> Floats:
    """The rows of each group added up: shape (groups, columns)."""
    _, place = np.unique(group, return_inverse=True)
    return np.column_stack([np.bincount(place, weights=column) for column in values.T])


def _intervals(ratios: Sequence[Sequence[tuple[Floats, Floats]]], seed: int, resamples: int) -> list[Interval]:
    """Of each: a ratio Σ above / Σ below over groups, or the first less the second, and its interval by linearisation;
    NaN where nothing is below."""
    known = [place for place, each in enumerate(ratios) if all(below.sum() for _, below in each)]
    values, columns = [], []
    for place in known:
        one, *other = ratios[place]
        values.append(_value(*one) - sum(_value(*each) for each in other))
        columns.append(_linear(*one) - sum((_linear(*each) for each in other), np.zeros(len(one[0]))))
    found = [_UNKNOWN] * len(ratios)
    if known:
        around = intervals(np.column_stack(columns) + np.array(values), seed, resamples)
        for place, value, each in zip(known, values, around, strict=True):
            bounds = _of_logarithm(value, each) if len(ratios[place]) == 1 else (each.low, each.high)
            found[place] = Interval(value, *bounds, each.p)
    return found


def _of_logarithm(value: float, around: Interval) -> tuple[float, float]:
    """The bounds of a value that cannot be negative: value · exp(± reach / value), the delta method. A few large
    weights make estimates skewed, and an interval that is as wide below as above is too low more often than it says."""
    reach = (around.high - around.low) / 2.0
    if value <= 0 or not reach / value < _WIDEST:
        return around.low, around.high
    return value * math.exp(-reach / value), value * math.exp(reach / value)


def _value(above: Floats, below: Floats) -> float:
    return float(above.sum() / below.sum())


def _linear(above: Floats, below: Floats) -> Floats:
    """The ratio R varies as the mean of (above − R · below) / mean(below) does."""
    return np.asarray((above - _value(above, below) * below) / below.mean())
