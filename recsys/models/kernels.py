"""Compiled inner loops of `recsys.models.item_item`. Plain arrays in, plain arrays out.

What the arrays mean is told by the modules that call the kernels. Every kernel works on a range of rows, lets go of the
interpreter's lock, and computes each row from start to end in a fixed order: callers give ranges to threads, and the
result does not depend on how many there are. Compiled code is kept on disk by numba, so that only the first use on a
machine pays for compiling.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]

PIVOT_FLOOR = 0.01


@njit(nogil=True, cache=True)
def largest_forward(key: Floats, column: Items, size: int, count: int) -> int:  # pragma: no cover - compiled
    """Rearranges both arrays so that the `count` largest keys come first, in no order.

    Ties at the border go to smaller columns. Returns how many there are. Hoare's selection, written out: NumPy's own
    partition and sort cost several seconds of compiling.
    """
    if size > count > 0:
        low, high = 0, size - 1
        while low < high:
            middle = (low + high) // 2
            pivot_key, pivot_column = key[middle], column[middle]
            left, right = low, high
            while left <= right:
                while key[left] > pivot_key or (key[left] == pivot_key and column[left] < pivot_column):
                    left += 1
                while key[right] < pivot_key or (key[right] == pivot_key and column[right] > pivot_column):
                    right -= 1
                if left <= right:
                    key[left], key[right] = key[right], key[left]
                    column[left], column[right] = column[right], column[left]
                    left += 1
                    right -= 1
            if count - 1 <= right:
                high = right
            elif count - 1 >= left:
                low = left
            else:
                break
    return min(size, count)


@njit(nogil=True, cache=True)
def bring_largest_forward(key: Floats, column: Items, size: int, count: int) -> int:  # pragma: no cover - compiled
    """As `largest_forward`, those that are kept in ascending order of their columns."""
    kept = largest_forward(key, column, size, count)
    for place in range(1, kept):
        own_key, own_column = key[place], column[place]
        at = place - 1
        while at >= 0 and column[at] > own_column:
            key[at + 1], column[at + 1] = key[at], column[at]
            at -= 1
        key[at + 1], column[at + 1] = own_key, own_column
    return kept


@njit(nogil=True, cache=True)
def gram_rows(
    first: int,
    last: int,
    by_item_start: Places,
    by_item_customer: Items,
    by_item_value: Singles,
    by_item_target: Singles,
    by_item_clock: Items,
    by_customer_start: Places,
    by_customer_item: Items,
    by_customer_value: Singles,
    by_customer_clock: Items,
    scale: Floats,
    norm: Floats,
    after: Singles,
    before: Singles,
    width: int,
) -> tuple[Items, Singles, Singles, Items]:  # pragma: no cover - compiled
    """Rows `first` to `last` of two sparse products over customers' histories, the largest `width` entries of each.

        gram[j, i]  = Σ_u s_u x_uj x_ui        cross[j, i] = Σ_u s_u t_uj x_ui d(clock_uj − clock_ui)

    with x the values, t the targets, s the customers' scale and d read from `after` (gap 0 and up) and `before` (the
    other direction); longer gaps take the last entry. The entries kept are those of largest (gram + cross)[j, i] ·
    norm_i; the diagonal is never kept. Returned per row, columns ascending: column (-1 where a row is shorter), gram,
    cross; and the number of entries.
    """
    rows = last - first
    n_items = len(by_item_start) - 1
    column = np.full((rows, width), -1, np.int32)
    gram = np.zeros((rows, width), np.float32)
    cross = np.zeros((rows, width), np.float32)
    length = np.zeros(rows, np.int32)
    own = np.zeros(n_items, np.float64)
    own_cross = np.zeros(n_items, np.float64)
    seen = np.empty(n_items, np.int32)
    key = np.empty(n_items, np.float64)
    is_seen = np.zeros(n_items, np.bool_)
    far = len(after) - 1
    for row in range(rows):
        item = first + row
        count = 0
        for entry in range(by_item_start[item], by_item_start[item + 1]):
            customer = by_item_customer[entry]
            value = by_item_value[entry] * scale[customer]
            target = by_item_target[entry] * scale[customer]
            for other in range(by_customer_start[customer], by_customer_start[customer + 1]):
                neighbour = by_customer_item[other]
                if not is_seen[neighbour]:
                    is_seen[neighbour] = True
                    seen[count] = neighbour
                    count += 1
                own[neighbour] += value * by_customer_value[other]
                gap = by_item_clock[entry] - by_customer_clock[other]
                nearness = after[min(gap, far)] if gap >= 0 else before[min(-gap, far)]
                own_cross[neighbour] += target * by_customer_value[other] * nearness
        for place in range(count):
            neighbour = seen[place]
            key[place] = (own[neighbour] + own_cross[neighbour]) * norm[neighbour] if neighbour != item else -np.inf
        kept = bring_largest_forward(key, seen, count, width)
        found = 0
        for place in range(kept):
            neighbour = seen[place]
            if neighbour != item:
                column[row, found] = neighbour
                gram[row, found] = own[neighbour]
                cross[row, found] = own_cross[neighbour]
                found += 1
        length[row] = found
        for place in range(count):
            is_seen[seen[place]] = False
            own[seen[place]] = 0.0
            own_cross[seen[place]] = 0.0
    return column, gram, cross, length


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _solve_positive(a: Singles, b: Singles, size: int) -> None:  # pragma: no cover - compiled
    """Solves a·w = b in place (w replaces b) by Cholesky; `a` is symmetric, its lower triangle is read and replaced.

    Where entries of the Gram matrix were left out, `a` need not be positive definite: a pivot never falls below
    `PIVOT_FLOOR` of its diagonal entry, which is as if the penalty had been larger there.
    """
    for i in range(size):
        floor = np.float32(PIVOT_FLOOR) * a[i, i]
        for j in range(i):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = total / a[j, j]
        total = a[i, i]
        for k in range(i):
            total -= a[i, k] * a[i, k]
        a[i, i] = np.sqrt(max(total, floor))
    for i in range(size):
        total = b[i]
        for k in range(i):
            total -= a[i, k] * b[k]
        b[i] = total / a[i, i]
    for i in range(size - 1, -1, -1):
        b[i] /= a[i, i]
        for k in range(i):
            b[k] -= a[i, k] * b[i]


@njit(nogil=True, cache=True)
def ridge_rows(
    first: int,
    last: int,
    column: Items,
    gram: Singles,
    cross: Singles,
    length: Items,
    diagonal: Floats,
    norm: Floats,
    penalty: Floats,
    neighbours: int,
) -> tuple[Items, Singles]:  # pragma: no cover - compiled
    """For each item j from `first` to `last`, the ridge regression of its targets on its nearest neighbours N(j).

        w = argmin ‖t_j − X_N w‖²_s + wᵀ diag(penalty_N) w, i.e. (G_NN + diag(penalty_N)) w = cross_jN

    N(j) are the at most `neighbours` columns of row j with the largest (cross + gram)·norm. Arguments as returned by
    `gram_rows` for all items; `diagonal` and `penalty` per item. Entries that `gram_rows` did not keep count as 0.
    Returned: neighbours (-1 where there are fewer) and weights, shape (last − first, neighbours).
    """
    width = column.shape[1]
    chosen = np.full((last - first, neighbours), -1, np.int32)
    weight = np.zeros((last - first, neighbours), np.float32)
    place = np.full(len(column), -1, np.int32)
    a = np.zeros((neighbours, neighbours), np.float32)
    b = np.zeros(neighbours, np.float32)
    target = np.zeros(len(column), np.float32)
    key = np.empty(width, np.float64)
    near = np.empty(width, np.int32)
    for item in range(first, last):
        row = item - first
        for entry in range(length[item]):
            near[entry] = column[item, entry]
            key[entry] = (gram[item, entry] + cross[item, entry]) * norm[near[entry]]
            target[near[entry]] = cross[item, entry]
        size = bring_largest_forward(key, near, length[item], neighbours)
        for i in range(size):
            chosen[row, i] = near[i]
            b[i] = target[near[i]]
            place[near[i]] = i
            for k in range(size):
                a[i, k] = 0.0
        for i in range(size):
            one = chosen[row, i]
            for entry in range(length[one]):
                k = place[column[one, entry]]
                if k >= 0:
                    a[i, k] = gram[one, entry]
                    a[k, i] = gram[one, entry]
        for i in range(size):
            one = chosen[row, i]
            a[i, i] = diagonal[one] + penalty[one]
            place[one] = -1
        _solve_positive(a, b, size)
        for i in range(size):
            weight[row, i] = b[i]
    return chosen, weight
