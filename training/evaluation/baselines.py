"""What a good engine has to beat: popular items, what a customer had most, and BM25 item-item.

Each function gives lists as `Ranked`, of the customers of a `HeldOut`; equal scores go to the item with more events in
training, then to the smaller id. A list that the data cannot fill stays short.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.interactions import Interactions
from recsys.data.signals import UNKNOWN_TIME
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NOTHING, Ranked
from training.evaluation.held_out import HeldOut, rows_of

RECENT_DAYS = 7
BM25_NEIGHBOURS, BM25_K1, BM25_B = 100, 1.2, 0.75
_MS_PER_DAY = 86_400_000
_ROWS_AT_ONCE = 2_000

Order = npt.NDArray[np.int32]
"""Item positions, best first; items with nothing for them are not in it."""


class NotAllowed(Exception):  # noqa: N818 - it is an answer, not a failure
    """The data does not allow a model; the message is the cause."""


def target_counts(held_out: HeldOut, since: int | None = None) -> sparse.csr_matrix:
    """How many target events (from `since` on, milliseconds UTC) each customer of the training has on each item.

    int64, shape (training customers, items).
    """
    training = held_out.training
    chosen = np.isin(training.kind, [kind.code for kind in held_out.rules.target])
    if since is not None:
        chosen &= training.timestamp >= since
    row, item = training.row[chosen], training.item[chosen]
    shape = (len(training.customers), len(training.items))
    return sparse.csr_matrix((np.ones(len(row), dtype=np.int64), (row, item)), shape=shape)


def popular_order(held_out: HeldOut) -> Order:
    """Items by the number of distinct customers with a target event; NotAllowed when models see no such event."""
    order = _shown(_by_customers(target_counts(held_out), held_out.training), held_out)
    if not len(order):
        raise NotAllowed("models see no event of the kinds to predict")
    return order


def recent_order(held_out: HeldOut) -> Order:
    """As `popular_order`, of the last `RECENT_DAYS` before the cut, or before the end of training where customers have
    their own cuts. NotAllowed when times are unknown or nothing happened in those days."""
    if held_out.until is None or np.any(held_out.training.timestamp == UNKNOWN_TIME):
        raise NotAllowed("times are unknown")
    since = held_out.until - RECENT_DAYS * _MS_PER_DAY
    order = _shown(_by_customers(target_counts(held_out, since), held_out.training), held_out)
    if not len(order):
        raise NotAllowed(f"no event of the kinds to predict in the last {RECENT_DAYS} days of training")
    return order


def first_of_order(order: Order, masked: sparse.csr_matrix, limit: int) -> Ranked:
    """For each row of `masked` (bool, shape (n, items)) the first `limit` items of an order that are not in it."""
    place = np.full(masked.shape[1], len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    ranked = np.full((masked.shape[0], limit), NOTHING, dtype=np.int32)
    for start in range(0, masked.shape[0], _ROWS_AT_ONCE):
        block = masked[start : start + _ROWS_AT_ONCE]
        lengths = np.diff(block.indptr)
        # Among the first limit + m items of the order, a row that masks at most m of them has its limit.
        width = min(len(order), limit + int(lengths.max(initial=0)))
        free = np.ones((block.shape[0], width), dtype=np.bool_)
        row, column = np.repeat(np.arange(block.shape[0]), lengths), place[block.indices]
        free[row[column < width], column[column < width]] = False
        rank = np.cumsum(free, axis=1) - 1
        row, column = np.nonzero(free & (rank < limit))
        ranked[start + row, rank[row, column]] = order[column]
    return ranked


def best_of_scores(scores: sparse.csr_matrix, count: npt.NDArray[np.int64], limit: int) -> Ranked:
    """The `limit` items of the largest stored scores above 0 of each row; `count` (per item) decides between equals."""
    row = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    kept = scores.data >= np.maximum(_last_places(scores, limit), np.finfo(np.float64).tiny)[row]
    row, item, score = row[kept], scores.indices[kept], scores.data[kept]
    by_score = np.lexsort((item, -count[item], -score, row))
    row, item = row[by_score], item[by_score]
    rank = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    inside = rank < limit
    ranked = np.full((scores.shape[0], limit), NOTHING, dtype=np.int32)
    ranked[row[inside], rank[inside]] = item[inside]
    return ranked


def _last_places(scores: sparse.csr_matrix, limit: int) -> npt.NDArray[np.float64]:
    """Per row, the score of place `limit`; everything below it, and nothing that ties with it, is out of the list."""
    last = np.full(scores.shape[0], -np.inf)
    for row in np.flatnonzero(np.diff(scores.indptr) > limit):
        own = scores.data[scores.indptr[row] : scores.indptr[row + 1]]
        last[row] = np.partition(own, -limit)[-limit]
    return last


def filled(ranked: Ranked, order: Order, masked: sparse.csr_matrix) -> Ranked:
    """The lists, filled up with the first items of an order that are neither listed nor masked."""
    listed = ranked != NOTHING
    row = np.nonzero(listed)[0]
    own = sparse.csr_matrix((np.ones(len(row), dtype=np.bool_), (row, ranked[listed])), shape=masked.shape)
    filling = first_of_order(order, sparse.csr_matrix(masked + own), ranked.shape[1])
    place = np.arange(ranked.shape[1]) - listed.sum(axis=1, keepdims=True)
    further = np.take_along_axis(filling, np.maximum(place, 0), axis=1)
    return np.where(listed, ranked, further).astype(np.int32)


def personal_top(held_out: HeldOut, order: Order, limit: int) -> Ranked:
    """Each customer's own items by the number of target events, then the first of the order."""
    own = _without(rows_of(target_counts(held_out), held_out.row), held_out.masked, held_out.showable)
    return filled(best_of_scores(own, _events(held_out.training), limit), order, held_out.masked)


