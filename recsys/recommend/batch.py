"""Many customers' lists at once: what `Recommender.rank` gives for each, in blocks that keep every core busy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.recommend.sources import ALS_SOURCE, ITEM_ITEM, SCORE_DIGITS, SPECTRAL, LowRank

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
    sources = _Sources.of(bundle)
    blocks = [slice(first, min(first + rows, strengths.shape[0])) for first in range(0, strengths.shape[0], rows)]
    ranked = np.full((strengths.shape[0], limit), -1, dtype=np.int32)
    with ThreadPoolExecutor(threads) as pool:
        lists = pool.map(lambda own: _block(sources, strengths[own], masked[own], showable, limit), blocks)
        for own, listed in zip(blocks, lists, strict=True):
            ranked[own] = listed
            if progress:
                progress(own.stop)
    return ranked


@dataclass(frozen=True, slots=True)
class _Dense:
    """A low-rank source made ready for products: what coordinates are worth, and the spread they give.

    `outputs` has shape (factors, items); the mean square of the scores of coordinates c over all items is
    c · second · c.
    """

    model: LowRank
    outputs: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]

    @classmethod
    def of(cls, model: LowRank, items: int) -> _Dense:
        outputs = np.ascontiguousarray(model.outputs(np.arange(items)).T)
        return cls(model, outputs, outputs @ outputs.T / max(1, items))

    def coordinates(self, strengths: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        """Where each row's history lies, divided by the spread of its scores: float64, shape (rows, factors)."""
        own = [slice(strengths.indptr[row], strengths.indptr[row + 1]) for row in range(strengths.shape[0])]
        folded = [self.model.fold_in(strengths.indices[each], strengths.data[each]).sum(axis=0) for each in own]
        coordinates = np.array(folded).reshape(len(own), len(self.second))
        spread = np.sqrt(
            np.maximum(np.einsum("uf,fg,ug->u", coordinates, self.second, coordinates, optimize=True), 0.0)
        )
        scaled = np.divide(coordinates, spread[:, None], out=np.zeros_like(coordinates), where=spread[:, None] > 0)
        return np.asarray(scaled, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Sources:
    """A bundle's sources, made ready once for all blocks."""

    bundle: ModelBundle
    near: sparse.csr_matrix
    low_rank: Mapping[str, _Dense]

    @classmethod
    def of(cls, bundle: ModelBundle) -> _Sources:
        items = len(bundle.items)
        models: dict[str, LowRank] = {ALS_SOURCE: bundle.als, SPECTRAL: bundle.spectral}
        counts = {name for name, weights in bundle.manifest.blend.weights.items() if any(weights)}
        low_rank = {name: _Dense.of(model, items) for name, model in models.items() if name in counts}
        return cls(bundle, bundle.item_item.matrix().astype(np.float64), low_rank)

    def scores(self, strengths: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        """The blended scores of all items for each row: float64, shape (rows, items); 0 for an empty history."""
        lengths = np.diff(strengths.indptr)
        weights = [self.bundle.manifest.blend.of(int(length)) if length else {} for length in lengths]
        total = np.zeros(strengths.shape)
        for name, source in self.low_rank.items():
            weight = np.array([each.get(name, 0.0) for each in weights])
            asked = np.flatnonzero(weight)
            if len(asked):
                total[asked] += (source.coordinates(strengths[asked]) * weight[asked, None]) @ source.outputs
        said = sparse.csr_matrix(strengths.astype(np.float64) @ self.near)
        row = np.repeat(np.arange(len(lengths)), np.diff(said.indptr))
        spread = np.sqrt(np.bincount(row, weights=said.data**2, minlength=len(lengths)) / max(1, strengths.shape[1]))
        weight = np.array([each.get(ITEM_ITEM, 0.0) for each in weights])
        factor = np.divide(weight, spread, out=np.zeros(len(lengths)), where=spread > 0)
        total[row, said.indices] += said.data * factor[row]
        return np.round(total, SCORE_DIGITS, out=total)


def _block(
    sources: _Sources,
    strengths: sparse.csr_matrix,
    masked: sparse.csr_matrix,
    showable: npt.NDArray[np.bool_],
    limit: int,
) -> npt.NDArray[np.int32]:
    from recsys.models.kernels import top_rows

    popularity = sources.bundle.popularity
    scores = sources.scores(strengths)
    scores[:, ~showable] = -np.inf
    scores[np.repeat(np.arange(len(scores)), np.diff(masked.indptr)), masked.indices] = -np.inf
    ranked: npt.NDArray[np.int32] = top_rows(scores, popularity.count, limit)
    short = np.flatnonzero(ranked[:, -1] < 0)
    if len(short):
        filling = np.where(scores[short] == -np.inf, 0.0, popularity.score.astype(np.float64))
        filling[scores[short] > 0] = 0.0
        popular = top_rows(filling, popularity.count, limit)
        for row, more in zip(short, popular, strict=True):
            found = int(np.count_nonzero(ranked[row] >= 0))
            ranked[row, found:] = more[: limit - found]
    return ranked
