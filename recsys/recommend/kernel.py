"""One customer's list in one compiled call: neighbours and factors, masks, the best few, and whose word each is.

Retrieve, then rank. Sources that name few items (neighbours by behaviour, by walk and by content, what is bought again)
are added up first; the best `RETRIEVED` items by them are candidates, and every source, low rank too, puts these in
order. Where they name too few, popular items are candidates as well; where no such source counts, all items are.
What an answer costs depends on the history's length, not on the catalogue's.

The score of an item is Σ_s w_s · score_s / scale_s and what everybody wants. The scale of a source is the root mean
square of its scores over all items, so that every source counts by its weight whatever its units; a source that scores
nothing is left out. What may be shown does not matter: when an item sells out, the others' scores stay. Popularity only
puts items in order for which the history speaks; it speaks for none by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.factors import Factors, dot, folded
from recsys.models.kernels import Floats, Items, Places, Singles

RETRIEVED = 600
"""So many candidates are put in order, however few are wanted: a shorter list is the beginning of a longer one."""

FEWEST, POOL = 60, 2000
"""Where neighbours name fewer than the first, so many popular items are candidates as well."""

UNITS = 1e5
"""Scores are rounded to so many parts of 1: what is computed in single precision is no reason to prefer one item."""

ROUNDING = 20
"""What is left of a score beside the named shares, in `UNITS`, is no evidence when it is no more than this."""

NAMED_EVIDENCE = 3
"""How many items of the history an explanation names; the others' shares are added up as one."""

MOST_EVIDENCE = NAMED_EVIDENCE + 2
BY_NONE, BY_POPULARITY, BY_OTHERS = -1, -2, -3

ITEM_ITEM, RP3BETA, CONTENT, ALS, SPECTRAL, REPEAT, POPULAR = range(7)
"""Places of the sources' weights."""

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


class Lists(NamedTuple):
    """What items say about others, as `ItemItem` holds it: rows in CSR form."""

    indptr: Places
    neighbour: Items
    weight: Singles


class Sources(NamedTuple):
    """Everything a list is made from.

    Attributes
    ----------
    popular : float64, shape (items,); popularity in units of its spread.
    events : int64, shape (items,); how many there were; decides between equal scores, then the smaller position.
    order : int32; the items that anybody showed interest in, the most popular first.
    """

    item_item: Lists
    rp3beta: Lists
    content: Lists
    als: Factors
    spectral: Factors
    popular: Floats
    events: Places
    order: Items


class Workspace(NamedTuple):
    """Memory for one call at a time, one per thread; zeros between calls. Shapes (items,).

    Attributes
    ----------
    total, own : the sum over sources and the scores of one.
    touched : the items with a score, in the order in which they got one.
    flags : `_TOUCHED` and `_HIDDEN`.
    column : the place of a chosen item, from 1.
    """

    total: Floats
    own: Floats
    touched: Items
    flags: Bytes
    column: Items

    @classmethod
    def of(cls, items: int) -> Workspace:
        """For so many items."""
        return cls(
            np.zeros(items),
            np.zeros(items),
            np.zeros(items, dtype=np.int32),
            np.zeros(items, dtype=np.uint8),
            np.zeros(items, dtype=np.int32),
        )


class Listed(NamedTuple):
    """A list and whose word it is. `k` items, of which the first `personal` are there for the history.

    Attributes
    ----------
    item : int32, shape (k,); positions, best first.
    score : int64, shape (k,); in `UNITS`.
    factor : float64, shape (7,); w_s / scale_s of the sources that counted, 0 for the others.
    named : int32, shape (k, MOST_EVIDENCE); what speaks for each item, the largest share first: a place in the history,
        `BY_POPULARITY`, `BY_OTHERS` for the rest, last, or `BY_NONE` where there is no more.
    share : int64, as `named`, in `UNITS`; the shares of an item sum to its score.
    """

    item: Items
    score: Places
    personal: int
    factor: Floats
    named: Items
    share: Places


