"""What happens to a ranked list before it is shown: what was shown and not clicked sinks, alike items are thinned out,
pins take their slots.

Ranked lists are kept; this is done for every answer, as impressions, pins and attributes change without the history.
One walk over the list, compiled; the same everywhere: service, command, e-mail, evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Items, Places

ROTATION, DIVERSITY, PINS = "rotation", "diversity", "pins"

PINNED = "pinned"
"""The code of the reason of an item in the slot of a pin."""

NOWHERE = -1
"""The place of a pinned item that was not on the ranked list."""

_NO_PLACES = np.zeros(0, dtype=np.int64)
_NO_ITEMS = np.zeros(0, dtype=np.int32)
NO_CODES = np.zeros((0, 0), dtype=np.int32)
"""Of a placement without diversity."""


class Layout(NamedTuple):
    """What a list is arranged by, for one answer.

    Attributes
    ----------
    pinned, slots : int32 and int64, shape (p,); items that may be shown to whoever asks, no item and no slot twice,
        and where each stands, from 0, ascending.
    sunk, steps : int32 ascending and int64, shape (s,); items that sink, and by how many places each, above 0.
    codes : int32, shape (rules, items); for each rule of diversity equal codes for items that agree, −1 for those that
        are free.
    at_most : int64, shape (rules,); so many items of a list agree, at most.
    """

    pinned: Items = _NO_ITEMS
    slots: Places = _NO_PLACES
    sunk: Items = _NO_ITEMS
    steps: Places = _NO_PLACES
    codes: npt.NDArray[np.int32] = NO_CODES
    at_most: Places = _NO_PLACES

    @property
    def spare(self) -> int:
        """How many more items than are shown must be ranked for the order to be certain, where all are different."""
        return len(self.sunk) + len(self.pinned)


class Arranged(NamedTuple):
    """A list in its order.

    Attributes
    ----------
    place : int32, shape (k,); where each item stood on the ranked list, or `NOWHERE`.
    item : int32, shape (k,); positions.
    pinned : int64; the slots, from 0, that are pinned.
    moved : how many items each rule moved or kept out, by its name.
    blocked : bool, shape (items,); what need not be ranked to find more items, where the list ran short although there
        are more; else None.
    """

    place: Items
    item: Items
    pinned: Places
    moved: Mapping[str, int]
    blocked: npt.NDArray[np.bool_] | None


def arrange(ranked: Items, more: bool, wanted: int, layout: Layout) -> Arranged:
    """The `wanted` items to be shown.

    An item of place p that sinks by s goes behind that of place p + s. Then, from the first: an item is left out when
    as many as may agree with it in an attribute are shown already; pinned ones are shown in any case, and count. Where
    a pin's slot lies behind the end of the list it stands last.

    Parameters
    ----------
    ranked : int32, positions, best first, no item twice.
    more : whether there are more items than are ranked; then at least `wanted + layout.spare` are.
    """
    place, item, pinned, sunk, kept_out = _walked(
        ranked, more, wanted, layout.sunk, layout.steps, layout.codes, layout.at_most, layout.pinned, layout.slots
    )
    moved = {}
    if len(layout.sunk):
        moved[ROTATION] = int(sunk)
    if len(layout.codes):
        moved[DIVERSITY] = int(kept_out)
    if len(layout.pinned):
        moved[PINS] = len(pinned)
    return Arranged(place, item, pinned, moved, _blocked(layout, item) if more and len(item) < wanted else None)


def _blocked(layout: Layout, shown: Items) -> npt.NDArray[np.bool_]:
    """Everything that agrees in an attribute with as many items as may, but for what is shown."""
    blocked = np.zeros(layout.codes.shape[1], dtype=np.bool_)
    for rule, of_all in enumerate(layout.codes):
        own, count = np.unique(of_all[shown], return_counts=True)
        saturated = own[(count >= layout.at_most[rule]) & (own >= 0)]
        blocked |= np.isin(of_all, saturated)
    blocked[shown] = False
    return blocked


@njit(nogil=True, cache=True, error_model="numpy")
def _walked(
    ranked: Items,
    more: bool,
    wanted: int,
    sunk: Items,
    by: Places,
    codes: npt.NDArray[np.int32],
    at_most: Places,
    pinned: Items,
    slots: Places,
) -> tuple[Items, Items, Places, int, int]:  # pragma: no cover - compiled
    """Place, item and pinned slots as of `Arranged`, and how many items sank and how many diversity kept out."""
    size, sinks, sank = len(ranked), len(sunk) > 0, 0
    order = np.arange(size)
    steps = np.zeros(size if sinks else 0, np.int64)
    if sinks:
        # Behind the item at whose place it arrives: twice the place, and one more for what sank.
        keys = np.empty(size, np.int64)
        for place in range(size):
            at = np.searchsorted(sunk, ranked[place])
            if at < len(sunk) and sunk[at] == ranked[place]:
                steps[place] = by[at]
                sank += 1 if place < wanted else 0
            keys[place] = 2 * (place + steps[place]) + (1 if steps[place] > 0 else 0)
        order = np.argsort(keys, kind="mergesort")
    line, pins = np.empty(wanted, np.int32), 0
    while pins < len(pinned) and slots[pins] < wanted:
        pins += 1
    # What is shown has its codes side by side: of all items they lie anywhere in memory.
    held, own = np.empty((len(codes), pins + wanted), np.int32), np.empty(len(codes), np.int32)
    for rule in range(len(codes)):
        for pin in range(pins):
            held[rule, pin] = codes[rule, pinned[pin]]
    kept_out, free = 0, 0
    for turn in range(size):
        place = order[turn]
        # What is not ranked may come before what sank behind the end of the list.
        if free == wanted - pins or (more and sinks and place + steps[place] >= size):
            break
        there, agrees = False, False
        for pin in range(pins):
            there = there or pinned[pin] == ranked[place]
        if there:
            continue
        for rule in range(len(codes)):
            own[rule] = codes[rule, ranked[place]]
            count = 0
            for before in range(pins + free if own[rule] >= 0 else 0):
                count += held[rule, before] == own[rule]
            agrees = agrees or (own[rule] >= 0 and count >= at_most[rule])
        if agrees:
            kept_out += 1
            continue
        line[free], held[:, pins + free] = place, own
        free += 1
    size, pin, at = free + pins, 0, 0
    found, item, taken = np.full(size, NOWHERE, np.int32), np.empty(size, np.int32), np.empty(pins, np.int64)
    for slot in range(size):
        if pin < pins and (slots[pin] <= slot or at == free):
            item[slot], taken[pin] = pinned[pin], slot
            for place in range(len(ranked)):
                if ranked[place] == pinned[pin]:
                    found[slot] = place
            pin += 1
        else:
            found[slot], item[slot] = line[at], ranked[line[at]]
            at += 1
    return found, item, taken, sank, kept_out
