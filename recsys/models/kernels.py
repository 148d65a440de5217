"""Compiled inner loops. Plain arrays in, plain arrays out; what they mean is told by the modules that call them.

Every kernel works on a range of rows, lets go of the interpreter's lock, and computes each row from start to end in a
fixed order: callers give ranges to threads, and the result does not depend on how many there are. Compiled code is kept
on disk by numba, so that only the first use on a machine pays for compiling.
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
def _keep_largest(key: Floats, count: int) -> Places:  # pragma: no cover - compiled
    """The places of the `count` largest keys in ascending order of place; ties at the border go to smaller places."""
    size = len(key)
    if size <= count:
        return np.arange(size)
    threshold = np.partition(key, size - count)[size - count]
    room = count
    for place in range(size):
        if key[place] > threshold:
            room -= 1
    kept = np.empty(count, np.int64)
    found = 0
    for place in range(size):
        if key[place] > threshold:
            kept[found] = place
            found += 1
        elif key[place] == threshold and room > 0:
            kept[found] = place
            found += 1
            room -= 1
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
        places = np.sort(seen[:count])
        key = np.empty(count, np.float64)
        for place in range(count):
            neighbour = places[place]
            key[place] = (own[neighbour] + own_cross[neighbour]) * norm[neighbour]
        kept = _keep_largest(key, width)
        found = 0
        for place in kept:
            neighbour = places[place]
            if neighbour != item:
                column[row, found] = neighbour
                gram[row, found] = own[neighbour]
                cross[row, found] = own_cross[neighbour]
                found += 1
        length[row] = found
        for place in range(count):
            is_seen[places[place]] = False
            own[places[place]] = 0.0
            own_cross[places[place]] = 0.0
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
    chosen = np.full((last - first, neighbours), -1, np.int32)
    weight = np.zeros((last - first, neighbours), np.float32)
    place = np.full(len(column), -1, np.int32)
    a = np.zeros((neighbours, neighbours), np.float32)
    for item in range(first, last):
        row = item - first
        key = np.empty(length[item], np.float64)
        for entry in range(length[item]):
            key[entry] = (gram[item, entry] + cross[item, entry]) * norm[column[item, entry]]
        kept = _keep_largest(key, neighbours)
        size = len(kept)
        b = np.empty(size, np.float32)
        for i in range(size):
            chosen[row, i] = column[item, kept[i]]
            b[i] = cross[item, kept[i]]
            place[chosen[row, i]] = i
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


@njit(nogil=True, cache=True)
def top_rows(scores: Floats, tie_break: Places, limit: int) -> Items:  # pragma: no cover - compiled
    """The places of the `limit` largest scores of each row, best first, -1 where a row has fewer above 0.

    Ties go to the larger `tie_break` (shape (columns,)), then to the smaller place: as `top_k.best` does.
    """
    rows, columns = scores.shape
    chosen = np.full((rows, limit), -1, np.int32)
    for row in range(rows):
        found = 0
        for place in range(columns):
            score = scores[row, place]
            if score <= 0.0:
                continue
            if found == limit:
                last = chosen[row, limit - 1]
                if score < scores[row, last] or (score == scores[row, last] and tie_break[place] <= tie_break[last]):
                    continue
            else:
                found += 1
            at = found - 1
            while at > 0:
                above = chosen[row, at - 1]
                if score > scores[row, above] or (score == scores[row, above] and tie_break[place] > tie_break[above]):
                    chosen[row, at] = above
                    at -= 1
                else:
                    break
            chosen[row, at] = place
    return chosen
