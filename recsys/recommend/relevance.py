"""The relevance of the items of one list, by compiled code: it is written with every answer."""

from __future__ import annotations

import numpy as np
from numba import njit

from recsys.models.kernels import Floats, Items, Places
from recsys.models.relevance import Relevance
from recsys.recommend.kernel import UNITS, Listed

UNKNOWN_RELEVANCE = -1
_NOTHING = np.full(1_000, UNKNOWN_RELEVANCE, dtype=np.int64)
"""For lists of shops whose data cannot tell; nobody writes to it."""


def relevance_of(relevance: Relevance | None, found: Listed, popular: Floats, length: int) -> Places:
    """The relevance of each item of a list: int64, shape (k,), in `UNITS`, `UNKNOWN_RELEVANCE` where it is not known.

    Parameters
    ----------
    found : scores as they are before boosts.
    popular : float64, shape (items,); popularity in units of its spread.
    length : how many items of the history speak; 0 for a newcomer.
    """
    if relevance is None:
        size = len(found.item)
        return _NOTHING[:size] if size <= len(_NOTHING) else np.full(size, UNKNOWN_RELEVANCE, dtype=np.int64)
    units: Places = _read(
        relevance.lengths, relevance.start, relevance.score, relevance.probability, popular, length, found.item,
        found.score, found.personal,
    )  # fmt: skip
    return units


@njit(nogil=True, cache=True, error_model="numpy")
def _read(
    lengths: Places,
    start: Places,
    score: Floats,
    probability: Floats,
    popular: Floats,
    length: int,
    item: Items,
    units: Places,
    personal: int,
) -> Places:  # pragma: no cover - compiled
    """As `Relevance.of_personal` and `of_popular`, rounded."""
    own = 0
    while own < len(lengths) and length >= lengths[own]:
        own += 1
    others = len(lengths) + 1 if length else len(lengths) + 2
    found = np.empty(len(item), np.int64)
    for place in range(len(item)):
        curve = own if place < personal else others
        at = units[place] / UNITS if place < personal else popular[item[place]]
        low, high = start[curve], start[curve + 1] - 1
        if high < low:
            found[place] = UNKNOWN_RELEVANCE
            continue
        # The last step that begins at or below it, else the first.
        while low < high:
            middle = (low + high + 1) // 2
            if score[middle] <= at:
                low = middle
            else:
                high = middle - 1
        found[place] = np.int64(np.rint(probability[low] * UNITS))
    return found
