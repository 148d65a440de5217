"""How far lists go beyond what sells anyway: novelty, popularity, concentration, and recall where it is hard.

Popularity is always of the training part: `count[i]` customers of it had to do with item i. Lists and what was wanted
are as in `recsys.metrics.ranking`. What is not defined for a customer is NaN, and left out of means.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import NOTHING, Ranked, Relevant, hits

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

HEAD_SHARE = 0.2
"""The best sellers: this share of the items that sold at all."""

STRATIFICATION = 0.5
"""β of the popularity-stratified recall: 0 is plain recall, 1 counts every sold item the same in all."""


def novelty(ranked: Ranked, k: int, count: Counts, customers: int) -> Values:
    """Mean inverse user frequency: shape (customers,), in bits; NaN for an empty list.

    For a list of n ≤ k items: Σ −log₂(count_i / customers) / n, where `customers` is the number of customers in
    training; an item that nobody had counts as one that one customer had.

    >>> import numpy as np
    >>> ranked = np.array([[0, 1], [2, -1]], dtype=np.int32)
    >>> novelty(ranked, 2, np.array([4, 1, 0]), 4)
    array([1., 2.])
    """
    bits = -np.log2(np.maximum(count, 1) / customers)
    return _mean_of_listed(ranked[:, :k], bits)


def average_popularity(ranked: Ranked, k: int, count: Counts) -> Values:
    """The mean of `count` over the first k items of each list: shape (customers,); NaN for an empty list.

    >>> import numpy as np
    >>> average_popularity(np.array([[0, 1], [2, -1]], dtype=np.int32), 2, np.array([4, 1, 0]))
    array([2.5, 0. ])
    """
    return _mean_of_listed(ranked[:, :k], count.astype(np.float64))


def gini(ranked: Ranked, k: int, candidates: int) -> float:
    """How unequally the places of all lists are spread over all candidates: 0 is the same for each, 1 is all for one.

    With x_1 ≤ … ≤ x_n the number of lists that hold each candidate: Σ (2i − n − 1) x_i / (n Σ x_i). 0 where nothing is
    listed.

    >>> import numpy as np
    >>> gini(np.array([[0, 1], [0, 1]], dtype=np.int32), 2, 2), gini(np.array([[0], [0]], dtype=np.int32), 1, 4)
    (0.0, 0.75)
    """
    top = ranked[:, :k]
    listed = np.bincount(top[top != NOTHING])
    shown = np.sort(listed[listed > 0])
    if not len(shown):
        return 0.0
    # The places from the end of the order; before them are only zeros.
    order = 2 * np.arange(candidates - len(shown) + 1, candidates + 1) - candidates - 1
    return float(order @ shown / (candidates * shown.sum()))


def debiased_recall(ranked: Ranked, relevant: Relevant, k: int, count: Counts, beta: float = STRATIFICATION) -> Values:
    """Popularity-stratified recall (Steck 2011, equation 8): shape (customers,).

    Σ of s_i over hits / Σ of s_i over what was wanted, with s_i = count_i^−β: the more often an item is missing from
    what was observed although it was wanted, the less it weighs here. Wanted items that have no position, or that
    nobody had in training, count as those that one customer had.

    >>> import numpy as np
    >>> wanted = Relevant(np.array([0, 2]), np.array([0, 1], dtype=np.int32), np.array([2]))
    >>> debiased_recall(np.array([[1]], dtype=np.int32), wanted, 1, np.array([9, 1]))
    array([0.75])
    """
    weight = np.maximum(count, 1).astype(np.float64) ** -beta
    unknown = relevant.size - np.diff(relevant.indptr)
    whole = _sum_of_wanted(relevant, weight[relevant.item]) + unknown
    return _sum_of_hits(ranked[:, :k], relevant, weight) / whole


def best_sellers(count: Counts, share: float = HEAD_SHARE) -> npt.NDArray[np.bool_]:
    """Which items are among the `share` that sold best of those that sold at all: shape (items,). Items that sold as
    often as the last of these belong to them.

    >>> import numpy as np
    >>> best_sellers(np.array([5, 1, 0, 9, 1, 1]))
    array([False, False, False,  True, False, False])
    """
    sold = np.sort(count[count > 0])[::-1]
    if not len(sold):
        return np.zeros(len(count), dtype=np.bool_)
    return np.asarray(count >= sold[max(1, round(len(sold) * share)) - 1])


def recall_among(ranked: Ranked, relevant: Relevant, k: int, counted: npt.NDArray[np.bool_]) -> Values:
    """Recall of those wanted items alone that are `counted` (bool, shape (items,)): shape (customers,); NaN for whoever
    wanted none of these. With all but the `best_sellers` counted it is the recall of what is hard to find.

    Wanted items that have no position are none of these: no list can hold them.

    >>> import numpy as np
    >>> wanted = Relevant(np.array([0, 2, 3]), np.array([0, 1, 0], dtype=np.int32), np.array([2, 1]))
    >>> recall_among(np.array([[0], [0]], dtype=np.int32), wanted, 1, np.array([False, True]))
    array([ 0., nan])
    """
    weight = counted.astype(np.float64)
    whole = _sum_of_wanted(relevant, weight[relevant.item])
    found = _sum_of_hits(ranked[:, :k], relevant, weight)
    return np.asarray(np.divide(found, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _sum_of_hits(top: Ranked, relevant: Relevant, weight: Values) -> Values:
    return np.asarray((hits(top, relevant) * weight[np.maximum(top, 0)]).sum(axis=1))


def _sum_of_wanted(relevant: Relevant, weight: Values) -> Values:
    """Per customer, the sum of one weight per wanted item."""
    ends = np.concatenate([[0.0], np.cumsum(weight)])[relevant.indptr]
    return np.asarray(np.diff(ends))


def _mean_of_listed(top: Ranked, value: Values) -> Values:
    """The mean of one value per item over each list; NaN for an empty one."""
    there = top != NOTHING
    total = (value[np.maximum(top, 0)] * there).sum(axis=1)
    listed = there.sum(axis=1)
    return np.asarray(np.divide(total, listed, out=np.full(len(top), np.nan), where=listed > 0))
