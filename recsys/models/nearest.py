"""The most similar rows of a sparse matrix, in bounded memory and time.

The product of a matrix with its own transpose costs the sum over the terms of (items with the term) squared: one term
that a million items have costs 10¹². Here a term is *frequent* when more than `most` items have it. The items of a
frequent term are cut into groups of at most `most`, alike items together, and meet through that term only within their
group; every product then costs at most (stored values) × `most`. Two sets of pairs are nominated per item, the best by
their rare terms and the best within groups; for these what they share through frequent terms is added in full, so every
weight given is the exact inner product. What can be missed are pairs that have little but frequent terms in common, of
which each item has many alike. (Champion lists cut the same cost; see Manning, Raghavan and Schütze, Introduction to
Information Retrieval, section 7.1.3. They would show the same few items to everybody.)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.models.item_item import ItemItem

_PRODUCTS_AT_ONCE = 8_000_000
_ROWS_AT_ONCE = 2_048
_DIGITS = 5

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A matrix made ready.

    Attributes
    ----------
    rare : float32, shape (items, terms); without the frequent terms.
    meeting : float32, shape (items, terms and groups); frequent terms are replaced by one column per group.
    frequent : float32, shape (items, frequent terms).
    group : int32, shape (stored values of `frequent`,); the group of the item in the term.
    rare_transposed, meeting_transposed : turned round.
    """

    rare: sparse.csr_matrix
    meeting: sparse.csr_matrix
    frequent: sparse.csr_matrix
    group: npt.NDArray[np.int32]
    rare_transposed: sparse.csr_matrix
    meeting_transposed: sparse.csr_matrix


def nearest_rows(matrix: sparse.csr_matrix, count: int, floor: float, most: int, threads: int) -> ItemItem:
    """For every row up to `count` other rows with the largest inner product.

    Ties (to five decimals) go to the row that follows next, counting on from the last to the first, so that no row is
    everybody's neighbour by its place.

    Parameters
    ----------
    matrix : float32, shape (items, terms), 0 or above; rows have a norm of at most 1.
    floor : pairs with an inner product below it, or of 0, are left out.
    most : so many items meet through one term at most, see above.
    threads : 1 or more; does not change the result.
    """
    matrix.sort_indices()
    grouped = _grouped(matrix, most)

    def one(block: tuple[int, int]) -> tuple[Ints, Ints, Floats]:
        return _block(grouped, *block, count, floor)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(one, _blocks(grouped)))
    lengths = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, dtype=np.int64)
    indptr = np.zeros(matrix.shape[0] + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    neighbour = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0)
    weight = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0)
    return ItemItem(indptr, neighbour.astype(np.int32), weight.astype(np.float32))


def _grouped(matrix: sparse.csr_matrix, most: int) -> _Grouped:
    items, terms = matrix.shape
    held = np.bincount(matrix.indices, minlength=terms)
    is_frequent = held > most
    chosen = is_frequent[matrix.indices]
    row = np.repeat(np.arange(items), np.diff(matrix.indptr))
    # Frequent terms by number of items, the rarest first: the rarest say most about what an item is like.
    rank = np.full(terms, -1)
    by_size = np.flatnonzero(is_frequent)[np.argsort(held[is_frequent], kind="stable")]
    rank[by_size] = np.arange(len(by_size))
    frequent = sparse.csr_matrix(
        (matrix.data[chosen], (row[chosen], rank[matrix.indices[chosen]])), shape=(items, len(by_size))
    )
    frequent.sort_indices()
    group = _groups(frequent, held[by_size], most)
    groups = -(-held[by_size] // most)
    first_group = terms + np.concatenate([[0], np.cumsum(groups)[:-1]]) if len(by_size) else np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.arange(items), np.diff(frequent.indptr))
    wide = terms + int(groups.sum())
    rare = sparse.csr_matrix((matrix.data[~chosen], (row[~chosen], matrix.indices[~chosen])), shape=(items, wide))
    columns = first_group[frequent.indices] + group
    meeting = sparse.csr_matrix(rare + sparse.csr_matrix((frequent.data, (owner, columns)), shape=(items, wide)))
    for made in (rare, meeting):
        made.sort_indices()
    return _Grouped(rare, meeting, frequent, group, sparse.csr_matrix(rare.T), sparse.csr_matrix(meeting.T))


