"""The pairs of customers and items that models count, as sparse matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.interactions import Tastes


def newest_pairs(
    tastes: Tastes, targets: npt.NDArray[np.float32], cap: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix]:
    """Strengths, targets and clocks of the newest `cap` pairs of each customer that say anything, in equal places.

    Parameters
    ----------
    targets : float32, shape (pairs of tastes,); a pair says something where this or its strength is above 0.

    Returns
    -------
    Three matrices of shape (customers, items), two of float32 and the clocks of int32, of one structure: zeros that
    belong to a pair are stored.
    """
    n_customers = len(tastes.indptr) - 1
    row = np.repeat(np.arange(n_customers, dtype=np.int32), np.diff(tastes.indptr))
    kept = np.flatnonzero((tastes.strength > 0) | (targets > 0))
    lengths = np.bincount(row[kept], minlength=n_customers)
    # Only long histories need sorting, and few are long.
    long = (lengths > cap)[row[kept]]
    if long.any():
        those = kept[long]
        newest_first = those[np.lexsort((-tastes.clock[those], row[those]))]
        of_long = lengths[lengths > cap]
        rank = np.arange(len(those)) - np.repeat(np.cumsum(of_long) - of_long, of_long)
        kept = np.sort(np.concatenate([kept[~long], newest_first[rank < cap]]))
    indptr = np.zeros(n_customers + 1, dtype=np.int64)
    np.cumsum(np.minimum(lengths, cap), out=indptr[1:])
    x, t, clock = (
        sparse.csr_matrix((values[kept], tastes.item[kept], indptr), shape=(n_customers, tastes.items))
        for values in (tastes.strength, targets, tastes.clock)
    )
    return x, t, clock
