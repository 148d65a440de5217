"""Compiled: which items are candidates, what each scores, and the best of them in order.

Functions take plain arrays, named as in `Workspace` and `Sources`: a tuple of arrays costs much to compile, and its
fields are counted references.
"""

from __future__ import annotations

import numpy as np

from recsys.models.factors import Factors, dots, folded
from recsys.models.kernels import Floats, Items, Places, Singles, largest_forward
from recsys.models.prefetch import LINE, prefetch
from recsys.recommend.kernel.types import HIDDEN, POOL, TOUCHED, TOUCHED_BIT, Bytes, Flags, part, part_of_sums

AHEAD, FETCHED = 3, 400
"""Memory is asked for so many lists ahead, and for so many candidates at most: more has no room near the processor."""


@part
def fetch_rows(rows: Singles, items: Items) -> None:  # pragma: no cover - compiled
    """Asks for the memory of these rows, which is waited for later."""
    width = rows.shape[1]
    for item in items:
        for k in range(0, width, LINE):
            prefetch(rows, np.int64(item) * width + k)


@part
def hide(positions: Items, showable: Flags, mark: Bytes) -> int:  # pragma: no cover - compiled
    """Keeps items out of the list; how many of them could have been in it."""
    removed = 0
    for item in positions:
        if showable[item] and not mark[item] & HIDDEN:
            removed += 1
        mark[item] |= HIDDEN
    return removed


@part
def add_lists(
    indptr: Places,
    neighbour: Items,
    weights: Singles,
    items: Items,
    strengths: Singles,
    size: int,
    mark: Bytes,
    own: Floats,
    touched: Items,
) -> int:  # pragma: no cover - compiled
    """Adds up what lists say; how many items are touched now, `size` of them before."""
    for place in range(len(items)):
        strength = np.float64(strengths[place])
        # The lists lie anywhere in memory: the one that is due in a while is on its way meanwhile.
        ahead = items[min(place + AHEAD, len(items) - 1)]
        for entry in range(indptr[ahead], indptr[ahead + 1], LINE):
            prefetch(neighbour, entry)
            prefetch(weights, entry)
        for entry in range(np.uint64(indptr[items[place]]), np.uint64(indptr[items[place] + 1])):
            # Numbers without a sign: what may be negative is compared with 0 at each use as an index.
            item = np.uint32(neighbour[entry])
            # No branch: whether an item is new cannot be foretold.
            marked = mark[item]
            touched[np.uint64(size)] = item
            size += 1 - (marked >> TOUCHED_BIT & 1)
            mark[item] = marked | TOUCHED
            own[item] += strength * weights[entry]
    return size


@part
def take(touched: Items, sums: Floats, value: Floats) -> None:  # pragma: no cover - compiled
    """Moves the sums of the touched items to `value`, side by side."""
    for place in range(len(touched)):
        item = np.uint32(touched[place])
        value[place] = sums[item]
        sums[item] = 0.0


@part_of_sums
def sums_factor(value: Floats, weight: float, items: int) -> float:  # pragma: no cover - compiled
    """w / scale of a source that names few of so many items."""
    square = 0.0
    for place in range(len(value)):
        square += value[place] * value[place]
    return weight / np.sqrt(square / items) if square > 0.0 else 0.0


