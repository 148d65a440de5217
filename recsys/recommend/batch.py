"""Many customers' lists at once: what `Recommender.rank` gives for each, in blocks that keep every core busy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.data.interactions import Interactions
from recsys.models.blend import BlendWeights
from recsys.models.item_item import ItemItem
from recsys.models.occasions import occasions_of, purchase_rows
from recsys.models.popularity import Popularity
from recsys.models.repeat import bought_by
from recsys.recommend.sources import (
    ALS_SOURCE,
    CONTENT,
    ITEM_ITEM,
    POPULAR,
    REPEAT,
    RP3BETA,
    SCORE_DIGITS,
    SPECTRAL,
    LowRank,
    in_units_of_spread,
)

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
    repeats: sparse.csr_matrix | None = None,
    blend: BlendWeights | None = None,
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
    repeats : float64, shape (n, items); how likely each customer is to buy again what they have, as
        `repeat_probabilities` gives it. None where what they have is masked anyway.
    blend : the placement's; the bundle's own by default.
    """
    rows = max(1, CELLS // max(1, len(bundle.items)))
    sources = BlendScores.of(bundle, blend or bundle.manifest.blend)
    blocks = [slice(first, min(first + rows, strengths.shape[0])) for first in range(0, strengths.shape[0], rows)]
    ranked = np.full((strengths.shape[0], limit), -1, dtype=np.int32)
    with ThreadPoolExecutor(threads) as pool:
        again = [None if repeats is None else repeats[own] for own in blocks]
        lists = pool.map(
            lambda own, repeat: _block(
                sources, bundle.popularity, strengths[own], repeat, masked[own], showable, limit
            ),
            blocks,
            again,
        )
        for own, listed in zip(blocks, lists, strict=True):
            ranked[own] = listed
            if progress:
                progress(own.stop)
    return ranked


@dataclass(frozen=True, slots=True)
class _LowRankSource:
    """A low-rank source made ready for products: which rows of the stacked outputs are its own, and the spread of its
    scores: the mean square over all items of the scores of coordinates c is c · second · c."""

    model: LowRank
    own: slice
    second: npt.NDArray[np.float64]

    def coordinates(self, strengths: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        """Where each row's history lies, divided by the spread of its scores: float64, shape (rows, factors)."""
        rows = [slice(strengths.indptr[row], strengths.indptr[row + 1]) for row in range(strengths.shape[0])]
        folded = [self.model.coordinates(strengths.indices[each], strengths.data[each]) for each in rows]
        coordinates = np.array(folded).reshape(len(rows), len(self.second))
        square = np.einsum("uf,uf->u", coordinates @ self.second, coordinates)
        spread = np.sqrt(np.maximum(square, 0.0))
        scaled = np.divide(coordinates, spread[:, None], out=np.zeros_like(coordinates), where=spread[:, None] > 0)
        return np.asarray(scaled, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class BlendScores:
    """A bundle's sources that count for anybody, made ready once for all blocks.

    Attributes
    ----------
    outputs : float32, shape (factors of all low-rank sources, items); what a coordinate is worth for each item.
    popular : float64, shape (items,); popularity in units of its spread.
    """

    blend: BlendWeights
    near: Mapping[str, sparse.csr_matrix]
    low_rank: Mapping[str, _LowRankSource]
    outputs: npt.NDArray[np.float32]
    popular: npt.NDArray[np.float64]

    @classmethod
    def of(cls, bundle: ModelBundle, blend: BlendWeights) -> BlendScores:
        items = len(bundle.items)
        near: dict[str, ItemItem] = {
            ITEM_ITEM: bundle.item_item,
            RP3BETA: bundle.rp3beta,
            CONTENT: bundle.content.neighbours,
        }
        models: dict[str, LowRank] = {ALS_SOURCE: bundle.als, SPECTRAL: bundle.spectral}
        low_rank, parts, first = {}, [np.zeros((0, items), dtype=np.float32)], 0
        for name, model in models.items():
            if blend.counts(name):
                outputs = model.outputs(np.arange(items)).T
                own = slice(first, first + len(outputs))
                low_rank[name] = _LowRankSource(model, own, outputs @ outputs.T / max(1, items))
                parts.append(outputs.astype(np.float32))
                first = own.stop
        return cls(
            blend,
            {name: model.matrix().astype(np.float64) for name, model in near.items() if blend.counts(name)},
            low_rank,
            np.concatenate(parts),
            in_units_of_spread(bundle.popularity.score),
        )

    def personal(self, strengths: sparse.csr_matrix, repeats: sparse.csr_matrix | None) -> npt.NDArray[np.float64]:
        """What histories say of all items, not rounded: float64, shape (rows, items); 0 for an empty history.

        As for one customer, products of factors are in single precision, sums in double.
        """
        lengths = np.diff(strengths.indptr)
        coordinates = np.zeros((strengths.shape[0], len(self.outputs)), dtype=np.float32)
        for name, source in self.low_rank.items():
            weight = self.blend.weight(name, lengths)
            asked = np.flatnonzero(weight)
            coordinates[asked, source.own] = source.coordinates(strengths[asked]) * weight[asked, None]
        total = (coordinates @ self.outputs).astype(np.float64)
        for name, near in self.near.items():
            said = sparse.csr_matrix(strengths.astype(np.float64) @ near)
            spread = _spread(said)
            weight = self.blend.weight(name, lengths)
            _add(total, said, np.divide(weight, spread, where=spread > 0, out=np.zeros(len(spread))))
        if repeats is not None:
            # What was bought and carries no taste does not come back.
            _add(total, sparse.csr_matrix(repeats.multiply(strengths > 0)), self.blend.weight(REPEAT, lengths))
        return total


def _spread(said: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """The root mean square of each row over all items."""
    row = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
    return np.asarray(np.sqrt(np.bincount(row, weights=said.data**2, minlength=said.shape[0]) / max(1, said.shape[1])))


def _add(total: npt.NDArray[np.float64], said: sparse.csr_matrix, factor: npt.NDArray[np.float64]) -> None:
    """Adds factor · said to each row, in place."""
    row = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
    total[row, said.indices] += said.data * factor[row]


def _block(
    sources: BlendScores,
    popularity: Popularity,
    strengths: sparse.csr_matrix,
    repeats: sparse.csr_matrix | None,
    masked: sparse.csr_matrix,
    showable: npt.NDArray[np.bool_],
    limit: int,
) -> npt.NDArray[np.int32]:
    from recsys.models.ranking_kernels import blended_rows, top_rows

    scores = sources.personal(strengths, repeats)
    if not showable.all():
        scores[:, ~showable] = -np.inf
    scores[np.repeat(np.arange(len(scores)), np.diff(masked.indptr)), masked.indices] = -np.inf
    common = sources.blend.weight(POPULAR, np.diff(strengths.indptr))
    ranked: npt.NDArray[np.int32] = blended_rows(
        scores, sources.popular, common, 10.0**SCORE_DIGITS, popularity.count, limit
    )
    short = np.flatnonzero(ranked[:, -1] < 0)
    if len(short):
        filling = np.where(scores[short] == -np.inf, 0.0, popularity.score.astype(np.float64))
        filling[np.round(scores[short], SCORE_DIGITS) > 0] = 0.0
        popular = top_rows(filling, popularity.count, limit)
        for row, more in zip(short, popular, strict=True):
            found = int(np.count_nonzero(ranked[row] >= 0))
            ranked[row, found:] = more[: limit - found]
    return ranked


def repeat_probabilities(bundle: ModelBundle, interactions: Interactions, now: int) -> sparse.csr_matrix:
    """How likely each customer is to buy again what they have: float64, shape (customers, items).

    `interactions` are over the bundle's items; `now` as in `Repeat.bought`.
    """
    repeat = bundle.repeat
    row, had = bought_by(occasions_of(purchase_rows(interactions), repeat.clock, repeat.kinds), repeat.clock, now)
    shape = (len(interactions.customers), len(bundle.items))
    return sparse.csr_matrix((repeat.score(had, repeat.window), (row, had.item)), shape=shape)
