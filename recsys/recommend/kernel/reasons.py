"""Compiled: what each item of the history adds to each item of the list, and which of it is named.

`shares` is float64, shape (list, history). Items on the list have a `slot` of −place − 1.
"""

from __future__ import annotations

import numpy as np

from recsys.models.factors import dot
from recsys.models.kernels import Floats, Items, Places, Singles
from recsys.recommend.kernel.types import BY_NONE, BY_OTHERS, BY_POPULARITY, NAMED_EVIDENCE, ROUNDING, UNITS, part


@part
def share_lists(
    indptr: Places,
    neighbour: Items,
    weights: Singles,
    factor: float,
    items: Items,
    strengths: Singles,
    slot: Items,
    shares: Floats,
) -> None:  # pragma: no cover - compiled
    """Adds what the lists of the history's items say."""
    for place in range(len(items)):
        weighed = factor * np.float64(strengths[place])
        for entry in range(indptr[items[place]], indptr[items[place] + 1]):
            at = slot[neighbour[entry]]
            if at < 0:
                shares[-at - 1, place] += weighed * weights[entry]


@part
def share_low_rank(
    rows: Singles, out: Singles, factor: float, pull: Singles, own: Singles, chosen: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    """Adds what a low-rank source says; `pull` and `own` as `folded` gives them."""
    for at in range(len(shares)):
        row, weighed = rows[chosen[at]], factor * out[chosen[at]]
        for place in range(len(pull)):
            shares[at, place] += weighed * pull[place] * dot(row, own[place])


@part
def share_again(
    again: Items, probability: Floats, factor: float, items: Items, slot: Items, shares: Floats
) -> None:  # pragma: no cover - compiled
    """Adds what is bought again: an item speaks for itself."""
    for entry in range(len(again)):
        at = slot[again[entry]]
        if at < 0:
            place = 0
            while items[place] != again[entry]:
                place += 1
            shares[-at - 1, place] += factor * probability[entry]


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
    size = 0
    # Popularity stands behind the items of the history that say as much, so it comes last.
    for place in range(len(shares) + 1):
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
