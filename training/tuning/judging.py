"""How good settings are: the lists they give on validation, per customer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.signals import EventWeights
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NDCG, Ranked, Relevant, per_customer
from training.evaluation.held_out import HeldOut, rows_of

K = 20
OBJECTIVE = f"{NDCG}@{K}"
_CELLS = 4_000_000

MANY = 1000
"""With so many validation customers two standard errors are a clear gain; with fewer it takes more, with more less."""

Each = npt.NDArray[np.float64]
"""The objective per validation customer, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What one list is better than another, paired by customer: the mean, its standard error, and of how many."""

    mean: float
    error: float
    customers: int

    @property
    def clear(self) -> bool:
        """Whether it is to be acted on: above 1 + √(`MANY` / customers) standard errors.

        The best of ten settings that are all the same looks one and a half standard errors better than the first. Among
        many customers that is next to nothing, and what is better is found; among few it is much, and the customers
        may not be like others at all: what is shipped has proved itself elsewhere.
        """
        return bool(self.mean > (1.0 + np.sqrt(MANY / max(1, self.customers))) * self.error)


def objective_of(ranked: Ranked, relevant: Relevant) -> Each:
    """The objective of lists of `K` items."""
    return per_customer(ranked, relevant, (K,))[OBJECTIVE]


def gain(each: Each, over: Each) -> Gain:
    """The difference of two objectives on the same customers."""
    difference = each - over
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return Gain(float(difference.mean()), float(error), len(difference))


@dataclass(frozen=True, slots=True)
class Jury:
    """Validation customers, some of all.

    Attributes
    ----------
    held_out : of which only these rows count.
    rows : int64, ascending; which of its customers.
    relevant : what they turned out to want.
    seen : bool, shape (n, items); which part of their histories is looked at. None for all.
    """

    held_out: HeldOut
    rows: npt.NDArray[np.int64]
    relevant: Relevant
    seen: sparse.csr_matrix | None

    @classmethod
    def drawn(cls, held_out: HeldOut, most: int, seed: int, weights: EventWeights | None = None) -> Jury:
        """At most so many customers, drawn by the seed.

        With `weights`, for a validation that was drawn among customers with long histories: histories are cut to their
        newest items (a draw among equals) so that lengths are distributed as among all customers.
        """
        total = len(held_out.relevant)
        chosen = np.sort(np.random.default_rng(seed).permutation(total)[: min(total, most)])
        starts = held_out.relevant.indptr
        items = [held_out.relevant.item[starts[row] : starts[row + 1]] for row in chosen]
        indptr = np.concatenate([[0], np.cumsum([len(each) for each in items])]).astype(np.int64)
        item = np.concatenate([np.zeros(0, dtype=np.int32), *items])
        relevant = Relevant(indptr, item, held_out.relevant.size[chosen])
        seen = None if weights is None else _cut(held_out, chosen, weights, seed)
        return cls(held_out, chosen, relevant, seen)

    @property
    def masked(self) -> sparse.csr_matrix:
        """What must not be listed: bool, shape (n, items)."""
        return self.held_out.masked[self.rows]

    def of(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        """What is looked at of these customers' rows of a matrix over the training customers; empty for a customer
        unknown to training."""
        own = rows_of(matrix, self.held_out.row[self.rows])
        if self.seen is not None:
            own = sparse.csr_matrix(own.multiply(self.seen))
        own.eliminate_zeros()
        return own

    def of_lists(self, strengths: sparse.csr_matrix, near: sparse.csr_matrix, threads: int) -> Each:
        """The objective of the lists that strengths · near put in order, shapes (n, items) and (items, items)."""
        from recsys.models.ranking_kernels import top_rows

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
        return objective_of(ranked, self.relevant)


def _cut(held_out: HeldOut, chosen: npt.NDArray[np.int64], weights: EventWeights, seed: int) -> sparse.csr_matrix:
    """The newest items of the chosen customers, so many that the k-th shortest history is as long as that of the same
    rank among all customers, where it has so many: bool, shape (len(chosen), items)."""
    tastes = held_out.training.tastes(weights.unfading())
    liked = np.add.reduceat(np.append(tastes.strength > 0, False), tastes.indptr[:-1], dtype=np.int64)
    liked[np.diff(tastes.indptr) == 0] = 0
    row = held_out.row[chosen]
    own = np.where(row == UNKNOWN, 0, liked[np.maximum(row, 0)])
    everyone = np.sort(liked[liked > 0])
    wanted = np.zeros(len(chosen), dtype=np.int64)
    if len(everyone):
        rank = np.argsort(np.argsort(own, kind="stable"), kind="stable")
        wanted = np.minimum(own, everyone[((rank + 0.5) * len(everyone) / len(chosen)).astype(np.int64)])
    rng = np.random.default_rng(seed)
    kept_row, kept_item = [], []
    for place in np.flatnonzero(own):
        pairs = np.arange(tastes.indptr[row[place]], tastes.indptr[row[place] + 1])
        pairs = rng.permutation(pairs[tastes.strength[pairs] > 0])
        newest = pairs[np.argsort(-tastes.clock[pairs], kind="stable")][: wanted[place]]
        kept_row.append(np.full(len(newest), place))
        kept_item.append(tastes.item[newest])
    where = (np.concatenate([np.zeros(0, np.int64), *kept_row]), np.concatenate([np.zeros(0, np.int32), *kept_item]))
    shape = (len(chosen), len(held_out.training.items))
    return sparse.csr_matrix((np.ones(len(where[0]), dtype=np.bool_), where), shape=shape)
