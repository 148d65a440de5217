"""How much alike two lists for the same customer are, as when a new bundle takes the place of an old one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import NOTHING, Ranked

PERSISTENCE = 0.9
"""p: somebody who looked at one place looks at the next with this probability; the first ten places weigh 86 %."""


def rank_biased_overlap(first: Ranked, second: Ranked, p: float = PERSISTENCE) -> npt.NDArray[np.float64]:
    """Extrapolated rank-biased overlap (Webber, Moffat and Zobel 2010, equation 32): shape (customers,), from 0,
    nothing in common, to 1, the same in the same order. NaN where both lists are empty, 0 where one is.

    With X_d the number of items that the first d places of both share, s ≤ l the lengths of the two lists:
    RBO = (1 − p)/p · (Σ_{d=1..l} X_d/d · p^d + Σ_{d=s+1..l} X_s (d − s)/(s d) · p^d) + ((X_l − X_s)/l + X_s/s) · p^l.

    >>> import numpy as np
    >>> one = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3]], dtype=np.int32)
    >>> other = np.array([[1, 2, 3], [4, 5, 6], [2, 1, -1]], dtype=np.int32)
    >>> rank_biased_overlap(one, other).round(4)
    array([1. , 0. , 0.9])
    """
    lengths = np.stack([(each != NOTHING).sum(axis=1) for each in (first, second)])
    short, long = lengths.min(axis=0), lengths.max(axis=0)
    deepest = int(long.max(initial=0))
    # The place at which the later of the two lists holds each item of the first; beyond all where it does not.
    shared = np.zeros((len(first), deepest + 1), dtype=np.int64)
    for place in range(first.shape[1]):
        item = first[:, place]
        same = (second == item[:, None]) & (item != NOTHING)[:, None]
        rows = np.flatnonzero(same.any(axis=1))
        later = np.maximum(same[rows].argmax(axis=1), place) + 1
        np.add.at(shared, (rows, later), 1)
    overlap = np.cumsum(shared, axis=1)
    at_short = np.take_along_axis(overlap, short[:, None], axis=1)[:, 0]
    at_long = np.take_along_axis(overlap, long[:, None], axis=1)[:, 0]
    depth = np.arange(1, deepest + 1)
    weight = p ** depth.astype(np.float64)
    within = depth <= long[:, None]
    beyond = within & (depth > short[:, None])
    s, one = np.maximum(short, 1)[:, None], np.maximum(long, 1)
    agreement = np.where(within, overlap[:, 1:] / depth, 0.0)
    assumed = np.where(beyond, at_short[:, None] * (depth - short[:, None]) / (s * depth), 0.0)
    summed = (1 - p) / p * ((agreement + assumed) @ weight)
    found = summed + ((at_long - at_short) / one + at_short / s[:, 0]) * p ** long.astype(np.float64)
    return np.where(long > 0, found, np.nan)