def bm25_neighbours(strengths: sparse.csr_matrix, threads: int) -> sparse.csr_matrix:
    """The hundred nearest items of each, itself among them, by BM25 weights: shape (items, items); by `implicit`."""
    from implicit.nearest_neighbours import all_pairs_knn, bm25_weight

    # As implicit's BM25Recommender does: its documents are items, its terms are customers.
    weighted = sparse.csr_matrix(bm25_weight(strengths.T, BM25_K1, BM25_B).T)
    return sparse.csr_matrix(all_pairs_knn(weighted, BM25_NEIGHBOURS, num_threads=threads, show_progress=False))


def bm25(
    held_out: HeldOut, strengths: sparse.csr_matrix, neighbours: sparse.csr_matrix, order: Order, limit: int
) -> Ranked:
    """Item-item with BM25 weights, from the strengths of taste that the other models see, shape (training customers,
    items), and the neighbours that `bm25_neighbours` finds in them. Customers absent from training get the order."""
    count = _events(held_out.training)
    blocks = []
    for start in range(0, len(held_out.row), _ROWS_AT_ONCE):
        own = slice(start, start + _ROWS_AT_ONCE)
        scores = rows_of(strengths, held_out.row[own]).astype(np.float64) @ neighbours
        allowed = _without(scores, held_out.masked[own], held_out.showable)
        blocks.append(best_of_scores(allowed, count, limit))
    ranked = np.concatenate(blocks)
    absent = held_out.row == UNKNOWN
    ranked[absent] = first_of_order(order, held_out.masked[absent], limit)
    return ranked


def _by_customers(counts: sparse.csr_matrix, training: Interactions) -> Order:
    customers = np.bincount(counts.indices, minlength=counts.shape[1])
    order = np.lexsort((-_events(training), -customers))
    return order[customers[order] > 0].astype(np.int32)


def _events(training: Interactions) -> npt.NDArray[np.int64]:
    """How many events each item has in training, of every kind."""
    return np.bincount(training.item, minlength=len(training.items)).astype(np.int64)


def _shown(order: Order, held_out: HeldOut) -> Order:
    """The order without what cannot be shown."""
    return order if held_out.showable is None else order[held_out.showable[order]]


def _without(
    scores: sparse.csr_matrix, masked: sparse.csr_matrix, showable: npt.NDArray[np.bool_] | None
) -> sparse.csr_matrix:
    """The scores with those of masked items, and of items that cannot be shown, at 0."""
    allowed = sparse.csr_matrix(scores - scores.multiply(masked))
    return allowed if showable is None else sparse.csr_matrix(allowed @ sparse.diags_array(showable.astype(np.float64)))
