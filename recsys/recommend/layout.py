"""What the rules of a placement that hold for a whole list come to for one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from recsys.data.history import History
from recsys.data.item_table import ItemTable
from recsys.data.shown import Shown
from recsys.data.signals import MS_PER_DAY
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import InputError
from recsys.models.kernels import Items, Places
from recsys.recommend.arrangement import Layout
from recsys.recommend.placement import Pin, Placement, Rotation
from recsys.recommend.rules import LONG_AGO, NEVER

_NO_PLACES = np.zeros(0, dtype=np.int64)
_NO_ITEMS = np.zeros(0, dtype=np.int32)
_NOTHING = Layout()


class PlacementLayout:
    """The pins, the rotation and the diversity of one placement, over the items of one bundle.

    Attributes
    ----------
    arranges : whether there is anything to do to a ranked list.
    by : the attributes that diversity is about.
    """

    def __init__(self, placement: Placement, items: Vocabulary) -> None:
        self._rotation = placement.rotation
        self._at_most = np.array([rule.at_most for rule in placement.diversity], dtype=np.int64)
        known = items.positions(pin.item_id for pin in placement.pins)
        # A pin of an item that the models do not know waits until they do.
        self._pins = [
            (pin, position) for pin, position in zip(placement.pins, known.tolist(), strict=True) if position != UNKNOWN
        ]
        self._last: tuple[list[tuple[Pin, int]], tuple[Items, Places]] = ([], (_NO_ITEMS, _NO_PLACES))
        self._coded: tuple[ItemTable | None, npt.NDArray[np.int32]] | None = None
        self.by = tuple(rule.by for rule in placement.diversity)
        self.arranges = bool(self.by or self._pins or self._rotation)

    @property
    def rotates(self) -> bool:
        """Whether it matters what was shown before."""
        return self._rotation is not None

    def now(
        self,
        now: int,
        showable: npt.NDArray[np.bool_],
        hidden: Callable[[], Items],
        table: ItemTable | None,
        shown: Shown,
        history: History,
    ) -> Layout:
        """What they come to.

        Parameters
        ----------
        now : milliseconds UTC.
        showable : bool, shape (items,); what passes all that holds for everybody.
        hidden : gives what this customer is not to see: int32, in any order.
        table : the attributes that diversity is about; items agree in none that it does not have.
        shown, history : of the customer; read where there is a rotation.
        """
        if not self.arranges:
            return _NOTHING
        pins = [
            (pin, position)
            for pin, position in self._pins
            if (pin.starts is None or pin.starts <= now) and (pin.ends is None or now < pin.ends) and showable[position]
        ]
        pinned, slots = self._placed(pins, hidden()) if pins else (_NO_ITEMS, _NO_PLACES)
        sunk, steps = sinking(self._rotation, shown, history, now) if self._rotation else (_NO_ITEMS, _NO_PLACES)
        return Layout(pinned, slots, sunk, steps, self._codes(table, len(showable)), self._at_most)

    def _placed(self, pins: list[tuple[Pin, int]], hidden: Items) -> tuple[Items, Places]:
        """Which items stand where; made again where others than last time may be shown."""
        pins = [(pin, position) for pin, position in pins if not (hidden == position).any()]
        last = self._last
        if last[0] != pins:
            last = self._last = pins, _placed(pins)
        return last[1]

    def period(self, shown: Shown, now: int) -> tuple[int, int]:
        """From when until before when, around `now`, they come to the same as long as nothing happens: milliseconds
        UTC."""
        starts_and_ends = [at for pin, _ in self._pins for at in (pin.starts, pin.ends) if at is not None]
        turns = np.array(starts_and_ends, dtype=np.int64)
        if self._rotation is not None:
            # The first moment at which an impression does not count any more.
            turns = np.concatenate([turns, shown.at + self._rotation.days * int(MS_PER_DAY) + 1])
        return int(turns[turns <= now].max(initial=LONG_AGO)), int(turns[turns > now].min(initial=NEVER))

    def _codes(self, table: ItemTable | None, size: int) -> npt.NDArray[np.int32]:
        """Those of the attributes that diversity is about, as in `Layout`."""
        known = self._coded
        if known is None or known[0] is not table:
            rows = [_codes(table, name, size) for name in self.by]
            known = self._coded = table, np.array(rows, dtype=np.int32).reshape(len(rows), size)
        return known[1]

    def check(self, table: ItemTable) -> None:
        """Raises InputError for an attribute that items cannot agree in."""
        for name in self.by:
            table.codes(name)


def _codes(table: ItemTable | None, name: str, size: int) -> Items:
    """Of an attribute that there is no more, all items are free."""
    try:
        return np.full(size, -1, dtype=np.int32) if table is None else table.codes(name)
    except InputError:
        return np.full(size, -1, dtype=np.int32)


def _placed(pins: Sequence[tuple[Pin, int]]) -> tuple[Items, Places]:
    """Which items stand where; where a slot is taken, the next free one is."""
    slots: dict[int, int] = {}
    for pin, position in pins:
        if position in slots.values():
            continue
        slot = pin.slot - 1
        while slot in slots:
            slot += 1
        slots[slot] = position
    order = sorted(slots)
    return np.array([slots[slot] for slot in order], dtype=np.int32), np.array(order, dtype=np.int64)


def sinking(rotation: Rotation, shown: Shown, history: History, now: int) -> tuple[Items, Places]:
    """The items that sink, ascending, and by how many places each: `step` for every impression beyond `after` within
    the days and since the customer last did anything with the item."""
    if not len(shown.item):
        return _NO_ITEMS, _NO_PLACES
    recent = shown.at >= now - rotation.days * int(MS_PER_DAY)
    item, at = shown.item[recent], shown.at[recent]
    if not len(item):
        return _NO_ITEMS, _NO_PLACES
    if len(history):
        order = np.argsort(item, kind="stable")
        item, at = item[order], at[order]
        did = np.isin(history.item, item)
        last = np.full(len(item), np.iinfo(np.int64).min)
        place = np.searchsorted(item, history.item[did])
        np.maximum.at(last, place, history.timestamp[did])
        # Impressions of one item stand together; the first of them has the time.
        since = at > last[np.searchsorted(item, item)]
        item = item[since]
    distinct, count = np.unique(item, return_counts=True)
    beyond = count - rotation.after
    return distinct[beyond > 0].astype(np.int32), (beyond[beyond > 0] * rotation.step).astype(np.int64)
