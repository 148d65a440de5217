"""Many customers' lists at once: what `Recommender.rank` gives for each, by the same kernel, on every core."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.data.interactions import Interactions
from recsys.models.blend import BlendWeights
from recsys.models.kernels import Floats, Items, Places, Singles
from recsys.models.occasions import occasions_of, purchase_rows
from recsys.models.repeat import bought_by
from recsys.recommend.kernel import Flags, Sources, Workspace, hide, listed, unhide
from recsys.recommend.sources import BY_PLACE, FEW, REPEAT, low_rank_scores, sources_of, weights_by_class

AT_ONCE = 256
"""Customers of a block, at most."""

CELLS = 8_000_000
"""Where all items are ranked, a block has so many scores at most: bounds the memory a thread uses."""


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
    blend = blend or bundle.manifest.blend
    sources, lengths = sources_of(bundle, blend), np.diff(strengths.indptr)
    weights = weights_by_class(blend)[np.searchsorted(blend.lengths, lengths, side="right")]
    few = [BY_PLACE.index(name) for name in FEW if name != REPEAT or repeats is not None]
    # With another source for one length of history and none for another, each is ranked as `Recommender` does.
    dense = ~(weights[:, few] > 0).any(axis=1) & (lengths > 0)
    # What was bought and carries no taste does not come back.
    again = sparse.csr_matrix(strengths.shape)
    if repeats is not None:
        again = sparse.csr_matrix(repeats.multiply(strengths > 0))
    rows = max(1, min(AT_ONCE, CELLS // max(1, len(bundle.items)))) if dense.any() else AT_ONCE
    blocks = [slice(first, min(first + rows, len(lengths))) for first in range(0, len(lengths), rows)]
    ranked = np.full((len(lengths), limit), -1, dtype=np.int32)

    def block(own: slice) -> None:
        given = np.zeros((own.stop - own.start, 0), dtype=np.float32)
        if dense[own].any():
            given = low_rank_scores(sources, np.where(dense[own, None], weights[own], 0.0), strengths[own])
        work = Workspace.of(len(bundle.items))
        tastes, hidden, repeated = strengths[own], masked[own], again[own]
        _listed_rows(
            sources, weights[own], _starts(tastes), tastes.indices, tastes.data, _starts(hidden), hidden.indices,
            _starts(repeated), repeated.indices, repeated.data, given, dense[own], showable, work, ranked[own],
        )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        for own, _ in zip(blocks, pool.map(block, blocks), strict=True):
            if progress:
                progress(own.stop)
    return ranked


def _starts(matrix: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    return np.asarray(matrix.indptr, dtype=np.int64)


@njit(nogil=True, cache=True)
def _listed_rows(
    sources: Sources,
    weights: Floats,
    start: Places,
    items: Items,
    strengths: Singles,
    masked_start: Places,
    masked: Items,
    again_start: Places,
    again: Items,
    probability: Floats,
    given: Singles,
    dense: Flags,
    showable: Flags,
    work: Workspace,
    ranked: Items,
) -> None:  # pragma: no cover - compiled
    """Fills the rows of `ranked` with the lists of as many customers."""
    for row in range(len(ranked)):
        hidden = masked[masked_start[row] : masked_start[row + 1]]
        own, repeated = slice(start[row], start[row + 1]), slice(again_start[row], again_start[row + 1])
        scores = given[row] if dense[row] else given[row, :0]
        hide(hidden, showable, work)
        found = listed(
            sources, weights[row], items[own], strengths[own], again[repeated], probability[repeated], scores, showable,
            ranked.shape[1], True, False, work,
        )  # fmt: skip
        unhide(hidden, work)
        ranked[row, : len(found.item)] = found.item


def repeat_probabilities(bundle: ModelBundle, interactions: Interactions, now: int) -> sparse.csr_matrix:
    """How likely each customer is to buy again what they have: float64, shape (customers, items).

    `interactions` are over the bundle's items; `now` as in `Repeat.bought`.
    """
    repeat = bundle.repeat
    row, had = bought_by(occasions_of(purchase_rows(interactions), repeat.clock, repeat.kinds), repeat.clock, now)
    shape = (len(interactions.customers), len(bundle.items))
    return sparse.csr_matrix((repeat.score(had, repeat.window), (row, had.item)), shape=shape)
