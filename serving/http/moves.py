"""From the positions of one bundle to those of another: a publication does not read every history again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt

from recsys.bundle import ModelBundle
from recsys.data.vocabulary import UNKNOWN

Places = npt.NDArray[np.int32]

Moves = Mapping[tuple[str, str], Places]
"""From one bundle to another, by their ids: int32, shape (items of the first,); where each of them is in the second, or
`UNKNOWN`."""


def moves_among(bundles: Collection[ModelBundle], known: Moves) -> Moves:
    """From each of these bundles to each other one; what is known is not made again."""
    found: dict[tuple[str, str], Places] = {}
    for first, second in combinations(bundles, 2):
        there, back = (first.bundle_id, second.bundle_id), (second.bundle_id, first.bundle_id)
        if there in known:
            found |= {there: known[there], back: known[back]}
            continue
        places = second.items.positions_of(first.items.text, first.items.offsets)
        shared = np.flatnonzero(places != UNKNOWN)
        places_back = np.full(len(second.items), UNKNOWN, dtype=np.int32)
        places_back[places[shared]] = shared
        found |= {there: places, back: places_back}
    return found
