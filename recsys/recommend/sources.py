"""The sources of a list by name, and a bundle's as the kernel takes them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.models.blend import BlendWeights
from recsys.models.factors import Factors
from recsys.models.item_item import ItemItem
from recsys.models.popularity import Popularity
from recsys.models.spectral import Spectral
from recsys.recommend.kernel import ALS as ALS_PLACE
from recsys.recommend.kernel import SPECTRAL as SPECTRAL_PLACE
from recsys.recommend.kernel import Lists, Sources

ITEM_ITEM = "item_item"
RP3BETA = "rp3beta"
CONTENT = "content"
ALS_SOURCE = "als"
SPECTRAL = "spectral"
REPEAT = "repeat"
POPULAR = "popular"

BY_PLACE = (ITEM_ITEM, RP3BETA, CONTENT, ALS_SOURCE, SPECTRAL, REPEAT, POPULAR)
"""In the order of the kernel's weights."""

FEW = (ITEM_ITEM, RP3BETA, CONTENT, REPEAT)
"""Sources that name few items for a history; without one of them all items are ranked."""


class AllSources:
    """The models of a bundle, ready for the kernel; one that is never asked for is never touched."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle

    def of(self, blend: BlendWeights) -> Sources:
        """Those that count; the others are empty. All that are asked for share their arrays."""
        items = len(self._bundle.items)
        silent, nowhere = _lists(ItemItem.nothing(items)), Spectral.nothing(items).factors()
        return Sources(
            self._item_item if blend.counts(ITEM_ITEM) else silent,
            self._rp3beta if blend.counts(RP3BETA) else silent,
            self._content if blend.counts(CONTENT) else silent,
            self._als if blend.counts(ALS_SOURCE) else nowhere,
            self._spectral if blend.counts(SPECTRAL) else nowhere,
            self.popular,
            np.asarray(self._bundle.popularity.count),
            self.order,
        )

    @cached_property
    def popular(self) -> npt.NDArray[np.float64]:
        """float64, shape (items,); popularity in units of its spread."""
        return in_units_of_spread(self._bundle.popularity.score)

    @cached_property
    def order(self) -> npt.NDArray[np.int32]:
        """As `popular_order`."""
        return popular_order(self._bundle.popularity)

    @cached_property
    def _item_item(self) -> Lists:
        return _lists(self._bundle.item_item)

    @cached_property
    def _rp3beta(self) -> Lists:
        return _lists(self._bundle.rp3beta)

    @cached_property
    def _content(self) -> Lists:
        return _lists(self._bundle.content.neighbours)

    @cached_property
    def _als(self) -> Factors:
        return self._bundle.als.factors()

    @cached_property
    def _spectral(self) -> Factors:
        return self._bundle.spectral.factors()


def sources_of(bundle: ModelBundle, blend: BlendWeights) -> Sources:
    """The models of a bundle that count, ready for the kernel; the others are empty."""
    return AllSources(bundle).of(blend)


def _lists(model: ItemItem) -> Lists:
    """Lists, ready for the kernel."""
    return Lists(np.asarray(model.indptr), np.asarray(model.neighbour), np.asarray(model.weight))


def popular_order(popularity: Popularity) -> npt.NDArray[np.int32]:
    """The items that anybody showed interest in, the most popular first."""
    wanted = np.flatnonzero(popularity.score > 0)
    order = np.lexsort((wanted, -popularity.count[wanted], -popularity.score[wanted]))
    return wanted[order].astype(np.int32)


def weights_by_class(blend: BlendWeights) -> npt.NDArray[np.float64]:
    """The weights of the sources as the kernel takes them, per class of history length: shape (classes, 7)."""
    classes = len(blend.lengths) + 1
    return np.array([blend.weights.get(name, (0.0,) * classes) for name in BY_PLACE], dtype=np.float64).T.copy()


def given_scores(
    asked: tuple[Sources, npt.NDArray[np.float64], npt.NDArray[np.int32], npt.NDArray[np.float32]],
) -> npt.NDArray[np.float32]:
    """What low-rank sources add to all items for a history, weighed, where no other source counts: float32, shape
    (items,).

    Parameters
    ----------
    asked : the sources, their weights, and a history's items and strengths.
    """
    sources, weights, items, strengths = asked
    matrix = sparse.csr_matrix(
        (strengths, items, np.array([0, len(items)])), shape=(1, len(sources.popular)), dtype=np.float32
    )
    found: npt.NDArray[np.float32] = low_rank_scores(sources, weights, matrix)[0]
    return found


def low_rank_scores(
    sources: Sources, weights: npt.NDArray[np.float64], strengths: sparse.csr_matrix
) -> npt.NDArray[np.float32]:
    """What low-rank sources add to all items for many histories, weighed: float32, shape as `strengths`.

    `weights` has shape (7,), or (n, 7) where each history has its own.
    """
    total = np.zeros(strengths.shape, dtype=np.float32)
    for place, factors in ((ALS_PLACE, sources.als), (SPECTRAL_PLACE, sources.spectral)):
        weight = np.broadcast_to(weights[..., place], (strengths.shape[0],)).astype(np.float32)
        if weight.any() and factors.rows.shape[1]:
            total += factors.scores(factors.in_units_of_spread(strengths) * weight[:, None])
    return total


def in_units_of_spread(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scores of all items divided by their root mean square; zeros stay."""
    wide = scores.astype(np.float64)
    scale = float(np.sqrt(np.mean(wide * wide))) if len(wide) else 0.0
    return wide / scale if scale > 0 else wide
