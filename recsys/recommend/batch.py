"""Many customers' lists at once: what `Recommender.rank` gives for each, by the same kernel, on every core."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.bundle.bundle import ModelBundle
from recsys.data.history import HISTORY_LIMIT
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.models.blend import BlendWeights
from recsys.models.occasions import occasions_of, purchase_rows
from recsys.models.repeat import bought_by
from recsys.recommend.kernel import ListedRows, Rows, Workspace, flattened, list_rows
from recsys.recommend.placement import Placement
from recsys.recommend.sources import BY_PLACE, FEW, REPEAT, low_rank_scores, sources_of, weights_by_class

AT_ONCE = 256
"""Customers of a block, at most."""

CELLS = 8_000_000
"""Where all items are ranked, a block has so many scores at most: bounds the memory a thread uses."""


class Histories(NamedTuple):
    """What many customers' lists are made from; rows are customers, columns the bundle's items.

    Attributes
    ----------
    strengths : float32, shape (n, items); each customer's tastes, faded, stored where above 0.
    masked : shape (n, items); stored where an item must not be in the customer's list.
    repeats : float64, shape (n, items); how likely each customer is to buy again what they have, as
        `repeat_probabilities` gives it. None where what they have is masked anyway.
    """

    strengths: sparse.csr_matrix
    masked: sparse.csr_matrix
    repeats: sparse.csr_matrix | None = None

    @classmethod
    def of(
        cls,
        bundle: ModelBundle,
        placement: Placement,
        interactions: Interactions,
        row: npt.NDArray[np.int32],
        now: int,
    ) -> Self:
        """Of customers at these positions of a history over the bundle's items; `UNKNOWN` is somebody without one.

        Taste is read from the newest events, as the service does, masks from all; `now` in milliseconds UTC.
        """
        items, customers = len(bundle.items), len(interactions.customers)
        place = np.where(row == UNKNOWN, customers, row)
        masking = np.isin(interactions.kind, [kind.code for kind in placement.mask_kinds])
        pairs = (np.ones(int(masking.sum()), dtype=np.bool_), (interactions.row[masking], interactions.item[masking]))
        seen = sparse.csr_matrix(pairs, shape=(customers, items))
        newest = interactions.newest(HISTORY_LIMIT)
        strengths = newest.strengths(bundle.manifest.event_weights)
        repeats = None
        if placement.blend(bundle.manifest.blend).counts(REPEAT) and placement.repeats(bundle.repeat.kinds):
            repeats = _with_nobody(repeat_probabilities(bundle, newest, now))[place]
        return cls(_with_nobody(strengths)[place], _with_nobody(seen)[place], repeats)


def _with_nobody(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The rows and an empty one."""
    indptr = np.append(matrix.indptr, matrix.indptr[-1:])
    return sparse.csr_matrix((matrix.data, matrix.indices, indptr), shape=(matrix.shape[0] + 1, matrix.shape[1]))


def rank_many(
    bundle: ModelBundle,
    histories: Histories,
    showable: npt.NDArray[np.bool_],
    limit: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
    blend: BlendWeights | None = None,
    *,
    explained: bool = False,
) -> ListedRows:
    """Each customer's list; the places in `named` are in the rows of `Histories.strengths`.

    Parameters
    ----------
    showable : bool, shape (items,).
    limit : the length of the lists, where there is so much to show.
    threads : 1 or more; does not change the result.
    progress : called with the number of customers done.
    blend : the placement's; the bundle's own by default.
    explained : whether reasons are wanted.
    """
    strengths, masked, repeats = histories
    blend = blend or bundle.manifest.blend
    sources, lengths = sources_of(bundle, blend), np.diff(strengths.indptr)
    flat, nobody = flattened(sources), np.zeros(0, dtype=np.int32)
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
    lists = ListedRows.of(len(lengths), limit, explained=explained)

    def block(own: slice) -> None:
        given = np.zeros((own.stop - own.start, 0), dtype=np.float32)
        if dense[own].any():
            given = low_rank_scores(sources, np.where(dense[own, None], weights[own], 0.0), strengths[own])
        tastes, hidden, repeated = strengths[own], masked[own], again[own]
        rows = Rows(
            weights[own], _starts(tastes), tastes.indices, tastes.data, _starts(repeated), repeated.indices,
            repeated.data, given, dense[own], showable, _starts(hidden), hidden.indices, nobody, filled=True,
        )  # fmt: skip
        list_rows(flat, Workspace.of(len(bundle.items)), rows, lists.part(own))

    # Blocks run side by side; BLAS must not multiply their threads.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for own, _ in zip(blocks, pool.map(block, blocks), strict=True):
            if progress:
                progress(own.stop)
    return lists


def _starts(matrix: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    return np.asarray(matrix.indptr, dtype=np.int64)


def repeat_probabilities(bundle: ModelBundle, interactions: Interactions, now: int) -> sparse.csr_matrix:
    """How likely each customer is to buy again what they have: float64, shape (customers, items).

    `interactions` are over the bundle's items; `now` as in `Repeat.bought`.
    """
    repeat = bundle.repeat
    row, had = bought_by(occasions_of(purchase_rows(interactions), repeat.clock, repeat.kinds), repeat.clock, now)
    shape = (len(interactions.customers), len(bundle.items))
    return sparse.csr_matrix((repeat.score(had, repeat.window), (row, had.item)), shape=shape)
