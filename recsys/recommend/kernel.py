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

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.factors import Factors, dot, folded
from recsys.models.kernels import Floats, Items, Places, Singles, largest_forward

RETRIEVED = 100
"""So many candidates are put in order at least, and twice as many as are wanted."""

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

_NO_ITEMS = np.zeros(0, dtype=np.int32)


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
    """Memory for one call at a time, one per thread; each of shape (items,).

    Attributes
    ----------
    slot : where a touched item's numbers are, from 1; zeros between calls.
    hidden : 1 for what must not be listed; zeros between calls.
    touched, own, total : by slot from 0: the item, its score by one source, and the sum over sources. They lie close
        together, so that most of the work is done in the processor's nearest memory.
    """

    slot: Items
    hidden: Bytes
    touched: Items
    own: Floats
    total: Floats

    @classmethod
    def of(cls, items: int) -> Workspace:
        """For so many items."""
        return cls(
            np.zeros(items, dtype=np.int32),
            np.zeros(items, dtype=np.uint8),
            np.zeros(items, dtype=np.int32),
            np.zeros(items),
            np.zeros(items),
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
    seen, excluded : how many items could have been listed, but for being among these.
    """

    item: Items
    score: Places
    personal: int
    factor: Floats
    named: Items
    share: Places
    seen: int
    excluded: int


@njit(nogil=True, cache=True, error_model="numpy")
def _hide(positions: Items, showable: Flags, work: Workspace) -> int:  # pragma: no cover - compiled
    """Keeps items out of the list; how many of them could have been in it."""
    removed, hidden = 0, work.hidden
    for item in positions:
        if showable[item] and not hidden[item]:
            removed += 1
        hidden[item] = 1
    return removed


@njit(nogil=True, cache=True, error_model="numpy")
def _said(
    lists: Lists, weight: float, items: Items, strengths: Singles, touched: int, work: Workspace
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Adds up what lists say; the number of touched items and the source's factor."""
    # Fields of tuples are counted references: taken out of the loops they cost nothing.
    indptr, neighbour, weights = lists.indptr, lists.neighbour, lists.weight
    slots, names, own, total = work.slot, work.touched, work.own, work.total
    for place in range(len(items)):
        strength = np.float64(strengths[place])
        for entry in range(indptr[items[place]], indptr[items[place] + 1]):
            item = neighbour[entry]
            slot = slots[item]
            if slot == 0:
                names[touched] = item
                total[touched] = 0.0
                own[touched] = strength * weights[entry]
                touched += 1
                slots[item] = touched
            else:
                own[slot - 1] += strength * weights[entry]
    square = 0.0
    for slot in range(touched):
        square += own[slot] * own[slot]
    factor = weight / np.sqrt(square / len(slots)) if square > 0.0 else 0.0
    for slot in range(touched):
        total[slot] += factor * own[slot]
        own[slot] = 0.0
    return touched, factor


@njit(nogil=True, cache=True, error_model="numpy")
def _before(score: float, item: int, other_score: float, other: int, count: Places) -> bool:  # pragma: no cover
    """Whether an item comes before another."""
    if score != other_score:
        return score > other_score
    if count[item] != count[other]:
        return bool(count[item] > count[other])
    return item < other


@njit(nogil=True, cache=True, error_model="numpy")
def _sink(item: Items, score: Floats, at: int, size: int, count: Places) -> None:  # pragma: no cover - compiled
    """Lets an entry of a heap down to its place; above each stands what comes after it."""
    own, own_score = item[at], score[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _before(score[child], item[child], score[child + 1], item[child + 1], count):
            child += 1
        if not _before(own_score, own, score[child], item[child], count):
            break
        item[at], score[at] = item[child], score[child]
        at = child
    item[at], score[at] = own, own_score


@njit(nogil=True, cache=True, error_model="numpy")
def _best_forward(item: Items, score: Floats, most: int, count: Places) -> int:  # pragma: no cover - compiled
    """Rearranges both arrays so that the `most` best stand first, in order; how many these are."""
    size = min(most, len(item))
    for at in range(size // 2 - 1, -1, -1):
        _sink(item, score, at, size, count)
    for place in range(size, len(item) if size else 0):
        if _before(score[place], item[place], score[0], item[0], count):
            item[0], item[place] = item[place], item[0]
            score[0], score[place] = score[place], score[0]
            _sink(item, score, 0, size, count)
    for last in range(size - 1, 0, -1):
        item[0], item[last] = item[last], item[0]
        score[0], score[last] = score[last], score[0]
        _sink(item, score, 0, last, count)
    return size


@njit(nogil=True, cache=True, error_model="numpy")
def _allowed(among: Items, showable: Flags, work: Workspace) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """Those of these items that may be shown, and their totals."""
    slots, sums, hidden = work.slot, work.total, work.hidden
    item, total = np.empty(len(among), np.int32), np.empty(len(among), np.float64)
    size = 0
    for own in among:
        if showable[own] and not hidden[own]:
            item[size], total[size] = own, sums[slots[own] - 1] if slots[own] else 0.0
            size += 1
    return item[:size], total[:size]


@njit(nogil=True, cache=True, error_model="numpy")
def _retrieved(touched: int, most: int, showable: Flags, work: Workspace) -> tuple[Items, Floats]:  # pragma: no cover
    """The `most` touched items of largest total above 0 that may be shown, and the totals."""
    names, sums, hidden = work.touched, work.total, work.hidden
    item, total = np.empty(touched, np.int32), np.empty(touched, np.float64)
    size = 0
    for slot in range(touched):
        own = names[slot]
        if sums[slot] > 0.0 and showable[own] and not hidden[own]:
            item[size], total[size] = own, sums[slot]
            size += 1
    size = largest_forward(total, item, size, most)
    return item[:size], total[:size]


@njit(nogil=True, cache=True, error_model="numpy")
def _widened(
    item: Items, total: Floats, order: Items, showable: Flags, work: Workspace
) -> tuple[Items, Floats]:  # pragma: no cover - compiled
    """The candidates and the most popular items that may be shown and are not among them."""
    wide, totals = np.empty(len(item) + POOL, np.int32), np.zeros(len(item) + POOL, np.float64)
    for place in range(len(item)):
        wide[place], totals[place] = item[place], total[place]
    size, slots, sums, hidden = len(item), work.slot, work.total, work.hidden
    for place in range(min(POOL, len(order))):
        own = order[place]
        slot = slots[own]
        if not showable[own] or hidden[own] or (slot and sums[slot - 1] > 0.0):
            continue
        wide[size], totals[size] = own, sums[slot - 1] if slot else 0.0
        size += 1
    return wide[:size], totals[:size]


@njit(nogil=True, cache=True, error_model="numpy")
def _factor(factors: Factors, weight: float, coordinates: Singles) -> float:  # pragma: no cover - compiled
    """w / scale of a low-rank source."""
    square, lengths = 0.0, factors.square
    for k in range(len(coordinates)):
        square += np.float64(coordinates[k]) ** 2 * lengths[k]
    return weight / np.sqrt(square / len(factors.rows)) if square > 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _add_low_rank(
    factors: Factors, factor: float, coordinates: Singles, candidates: Items, score: Floats
) -> None:  # pragma: no cover - compiled
    rows, out = factors.rows, factors.out
    for place in range(len(candidates)):
        item = candidates[place]
        score[place] += factor * out[item] * dot(rows[item], coordinates)


@njit(nogil=True, cache=True, error_model="numpy")
def _share_lists(
    lists: Lists, factor: float, items: Items, strengths: Singles, slots: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    indptr, neighbour, weights = lists.indptr, lists.neighbour, lists.weight
    for place in range(len(items)):
        weighed = factor * np.float64(strengths[place])
        for entry in range(indptr[items[place]], indptr[items[place] + 1]):
            slot = slots[neighbour[entry]]
            # What is on the list is marked by a slot below 0.
            if slot < 0:
                shares[-slot - 1, place] += weighed * weights[entry]


@njit(nogil=True, cache=True, error_model="numpy")
def _share_low_rank(
    factors: Factors, factor: float, pull: Singles, own: Singles, chosen: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    rows, out = factors.rows, factors.out
    for at in range(len(chosen)):
        row, weighed = rows[chosen[at]], factor * out[chosen[at]]
        for place in range(len(pull)):
            shares[at, place] += weighed * pull[place] * dot(row, own[place])


@njit(nogil=True, cache=True, error_model="numpy")
def listed(
    sources: Sources,
    weights: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    given: Singles,
    showable: Flags,
    seen: Items,
    excluded: Items,
    among: Items,
    restricted: bool,
    wanted: int,
    filled: bool,
    explained: bool,
    work: Workspace,
) -> Listed:  # pragma: no cover - compiled
    """The best items for a history.

    Parameters
    ----------
    weights : float64, shape (7,); of the sources, for a history of this length; 0 for those that are not asked.
    items, strengths : int32 and float32, shape (m,); what speaks, ascending, and how much.
    again, probability : int32 and float64, shape (b,); items among `items` that may be bought again, and how likely.
    given : float32, shape (items,) where no source that names few items counts: what the low-rank sources add to each
        item, weighed; else of shape (0,).
    showable : bool, shape (items,).
    seen, excluded : int32; positions of what must not be listed.
    among : int32, no position twice; the candidates, where `restricted`. As far as they may be shown all are ranked:
        those of score 0 or less follow the others in the order of popularity.
    wanted : how many items, 1 or more.
    filled : whether popular items fill up a list that runs short.
    explained : whether shares are wanted; their arrays are empty otherwise.
    """
    removed_seen = _hide(seen, showable, work)
    removed_excluded = _hide(excluded, showable, work)
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
            slot = work.slot[item]
            if slot == 0:
                work.touched[touched], work.total[touched], work.own[touched] = item, 0.0, 0.0
                touched += 1
                work.slot[item] = slot = touched
            work.total[slot - 1] += weights[REPEAT] * probability[place]

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
        candidates, score = np.empty(len(given), np.int32), np.empty(len(given), np.float64)
        size = 0
        for item in range(len(given)):
            if given[item] > 0.0 and showable[item] and not work.hidden[item]:
                candidates[size], score[size] = item, given[item]
                size += 1
        candidates, score = candidates[:size], score[:size]
    else:
        if restricted:
            candidates, score = _allowed(among, showable, work)
        else:
            candidates, score = _retrieved(touched, max(RETRIEVED, 2 * wanted), showable, work)
            if len(candidates) < FEWEST and (factor[ALS] > 0.0 or factor[SPECTRAL] > 0.0):
                candidates, score = _widened(candidates, score, sources.order, showable, work)
        if factor[ALS] > 0.0:
            _add_low_rank(sources.als, factor[ALS], als_at, candidates, score)
        if factor[SPECTRAL] > 0.0:
            _add_low_rank(sources.spectral, factor[SPECTRAL], spectral_at, candidates, score)

    popular, events = sources.popular, sources.events
    for place in range(len(candidates)):
        own = np.rint(score[place] * UNITS)
        common = np.rint(own + weights[POPULAR] * popular[candidates[place]] * UNITS)
        score[place] = common if own > 0.0 else -np.inf
    chosen, best = np.empty(wanted, np.int32), np.empty(wanted, np.float64)
    personal = 0
    for place in range(_best_forward(candidates, score, wanted, events)):
        if score[place] > -np.inf:
            chosen[place], best[place] = candidates[place], score[place]
            personal += 1

    slots, names, hidden = work.slot, work.touched, work.hidden
    for slot in range(touched):
        slots[names[slot]] = 0
    for place in range(personal):
        slots[chosen[place]] = -place - 1
        if weights[POPULAR] > 0.0 and popular[chosen[place]] > 0.0:
            factor[POPULAR] = weights[POPULAR]
    shares = np.zeros((personal if explained else 0, len(items)), np.float64)
    if len(shares):
        _add_shares(
            sources, factor, items, strengths, again, probability, als_pull, als_own, spectral_pull, spectral_own,
            chosen[:personal], slots, shares,
        )  # fmt: skip

    size = personal
    if filled and size < wanted:
        filling = sources.order
        if restricted:
            for place in range(len(candidates)):
                score[place] = popular[candidates[place]] if score[place] == -np.inf else -np.inf
            filling = candidates[: _best_forward(candidates, score, wanted - size, events)]
        ceiling, top = best[personal - 1] if personal else UNITS, 0.0
        for item in filling:
            if showable[item] and not hidden[item] and not slots[item]:
                top = top if size > personal else popular[item]
                chosen[size] = item
                best[size] = np.rint(popular[item] / top * ceiling) if top > 0.0 else 0.0
                size += 1
                if size == wanted:
                    break
    for place in range(personal):
        slots[chosen[place]] = 0
    for item in seen:
        hidden[item] = 0
    for item in excluded:
        hidden[item] = 0

    units = np.empty(size, np.int64)
    for place in range(size):
        units[place] = np.int64(best[place])
    named = np.empty((size if explained else 0, MOST_EVIDENCE), np.int32)
    share = np.zeros((size if explained else 0, MOST_EVIDENCE), np.int64)
    for place in range(len(named)):
        for part in range(MOST_EVIDENCE):
            named[place, part] = BY_NONE
        if place < personal:
            common = np.int64(np.rint(weights[POPULAR] * popular[chosen[place]] * UNITS))
            _name(shares[place], common, units[place], named[place], share[place])
        else:
            named[place, 0], share[place, 0] = BY_POPULARITY, units[place]
    return Listed(chosen[:size], units, personal, factor, named, share, removed_seen, removed_excluded)


@njit(nogil=True, cache=True, error_model="numpy")
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
    rest = score
    for at in range(size):
        rest -= share[at]
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


@njit(nogil=True, cache=True, error_model="numpy")
def _place(what: int, own: np.int64, last: int, named: Items, share: Places) -> None:  # pragma: no cover - compiled
    """Puts one share into its place among those before `last`, behind those of the same size."""
    at = last
    while at > 0 and own > share[at - 1]:
        named[at], share[at] = named[at - 1], share[at - 1]
        at -= 1
    named[at], share[at] = what, own


@njit(nogil=True, cache=True, error_model="numpy")
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
    slots: Items,
    shares: Floats,
) -> None:  # pragma: no cover - compiled
    """What each item of the history (columns) adds to each chosen item (rows)."""
    if factor[ITEM_ITEM] > 0.0:
        _share_lists(sources.item_item, factor[ITEM_ITEM], items, strengths, slots, shares)
    if factor[RP3BETA] > 0.0:
        _share_lists(sources.rp3beta, factor[RP3BETA], items, strengths, slots, shares)
    if factor[CONTENT] > 0.0:
        _share_lists(sources.content, factor[CONTENT], items, strengths, slots, shares)
    if factor[ALS] > 0.0:
        _share_low_rank(sources.als, factor[ALS], als_pull, als_own, chosen, shares)
    if factor[SPECTRAL] > 0.0:
        _share_low_rank(sources.spectral, factor[SPECTRAL], spectral_pull, spectral_own, chosen, shares)
    if factor[REPEAT] > 0.0:
        for entry in range(len(again)):
            slot = slots[again[entry]]
            if slot < 0:
                place = 0
                while items[place] != again[entry]:
                    place += 1
                shares[-slot - 1, place] += factor[REPEAT] * probability[entry]


def list_items(
    flat: tuple[Any, ...],
    work: Workspace,
    weights: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    given: Singles,
    showable: Flags,
    seen: Items,
    excluded: Items,
    wanted: int,
    *,
    filled: bool,
    explained: bool,
    among: Items | None = None,
) -> Listed:
    """As `listed`, for callers outside compiled code; `flat` is `flattened(sources)`, `among` None for all items.

    Plain arrays get into compiled code in a tenth of a microsecond each; tuples of tuples take a hundred times as long.
    """
    call: Callable[..., Any] = _listed_flat
    rest = (weights, items, strengths, again, probability, given, showable, seen, excluded)
    how = (_NO_ITEMS if among is None else among, among is not None, wanted, filled, explained)
    return Listed(*call(*flat, *work, *rest, *how))


def flattened(sources: Sources) -> tuple[Any, ...]:
    """All fields of all fields, in their order."""
    flat: list[Any] = []
    for field in sources:
        flat.extend(field if isinstance(field, tuple) else (field,))
    return tuple(flat)


@njit(nogil=True, cache=True, error_model="numpy")
def _listed_flat(
    item_item_indptr: Places,
    item_item_neighbour: Items,
    item_item_weight: Singles,
    rp3beta_indptr: Places,
    rp3beta_neighbour: Items,
    rp3beta_weight: Singles,
    content_indptr: Places,
    content_neighbour: Items,
    content_weight: Singles,
    als_rows: Singles,
    als_into: Singles,
    als_out: Singles,
    als_square: Floats,
    als_confidence: float,
    spectral_rows: Singles,
    spectral_into: Singles,
    spectral_out: Singles,
    spectral_square: Floats,
    spectral_confidence: float,
    popular: Floats,
    events: Places,
    order: Items,
    slot: Items,
    hidden: Bytes,
    touched: Items,
    own: Floats,
    total: Floats,
    weights: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    given: Singles,
    showable: Flags,
    seen: Items,
    excluded: Items,
    among: Items,
    restricted: bool,
    wanted: int,
    filled: bool,
    explained: bool,
) -> tuple[Items, Places, int, Floats, Items, Places, int, int]:  # pragma: no cover - compiled
    found = listed(
        Sources(
            Lists(item_item_indptr, item_item_neighbour, item_item_weight),
            Lists(rp3beta_indptr, rp3beta_neighbour, rp3beta_weight),
            Lists(content_indptr, content_neighbour, content_weight),
            Factors(als_rows, als_into, als_out, als_square, als_confidence),
            Factors(spectral_rows, spectral_into, spectral_out, spectral_square, spectral_confidence),
            popular,
            events,
            order,
        ),
        weights, items, strengths, again, probability, given, showable, seen, excluded, among, restricted,
        wanted, filled, explained,
        Workspace(slot, hidden, touched, own, total),
    )  # fmt: skip
    return (
        found.item, found.score, found.personal, found.factor, found.named, found.share, found.seen, found.excluded
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
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
        found = listed(
            sources, weights[row], items[own], strengths[own], again[repeated], probability[repeated], scores, showable,
            hidden, hidden[:0], hidden[:0], False, item.shape[1], True, explained, work,
        )  # fmt: skip
        size = len(found.item)
        personal[row] = found.personal
        for place in range(size):
            item[row, place], score[row, place] = found.item[place], found.score[place]
            if explained:
                for part in range(MOST_EVIDENCE):
                    named[row, place, part], share[row, place, part] = (
                        found.named[place, part],
                        found.share[place, part],
                    )
