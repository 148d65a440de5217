"""How sure a mean over customers is: the percentile bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds of its interval."""

    mean: float
    low: float
    high: float


def bootstrap_means(values: npt.NDArray[np.float64], seed: int, resamples: int = RESAMPLES) -> npt.NDArray[np.float64]:
    """The means of `resamples` samples of the rows with replacement: float64, shape (resamples, columns).

    Parameters
    ----------
    values : shape (rows, columns), at least one row. All columns see the same resamples, so that a column of paired
        differences has its interval and columns can be compared.
    seed : the same seed gives the same resamples.

    Each resample is a row of multinomial weights, w ~ Multinomial(n, 1/n), and its means are w·values / n: the weights
    of many resamples are drawn together and multiplied at once.
    """
    rows = len(values)
    if not rows:
        raise ValueError("there are no rows to resample")
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    at_once = max(1, _DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = rng.integers(rows, size=(count, rows))
        drawn += np.arange(count)[:, None] * rows
        weights = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        means[start : start + count] = weights.astype(np.float64) @ values / rows
    return means


def intervals(
    values: npt.NDArray[np.float64], seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> list[Interval]:
    """The mean of each column with its percentile interval (Efron 1979): the middle `confidence` of the resamples.

    Parameters as in `bootstrap_means`.
    """
    outside = (1.0 - confidence) / 2
    low, high = np.quantile(bootstrap_means(values, seed, resamples), [outside, 1.0 - outside], axis=0)
    return [
        Interval(float(mean), float(below), float(above))
        for mean, below, above in zip(values.mean(axis=0), low, high, strict=True)
    ]
