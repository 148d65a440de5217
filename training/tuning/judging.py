"""How good settings are: NDCG of the lists they give on validation, per customer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NDCG, Relevant, per_customer
from training.evaluation.held_out import HeldOut

K = 20
OBJECTIVE = f"{NDCG}@{K}"
_CELLS = 4_000_000

Each = npt.NDArray[np.float64]
"""The objective per validation customer, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What one list is better than another, paired by customer: the mean, and its standard error."""

    mean: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it is more than chance often gives: above one standard error."""
        return self.mean > self.error


def gain(each: Each, over: Each) -> Gain:
    """The difference of two objectives on the same customers."""
    difference = each - over
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return Gain(float(difference.mean()), float(error))


@dataclass(frozen=True, slots=True)
class Jury:
    """Validation customers, some of all.

    Attributes
    ----------
    held_out : of which only these rows count.
    rows : int64, ascending; which of its customers.
    relevant : what they turned out to want.
    """

    held_out: HeldOut
    rows: npt.NDArray[np.int64]
    relevant: Relevant

    @classmethod
    def drawn(cls, held_out: HeldOut, most: int, seed: int) -> Jury:
        """At most so many customers, drawn by the seed."""
        total = len(held_out.relevant)
        chosen = np.sort(np.random.default_rng(seed).permutation(total)[: min(total, most)])
        starts = held_out.relevant.indptr
        items = [held_out.relevant.item[starts[row] : starts[row + 1]] for row in chosen]
        indptr = np.concatenate([[0], np.cumsum([len(each) for each in items])]).astype(np.int64)
        item = np.concatenate([np.zeros(0, dtype=np.int32), *items])
        return cls(held_out, chosen, Relevant(indptr, item, held_out.relevant.size[chosen]))

    @property
    def masked(self) -> sparse.csr_matrix:
        """What must not be listed: bool, shape (n, items)."""
        return self.held_out.masked[self.rows]

    def of(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        """These customers' rows of a matrix over the training customers, empty for a customer unknown to training."""
        place = self.held_out.row[self.rows]
        known = sparse.diags_array((place != UNKNOWN).astype(matrix.dtype), dtype=matrix.dtype)
        return sparse.csr_matrix(known @ matrix[np.maximum(place, 0)])

    def of_lists(self, strengths: sparse.csr_matrix, near: sparse.csr_matrix, threads: int) -> Each:
        """The objective of the lists that strengths · near put in order, shapes (n, items) and (items, items)."""
        from recsys.models.kernels import top_rows

        masked, count = self.masked, np.zeros(strengths.shape[1], dtype=np.int64)
        step = max(1, _CELLS // max(1, strengths.shape[1]))

        def block(first: int) -> npt.NDArray[np.int32]:
            own = slice(first, first + step)
            scores = (strengths[own] @ near).toarray()
            hidden = masked[own]
            scores[np.repeat(np.arange(len(scores)), np.diff(hidden.indptr)), hidden.indices] = -np.inf
            ranked: npt.NDArray[np.int32] = top_rows(scores, count, K)
            return ranked

        with ThreadPoolExecutor(threads) as pool:
            ranked = np.concatenate(list(pool.map(block, range(0, len(self.rows), step))))
        return per_customer(ranked, self.relevant, (K,))[OBJECTIVE]
