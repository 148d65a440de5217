"""Compiled: what each item of the history adds to each item of the list, and which of it is named.

`shares` is float64, shape (list, history). Items on the list are marked `LISTED`, and `slot` has
their places.
"""

from __future__ import annotations

import numpy as np

from recsys.models.kernels import Floats, Items, Places, Singles
from recsys.recommend.kernel.types import (
    BY_NONE,
    BY_OTHERS,
    BY_POPULARITY,
    LISTED,
    NAMED_EVIDENCE,
    ROUNDING,
    UNITS,
    Bytes,
    part,
    part_of_sums,
)


@part
def share_lists(
    indptr: Places,
    neighbour: Items,
    weights: Singles,
    factor: float,
    items: Items,
    strengths: Singles,
    mark: Bytes,
    slot: Items,
    shares: Floats,
) -> None:  # pragma: no cover - compiled
    """Adds what the lists of the history's items say."""
    for place in range(len(items)):
        weighed = factor * np.float64(strengths[place])
        for entry in range(np.uint64(indptr[items[place]]), np.uint64(indptr[items[place] + 1])):
            item = np.uint32(neighbour[entry])
            if mark[item] & LISTED:
                shares[slot[item], place] += weighed * weights[entry]


@part_of_sums
def share_low_rank(
    rows: Singles, out: Singles, factor: float, pull: Singles, items: Items, chosen: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    """Adds what a low-rank source says; `pull` as `folded` gives it."""
    # The last ones fill up an odd number of rows.
    last, end, width = len(shares) - 1, len(items) - 1, rows.shape[1]
    for place in range(0, len(items), 2):
        other = min(place + 1, end)
        three, four = items[place], items[other]
        for at in range(0, len(shares), 2):
            below = min(at + 1, last)
            one, two = chosen[at], chosen[below]
            # Two times two rows: half as many numbers are read as are multiplied.
            a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(width):
                a += rows[one, k] * rows[three, k]
                b += rows[one, k] * rows[four, k]
                c += rows[two, k] * rows[three, k]
                d += rows[two, k] * rows[four, k]
            shares[at, place] += factor * out[one] * pull[place] * a
            if other > place:
                shares[at, other] += factor * out[one] * pull[other] * b
            if below > at:
                shares[below, place] += factor * out[two] * pull[place] * c
            if other > place and below > at:
                shares[below, other] += factor * out[two] * pull[other] * d


@part
def share_again(
    again: Items, probability: Floats, factor: float, items: Items, mark: Bytes, slot: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    """Adds what is bought again: an item speaks for itself."""
    for entry in range(len(again)):
        item = again[entry]
        if mark[item] & LISTED:
            place = 0
            while items[place] != item:
                place += 1
            shares[slot[item], place] += factor * probability[entry]


@part
def name_all(
    shares: Floats, common: Floats, score: Places, named: Items, share: Places
) -> None:  # pragma: no cover - compiled
    """Fills `named` and `share` of `Listed`; items without shares are there for popularity alone.

    `common` : float64, shape (list,); what popularity adds to each item, in `UNITS`.
    """
    for at in range(len(score)):
        for which in range(named.shape[1]):
            named[at, which] = BY_NONE
        if at < len(shares):
            _name(shares[at], np.int64(common[at]), score[at], named[at], share[at])
        else:
            named[at, 0], share[at, 0] = BY_POPULARITY, score[at]


@part
def _name(
    shares: Floats, common: np.int64, score: np.int64, named: Items, share: Places
) -> None:  # pragma: no cover - compiled
    """The largest shares of one item, in `UNITS`, and what is left."""
    size, least = 0, 0.5
    # Popularity stands behind the items of the history that say as much, so it comes last.
    for place in range(len(shares) + 1):
        if place < len(shares) and not shares[place] * UNITS >= least:
            continue
        own = np.int64(np.rint(shares[place] * UNITS)) if place < len(shares) else common
        if own <= 0:
            continue
        if place == len(shares):
            size += 1
        elif size < NAMED_EVIDENCE or own > share[size - 1]:
            size = min(size + 1, NAMED_EVIDENCE)
        else:
            continue
        at = size - 1
        while at > 0 and own > share[at - 1]:
            named[at], share[at] = named[at - 1], share[at - 1]
            at -= 1
        named[at], share[at] = place if place < len(shares) else BY_POPULARITY, own
        if size == NAMED_EVIDENCE:
            # What is not rounded to more than the last of them is not looked at.
            least = share[size - 1] + 0.5
    rest = score
    for at in range(size):
        rest -= share[at]
    if size == 0 or abs(rest) > ROUNDING:
        named[size], share[size] = BY_OTHERS, rest
        return
    first, own = named[0], share[0] + rest
    for at in range(size - 1):
        named[at], share[at] = named[at + 1], share[at + 1]
    # Before those of the same share, as it was.
    at = size - 1
    while at > 0 and own >= share[at - 1]:
        named[at], share[at] = named[at - 1], share[at - 1]
        at -= 1
    named[at], share[at] = first, own
