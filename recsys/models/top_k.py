"""Choosing the best few, always in the same order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse


def best(scores: npt.NDArray[np.float64], count: int, tie_break: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places of the `count` largest scores, best first; -inf is never chosen.

    Ties go to the larger `tie_break` (shape as `scores`), then to the smaller place.
    """
    eligible = np.flatnonzero(scores > -np.inf)
    if len(eligible) > count > 0:
        # Everything that ties with the last place stays in, so that the tie is decided below and not by the partition.
        threshold = np.partition(scores[eligible], -count)[-count]
        eligible = eligible[scores[eligible] >= threshold]
    order = np.lexsort((eligible, -tie_break[eligible], -scores[eligible]))
    return eligible[order[:count]]


def strongest_per_row(matrix: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """The `count` largest stored values of each row (ties: the smaller column); shorter rows stay as they are."""
    lengths = np.diff(matrix.indptr)
    if not len(lengths) or lengths.max() <= count:
        return matrix
    row = np.repeat(np.arange(matrix.shape[0]), lengths)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    rank = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], lengths)
    keep = np.sort(order[rank < count])
    indptr = np.concatenate(([0], np.cumsum(np.minimum(lengths, count))))
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)