_TOUCHED = np.uint8(1)
_HIDDEN = np.uint8(2)


@njit(nogil=True, cache=True)
def hide(positions: Items, showable: Flags, work: Workspace) -> int:  # pragma: no cover - compiled
    """Keeps items out of the list; how many of them could have been in it."""
    removed = 0
    for item in positions:
        if showable[item] and not work.flags[item] & _HIDDEN:
            removed += 1
        work.flags[item] |= _HIDDEN
    return removed


@njit(nogil=True, cache=True)
def unhide(positions: Items, work: Workspace) -> None:  # pragma: no cover - compiled
    """Ends `hide`."""
    for item in positions:
        work.flags[item] &= _TOUCHED


@njit(nogil=True, cache=True)
def _said(
    lists: Lists, weight: float, items: Items, strengths: Singles, touched: int, work: Workspace
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Adds up what lists say; the number of touched items and the source's factor."""
    for place in range(len(items)):
        strength = np.float64(strengths[place])
        for entry in range(lists.indptr[items[place]], lists.indptr[items[place] + 1]):
            item = lists.neighbour[entry]
            work.own[item] += strength * lists.weight[entry]
            if not work.flags[item] & _TOUCHED:
                work.flags[item] |= _TOUCHED
                work.touched[touched] = item
                touched += 1
    square = 0.0
    for place in range(touched):
        square += work.own[work.touched[place]] ** 2
    factor = weight / np.sqrt(square / len(work.own)) if square > 0.0 else 0.0
    for place in range(touched):
        item = work.touched[place]
        work.total[item] += factor * work.own[item]
        work.own[item] = 0.0
    return touched, factor


@njit(nogil=True, cache=True)
def _before(score: float, item: int, other_score: float, other: int, count: Places) -> bool:  # pragma: no cover
    """Whether an item comes before another."""
    if score != other_score:
        return score > other_score
    if count[item] != count[other]:
        return bool(count[item] > count[other])
    return item < other


@njit(nogil=True, cache=True)
def _sink(heap: Items, size: int, total: Floats, count: Places) -> None:  # pragma: no cover - compiled
    """Brings the first of a heap, whose first is the last of all, to its place."""
    at, item = 0, heap[0]
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(
            total[heap[below]], heap[below], total[heap[below + 1]], heap[below + 1], count
        ):
            below += 1
        if not _before(total[item], item, total[heap[below]], heap[below], count):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = item


@njit(nogil=True, cache=True)
def _retrieved(
    touched: int, most: int, showable: Flags, count: Places, work: Workspace
) -> Items:  # pragma: no cover - compiled
    """The `most` touched items of largest total above 0 that may be shown, in no order."""
    heap = np.empty(most, np.int32)
    size = 0
    for place in range(touched):
        item = work.touched[place]
        if work.total[item] <= 0.0 or not showable[item] or work.flags[item] & _HIDDEN:
            continue
        if size < most:
            # Upwards: what comes before sinks.
            at = size
            size += 1
            while at > 0:
                above = (at - 1) // 2
                if not _before(work.total[heap[above]], heap[above], work.total[item], item, count):
                    break
                heap[at] = heap[above]
                at = above
            heap[at] = item
        elif _before(work.total[item], item, work.total[heap[0]], heap[0], count):
            heap[0] = item
            _sink(heap, size, work.total, count)
    return heap[:size]


@njit(nogil=True, cache=True)
def _widened(
    found: Items, order: Items, most: int, showable: Flags, work: Workspace
) -> Items:  # pragma: no cover - compiled
    """The candidates and the most popular items that may be shown and are not among them."""
    wide = np.empty(len(found) + most, np.int32)
    wide[: len(found)] = found
    size = len(found)
    for place in range(min(most, len(order))):
        item = order[place]
        if showable[item] and not work.flags[item] & _HIDDEN and work.total[item] <= 0.0:
            wide[size] = item
            size += 1
    return wide[:size]


@njit(nogil=True, cache=True)
def _factor(factors: Factors, weight: float, coordinates: Singles) -> float:  # pragma: no cover - compiled
    """w / scale of a low-rank source."""
    square = 0.0
    for k in range(len(coordinates)):
        square += np.float64(coordinates[k]) ** 2 * factors.square[k]
    return weight / np.sqrt(square / len(factors.rows)) if square > 0.0 else 0.0


@njit(nogil=True, cache=True)
def _add_low_rank(
    factors: Factors, factor: float, coordinates: Singles, candidates: Items, score: Floats
) -> None:  # pragma: no cover - compiled
    for place in range(len(candidates)):
        item = candidates[place]
        score[place] += factor * factors.out[item] * dot(factors.rows[item], coordinates)


@njit(nogil=True, cache=True)
def _share_lists(
    lists: Lists, factor: float, items: Items, strengths: Singles, column: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    for place in range(len(items)):
        weighed = factor * np.float64(strengths[place])
        for entry in range(lists.indptr[items[place]], lists.indptr[items[place] + 1]):
            at = column[lists.neighbour[entry]]
            if at:
                shares[at - 1, place] += weighed * lists.weight[entry]


@njit(nogil=True, cache=True)
def _share_low_rank(
    factors: Factors, factor: float, pull: Singles, own: Singles, chosen: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    rows = np.empty((len(chosen), own.shape[1]), np.float32)
    for at in range(len(chosen)):
        rows[at] = factors.rows[chosen[at]]
    products = np.dot(rows, own.T)
    for at in range(len(chosen)):
        weighed = factor * factors.out[chosen[at]]
        for place in range(len(pull)):
            shares[at, place] += weighed * pull[place] * products[at, place]


@njit(nogil=True, cache=True)
def listed(
    sources: Sources,
    weights: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    given: Singles,
    showable: Flags,
    wanted: int,
    filled: bool,
    explained: bool,
    work: Workspace,
) -> Listed:  # pragma: no cover - compiled
    """The best items for a history; what is hidden in the workspace is not among them.

    Parameters
    ----------
    weights : float64, shape (7,); of the sources, for a history of this length; 0 for those that are not asked.
    items, strengths : int32 and float32, shape (m,); what speaks, ascending, and how much.
    again, probability : int32 and float64, shape (b,); items among `items` that may be bought again, and how likely.
    given : float32, shape (items,) where no source that names few items counts: what the low-rank sources add to each
        item, weighed; else of shape (0,).
    showable : bool, shape (items,).
    wanted : how many items, 1 or more.
    filled : whether popular items fill up a list that runs short.
    explained : whether shares are wanted; their arrays are empty otherwise.
    """
    factor = np.zeros(7, np.float64)
    touched = 0
    if weights[ITEM_ITEM] > 0.0:
        touched, factor[ITEM_ITEM] = _said(sources.item_item, weights[ITEM_ITEM], items, strengths, touched, work)
    if weights[RP3BETA] > 0.0:
        touched, factor[RP3BETA] = _said(sources.rp3beta, weights[RP3BETA], items, strengths, touched, work)
    if weights[CONTENT] > 0.0:
        touched, factor[CONTENT] = _said(sources.content, weights[CONTENT], items, strengths, touched, work)
    if weights[REPEAT] > 0.0:
        for place in range(len(again)):
            item = again[place]
            if probability[place] > 0.0:
                factor[REPEAT] = weights[REPEAT]
            work.total[item] += weights[REPEAT] * probability[place]
            if not work.flags[item] & _TOUCHED:
                work.flags[item] |= _TOUCHED
                work.touched[touched] = item
                touched += 1

    no_one, nothing = np.zeros(0, np.float32), np.zeros((0, 0), np.float32)
    als_at, als_pull, als_own = no_one, no_one, nothing
    spectral_at, spectral_pull, spectral_own = no_one, no_one, nothing
    if len(items):
        if weights[ALS] > 0.0 and sources.als.rows.shape[1]:
            als_at, als_pull, als_own = folded(sources.als, items, strengths)
            factor[ALS] = _factor(sources.als, weights[ALS], als_at)
        if weights[SPECTRAL] > 0.0 and sources.spectral.rows.shape[1]:
            spectral_at, spectral_pull, spectral_own = folded(sources.spectral, items, strengths)
            factor[SPECTRAL] = _factor(sources.spectral, weights[SPECTRAL], spectral_at)

    if len(given):
        found = np.empty(len(given), np.int32)
        size = 0
        for item in range(len(given)):
            if given[item] > 0.0 and showable[item] and not work.flags[item] & _HIDDEN:
                found[size] = item
                size += 1
        candidates = found[:size]
        score = np.empty(size, np.float64)
        for place in range(size):
            score[place] = given[candidates[place]]
    else:
        candidates = _retrieved(touched, RETRIEVED, showable, sources.events, work)
        if len(candidates) < FEWEST and (factor[ALS] > 0.0 or factor[SPECTRAL] > 0.0):
            candidates = _widened(candidates, sources.order, POOL, showable, work)
        score = np.empty(len(candidates), np.float64)
        for place in range(len(candidates)):
            score[place] = work.total[candidates[place]]
        if factor[ALS] > 0.0:
            _add_low_rank(sources.als, factor[ALS], als_at, candidates, score)
        if factor[SPECTRAL] > 0.0:
            _add_low_rank(sources.spectral, factor[SPECTRAL], spectral_at, candidates, score)

    chosen, best = np.empty(wanted, np.int32), np.empty(wanted, np.float64)
    personal = 0
    for place in range(len(candidates)):
        own = np.rint(score[place] * UNITS)
        if own <= 0.0:
            continue
        item = candidates[place]
        own = np.rint(own + weights[POPULAR] * sources.popular[item] * UNITS)
        if personal == wanted:
            if not _before(own, item, best[personal - 1], chosen[personal - 1], sources.events):
                continue
        else:
            personal += 1
        at = personal - 1
        while at > 0 and _before(own, item, best[at - 1], chosen[at - 1], sources.events):
            best[at], chosen[at] = best[at - 1], chosen[at - 1]
            at -= 1
        best[at], chosen[at] = own, item

    for place in range(personal):
        work.column[chosen[place]] = place + 1
        if weights[POPULAR] > 0.0 and sources.popular[chosen[place]] > 0.0:
            factor[POPULAR] = weights[POPULAR]
    shares = np.zeros((personal if explained else 0, len(items)), np.float64)
    if len(shares):
        _add_shares(
            sources, factor, items, strengths, again, probability, als_pull, als_own, spectral_pull, spectral_own,
            chosen[:personal], work.column, shares,
        )  # fmt: skip

    size = personal
    if filled and size < wanted:
        ceiling, top = best[personal - 1] if personal else UNITS, 0.0
        for item in sources.order:
            if showable[item] and not work.flags[item] & _HIDDEN and not work.column[item]:
                top = top if size > personal else sources.popular[item]
                chosen[size] = item
                best[size] = np.rint(sources.popular[item] / top * ceiling)
                size += 1
                if size == wanted:
                    break
    for place in range(personal):
        work.column[chosen[place]] = 0
    for place in range(touched):
        work.total[work.touched[place]] = 0.0
        work.flags[work.touched[place]] &= _HIDDEN

    units = best[:size].astype(np.int64)
    named = np.full((size if explained else 0, MOST_EVIDENCE), BY_NONE, np.int32)
    share = np.zeros(named.shape, np.int64)
    for place in range(len(named)):
        if place < personal:
            common = np.int64(np.rint(weights[POPULAR] * sources.popular[chosen[place]] * UNITS))
            _name(shares[place], common, units[place], named[place], share[place])
        else:
            named[place, 0], share[place, 0] = BY_POPULARITY, units[place]
    return Listed(chosen[:size], units, personal, factor, named, share)


@njit(nogil=True, cache=True)
def _name(
    shares: Floats, common: np.int64, score: np.int64, named: Items, share: Places
) -> None:  # pragma: no cover - compiled
    """The largest shares of one item, in `UNITS`, and what is left."""
    size = 0
    for place in range(len(shares)):
        own = np.int64(np.rint(shares[place] * UNITS))
        if own > 0 and (size < NAMED_EVIDENCE or own > share[size - 1]):
            size = min(size + 1, NAMED_EVIDENCE)
            _place(place, own, size - 1, named, share)
    if common > 0:
        size += 1
        _place(BY_POPULARITY, common, size - 1, named, share)
    rest = score - share[:size].sum()
    if size and abs(rest) <= ROUNDING:
        first = named[0]
        own = share[0] + rest
        for at in range(size - 1):
            named[at], share[at] = named[at + 1], share[at + 1]
        # Before those of the same share, as it was.
        at = size - 1
        while at > 0 and own >= share[at - 1]:
            named[at], share[at] = named[at - 1], share[at - 1]
            at -= 1
        named[at], share[at] = first, own
    else:
        named[size], share[size] = BY_OTHERS, rest


@njit(nogil=True, cache=True)
def _place(what: int, own: np.int64, last: int, named: Items, share: Places) -> None:  # pragma: no cover - compiled
    """Puts one share into its place among those before `last`, behind those of the same size."""
    at = last
    while at > 0 and own > share[at - 1]:
        named[at], share[at] = named[at - 1], share[at - 1]
        at -= 1
    named[at], share[at] = what, own


@njit(nogil=True, cache=True)
def _add_shares(
    sources: Sources,
    factor: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    als_pull: Singles,
    als_own: Singles,
    spectral_pull: Singles,
    spectral_own: Singles,
    chosen: Items,
    column: Items,
    shares: Floats,
) -> None:  # pragma: no cover - compiled
    """What each item of the history (columns) adds to each chosen item (rows)."""
    if factor[ITEM_ITEM] > 0.0:
        _share_lists(sources.item_item, factor[ITEM_ITEM], items, strengths, column, shares)
    if factor[RP3BETA] > 0.0:
        _share_lists(sources.rp3beta, factor[RP3BETA], items, strengths, column, shares)
    if factor[CONTENT] > 0.0:
        _share_lists(sources.content, factor[CONTENT], items, strengths, column, shares)
    if factor[ALS] > 0.0:
        _share_low_rank(sources.als, factor[ALS], als_pull, als_own, chosen, shares)
    if factor[SPECTRAL] > 0.0:
        _share_low_rank(sources.spectral, factor[SPECTRAL], spectral_pull, spectral_own, chosen, shares)
    if factor[REPEAT] > 0.0:
        for entry in range(len(again)):
            at = column[again[entry]]
            if at:
                shares[at - 1, np.searchsorted(items, again[entry])] += factor[REPEAT] * probability[entry]


@njit(nogil=True, cache=True)
def listed_rows(
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
    item: Items,
    score: Places,
    personal: Places,
    named: Items,
    share: Places,
) -> None:  # pragma: no cover - compiled
    """Fills rows with the lists of as many customers, as in `Listed`; reasons where `named` has as many rows."""
    explained = len(named) == len(item)
    for row in range(len(item)):
        hidden = masked[masked_start[row] : masked_start[row + 1]]
        own, repeated = slice(start[row], start[row + 1]), slice(again_start[row], again_start[row + 1])
        scores = given[row] if dense[row] else given[row, :0]
        hide(hidden, showable, work)
        found = listed(
            sources, weights[row], items[own], strengths[own], again[repeated], probability[repeated], scores, showable,
            item.shape[1], True, explained, work,
        )  # fmt: skip
        unhide(hidden, work)
        size = len(found.item)
        item[row, :size], score[row, :size], personal[row] = found.item, found.score, found.personal
        if explained:
            named[row, :size], share[row, :size] = found.named, found.share
