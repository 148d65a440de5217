"""Compiled inner loops of `recsys.models.similarity`, in the manner of `kernels`.

Each row is one sparse product over the histories of an item's customers, computed from start to end in a fixed order;
callers give ranges of rows to threads, and the result does not depend on how many there are. What is returned of a
range: the columns and values of its rows one after the other, largest value first (ties: the smaller column), and the
length of each row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from recsys.models.kernels import Floats, Items, Places, Singles

Rows = tuple[Items, Singles, Items]


@njit(nogil=True, cache=True)
def _below(key: float, column: int, other_key: float, other: int) -> bool:  # pragma: no cover - compiled
    """Whether the first entry comes after the second in a list."""
    return key < other_key or (key == other_key and column > other)


@njit(nogil=True, cache=True)
def _sink(key: Singles, column: Items, place: int, size: int) -> None:  # pragma: no cover - compiled
    """Restores the heap (the weakest entry on top) below a place."""
    own_key, own = key[place], column[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _below(key[child + 1], column[child + 1], key[child], column[child]):
            child += 1
        if not _below(key[child], column[child], own_key, own):
            break
        key[place], column[place] = key[child], column[child]
        place = child
    key[place], column[place] = own_key, own


@njit(nogil=True, cache=True)
def offer(key: Singles, column: Items, size: int, value: float, item: int) -> int:  # pragma: no cover - compiled
    """Takes an entry into the heap of the best; returns the heap's size. The arrays are as long as it may become."""
    single = float(np.float32(value))
    if size < len(key):
        place = size
        while place > 0:
            parent = (place - 1) // 2
            if not _below(single, item, key[parent], column[parent]):
                break
            key[place], column[place] = key[parent], column[parent]
            place = parent
        key[place], column[place] = single, item
        return size + 1
    if _below(float(key[0]), column[0], single, item):
        key[0], column[0] = single, item
        _sink(key, column, 0, size)
    return size


@njit(nogil=True, cache=True)
def best_first(key: Singles, column: Items, size: int) -> None:  # pragma: no cover - compiled
    """From a heap to a list."""
    for last in range(size - 1, 0, -1):
        key[0], key[last] = key[last], key[0]
        column[0], column[last] = column[last], column[0]
        _sink(key, column, 0, last)


@njit(nogil=True, cache=True)
def product_rows(
    first: int,
    last: int,
    item_start: Places,
    item_customer: Items,
    item_value: Singles,
    customer_start: Places,
    customer_item: Items,
    customer_value: Singles,
    shrinkage: float,
    least: int,
    kept: int,
) -> Rows:  # pragma: no cover - compiled
    """Rows `first` to `last` of n_ij / (n_ij + shrinkage) · Σ_u left_ui · right_uj.

    `left` are the values by item, `right` those by customer, n_ij the number of common customers. Pairs with fewer than
    `least` of them, the diagonal and what is not above 0 are left out; of each row the `kept` largest stay.
    """
    rows = last - first
    column = np.empty((rows, kept), np.int32)
    value = np.empty((rows, kept), np.float32)
    length = np.zeros(rows, np.int32)
    n_items = len(item_start) - 1
    # Sum and number of customers, side by side: one cache line per visit.
    own = np.zeros((n_items, 2), np.float64)
    seen = np.empty(n_items, np.int32)
    for row in range(rows):
        item = first + row
        count = 0
        for entry in range(item_start[item], item_start[item + 1]):
            customer = item_customer[entry]
            left = item_value[entry]
            for other in range(customer_start[customer], customer_start[customer + 1]):
                neighbour = customer_item[other]
                if own[neighbour, 1] == 0.0:
                    seen[count] = neighbour
                    count += 1
                own[neighbour, 0] += left * customer_value[other]
                own[neighbour, 1] += 1.0
        size = 0
        for place in range(count):
            neighbour = seen[place]
            common = own[neighbour, 1]
            score = own[neighbour, 0]
            own[neighbour, 0] = 0.0
            own[neighbour, 1] = 0.0
            if shrinkage > 0.0:
                score *= common / (common + shrinkage)
            single = np.float32(score)
            # Most pairs are too weak for a full list, which is seen here at once.
            if single > 0.0 and common >= least and neighbour != item and (size < kept or single >= value[row, 0]):
                size = offer(value[row], column[row], size, score, neighbour)
        best_first(value[row], column[row], size)
        length[row] = size
    return packed(column, value, length)


