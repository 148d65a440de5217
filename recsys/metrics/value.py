"""What hits are worth: revenue, margin, or any other value of what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import Ranked, Relevant, hits

Values = npt.NDArray[np.float64]


def value_per_customer(
    ranked: Ranked, relevant: Relevant, value: Values, whole: Values, ks: Sequence[int], name: str
) -> dict[str, Values]:
    """Per k, the value of the hits as `{name}@k`, in the unit of `value`, and as a share of `whole` as
    `{name}_recall@k`, NaN for customers with a whole of 0: float64, shape (customers,).

    Parameters
    ----------
    value : of each wanted pair of customer and item, shape as `relevant.item`: what the customer spent on it, say.
    whole : of everything that the customer wanted, with what has no position; shape (customers,).

    >>> import numpy as np
    >>> wanted = Relevant(np.array([0, 2]), np.array([0, 3], dtype=np.int32), np.array([2]))
    >>> lists = np.array([[3, 1]], dtype=np.int32)
    >>> value_per_customer(lists, wanted, np.array([5.0, 15.0]), np.array([20.0]), [2], "revenue")
    {'revenue@2': array([15.]), 'revenue_recall@2': array([0.75])}
    """
    width = int(max(ranked.max(initial=0), relevant.item.max(initial=0))) + 1
    row = np.repeat(np.arange(len(relevant), dtype=np.int64), np.diff(relevant.indptr))
    pairs = row * width + relevant.item
    listed = np.arange(len(ranked), dtype=np.int64)[:, None] * width + ranked
    found = hits(ranked, relevant)
    place = np.searchsorted(pairs, listed[found])
    worth = np.zeros(ranked.shape)
    worth[found] = value[place]
    metrics = {}
    for k in ks:
        total = worth[:, :k].sum(axis=1)
        metrics[f"{name}@{k}"] = total
        metrics[f"{name}_recall@{k}"] = np.divide(total, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return metrics
