"""How sure a mean over customers is, and what many differences say together: the bootstrap, Holm, and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special
from threadpoolctl import threadpool_limits

from recsys.metrics import kernels

RESAMPLES = 2_000
CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 4_000_000

_ROUNDING = 1e-12
"""Values that differ by less than this share of the larger are the same: sums in another order, as the same items at
other places give them."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds of its interval; all NaN where nobody has a value.

    Attributes
    ----------
    p : how likely a mean this far from 0 would be, were it 0 in truth; two-sided.
    """

    mean: float
    low: float
    high: float
    p: float = float("nan")


class Verdict(StrEnum):
    """What a difference says once chance is allowed for; `HIGHER` and `LOWER` are of metrics that only describe."""

    BETTER = "better"
    WORSE = "worse"
    NO_CLEAR_DIFFERENCE = "no clear difference"
    HIGHER = "higher"
    LOWER = "lower"


def bootstrap_means(values: npt.NDArray[np.float64], seed: int, resamples: int = RESAMPLES) -> npt.NDArray[np.float64]:
    """The means of `resamples` samples of the rows with replacement: float64, shape (resamples, columns).

    Parameters
    ----------
    values : shape (rows, columns), at least one row. All columns see the same resamples, so that a column of paired
        differences has its interval and columns can be compared. NaN is no value: a mean is over the others, and NaN
        where a resample has none.
    seed : the same seed gives the same resamples.

    Each resample is a row of multinomial weights, w ~ Multinomial(n, 1/n), and its means are w·values / w·(is a value):
    the weights of many resamples are drawn together and multiplied at once.
    """
    rows = len(values)
    if not rows:
        raise ValueError("there are no rows to resample")
    rng = np.random.default_rng(seed)
    there = ~np.isnan(values)
    # Metrics of one kind have a value in the same rows, whatever the model: each such set of rows is counted once.
    _, first, kind = np.unique(np.packbits(there, axis=0), axis=1, return_index=True, return_inverse=True)
    filled, counted = np.where(there, values, 0.0), there[:, first].astype(np.float64)
    means = np.empty((resamples, values.shape[1]))
    at_once = max(1, _DRAWS_AT_ONCE // rows)
    # One thread: its sums do not depend on how many there are, and several would wait for one another.
    with threadpool_limits(1, "blas"):
        for start in range(0, resamples, at_once):
            count = min(at_once, resamples - start)
            weights = np.zeros((count, rows))
            kernels.count_draws(rng.integers(rows, size=(count, rows), dtype=np.int32), weights)
            size = (weights @ counted)[:, kind.ravel()]
            total = weights @ filled
            means[start : start + count] = np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)
    return means


def intervals(
    values: npt.NDArray[np.float64], seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> list[Interval]:
    """The mean of each column ± t · s, with s the standard deviation of its bootstrap means, times √(n/(n − 1)), and t
    Student's quantile for n − 1 degrees of freedom, n the number of values (Efron and Tibshirani 1993, chapters 6 and
    12.3).

    Of differences per customer, most of which are 0, this interval covers the truth as often as it says; the percentile
    interval does so less often the fewer of them are not 0. Parameters as in `bootstrap_means`.

    Where all values are the same, no resample differs: then a share of at most 1 − (1 − `confidence`)^(1/n) of all
    customers has another value (about 3/n, the rule of three; Hanley and Lippman-Hand 1983), and the interval reaches
    as far as if theirs were 1 away. p is that of the sign test, and never less: a handful of customers who are served
    much alike prove nothing.
    """
    return paired_intervals(values, (), seed, resamples, confidence)[0]


def paired_intervals(
    values: npt.NDArray[np.float64],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[list[Interval], list[Interval]]:
    """`intervals` of the columns, and of the first column of each pair minus the second, over the rows where both have
    a value: one set of resamples for all of them. Where all differences are the same, others may be as large as the
    largest value of both. What is only rounding is no difference."""
    there = ~np.isnan(values)
    alike = [bool((there[:, one] == there[:, other]).all()) for one, other in pairs]
    # Where both have values in the same rows, the mean of the differences is the difference of the means.
    differences = [_difference(values[:, one], values[:, other]) for one, other in pairs]
    apart = [each for each, same in zip(differences, alike, strict=True) if not same]
    means = bootstrap_means(np.stack([*values.T, *apart]).T if apart else values, seed, resamples)
    further = iter(range(values.shape[1], means.shape[1]))
    between = []
    for (one, other), difference, same in zip(pairs, differences, alike, strict=True):
        resampled = means[:, one] - means[:, other] if same else means[:, next(further)]
        widest = max(1.0, *(float(np.nanmax(np.abs(values[:, each]), initial=0.0)) for each in (one, other)))
        between.append(_interval(difference, resampled, confidence, widest))
    return [_interval(column, means[:, place], confidence) for place, column in enumerate(values.T)], between


def _difference(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    difference = one - other
    rounded = np.abs(difference) <= _ROUNDING * np.maximum(np.abs(one), np.abs(other))
    return np.where(rounded, 0.0, difference)


def _interval(
    values: npt.NDArray[np.float64], means: npt.NDArray[np.float64], confidence: float, widest: float = 1.0
) -> Interval:
    known = values[~np.isnan(values)]
    size = len(known)
    if not size:
        return Interval(*[float("nan")] * 4)
    mean = float(known.mean())
    if size == 1:
        return Interval(mean, float("-inf"), float("inf"), 1.0)
    error = float(np.nanstd(means)) * (size / (size - 1)) ** 0.5
    if np.ptp(known) <= _ROUNDING * widest or not error:
        reach = widest * (1.0 - (1.0 - confidence) ** (1.0 / size))
        return Interval(mean, mean - reach, mean + reach, 1.0 if mean == 0 else 2.0 ** (1 - size))
    reach = float(special.stdtrit(size - 1, 0.5 + confidence / 2)) * error
    p = float(2 * special.stdtr(size - 1, -abs(mean) / error))
    return Interval(mean, mean - reach, mean + reach, max(p, 2.0 ** (1 - size)))


def holm(p: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several (Holm 1979): whoever calls those at most α clear is wrong about any of
    them with a probability of at most α, however they depend on one another. NaN stays NaN and is not one of them.

    With p_(1) ≤ … ≤ p_(m): the adjusted p_(i) is the largest of min(1, (m − j + 1) p_(j)) over j ≤ i.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    adjusted = np.full(len(values), np.nan)
    times = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * times), 1.0)
    return [float(each) for each in adjusted]


def verdicts(differences: Mapping[Key, Interval], confidence: float = CONFIDENCE) -> dict[Key, Verdict]:
    """What each of these differences says, all of them together wrong about any with a probability of at most
    1 − `confidence`: by `holm`."""
    adjusted = holm([each.p for each in differences.values()])
    return {
        key: _verdict(each.mean, p, 1.0 - confidence)
        for (key, each), p in zip(differences.items(), adjusted, strict=True)
    }


def _verdict(mean: float, p: float, alpha: float) -> Verdict:
    if not p <= alpha:
        return Verdict.NO_CLEAR_DIFFERENCE
    return Verdict.BETTER if mean > 0 else Verdict.WORSE
