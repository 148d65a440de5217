"""How varied lists are, how well they mirror a customer's mix of categories, and how surprising their hits are.

Lists are as in `recsys.metrics.ranking`. What is not defined for a customer is NaN, and left out of means.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.metrics.ranking import NOTHING, Ranked, Relevant, hits

Values = npt.NDArray[np.float64]

SMOOTHING = 0.01
"""α of the calibration: so much of the customer's own mix is added to the list's, that none of its parts is 0."""

_ROWS_AT_ONCE = 50_000


def intra_list_diversity(ranked: Ranked, k: int, features: sparse.csr_matrix) -> Values:
    """The mean distance between two items of the first k: shape (customers,), from 0 to 1 for features of 0 or more;
    NaN for a list of fewer than two items that have features.

    The distance is 1 − cosine of the items' rows in `features`, shape (items, terms); items whose row is empty are left
    out. With unit rows x_i of n items, Σ_{i≠j} x_i·x_j = |Σ x_i|² − n, so that no pair is looked at.

    >>> import numpy as np
    >>> from scipy import sparse
    >>> features = sparse.csr_matrix(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))
    >>> intra_list_diversity(np.array([[0, 1], [0, 2], [1, -1]], dtype=np.int32), 2, features)
    array([ 1.,  0., nan])
    """
    length = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
    known = length > 0
    unit = sparse.csr_matrix(
        sparse.diags_array(np.divide(1.0, length, out=np.zeros_like(length), where=known)) @ features
    )
    found = np.full(len(ranked), np.nan)
    for start in range(0, len(ranked), _ROWS_AT_ONCE):
        listed, count = _listed(ranked[start : start + _ROWS_AT_ONCE, :k], known)
        together = sparse.csr_matrix(listed @ unit)
        squared = np.asarray(together.multiply(together).sum(axis=1)).ravel()
        pairs = count * (count - 1.0)
        found[start : start + len(count)] = np.where(
            pairs > 0, 1.0 - (squared - count) / np.maximum(pairs, 1.0), np.nan
        )
    # Rounding may leave a little less than nothing.
    return np.asarray(np.maximum(found, 0.0))


def miscalibration(ranked: Ranked, k: int, category: sparse.csr_matrix, mix: sparse.csr_matrix) -> Values:
    """How far the categories of a list are from those of the customer's history (Steck 2018): shape (customers,), in
    nats, 0 is the same mix; NaN for customers without a history in any category, and for lists without one.

    KL(p ‖ q̃) = Σ_c p_c log(p_c / q̃_c), q̃ = (1 − α) q + α p, with p the shares of the history, q those of the first k
    items and α = `SMOOTHING`.

    Parameters
    ----------
    category : shape (items, categories); which share of an item belongs to each, p(c|i) in the paper: rows sum to 1, or
        are empty for items without a category, which do not count.
    mix : how much of each category each customer's history holds, 0 or more; shape (customers, categories).

    >>> import numpy as np
    >>> from scipy import sparse
    >>> mix = sparse.csr_matrix(np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]]))
    >>> lists = np.array([[0, 1], [0, -1], [0, 1]], dtype=np.int32)
    >>> miscalibration(lists, 2, sparse.csr_matrix(np.eye(2)), mix)
    array([ 0.,  0., nan])
    """
    known = np.diff(category.indptr) > 0
    whole = np.asarray(mix.sum(axis=1)).ravel()
    found = np.full(len(ranked), np.nan)
    for start in range(0, len(ranked), _ROWS_AT_ONCE):
        listed, count = _listed(ranked[start : start + _ROWS_AT_ONCE, :k], known)
        rows = slice(start, start + len(count))
        own = sparse.csr_matrix(_scaled(mix[rows], whole[rows]))
        shown = _scaled(sparse.csr_matrix(listed @ category), count)
        # Only where the history has something does anything count.
        own.eliminate_zeros()
        row, column = own.nonzero()
        p = own.data
        q = (1.0 - SMOOTHING) * np.asarray(sparse.csr_matrix(shown)[row, column]).ravel() + SMOOTHING * p
        divergence = np.bincount(row, weights=p * np.log(p / q), minlength=len(count))
        found[rows] = np.where((whole[rows] > 0) & (count > 0), divergence, np.nan)
    return found


def serendipity(ranked: Ranked, relevant: Relevant, k: int, place: npt.NDArray[np.int64]) -> Values:
    """How little was to be expected of what was hit: shape (customers,); NaN for an empty list.

    Σ_{r ≤ k} h_r · max(p(r) − p(place of the item), 0) / (items listed, at most k) with p(r) = (n + 1 − r) / n of n
    items and h_r = 1 for a hit: what stands as far up in the order of popularity as in the list was to be expected.

    Parameters
    ----------
    place : as `popularity_places` gives it.

    >>> import numpy as np
    >>> wanted = Relevant(np.array([0, 2]), np.array([0, 3], dtype=np.int32), np.array([2]))
    >>> serendipity(np.array([[0, 3]], dtype=np.int32), wanted, 2, np.array([1, 2, 3, 4]))
    array([0.25])
    """
    top = ranked[:, :k]
    rank = np.arange(1, top.shape[1] + 1)
    unexpected = np.maximum(place[np.maximum(top, 0)] - rank, 0) / len(place)
    total, listed = (hits(top, relevant) * unexpected).sum(axis=1), (top != NOTHING).sum(axis=1)
    return np.asarray(np.divide(total, listed, out=np.full(len(top), np.nan), where=listed > 0))


def popularity_places(count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of each item in the order of popularity, 1 for the most popular: int64, shape (items,). Equally popular
    items share a place, and the next have the next; what nobody had comes after all, at items + 1.

    >>> import numpy as np
    >>> popularity_places(np.array([3, 9, 3, 0, 1]))
    array([2, 1, 2, 6, 3])
    """
    _, place = np.unique(-count, return_inverse=True)
    return np.where(count > 0, place + 1, len(count) + 1).astype(np.int64)


def _listed(top: Ranked, known: npt.NDArray[np.bool_]) -> tuple[sparse.csr_matrix, Values]:
    """Which lists hold which of the known items, shape (customers, items); and how many of them."""
    there = (top != NOTHING) & known[np.maximum(top, 0)]
    row, column = np.nonzero(there)
    shape = (len(top), len(known))
    return sparse.csr_matrix((np.ones(len(row)), (row, top[row, column])), shape=shape), there.sum(axis=1).astype(float)


def _scaled(matrix: sparse.csr_matrix, whole: Values) -> sparse.csr_matrix:
    share = np.divide(1.0, whole, out=np.zeros_like(whole), where=whole > 0)
    return sparse.csr_matrix(sparse.diags_array(share) @ matrix)
