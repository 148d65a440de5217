"""When each customer bought each item: purchases that stayed, on the best clock that the data has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME

_LARGEST_KEY = 2**62


class Clock(StrEnum):
    """What an interval between two purchases is counted in."""

    DAYS = "days"
    """Days of UTC; all purchases of one item on one day are one occasion."""
    STEPS = "steps"
    """The customer's own purchases in order; everything at one position is one step."""
    COUNTS = "counts"
    """Nothing is known of order: every purchase event is one occasion."""


@dataclass(frozen=True, slots=True)
class PurchaseRows:
    """The events of one or many customers as plain columns, all of shape (events,).

    Attributes
    ----------
    row : int64; the customer.
    item : int32; the item's position.
    kind : int8; kind codes.
    timestamp : int64; milliseconds UTC, `UNKNOWN_TIME` where unknown.
    position : int64; `UNKNOWN_TIME` where unknown.
    quantity : float32; pieces.
    """

    row: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    timestamp: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    quantity: npt.NDArray[np.float32]

    def chosen(self, where: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> PurchaseRows:
        """Some of the rows, or all in another order."""
        return PurchaseRows(
            self.row[where],
            self.item[where],
            self.kind[where],
            self.timestamp[where],
            self.position[where],
            self.quantity[where],
        )


def purchase_rows(interactions: Interactions) -> PurchaseRows:
    """All customers' events as plain columns."""
    return PurchaseRows(
        interactions.row,
        interactions.item,
        interactions.kind,
        interactions.timestamp,
        interactions.position,
        interactions.quantity,
    )


@dataclass(frozen=True, slots=True)
class Occasions:
    """Distinct (customer, item, moment), sorted by customer, item and moment; all of shape (occasions,).

    Attributes
    ----------
    row : int64; the customer.
    item : int32; the item's position.
    when : int64; days since 1970, or the step in the customer's own order from 0, or the number of the purchase from 0.
    """

    row: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    when: npt.NDArray[np.int64]

    @property
    def first_of_pair(self) -> npt.NDArray[np.bool_]:
        """Whether a row is the first occasion of its customer and item: bool, shape (occasions,)."""
        first = np.ones(len(self.row), dtype=np.bool_)
        first[1:] = (self.row[1:] != self.row[:-1]) | (self.item[1:] != self.item[:-1])
        return first


def best_clock(rows: PurchaseRows, kinds: Collection[EventKind]) -> Clock:
    """The clock on which at least half of the purchases have a place; days before steps before counts."""
    bought = np.isin(rows.kind, [kind.code for kind in kinds])
    total = int(bought.sum())
    for clock, known in ((Clock.DAYS, rows.timestamp), (Clock.STEPS, rows.position)):
        if total and 2 * int((known[bought] != UNKNOWN_TIME).sum()) >= total:
            return clock
    return Clock.COUNTS


def occasions_of(rows: PurchaseRows, clock: Clock, kinds: Collection[EventKind]) -> Occasions:
    """The occasions on which something was bought and kept.

    A return takes the customer's latest purchases of the item back, piece by piece; a purchase that went back whole is
    no occasion. Purchases without a place on the clock are left out.

    Parameters
    ----------
    kinds : the kinds that count as a purchase.
    """
    bought = np.isin(rows.kind, [kind.code for kind in kinds])
    back = rows.kind == EventKind.RETURN.code
    place = {Clock.DAYS: rows.timestamp, Clock.STEPS: rows.position}.get(clock)
    known = np.ones(len(rows.row), dtype=np.bool_) if place is None else place != UNKNOWN_TIME
    rows = rows.chosen((bought | back) & known)
    kept = rows.chosen(_never_returned(rows))
    return _distinct(kept.row, kept.item, _moments(kept, clock))


def _distinct(row: npt.NDArray[np.int64], item: npt.NDArray[np.int32], moment: npt.NDArray[np.int64]) -> Occasions:
    """The distinct triples in order."""
    if not len(row):
        return Occasions(row, item, moment)
    size, start = int(item.max()) + 1, int(moment.min())
    span = int(moment.max()) - start + 1
    if (int(row.max()) + 1) * size * span < _LARGEST_KEY:
        # One number per triple sorts several times as fast as three columns (and as fast as `unique` by hashing).
        key = np.sort((row * size + item) * span + (moment - start))
        pair, since = np.divmod(key[np.append(True, key[1:] != key[:-1])], span)
        return Occasions(pair // size, (pair % size).astype(np.int32), since + start)
    order = np.lexsort((moment, item, row))
    row, item, moment = row[order], item[order], moment[order]
    new = np.ones(len(row), dtype=np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1]) | (moment[1:] != moment[:-1])
    return Occasions(row[new], item[new], moment[new])


def _never_returned(rows: PurchaseRows) -> npt.NDArray[np.bool_]:
    """Which rows are purchases that did not go back whole: bool, shape (events,)."""
    back = rows.kind == EventKind.RETURN.code
    kept: npt.NDArray[np.bool_] = ~back
    if not back.any():
        return kept
    pair = rows.row * (int(rows.item.max()) + 1) + rows.item
    returned = np.unique(pair[back])
    nearest = np.minimum(np.searchsorted(returned, pair), len(returned) - 1)
    concerned = np.flatnonzero(returned[nearest] == pair)
    # At the same moment the purchase comes before its return.
    order = np.lexsort((back[concerned], rows.position[concerned], rows.timestamp[concerned], pair[concerned]))
    concerned = concerned[order]
    kept[concerned] = _kept(rows.chosen(concerned))
    return kept


def _kept(rows: PurchaseRows) -> npt.NDArray[np.bool_]:
    """Which rows are purchases that did not go back whole; rows sorted by customer, item and time."""
    back = rows.kind == EventKind.RETURN.code
    kept: npt.NDArray[np.bool_] = ~back
    new = np.ones(len(back), dtype=np.bool_)
    new[1:] = (rows.row[1:] != rows.row[:-1]) | (rows.item[1:] != rows.item[:-1])
    starts = np.append(np.flatnonzero(new), len(back))
    pair = np.cumsum(new) - 1
    for group in np.unique(pair[back]):
        open_pieces: list[tuple[int, float]] = []
        for place in range(starts[group], starts[group + 1]):
            pieces = float(rows.quantity[place])
            if not back[place]:
                open_pieces.append((place, pieces))
                continue
            while pieces > 0 and open_pieces:
                latest, left = open_pieces.pop()
                if left > pieces:
                    open_pieces.append((latest, left - pieces))
                else:
                    kept[latest] = False
                pieces -= left
    return kept


def _moments(rows: PurchaseRows, clock: Clock) -> npt.NDArray[np.int64]:
    """The place of each purchase on the clock: int64, shape (purchases,)."""
    if clock is Clock.DAYS:
        return rows.timestamp // round(MS_PER_DAY)
    order = np.lexsort((rows.position, rows.row)) if clock is Clock.STEPS else np.arange(len(rows.row))
    row, position = rows.row[order], rows.position[order]
    # A step begins at every new position of a customer; where no order is known, at every purchase.
    begins = np.ones(len(order), dtype=np.bool_)
    new_customer = np.ones(len(order), dtype=np.bool_)
    new_customer[1:] = row[1:] != row[:-1]
    if clock is Clock.STEPS:
        begins[1:] = new_customer[1:] | (position[1:] != position[:-1])
    step = np.cumsum(begins) - 1
    first = step[np.flatnonzero(new_customer)]
    moment = np.empty(len(order), dtype=np.int64)
    moment[order] = step - first[np.cumsum(new_customer) - 1]
    return moment
