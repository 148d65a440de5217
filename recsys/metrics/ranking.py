"""How good ranked lists are, for many customers at once.

Every list is a row of item positions, best first, with `NOTHING` after its last item. What a customer turned out to
want is a set; an item that no list can hold still counts in its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.metrics import kernels

NOTHING = -1
"""Fills a list up to its width."""

RECALL, NDCG, HIT_RATE, MRR, COVERAGE = "recall", "ndcg", "hit_rate", "mrr", "coverage"
PRECISION, MAP = "precision", "map"
PER_CUSTOMER = (RECALL, NDCG, HIT_RATE, MRR, PRECISION, MAP)
"""The metrics that are a mean over customers, in the order of `kernels.score_lists`; coverage is of all lists
together."""

Ranked = npt.NDArray[np.int32]
"""Shape (customers, width); positions, each at most once in a row, `NOTHING` after the last."""


@dataclass(frozen=True, slots=True)
class Relevant:
    """What each customer turned out to want: row `u` is the set `item[indptr[u]:indptr[u + 1]]`.

    Attributes
    ----------
    indptr : int64, shape (customers + 1,).
    item : int32; distinct positions, ascending within a row.
    size : int64, shape (customers,), 1 or more; those wanted that have no position are counted too.
    """

    indptr: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    size: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.size)


def hits(ranked: Ranked, relevant: Relevant) -> npt.NDArray[np.bool_]:
    """Which places of the lists hold something wanted: bool, shape as `ranked`."""
    found = np.empty(ranked.shape, dtype=np.bool_)
    kernels.mark_hits(ranked, relevant.indptr, relevant.item, found)
    return found


def per_customer(ranked: Ranked, relevant: Relevant, ks: Sequence[int]) -> dict[str, npt.NDArray[np.float64]]:
    """Each metric of `PER_CUSTOMER` at each k, as `recall@10`: float64, shape (customers,).

    With h_r = 1 where place r (from 1) holds something wanted and m the number wanted, over the first k places:
    recall = Σ h_r / m; ndcg = Σ h_r / log₂(r + 1) divided by the same sum with min(k, m) hits first (binary gains);
    hit_rate = 1 if there is any hit; mrr = 1 / r of the first hit, 0 without one; precision = Σ h_r / k;
    map = Σ h_r · (hits up to place r) / r / m. A shorter list counts as it is.

    >>> import numpy as np
    >>> wanted = Relevant(np.array([0, 2]), np.array([0, 3], dtype=np.int32), np.array([3]))
    >>> found = per_customer(np.array([[3, 1, 0]], dtype=np.int32), wanted, [3])
    >>> {name: round(float(values[0]), 4) for name, values in found.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'recall@3': 0.6667, 'ndcg@3': 0.7039, 'hit_rate@3': 1.0, 'mrr@3': 1.0, 'precision@3': 0.6667, 'map@3': 0.5556}
    """
    ascending = sorted(set(ks))
    discount = 1.0 / np.log2(np.arange(2, ascending[-1] + 2, dtype=np.float64))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    found = np.empty((len(PER_CUSTOMER), len(ascending), len(ranked)))
    kernels.score_lists(
        ranked, relevant.indptr, relevant.item, relevant.size, np.array(ascending), discount, ideal, found
    )
    return {f"{name}@{k}": found[place, ascending.index(k)] for k in ks for place, name in enumerate(PER_CUSTOMER)}


def coverage(ranked: Ranked, k: int, candidates: int) -> float:
    """The share of the candidates that stand in at least one list's first k places; 0 when there is no candidate.

    >>> import numpy as np
    >>> coverage(np.array([[0, 1], [0, -1]], dtype=np.int32), 2, 4)
    0.5
    """
    listed = np.unique(ranked[:, :k])
    return float(np.count_nonzero(listed != NOTHING) / candidates) if candidates else 0.0