def _groups(frequent: sparse.csr_matrix, held: Ints, most: int) -> npt.NDArray[np.int32]:
    """The group of each stored value: the items of a term, those with the same rarest frequent terms together."""
    items = frequent.shape[0]
    lengths = np.diff(frequent.indptr)
    profile = np.full((3, items), frequent.shape[1])
    for depth in range(3):
        has = np.flatnonzero(lengths > depth)
        profile[depth, has] = frequent.indices[frequent.indptr[has] + depth]
    place = np.empty(items, dtype=np.int64)
    place[np.lexsort(profile[::-1])] = np.arange(items)
    owner = np.repeat(np.arange(items), lengths)
    order = np.lexsort((place[owner], frequent.indices))
    term = frequent.indices[order]
    within = np.arange(len(order)) - np.searchsorted(term, term)
    groups = -(-held // most)
    group = np.empty(len(order), dtype=np.int32)
    group[order] = within * groups[term] // held[term]
    return group


def _blocks(grouped: _Grouped) -> Iterator[tuple[int, int]]:
    """Rows from and to, so that the products of one block fit in memory."""
    meets = np.diff(grouped.meeting_transposed.indptr)
    cost = np.concatenate([[0], np.cumsum(meets[grouped.meeting.indices], dtype=np.int64)])[grouped.meeting.indptr]
    start, items = 0, grouped.meeting.shape[0]
    while start < items:
        stop = int(np.searchsorted(cost, cost[start] + _PRODUCTS_AT_ONCE, side="right")) - 1
        stop = min(max(stop, start + 1), start + _ROWS_AT_ONCE, items)
        yield start, stop
        start = stop


def _block(grouped: _Grouped, start: int, stop: int, count: int, floor: float) -> tuple[Ints, Ints, Floats]:
    """How many neighbours each row of a block has, the neighbours and their weights, best first."""
    items = grouped.meeting.shape[0]
    row, column, value = _nominated(grouped.rare[start:stop] @ grouped.rare_transposed, start, count)
    if grouped.frequent.nnz:
        value += _frequent_part(grouped, start, stop, row, column, apart=False)
        further = _nominated(grouped.meeting[start:stop] @ grouped.meeting_transposed, start, count)
        within = further[2] + _frequent_part(grouped, start, stop, *further[:2], apart=True)
        row, column = np.concatenate([row, further[0]]), np.concatenate([column, further[1]])
        value = np.concatenate([value, within])
        _, distinct = np.unique(row * items + column, return_index=True)
        row, column, value = row[distinct], column[distinct], value[distinct]
    value = np.round(value, _DIGITS)
    order = np.lexsort(((column - start - row) % items, -value, row))
    row, column, value = row[order], column[order], value[order]
    keep = (np.arange(len(row)) - np.searchsorted(row, row) < count) & (value > 0) & (value >= floor)
    return np.bincount(row[keep], minlength=stop - start), column[keep], value[keep]


def _nominated(product: sparse.csr_matrix, start: int, count: int) -> tuple[Ints, Ints, Floats]:
    """The `count` best pairs of each row of a product, without the item itself: rows from 0, columns, values."""
    product = sparse.csr_matrix(product)
    np.round(product.data, _DIGITS, out=product.data)
    rows, columns, values = [], [], []
    for place in range(product.shape[0]):
        own = slice(product.indptr[place], product.indptr[place + 1])
        column, value = product.indices[own], product.data[own]
        value[column == start + place] = 0.0
        best = _best(value, column, start + place, product.shape[1], count)
        rows.append(np.full(len(best), place))
        columns.append(column[best].astype(np.int64))
        values.append(value[best].astype(np.float64))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)


def _best(
    value: npt.NDArray[np.float32], column: npt.NDArray[np.int32], row: int, items: int, count: int
) -> npt.NDArray[np.intp]:
    """The places of the `count` largest values above 0, ties to the column that follows next; in no order."""
    if len(value) <= count:
        return np.flatnonzero(value > 0)
    least = max(np.partition(value, -count)[-count], np.finfo(np.float32).tiny)
    found = np.flatnonzero(value >= least)
    if len(found) <= count:
        return found
    tied = value[found] == least
    certain, tied = found[~tied], found[tied]
    more = count - len(certain)
    return np.concatenate([certain, tied[np.argpartition((column[tied] - row) % items, more - 1)[:more]]])


def _frequent_part(grouped: _Grouped, start: int, stop: int, row: Ints, column: Ints, *, apart: bool) -> Floats:
    """What each pair shares through frequent terms, or only through those in which the two are `apart` (in different
    groups): shape (pairs,)."""
    frequent = grouped.frequent
    own = slice(frequent.indptr[start], frequent.indptr[stop])
    owner = np.repeat(np.arange(stop - start), np.diff(frequent.indptr[start : stop + 1]))
    weight = np.zeros((stop - start, frequent.shape[1]), dtype=np.float32)
    weight[owner, frequent.indices[own]] = frequent.data[own]
    counts = frequent.indptr[column + 1] - frequent.indptr[column]
    pair = np.repeat(np.arange(len(column)), counts)
    entry = np.arange(len(pair)) - (np.cumsum(counts) - counts)[pair] + frequent.indptr[column][pair]
    at = row[pair] * frequent.shape[1] + frequent.indices[entry]
    shared = weight.ravel()[at].astype(np.float64) * frequent.data[entry]
    if apart:
        group = np.full(weight.size, -1, dtype=np.int32)
        group[owner * frequent.shape[1] + frequent.indices[own]] = grouped.group[own]
        shared[group[at] == grouped.group[entry]] = 0.0
    return np.bincount(pair, weights=shared, minlength=len(column)).astype(np.float64)
