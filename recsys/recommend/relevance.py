"""The relevance of the items of one list, by compiled code: it is written with every answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Floats, Items, Places
from recsys.models.relevance import Relevance
from recsys.recommend.kernel import UNITS, Listed, ListedRows

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


def relevance_of_rows(
    relevance: Relevance | None, found: ListedRows, popular: Floats, lengths: Places
) -> npt.NDArray[np.float32]:
    """The same of many lists: float32, shape as `found.item`; NaN where it is not known and behind a list's end.

    Parameters
    ----------
    lengths : int64, shape (n,); how many items of each history speak.
    """
    if relevance is None:
        return np.full(found.item.shape, np.nan, dtype=np.float32)
    units = _read_rows(
        relevance.lengths, relevance.start, relevance.score, relevance.probability, popular, lengths, found.item,
        found.score, found.counts,
    )  # fmt: skip
    return np.where(units == UNKNOWN_RELEVANCE, np.float32(np.nan), (units / UNITS).astype(np.float32))


@njit(nogil=True, cache=True, error_model="numpy")
def _read_rows(
    lengths: Places,
    start: Places,
    score: Floats,
    probability: Floats,
    popular: Floats,
    length: Places,
    item: Items,
    units: Places,
    counts: Places,
) -> Places:  # pragma: no cover - compiled
    """As `_read`, list by list."""
    found = np.full(item.shape, UNKNOWN_RELEVANCE, np.int64)
    for row in range(len(item)):
        size = counts[row, 0]
        found[row, :size] = _read(
            lengths, start, score, probability, popular, length[row], item[row, :size], units[row, :size],
            counts[row, 1],
        )  # fmt: skip
    return found


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
