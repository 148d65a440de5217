"""One customer's past, in the positions of one vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.packed import HistoryColumns, HistoryRow
from recsys.data.signals import UNKNOWN_TIME, EventWeights
from recsys.data.taste import Speakers, items_with, speakers
from recsys.data.vocabulary import UNKNOWN, Vocabulary

T = TypeVar("T")

HISTORY_LIMIT = 500
"""Taste is read from so many of a customer's newest events, unless a service is set otherwise; older ones say only what
was had or refused."""


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """What a store knows of one customer's behaviour: exposures, undone events and undos are not in it.

    Attributes
    ----------
    version : grows with every event of this customer that belongs to the history (undos included); 0 when there is
        none.
    columns : the newest events, at most as many as were asked for, oldest first; and which kinds of event there were on
        which items before them: a customer owns or refused an item however long ago that was.
    loose : how many events the store had to read one by one; much more than a few is worth packing.
    """

    version: int
    columns: HistoryColumns
    loose: int = 0

    @classmethod
    def of(cls, version: int, rows: Sequence[HistoryRow], earlier: Collection[tuple[str, int]] = ()) -> Self:
        """A history of these rows, oldest first; `earlier` has item and kind of older events, each pair once."""
        return cls(version, HistoryColumns.of(rows, earlier))

    @property
    def rows(self) -> Sequence[HistoryRow]:
        """The newest events, oldest first."""
        return self.columns.rows()

    @property
    def earlier(self) -> Collection[tuple[str, int]]:
        """Item and kind of the events older than `rows`, each pair once."""
        return self.columns.earlier()


def ages(
    values: npt.NDArray[np.int64], row: npt.NDArray[np.int64], n_rows: int, unit: float
) -> npt.NDArray[np.float64]:
    """How long before the newest of its row each value is, in `unit`s; NaN where the value is `UNKNOWN_TIME`."""
    newest = np.full(n_rows, UNKNOWN_TIME, dtype=np.int64)
    np.maximum.at(newest, row, values)
    # In floating point: positions may be as far apart as 64 bits do not hold.
    age = np.subtract(newest[row], values, dtype=np.float64) / unit
    return np.asarray(np.where(values == UNKNOWN_TIME, np.nan, age), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class History:
    """One customer's events on known items, oldest first. Unknown items are dropped here and only here.

    Attributes
    ----------
    item : int32, shape (n,); positions in the vocabulary.
    kind : int8, shape (n,); kind codes.
    timestamp : int64, shape (n,); milliseconds UTC, `UNKNOWN_TIME` where unknown.
    position : int64, shape (n,); `UNKNOWN_TIME` where unknown.
    quantity, rating : float32, shape (n,); `rating` is NaN where there is none.
    earlier_item, earlier_kind : int32 and int8, shape (m,); which item had which kind of event before the oldest event
        here, each pair once.
    version : the store's version of this history.
    unknown_items : how many events and pairs of earlier ones were dropped because their item is not in the vocabulary.
    """

    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    timestamp: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    quantity: npt.NDArray[np.float32]
    rating: npt.NDArray[np.float32]
    earlier_item: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    earlier_kind: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    version: int = 0
    unknown_items: int = 0
    _kept: dict[int, tuple[object, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def kept(self, owner: object, make: Callable[[], T]) -> T:
        """What an owner once made of this history, made now when there is nothing yet; owners do not share."""
        entry = self._kept.get(id(owner))
        # The owner is held, so that its identity is no other's.
        if entry is None:
            entry = self._kept[id(owner)] = (owner, make())
        found: T = entry[1]
        return found

    @classmethod
    def from_stored(cls, stored: StoredHistory, items: Vocabulary) -> Self:
        """A stored history in the positions of `items`."""
        columns = stored.columns
        return cls._placed(columns, items.positions_of(columns.text, columns.offsets), stored.version)

    def moved(self, places: npt.NDArray[np.int32]) -> History | None:
        """The same past in the positions of another vocabulary; None where events were dropped that this one may know.

        Parameters
        ----------
        places : shape (items of the vocabulary until now,); the position of each in the other one, or `UNKNOWN`.
        """
        if self.unknown_items:
            return None
        item, earlier = places[self.item], places[self.earlier_item]
        if UNKNOWN in item or UNKNOWN in earlier:
            return self._placed(self, places, self.version)
        return replace(self, item=item, earlier_item=earlier)

    @classmethod
    def _placed(cls, columns: HistoryColumns | History, places: npt.NDArray[np.int32], version: int) -> Self:
        """These columns with `places[i]` for item `i`."""
        item, earlier = places[columns.item], places[columns.earlier_item]
        keep, keep_earlier = item != UNKNOWN, earlier != UNKNOWN
        return cls(
            item=item[keep],
            kind=columns.kind[keep],
            timestamp=columns.timestamp[keep],
            position=columns.position[keep],
            quantity=columns.quantity[keep].astype(np.float32),
            rating=columns.rating[keep].astype(np.float32),
            earlier_item=earlier[keep_earlier],
            earlier_kind=columns.earlier_kind[keep_earlier],
            version=version,
            unknown_items=int(np.count_nonzero(item == UNKNOWN) + np.count_nonzero(earlier == UNKNOWN)),
        )

    @classmethod
    def empty(cls) -> Self:
        """The history of somebody who has done nothing yet."""
        return cls.from_stored(StoredHistory.of(0, ()), Vocabulary.from_ids(()))

    def without_taste(self, kinds: Collection[EventKind] = tuple(EventKind)) -> History:
        """What this history says was had or refused, by events of these kinds, and nothing that taste could be read
        from; the empty history where there is no such event."""
        item = np.concatenate([self.item, self.earlier_item])
        kind = np.concatenate([self.kind, self.earlier_kind])
        kept = np.isin(kind, [each.code for each in kinds])
        if not kept.any():
            return History.empty()
        return replace(History.empty(), earlier_item=item[kept], earlier_kind=kind[kept], version=self.version)

    def __len__(self) -> int:
        return len(self.item)

    def speakers(self, weights: EventWeights) -> Speakers:
        """The items that carry taste, how much, and what of each says most."""
        return speakers(self.item, self.kind, self.timestamp, self.position, self.quantity, self.rating, weights)

    def items_of(self, kinds: Collection[EventKind]) -> npt.NDArray[np.int32]:
        """The distinct items with an event of one of these kinds, ascending; events that are only in `earlier_item`
        count too."""
        wanted = np.zeros(max(KIND_BY_CODE) + 1, dtype=np.bool_)
        wanted[[kind.code for kind in kinds]] = True
        return items_with(self.item, self.kind, self.earlier_item, self.earlier_kind, wanted)
