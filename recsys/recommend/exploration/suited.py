"""Which of the explored items a customer may like: exploring stays personal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Items, Places, Singles
from recsys.recommend.arrangement import NO_CODES
from recsys.recommend.exploration.beliefs import Beliefs

MOST_CONSIDERED = 64
"""So many of the newest items that suit a customer are looked at: what is older makes room for what is new."""

MOST_SUITED = 16
"""So many items compete for the explored slots of one list, at most."""

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]

_NO_ITEMS, _NO_PLACES = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)


class Suited(NamedTuple):
    """Candidates for the explored slots of one list.

    Attributes
    ----------
    place : int32, shape (c,); places in `Beliefs.explored`, the most promising first.
    fit : float32, shape (c,); how well each suits the customer beside what the list holds, which suits by 1; above 0.
    """

    place: npt.NDArray[np.int32]
    fit: npt.NDArray[np.float32]


class Offer(NamedTuple):
    """Which of the explored items may be proposed for a list.

    Attributes
    ----------
    showable : bool, shape (items,); of the bundle's items, those that may be shown.
    newcomers : bool, shape (newcomers,); of those behind them.
    hidden : int32; positions of items that must not be shown all the same: what the customer had or does not want. What
        is listed need not be named.
    codes, at_most : as in `Layout`, over the bundle's items: of those that agree there no more than so many stand in
        the list, whichever candidates get into it.
    slots : so many of them get into it, at most.
    """

    showable: Flags
    newcomers: Flags
    hidden: Items = _NO_ITEMS
    codes: Codes = NO_CODES
    at_most: Places = _NO_PLACES
    slots: int = 1


def suited(beliefs: Beliefs, items: Items, strengths: Singles, listed: Items, offer: Offer) -> Suited:
    """Explored items that suit a taste: of the newest `MOST_CONSIDERED` that do, the most promising `MOST_SUITED`.

    What promises most is worth most if it turns out as well as it well may: so what is not known yet and what proved
    good compete, and what proved bad does not.

    An item suits by the share of the taste that is in its category, and by that of its author: both count the same.
    Nothing that shares neither is named. What the list holds suits the customer in the same way, and what is believed
    of items was seen where they suited like that: so the fit is beside the average of the list. To a customer without
    a taste everything suits alike.

    Parameters
    ----------
    items, strengths : int32 and float32, shape (h,); what speaks in the customer's history and how much, as in `Taste`.
    listed : int32, shape (k,); what the list holds, positions.
    """
    groups, narrowed, own = beliefs.groups, beliefs.narrowed, beliefs.own
    place, fit = _suited(
        beliefs.explored, beliefs.place, beliefs.reach, groups.category, groups.author, narrowed.category,
        narrowed.author, own.category, own.author, items, strengths, listed, *offer, MOST_CONSIDERED, MOST_SUITED,
    )  # fmt: skip
    return Suited(place, fit)


@njit(nogil=True, cache=True)
def _suited(
    explored: Items,
    place: Items,
    reach: Singles,
    category: Items,
    author: Items,
    narrowed_category: Items,
    narrowed_author: Items,
    own_category: Items,
    own_author: Items,
    items: Items,
    strengths: Singles,
    listed: Items,
    showable: Flags,
    newcomers: Flags,
    hidden: Items,
    codes: Codes,
    at_most: Places,
    slots: int,
    considered: int,
    most: int,
) -> tuple[Items, Singles]:  # pragma: no cover - compiled
    free = np.ones(len(explored), np.bool_)
    for own in hidden:
        if place[own] >= 0:
            free[place[own]] = False
    for own in listed:
        if place[own] >= 0:
            free[place[own]] = False
    # The groups of explored items are numbered among themselves: there are at most as many as items.
    taste = np.zeros((2, len(explored)), np.float32)
    usual = _taste(category, narrowed_category, items, strengths, listed, taste[0])
    usual += _taste(author, narrowed_author, items, strengths, listed, taste[1])
    usual /= max(1, len(listed))
    held = np.full((len(codes), len(listed) + most), np.int32(-1))
    for rule in range(len(codes)):
        held[rule, : len(listed)] = codes[rule][listed]
    best, fits, promise = np.empty(most, np.int32), np.empty(most, np.float32), np.empty(most, np.float32)
    size, met = 0, 0
    for at in range(len(explored)):
        if met == considered:
            break
        if not free[at]:
            continue
        fit = np.float32(1.0)
        if len(items):
            fit = np.float32(0.0)
            if own_category[at] >= 0:
                fit += taste[0, own_category[at]]
            if own_author[at] >= 0:
                fit += taste[1, own_author[at]]
            if fit <= 0.0:
                continue
            fit = np.float32(fit / usual) if usual > 0.0 else np.float32(1.0)
        # Whether it may be shown lies anywhere in memory: it is looked up for what suits alone.
        own = explored[at]
        if not (showable[own] if own < len(showable) else newcomers[own - len(showable)]):
            continue
        if own < codes.shape[1] and not _fits(own, codes, at_most, held, len(listed), 1):
            continue
        met += 1
        hope = reach[at] * fit
        if size == most and hope <= promise[most - 1]:
            continue
        # An insertion; the newer of two equals comes first.
        to = min(size, most - 1)
        while to > 0 and promise[to - 1] < hope:
            promise[to], best[to], fits[to] = promise[to - 1], best[to - 1], fits[to - 1]
            to -= 1
        promise[to], best[to], fits[to] = hope, at, fit
        size = min(size + 1, most)
    kept = 0
    for at in range(size):
        own = explored[best[at]]
        if own < codes.shape[1]:
            # Any of those before it may come to stand in the list as well.
            if not _fits(own, codes, at_most, held[:, : len(listed) + kept], len(listed), slots):
                continue
            held[:, len(listed) + kept] = codes[:, own]
        best[kept], fits[kept] = best[at], fits[at]
        kept += 1
    return best[:kept].copy(), fits[:kept].copy()


@njit(nogil=True, cache=True)
def _taste(
    group: Items, narrowed: Items, items: Items, strengths: Singles, listed: Items, taste: Singles
) -> float:  # pragma: no cover - compiled
    """Adds what speaks for each group of explored items to `taste`; how much speaks for all that is listed."""
    theirs, usual = group[listed], 0.0
    for at in range(len(items)):
        worth = max(strengths[at], np.float32(0.0))
        if narrowed[items[at]] >= 0:
            taste[narrowed[items[at]]] += worth
        own, alike = group[items[at]], 0
        if own >= 0:
            for other in theirs:
                alike += other == own
        usual += alike * worth
    return usual


@njit(nogil=True, cache=True)
def _fits(
    own: int, codes: Codes, at_most: Places, held: Codes, listed: int, slots: int
) -> bool:  # pragma: no cover - compiled
    """Whether an item may stand beside those whose codes these are: int32, shape (rules, others). The first are listed;
    of the others and this one no more than `slots` are shown."""
    for rule in range(len(codes)):
        code, count, more = codes[rule, own], 0, 1
        for place in range(listed):
            count += held[rule, place] == code
        for place in range(listed, held.shape[1]):
            more += held[rule, place] == code
        if code >= 0 and count + min(more, slots) > at_most[rule]:
            return False
    return True
