"""How good ranked lists are, for many customers at once.

Every list is a row of item positions, best first, with `NOTHING` after its last item. What a customer turned out to
want is a set; an item that no list can hold still counts in its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NOTHING = -1
"""Fills a list up to its width."""

RECALL, NDCG, HIT_RATE, MRR, COVERAGE = "recall", "ndcg", "hit_rate", "mrr", "coverage"
PRECISION, MAP = "precision", "map"
PER_CUSTOMER = (RECALL, NDCG, HIT_RATE, MRR, PRECISION, MAP)
"""The metrics that are a mean over customers; coverage is of all lists together."""

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
    width = int(max(ranked.max(initial=NOTHING), relevant.item.max(initial=NOTHING))) + 1
    row = np.repeat(np.arange(len(relevant), dtype=np.int64), np.diff(relevant.indptr))
    wanted = row * width + relevant.item
    listed = np.arange(len(ranked), dtype=np.int64)[:, None] * width + ranked
    if not len(wanted):
        return np.zeros(ranked.shape, dtype=np.bool_)
    place = np.minimum(np.searchsorted(wanted, listed), len(wanted) - 1)
    return np.asarray((wanted[place] == listed) & (ranked != NOTHING))


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
    found = hits(ranked, relevant)
    metrics = {}
    for k in ks:
        top = found[:, :k]
        discount = 1.0 / np.log2(np.arange(2, k + 2, dtype=np.float64))
        ideal = np.cumsum(discount)[np.minimum(relevant.size, k) - 1]
        any_hit = top.any(axis=1)
        first = np.where(any_hit, top.argmax(axis=1) + 1, 1) if top.shape[1] else np.ones(len(top))
        metrics[f"{RECALL}@{k}"] = top.sum(axis=1) / relevant.size
        metrics[f"{NDCG}@{k}"] = (top @ discount[: top.shape[1]]) / ideal
        metrics[f"{HIT_RATE}@{k}"] = any_hit.astype(np.float64)
        metrics[f"{MRR}@{k}"] = any_hit / first
        metrics[f"{PRECISION}@{k}"] = top.sum(axis=1) / k
        so_far = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
        metrics[f"{MAP}@{k}"] = (top * so_far).sum(axis=1) / relevant.size
    return metrics


def coverage(ranked: Ranked, k: int, candidates: int) -> float:
    """The share of the candidates that stand in at least one list's first k places; 0 when there is no candidate."""
    listed = np.unique(ranked[:, :k])
    return float(np.count_nonzero(listed != NOTHING) / candidates) if candidates else 0.0