@njit(nogil=True, cache=True)
def expected_rows(
    first: int,
    last: int,
    item_start: Places,
    item_unit: Items,
    unit_start: Places,
    unit_item: Items,
    unit_customer: Items,
    degree_class: Items,
    chance: Floats,
    prior: float,
    balance: float,
    least: int,
    kept: int,
) -> Rows:  # pragma: no cover - compiled
    """Rows `first` to `last` of (N_XY − E_XY) / (E_XY + prior)^balance, where it is above 0.

    Units are histories or baskets, `unit_customer` whose they are, in ascending order. N_XY is the number of units with
    both; E_XY = Σ over the units of X of chance[class of Y, number of the unit's other items]. Pairs with fewer than
    `least` customers are left out; of each row the `kept` largest stay.
    """
    rows = last - first
    column = np.empty((rows, kept), np.int32)
    value = np.empty((rows, kept), np.float32)
    length = np.zeros(rows, np.int32)
    n_items = len(item_start) - 1
    # Number of units, number of customers, the last customer counted.
    own = np.zeros((n_items, 3), np.int32)
    seen = np.empty(n_items, np.int32)
    classes, others_most = chance.shape
    having = np.zeros(others_most, np.int64)
    distinct = np.empty(others_most, np.int64)
    expectation = np.empty(classes, np.float64)
    known_for = np.full(classes, -1, np.int64)
    most = prior**-balance if prior > 0.0 else np.inf
    for row in range(rows):
        item = first + row
        count, sizes = 0, 0
        for entry in range(item_start[item], item_start[item + 1]):
            unit = item_unit[entry]
            customer = unit_customer[unit] + 1
            others = unit_start[unit + 1] - unit_start[unit] - 1
            if having[others] == 0:
                distinct[sizes] = others
                sizes += 1
            having[others] += 1
            for other in range(unit_start[unit], unit_start[unit + 1]):
                neighbour = unit_item[other]
                if own[neighbour, 0] == 0:
                    seen[count] = neighbour
                    count += 1
                own[neighbour, 0] += 1
                if own[neighbour, 2] != customer:
                    own[neighbour, 1] += 1
                    own[neighbour, 2] = customer
        size = 0
        for place in range(count):
            neighbour = seen[place]
            # Even with nothing expected, a weak pair would not come into a full list.
            weak = size == kept and np.float32(own[neighbour, 0] * most) < value[row, 0]
            if own[neighbour, 1] >= least and neighbour != item and not weak:
                kind = degree_class[neighbour]
                if known_for[kind] != item:
                    total = 0.0
                    for at in range(sizes):
                        total += having[distinct[at]] * chance[kind, distinct[at]]
                    expectation[kind], known_for[kind] = total, item
                beyond = own[neighbour, 0] - expectation[kind]
                if beyond > 0.0:
                    score = beyond / (expectation[kind] + prior) ** balance
                    size = offer(value[row], column[row], size, score, neighbour)
            own[neighbour, 0] = 0
            own[neighbour, 1] = 0
            own[neighbour, 2] = 0
        for at in range(sizes):
            having[distinct[at]] = 0
        best_first(value[row], column[row], size)
        length[row] = size
    return packed(column, value, length)


@njit(nogil=True, cache=True)
def packed(column: Items, value: Singles, length: Items) -> Rows:  # pragma: no cover - compiled
    """The rows one after the other, without the room that is left."""
    total = length.sum()
    columns, values = np.empty(total, np.int32), np.empty(total, np.float32)
    start = 0
    for row in range(len(length)):
        for place in range(length[row]):
            columns[start + place] = column[row, place]
            values[start + place] = value[row, place]
        start += length[row]
    return columns, values, length
