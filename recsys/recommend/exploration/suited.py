"""Which of the explored items a customer may like: exploring stays personal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Items, Singles
from recsys.recommend.exploration.beliefs import Beliefs

MOST_CONSIDERED = 64
"""So many of the newest items that suit a customer are looked at: what is older makes room for what is new."""

MOST_SUITED = 16
"""So many items compete for the explored slots of one list, at most."""

Flags = npt.NDArray[np.bool_]


class Suited(NamedTuple):
    """Candidates for the explored slots of one list.

    Attributes
    ----------
    place : int32, shape (c,); places in `Beliefs.explored`, the most promising first.
    fit : float32, shape (c,); how well each suits the customer beside what the list holds, which suits by 1; above 0.
    """

    place: npt.NDArray[np.int32]
    fit: npt.NDArray[np.float32]


def suited(
    beliefs: Beliefs,
    items: npt.NDArray[np.int32],
    strengths: npt.NDArray[np.float32],
    listed: npt.NDArray[np.int32],
    allowed: npt.NDArray[np.bool_],
    hidden: npt.NDArray[np.int32],
) -> Suited:
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
    allowed : bool, shape (m,); of the explored items, those that may be shown.
    hidden : int32; positions of items that must not be: what the customer had or does not want. What is listed need not
        be named.
    """
    place, fit = _suited(
        beliefs.explored,
        beliefs.place,
        beliefs.reach,
        (beliefs.groups.category, beliefs.groups.author),
        (beliefs.narrowed.category, beliefs.narrowed.author),
        items,
        strengths,
        listed,
        allowed,
        hidden,
        MOST_CONSIDERED,
        MOST_SUITED,
    )
    return Suited(place, fit)


@njit(nogil=True, cache=True)
def _suited(
    explored: Items,
    place: Items,
    reach: Singles,
    groups: tuple[Items, Items],
    narrowed: tuple[Items, Items],
    items: Items,
    strengths: Singles,
    listed: Items,
    allowed: Flags,
    hidden: Items,
    considered: int,
    most: int,
) -> tuple[Items, Singles]:  # pragma: no cover - compiled
    free = allowed.copy()
    for own in hidden:
        if place[own] >= 0:
            free[place[own]] = False
    for own in listed:
        if place[own] >= 0:
            free[place[own]] = False
    # The groups of explored items are numbered among themselves: there are at most as many as items.
    taste = np.zeros((2, len(explored)), np.float32)
    usual = 0.0
    for at in range(len(items)):
        worth = max(strengths[at], np.float32(0.0))
        for level in range(2):
            own = items[at]
            if narrowed[level][own] >= 0:
                taste[level, narrowed[level][own]] += worth
            for other in listed:
                if groups[level][other] >= 0 and groups[level][other] == groups[level][own]:
                    usual += worth
    usual /= max(1, len(listed))
    best, fits, promise = np.empty(most, np.int32), np.empty(most, np.float32), np.empty(most, np.float32)
    size, met = 0, 0
    for at in range(len(explored)):
        if met == considered:
            break
        if not free[at]:
            continue
        own, fit = explored[at], np.float32(1.0)
        if len(items):
            fit = np.float32(0.0)
            for level in range(2):
                if narrowed[level][own] >= 0:
                    fit += taste[level, narrowed[level][own]]
            if fit <= 0.0:
                continue
            fit = np.float32(fit / usual) if usual > 0.0 else np.float32(1.0)
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
    return best[:size].copy(), fits[:size].copy()
