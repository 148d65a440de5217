"""What one customer's history says, compiled: `recsys.data.signals` for a single row, to the last bit.

Every event makes a history another, and the next answer reads it anew. The array functions of `signals`, which training
uses, take ten times as long for it whatever the number of events, nearly as long as the answer itself.

Powers of two are numpy's here as there: another library's may differ in the last bit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.data.events import EventKind
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME, EventWeights, fade_by_steps

_PURCHASE: Final = EventKind.PURCHASE.code
_RETURN: Final = EventKind.RETURN.code
_INTO: Final = EventKind.ADD_TO_CART.code
_OUT_OF: Final = EventKind.REMOVE_FROM_CART.code
_REFUSED: Final = EventKind.NOT_INTERESTED.code
_GIFT: Final = EventKind.IGNORE_FOR_RECOMMENDATIONS.code
_RATE: Final = EventKind.RATE.code
_REVIEW: Final = EventKind.REVIEW.code


class Speakers(NamedTuple):
    """The items that carry taste.

    Attributes
    ----------
    items, strengths : int32 and float32, shape (m,); the items, ascending, and how much, above 0.
    kinds : int8, shape (m,); the code of the kind of event on each that weighs most, among those that carry taste: what
        an explanation names. A purchase that was returned is not what speaks for the next book.
    """

    items: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.int8]


def speakers(
    item: npt.NDArray[np.int32],
    kind: npt.NDArray[np.int8],
    timestamp: npt.NDArray[np.int64],
    position: npt.NDArray[np.int64],
    quantity: npt.NDArray[np.float32],
    rating: npt.NDArray[np.float32],
    weights: EventWeights,
) -> Speakers:
    """What these events say; columns as of `History`, oldest first, shape (n,)."""
    order = np.argsort(item, kind="stable")
    left = np.exp2(_minus_halvings(kind, timestamp, weights.rate))
    low, high = weights.rating_scale
    items, totals, kinds = _said(item, kind, quantity, rating, order, weights.base, left, low, high - low)
    clock = _clocks(item, timestamp, position, order, len(items))
    strengths = fade_by_steps(np.minimum(totals, weights.cap).astype(np.float32), clock, clock.max(initial=0), weights)
    speaks = strengths > 0
    return Speakers(items[speaks], strengths[speaks], kinds[speaks])


@njit(nogil=True, cache=True)
def _minus_halvings(
    kind: npt.NDArray[np.int8], timestamp: npt.NDArray[np.int64], rate: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    """Minus the half-lives that each event is older than the newest; 0 where that is not known."""
    newest = UNKNOWN_TIME
    for at in timestamp:
        newest = max(newest, at)
    found = np.zeros(len(kind))
    for event in range(len(kind)):
        if timestamp[event] != UNKNOWN_TIME:
            found[event] = -((float(newest) - float(timestamp[event])) / MS_PER_DAY * rate[kind[event]])
    return found


@njit(nogil=True, cache=True)
def _said(
    item: npt.NDArray[np.int32],
    kind: npt.NDArray[np.int8],
    quantity: npt.NDArray[np.float32],
    rating: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    base: npt.NDArray[np.float64],
    left: npt.NDArray[np.float64],
    low: float,
    span: float,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int8]]:  # pragma: no cover - compiled
    """The distinct items, ascending, the sum of the strengths of each one's events, and the kind of the one that says
    most; `order` sorts the events by item, `left` is what time left of each."""
    n = len(item)
    items, totals, kinds = np.empty(n, np.int32), np.empty(n, np.float64), np.empty(n, np.int8)
    found = start = 0
    while start < n:
        which, end = item[order[start]], start
        bought = in_cart = 0.0
        returned = taken_out = silent = False
        while end < n and item[order[end]] == which:
            what, pieces = kind[order[end]], float(quantity[order[end]])
            if what == _PURCHASE:
                bought += pieces
            elif what == _RETURN:
                bought -= pieces
                returned = True
            elif what == _INTO:
                in_cart += pieces
            elif what == _OUT_OF:
                in_cart -= pieces
                taken_out = True
            elif what in (_REFUSED, _GIFT):
                silent = True
            end += 1
        total, best = 0.0, 0
        for event in order[start:end]:
            what = kind[event]
            sent_back = what == _PURCHASE and returned and bought <= 0
            put_back = what == _INTO and taken_out and in_cart <= 0
            strength = 0.0
            if not (silent or sent_back or put_back):
                strength = base[what] * left[event] * _rated(what, rating[event], low, span)
            total += strength
            if strength > 0 and (best == 0 or (base[what], what) > (base[best], best)):
                best = what
        items[found], totals[found], kinds[found] = which, total, best
        found += 1
        start = end
    return items[:found], totals[:found], kinds[:found]


@njit(nogil=True, cache=True)
def _rated(what: int, rating: float, low: float, span: float) -> float:  # pragma: no cover - compiled
    """As `signals` has it, in single precision."""
    if what in (_RATE, _REVIEW) and not np.isnan(rating):
        if span <= 0:
            return 1.0
        relative = (rating - np.float32(low)) / np.float32(span)
        return float(min(max(relative, np.float32(0.0)), np.float32(1.0)))
    return 0.5 if what == _RATE else 1.0


@njit(nogil=True, cache=True)
def _clocks(
    item: npt.NDArray[np.int32],
    timestamp: npt.NDArray[np.int64],
    position: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    items: int,
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """As `item_clocks`, of one customer with so many distinct items."""
    n = len(item)
    group_of_last = np.full(n, -1, np.int32)
    group = 0
    for place in range(n):
        if place == n - 1 or item[order[place + 1]] != item[order[place]]:
            group_of_last[order[place]] = group
            group += 1
    clock = np.empty(items, np.int32)
    tick, before = 0, -1
    for event in range(n):
        if group_of_last[event] < 0:
            continue
        if before >= 0 and (timestamp[event] != timestamp[before] or position[event] != position[before]):
            tick += 1
        clock[group_of_last[event]] = tick
        before = event
    return clock


@njit(nogil=True, cache=True)
def items_with(
    item: npt.NDArray[np.int32],
    kind: npt.NDArray[np.int8],
    earlier_item: npt.NDArray[np.int32],
    earlier_kind: npt.NDArray[np.int8],
    wanted: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """The distinct items, ascending, with an event of a wanted kind; columns as of `History`, `wanted` by code."""
    found = np.empty(len(item) + len(earlier_item), np.int32)
    count = 0
    for event in range(len(item)):
        if wanted[kind[event]]:
            found[count] = item[event]
            count += 1
    for event in range(len(earlier_item)):
        if wanted[earlier_kind[event]]:
            found[count] = earlier_item[event]
            count += 1
    in_order = np.sort(found[:count])
    distinct = 0
    for place in range(count):
        if place == 0 or in_order[place] != in_order[place - 1]:
            in_order[distinct] = in_order[place]
            distinct += 1
    return in_order[:distinct].copy()