@part
def add_again(
    again: Items, probability: Floats, weight: float, size: int, mark: Bytes, total: Floats, touched: Items
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Adds what is bought again; how many items are touched now, and the factor: probabilities are in units of their
    own, so it is the weight."""
    factor = 0.0
    for place in range(len(again)):
        item = again[place]
        if probability[place] > 0.0:
            factor = weight
        touched[size] = item
        size += 1 - (mark[item] >> TOUCHED_BIT & 1)
        mark[item] |= TOUCHED
        total[item] += weight * probability[place]
    return size, factor


@part
def spread_factor(square: Floats, weight: float, coordinates: Singles, items: int) -> float:  # pragma: no cover
    """w / scale of a low-rank source; `square` as in `Factors`."""
    total = 0.0
    for k in range(len(coordinates)):
        total += np.float64(coordinates[k]) ** 2 * square[k]
    return weight / np.sqrt(total / items) if total > 0.0 else 0.0


@part
def add_low_rank(
    rows: Singles,
    into: Singles,
    out: Singles,
    square: Floats,
    confidence: float,
    weight: float,
    items: Items,
    strengths: Singles,
    candidates: Items,
    score: Floats,
) -> tuple[float, Singles]:  # pragma: no cover - compiled
    """Adds what a low-rank source says of each candidate; w / scale of the source, and b of `folded`."""
    # They arrive while the history is folded in.
    fetch_rows(rows, candidates[:FETCHED])
    coordinates, pull = folded(Factors(rows, into, out, square, confidence), items, strengths)
    factor = spread_factor(square, weight, coordinates, len(out))
    four = np.zeros(4, np.int32)
    for at in range(0, len(candidates), 4):
        for which in range(min(4, len(candidates) - at)):
            four[which] = candidates[at + which]
        products = dots(rows, four, coordinates)
        for which in range(min(4, len(candidates) - at)):
            score[at + which] += factor * out[four[which]] * products[which]
    return factor, pull


@part
def retrieved(
    touched: Items, value: Floats, most: int, showable: Flags, mark: Bytes
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The `most` touched items of largest value above 0 that may be shown, and the values.

    Items are no longer marked as touched; both arrays are in another order, the same for both.
    """
    size, key = 0, np.empty(len(touched), np.float32)
    for place in range(len(touched)):
        item, own, first = np.uint32(touched[place]), value[place], np.uint64(size)
        marked = mark[item]
        mark[item] = marked & HIDDEN
        key[first] = own
        # No branch: what is kept changes places with the first that is not.
        touched[place], value[place] = touched[first], value[first]
        touched[first], value[first] = item, own
        size += (own > 0.0) & showable[item] & (marked & HIDDEN == 0)
    least = _least_of(key[:size].view(np.int32), most)
    kept = 0
    for place in range(size):
        item, own, first = np.uint32(touched[place]), value[place], np.uint64(kept)
        touched[place], value[place] = touched[first], value[first]
        touched[first], value[first] = item, own
        kept += key[place] >= least
    best = largest_forward(value, touched, kept, most)
    return touched[:best].copy(), value[:best].copy()


@part
def _least_of(key: Items, most: int) -> np.float32:  # pragma: no cover - compiled
    """A number that `most` numbers or a few more reach; `key` has the bits of numbers of single precision, not below 0,
    which are in the order of the numbers.

    Halves the range time and again: counting how many keys reach the middle takes next to nothing, as the processor
    compares many at once and no branch depends on them.
    """
    low, high = np.int32(0), np.int32(0)
    for place in range(len(key)):
        high = max(high, key[place])
    while len(key) > most and high - low > 1:
        middle = np.int32(low + (high - low) // 2)
        count = np.int32(0)
        for place in range(len(key)):
            count += np.int32(key[place] >= middle)
        if count < most:
            high = middle
        else:
            low = middle
            if count <= most + most // 4:
                break
    least: np.float32 = np.full(1, low, np.int32).view(np.float32)[0]
    return least


@part
def widened(
    item: Items,
    score: Floats,
    order: Items,
    showable: Flags,
    mark: Bytes,
    touched: Items,
    value: Floats,
    total: Floats,
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The candidates and the most popular items that may be shown and are not among them, with their totals: what
    sources say against an item counts here as well."""
    for place in range(len(touched)):
        total[touched[place]] = value[place]
    size, most = len(item), min(POOL, len(order))
    wide, scores = np.empty(size + most, np.int32), np.empty(size + most, np.float64)
    for place in range(size):
        wide[place], scores[place] = item[place], score[place]
    for own in order[:most]:
        if showable[own] and not mark[own] & HIDDEN and total[own] <= 0.0:
            wide[size], scores[size] = own, total[own]
            size += 1
    for own in touched:
        total[own] = 0.0
    return wide[:size], scores[:size]


@part
def allowed(
    among: Items, showable: Flags, mark: Bytes, total: Floats
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """Those of these items that may be shown, and their totals."""
    item, score = np.empty(len(among), np.int32), np.empty(len(among), np.float64)
    size = 0
    for own in among:
        if showable[own] and not mark[own] & HIDDEN:
            item[size], score[size] = own, total[own]
            size += 1
    return item[:size], score[:size]


@part
def scored(given: Singles, showable: Flags, mark: Bytes) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The items of given scores above 0 that may be shown, and the scores."""
    item, score = np.empty(len(given), np.int32), np.empty(len(given), np.float64)
    size = 0
    for own in range(len(given)):
        if given[own] > 0.0 and showable[own] and not mark[own] & HIDDEN:
            item[size], score[size] = own, given[own]
            size += 1
    return item[:size], score[:size]


@part
def _before(score: float, item: int, other_score: float, other: int, events: Places) -> bool:  # pragma: no cover
    """Whether an item comes before another."""
    if score != other_score:
        return score > other_score
    if events[item] != events[other]:
        return bool(events[item] > events[other])
    return item < other


@part
def _sink(item: Items, score: Floats, at: int, size: int, events: Places) -> None:  # pragma: no cover - compiled
    """Lets an entry of a heap down to its place; above each stands what comes after it."""
    own, own_score = item[at], score[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _before(score[child], item[child], score[child + 1], item[child + 1], events):
            child += 1
        if not _before(own_score, own, score[child], item[child], events):
            break
        item[at], score[at] = item[child], score[child]
        at = child
    item[at], score[at] = own, own_score


@part
def best_forward(item: Items, score: Floats, most: int, events: Places) -> int:  # pragma: no cover - compiled
    """Rearranges both arrays so that the `most` best stand first, in order; how many these are."""
    size = min(most, len(item))
    # The same loop makes the heap and, behind it, tries every other entry against the worst of the best.
    for step in range(size // 2 + len(item) - size if size else 0):
        at = size // 2 - 1 - step
        if at < 0:
            at, place = 0, size + step - size // 2
            if not _before(score[place], item[place], score[0], item[0], events):
                continue
            item[0], item[place] = item[place], item[0]
            score[0], score[place] = score[place], score[0]
        _sink(item, score, at, size, events)
    for last in range(size - 1, 0, -1):
        item[0], item[last] = item[last], item[0]
        score[0], score[last] = score[last], score[0]
        _sink(item, score, 0, last, events)
    return size
