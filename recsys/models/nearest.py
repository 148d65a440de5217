"""The most similar rows of a sparse matrix, in bounded memory and time.

The product of a matrix with its own transpose costs the sum over the terms of (items with the term) squared: one term
that a million items have costs 10¹². Here the items of a term that more than `most` have are cut into groups of at most
`most`, alike items together, and meet through that term only within their group; the products then cost at most
(stored values) × `most`. What a pair shares through such a term in different groups is added afterwards for the pairs
that were found, so every weight given is the exact inner product; what can be missed are pairs that meet through
nothing but frequent terms, of which each item has many alike. (Champion lists cut the same cost; see Manning, Raghavan
and Schütze, Introduction to Information Retrieval, section 7.1.3. They would show the same few items to everybody.)
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
_SPARE = 4
"""So many times the wanted neighbours are found before frequent terms are added for all of them."""
_DIGITS = 5

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A matrix made ready.

    Attributes
    ----------
    meeting : float32, shape (items, terms and groups); frequent terms are replaced by one column per group.
    transposed : `meeting` turned round.
    frequent : float32, shape (items, frequent terms).
    group : int32, shape (stored values of `frequent`,); the group of the item in the term.
    """

    meeting: sparse.csr_matrix
    transposed: sparse.csr_matrix
    frequent: sparse.csr_matrix
    group: npt.NDArray[np.int32]


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
    meeting = sparse.csr_matrix(
        (
            np.concatenate([matrix.data[~chosen], frequent.data]),
            (
                np.concatenate([row[~chosen], owner]),
                np.concatenate([matrix.indices[~chosen], first_group[frequent.indices] + group]),
            ),
        ),
        shape=(items, terms + int(groups.sum())),
    )
    meeting.sort_indices()
    return _Grouped(meeting, sparse.csr_matrix(meeting.T), frequent, group)


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
    meets = np.diff(grouped.transposed.indptr)
    cost = np.concatenate([[0], np.cumsum(meets[grouped.meeting.indices], dtype=np.int64)])[grouped.meeting.indptr]
    start, items = 0, grouped.meeting.shape[0]
    while start < items:
        stop = int(np.searchsorted(cost, cost[start] + _PRODUCTS_AT_ONCE, side="right")) - 1
        stop = min(max(stop, start + 1), start + _ROWS_AT_ONCE, items)
        yield start, stop
        start = stop


def _block(grouped: _Grouped, start: int, stop: int, count: int, floor: float) -> tuple[Ints, Ints, Floats]:
    """How many neighbours each row of a block has, the neighbours and their weights, best first."""
    product = sparse.csr_matrix(grouped.meeting[start:stop] @ grouped.transposed)
    items, spare = grouped.meeting.shape[0], _SPARE if grouped.frequent.nnz else 1
    rows, columns, values = [], [], []
    for place in range(stop - start):
        own = slice(product.indptr[place], product.indptr[place + 1])
        column, value = product.indices[own], product.data[own]
        if not len(column):
            continue
        value = np.where(column == start + place, -1.0, np.round(value.astype(np.float64), _DIGITS))
        best = _best(value, (column - start - place) % items, count * spare, 0.0)
        rows.append(np.full(len(best), place))
        columns.append(column[best].astype(np.int64))
        values.append(value[best])
    if not rows:
        return np.zeros(stop - start, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    if grouped.frequent.nnz:
        value = np.round(value + _apart(grouped, start, stop, row, column), _DIGITS)
    order = np.lexsort(((column - start - row) % items, -value, row))
    row, column, value = row[order], column[order], value[order]
    keep = (np.arange(len(row)) - np.searchsorted(row, row) < count) & (value >= floor)
    return np.bincount(row[keep], minlength=stop - start), column[keep], value[keep]


def _best(value: Floats, distance: Ints, count: int, above: float) -> Ints:
    """The places of the `count` largest values above a bound, ties to the smaller distance, in no order."""
    eligible = np.flatnonzero(value > above)
    if len(eligible) <= count:
        return eligible
    least = np.partition(value[eligible], -count)[-count]
    certain = eligible[value[eligible] > least]
    tied = eligible[value[eligible] == least]
    more = count - len(certain)
    return np.concatenate([certain, tied[np.argpartition(distance[tied], more - 1)[:more]]])


def _apart(grouped: _Grouped, start: int, stop: int, row: Ints, column: Ints) -> Floats:
    """What each pair shares through frequent terms in which the two are in different groups: shape (pairs,)."""
    frequent = grouped.frequent
    own = slice(frequent.indptr[start], frequent.indptr[stop])
    owner = np.repeat(np.arange(stop - start), np.diff(frequent.indptr[start : stop + 1]))
    weight = np.zeros((stop - start, frequent.shape[1]), dtype=np.float32)
    weight[owner, frequent.indices[own]] = frequent.data[own]
    group = np.full(weight.shape, -1, dtype=np.int32)
    group[owner, frequent.indices[own]] = grouped.group[own]
    counts = frequent.indptr[column + 1] - frequent.indptr[column]
    pair = np.repeat(np.arange(len(column)), counts)
    entry = np.arange(len(pair)) - (np.cumsum(counts) - counts)[pair] + frequent.indptr[column][pair]
    term, speaker = frequent.indices[entry], row[pair]
    shared = weight[speaker, term].astype(np.float64) * frequent.data[entry]
    shared[group[speaker, term] == grouped.group[entry]] = 0.0
    return np.bincount(pair, weights=shared, minlength=len(column)).astype(np.float64)
