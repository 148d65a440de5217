"""Compiled inner loops of the metrics, list by list. Plain arrays in, plain arrays out.

What the arrays mean is told by the modules that call the kernels. Compiled code is kept on disk by numba, so that only
the first use on a machine pays for compiling.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]

RECALL, NDCG, HIT_RATE, MRR, PRECISION, MAP = range(6)
"""The rows of what `score_lists` fills in."""


@njit(nogil=True, cache=True)
def mark_hits(
    ranked: Items, indptr: Places, item: Items, found: npt.NDArray[np.bool_]
) -> None:  # pragma: no cover - compiled
    """`found[row, place]` where that place of the list holds something of the row's set; a place below 0 is empty."""
    for row in range(ranked.shape[0]):
        for place in range(ranked.shape[1]):
            low, high = indptr[row], indptr[row + 1]
            asked = ranked[row, place]
            while low < high:
                middle = (low + high) // 2
                if item[middle] < asked:
                    low = middle + 1
                else:
                    high = middle
            found[row, place] = asked >= 0 and low < indptr[row + 1] and item[low] == asked


@njit(nogil=True, cache=True)
def score_lists(
    ranked: Items, indptr: Places, item: Items, size: Places, ks: Places, discount: Floats, ideal: Floats, out: Floats
) -> None:  # pragma: no cover - compiled
    """Fills `out`, shape (6, len(ks), rows), with the metrics of each list at each k, in one pass.

    `ks` ascends; `discount[r]` is what a hit at place r (from 0) counts, `ideal[m]` the sum over the first m of them;
    both reach to the largest k.
    """
    width = ranked.shape[1]
    for row in range(ranked.shape[0]):
        start, stop = indptr[row], indptr[row + 1]
        hits, first, gain, precisions, place = 0, 0, 0.0, 0.0, 0
        for step in range(len(ks)):
            k = ks[step]
            while place < min(k, width):
                asked = ranked[row, place]
                low, high = start, stop
                while low < high:
                    middle = (low + high) // 2
                    if item[middle] < asked:
                        low = middle + 1
                    else:
                        high = middle
                place += 1
                if asked >= 0 and low < stop and item[low] == asked:
                    hits += 1
                    gain += discount[place - 1]
                    precisions += hits / place
                    if first == 0:
                        first = place
            out[RECALL, step, row] = hits / size[row]
            out[NDCG, step, row] = gain / ideal[min(k, size[row])]
            out[HIT_RATE, step, row] = 1.0 if hits else 0.0
            out[MRR, step, row] = 1.0 / first if first else 0.0
            out[PRECISION, step, row] = hits / k
            out[MAP, step, row] = precisions / size[row]


@njit(nogil=True, cache=True)
def count_draws(drawn: Items, weights: Floats) -> None:  # pragma: no cover - compiled
    """Adds to `weights[row, i]` how often i was drawn in that row."""
    for row in range(drawn.shape[0]):
        for draw in range(drawn.shape[1]):
            weights[row, drawn[row, draw]] += 1.0
