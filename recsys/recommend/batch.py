"""Many customers' lists at once: what `Recommender.rank` gives for each, in blocks that keep every core busy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.recommend.sources import ALS_SOURCE, ITEM_ITEM, SCORE_DIGITS, SPECTRAL

CELLS = 8_000_000
"""A block has so many scores at most; bounds the memory a thread uses (8 bytes each, a few times over)."""


def rank_many(
    bundle: ModelBundle,
    strengths: sparse.csr_matrix,
    masked: sparse.csr_matrix,
    showable: npt.NDArray[np.bool_],
    limit: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.int32]:
    """The positions of each customer's list, best first: int32, shape (n, limit), -1 where a list is short.

    The same as asking `Recommender.rank` for each customer: sums are taken in another order, and scores are rounded.

    Parameters
    ----------
    strengths : float32, shape (n, items); each customer's tastes, faded, stored where above 0.
    masked : shape (n, items); stored where an item must not be in the customer's list.
    showable : bool, shape (items,).
    threads : 1 or more; does not change the result.
    progress : called with the number of customers done.
    """
    rows = max(1, CELLS // max(1, len(bundle.items)))
    matrix = bundle.item_item.matrix().astype(np.float64)
    blocks = [slice(first, min(first + rows, strengths.shape[0])) for first in range(0, strengths.shape[0], rows)]
    ranked = np.full((strengths.shape[0], limit), -1, dtype=np.int32)
    with ThreadPoolExecutor(threads) as pool:
        lists = pool.map(lambda own: _block(bundle, matrix, strengths[own], masked[own], showable, limit), blocks)
        for own, listed in zip(blocks, lists, strict=True):
            ranked[own] = listed
            if progress:
                progress(own.stop)
    return ranked


def _block(
    bundle: ModelBundle,
    matrix: sparse.csr_matrix,
    strengths: sparse.csr_matrix,
    masked: sparse.csr_matrix,
    showable: npt.NDArray[np.bool_],
    limit: int,
) -> npt.NDArray[np.int32]:
    from recsys.models.kernels import top_rows

    count = bundle.popularity.count
    scores = _scores(bundle, matrix, strengths)
    closed = np.zeros(scores.shape, dtype=np.bool_)
    closed[:, ~showable] = True
    closed[np.repeat(np.arange(len(scores)), np.diff(masked.indptr)), masked.indices] = True
    scores[closed | (scores <= 0)] = -np.inf
    ranked: npt.NDArray[np.int32] = top_rows(scores, count, limit)
    short = np.flatnonzero(ranked[:, -1] < 0)
    if len(short):
        filling = np.broadcast_to(bundle.popularity.score.astype(np.float64), (len(short), len(showable))).copy()
        filling[closed[short] | (scores[short] > -np.inf) | (filling <= 0)] = -np.inf
        popular = top_rows(filling, count, limit)
        for row, more in zip(short, popular, strict=True):
            found = int(np.count_nonzero(ranked[row] >= 0))
            ranked[row, found:] = more[: limit - found]
    return ranked


def _scores(bundle: ModelBundle, matrix: sparse.csr_matrix, strengths: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """The blended scores of all items for each row: float64, shape (rows, items); 0 for an empty history."""
    lengths = np.diff(strengths.indptr)
    weights = [bundle.manifest.blend.of(int(length)) if length else {} for length in lengths]
    total = np.zeros(strengths.shape)
    wide = strengths.astype(np.float64)
    for name in (ITEM_ITEM, ALS_SOURCE, SPECTRAL):
        weight = np.array([each.get(name, 0.0) for each in weights])
        asked = np.flatnonzero(weight)
        if not len(asked):
            continue
        said = (wide[asked] @ matrix).toarray() if name == ITEM_ITEM else _low_rank(bundle, name, strengths[asked])
        spread = np.sqrt(np.mean(said * said, axis=1))
        factor = np.divide(weight[asked], spread, out=np.zeros(len(asked)), where=spread > 0)
        total[asked] += said * factor[:, None]
    return np.round(total, SCORE_DIGITS)


def _low_rank(bundle: ModelBundle, name: str, strengths: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """The scores of a low-rank source: every row folds in by itself, then one product serves all."""
    model = bundle.als if name == ALS_SOURCE else bundle.spectral
    rows = [slice(strengths.indptr[row], strengths.indptr[row + 1]) for row in range(strengths.shape[0])]
    coordinates = [model.fold_in(strengths.indices[own], strengths.data[own]).sum(axis=0) for own in rows]
    return model.scores(np.array(coordinates).T).T
