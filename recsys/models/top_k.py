"""Choosing the best few, always in the same order."""

from __future__ import annotations

import numpy as np
from scipy import sparse


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
