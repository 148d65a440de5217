"""Compiled: which items are candidates, what each scores, and the best of them in order.

Functions take plain arrays, named as in `Workspace` and `Sources`: a tuple of arrays costs much to compile, and its
fields are counted references.
"""

from __future__ import annotations

import numpy as np

from recsys.models.factors import dot
from recsys.models.kernels import Floats, Items, Places, Singles, largest_forward
from recsys.recommend.kernel.types import POOL, Bytes, Flags, part


@part
def hide(positions: Items, showable: Flags, hidden: Bytes) -> int:  # pragma: no cover - compiled
    """Keeps items out of the list; how many of them could have been in it."""
    removed = 0
    for item in positions:
        if showable[item] and not hidden[item]:
            removed += 1
        hidden[item] = 1
    return removed


@part
def add_lists(
    indptr: Places,
    neighbour: Items,
    weights: Singles,
    weight: float,
    items: Items,
    strengths: Singles,
    size: int,
    slot: Items,
    own: Floats,
    total: Floats,
    touched: Items,
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Adds up what lists say; how many items are touched now, `size` of them before, and w / scale of the source."""
    for place in range(len(items)):
        strength = np.float64(strengths[place])
        for entry in range(indptr[items[place]], indptr[items[place] + 1]):
            item = neighbour[entry]
            # No branch: whether an item is new cannot be foretold.
            touched[size] = item
            size += 1 - slot[item]
            slot[item] = 1
            own[item] += strength * weights[entry]
    square = 0.0
    for place in range(size):
        square += own[touched[place]] ** 2
    factor = weight / np.sqrt(square / len(own)) if square > 0.0 else 0.0
    for place in range(size):
        item = touched[place]
        total[item] += factor * own[item]
        own[item] = 0.0
    return size, factor


@part
def add_again(
    again: Items, probability: Floats, weight: float, size: int, slot: Items, total: Floats, touched: Items
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Adds what is bought again; as `add_lists`. Probabilities are in units of their own: the factor is the weight."""
    factor = 0.0
    for place in range(len(again)):
        item = again[place]
        if probability[place] > 0.0:
            factor = weight
        touched[size] = item
        size += 1 - slot[item]
        slot[item] = 1
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
    rows: Singles, out: Singles, factor: float, coordinates: Singles, candidates: Items, score: Floats
) -> None:  # pragma: no cover - compiled
    """Adds what a low-rank source says of each candidate."""
    for place in range(len(candidates)):
        item = candidates[place]
        score[place] += factor * out[item] * dot(rows[item], coordinates)


@part
def retrieved(
    named: Items, most: int, showable: Flags, hidden: Bytes, total: Floats
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The `most` named items of largest total above 0 that may be shown, and the totals."""
    item, score = np.empty(len(named), np.int32), np.empty(len(named), np.float64)
    size = 0
    for own in named:
        item[size], score[size] = own, total[own]
        size += (total[own] > 0.0) & showable[own] & (hidden[own] == 0)
    size = largest_forward(score, item, size, most)
    return item[:size], score[:size]


@part
def widened(
    item: Items, score: Floats, order: Items, showable: Flags, hidden: Bytes, total: Floats
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The candidates and the most popular items that may be shown and are not among them."""
    size, most = len(item), min(POOL, len(order))
    wide, scores = np.empty(size + most, np.int32), np.empty(size + most, np.float64)
    for place in range(size):
        wide[place], scores[place] = item[place], score[place]
    for own in order[:most]:
        if showable[own] and not hidden[own] and total[own] <= 0.0:
            wide[size], scores[size] = own, total[own]
            size += 1
    return wide[:size], scores[:size]


@part
def allowed(
    among: Items, showable: Flags, hidden: Bytes, total: Floats
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """Those of these items that may be shown, and their totals."""
    item, score = np.empty(len(among), np.int32), np.empty(len(among), np.float64)
    size = 0
    for own in among:
        if showable[own] and not hidden[own]:
            item[size], score[size] = own, total[own]
            size += 1
    return item[:size], score[:size]


@part
def scored(given: Singles, showable: Flags, hidden: Bytes) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The items of given scores above 0 that may be shown, and the scores."""
    item, score = np.empty(len(given), np.int32), np.empty(len(given), np.float64)
    size = 0
    for own in range(len(given)):
        if given[own] > 0.0 and showable[own] and not hidden[own]:
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
