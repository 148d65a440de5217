"""What the shop sells: item attributes, prices and availability, as columns and as masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.vocabulary import UNKNOWN, Vocabulary

ITEM_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "title": pl.String(),
    "author": pl.String(),
    "category": pl.String(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "available": pl.Boolean(),
    "published": pl.Int64(),
    "expires": pl.Int64(),
    "attributes": pl.String(),
}
"""A frame of items. Only `item_id` is never null; `available` null means available; `published` and `expires` are
milliseconds UTC between which the item may be shown; `attributes` is a JSON object as text with everything else."""

CUSTOMER_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "account_id": pl.String(),
    "attributes": pl.String(),
}
"""A frame of customers. `account_id` names the household or company several customers share; `attributes` is a JSON
object as text."""

UNREAD = -1
"""The version of a catalogue of which nothing was read."""

_NEVER = np.iinfo(np.int64).max
_ALWAYS = np.iinfo(np.int64).min
_LIMITED = ~pl.col("available").fill_null(True) | pl.col("published").is_not_null() | pl.col("expires").is_not_null()


@dataclass(frozen=True, slots=True)
class CatalogChanges:
    """What changed in a store's catalogue after some version of it.

    Attributes
    ----------
    items : the rows that are new or changed, in `ITEM_SCHEMA`, ordered by id.
    removed : the ids of items that were taken off and did not come back, in order.
    version : of the catalogue with these changes.
    """

    items: pl.DataFrame
    removed: Sequence[str]
    version: int


class Hidden(StrEnum):
    """Why an item may not be shown."""

    UNAVAILABLE = "unavailable"
    NOT_YET_PUBLISHED = "not_yet_published"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class _Mask:
    """What may be shown at `now`, and until the next item appears or expires."""

    now: int
    period: int
    showable: npt.NDArray[np.bool_]
    hidden: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """Which items of a vocabulary may be shown, and when. Never changed: `with_changes` makes the next one, which
    shares with this one whatever stayed the same.

    Attributes
    ----------
    available : bool, shape (items,).
    published, expires : int64, shape (items,); milliseconds UTC.
    appearances, expiries : int64, ascending; the times among `published` and `expires` that are set.
    version : the store's version of the catalogue, or `UNREAD`.
    """

    available: npt.NDArray[np.bool_]
    published: npt.NDArray[np.int64]
    expires: npt.NDArray[np.int64]
    appearances: npt.NDArray[np.int64]
    expiries: npt.NDArray[np.int64]
    version: int = UNREAD
    _last: list[_Mask] = field(repr=False, compare=False, default_factory=list)

    @classmethod
    def unread(cls, size: int) -> Self:
        """A catalogue of `size` items of which nothing is known: everything is available."""
        published, expires = np.full(size, _ALWAYS), np.full(size, _NEVER)
        return cls(np.ones(size, dtype=np.bool_), published, expires, published[:0], expires[:0])

    @classmethod
    def of(cls, changes: CatalogChanges, items: Vocabulary) -> Self:
        """The catalogue of all there is in a store: its changes since `UNREAD`."""
        return cls.unread(len(items)).with_changes(changes, items)

    @classmethod
    def from_items(cls, frame: pl.DataFrame, items: Vocabulary, version: int = 0) -> Self:
        """The catalogue of a frame in `ITEM_SCHEMA`. An item without a row is available."""
        return cls.of(CatalogChanges(frame, (), version), items)

    def moved(self, origins: npt.NDArray[np.int32]) -> Self:
        """The same catalogue in the positions of another vocabulary; nothing is known of items that this one has not.

        Parameters
        ----------
        origins : shape (items of the other vocabulary,); where each of them is in this one, or `UNKNOWN`.
        """
        new = origins == UNKNOWN
        available, published, expires = self.available[origins], self.published[origins], self.expires[origins]
        available[new], published[new], expires[new] = True, _ALWAYS, _NEVER
        return replace(
            self,
            available=available,
            published=published,
            expires=expires,
            appearances=_set_times(published),
            expiries=_set_times(expires),
            _last=[],
        )

    def with_changes(self, changes: CatalogChanges, items: Vocabulary) -> Self:
        """The catalogue after these changes, which follow this one's version; `items` is its vocabulary."""
        # Where nothing was read yet, rows without limits say what is assumed anyway, and most have none.
        rows = changes.items.filter(_LIMITED) if self.version == UNREAD else changes.items
        ids = [identifier.encode() for identifier in (*rows["item_id"].to_list(), *changes.removed)]
        # End to end they are looked up by compiled code, and none is remembered: one day every item will have changed.
        offsets = np.zeros(len(ids) + 1, dtype=np.int64)
        np.cumsum([len(raw) for raw in ids], out=offsets[1:])
        positions = items.positions_of(np.frombuffer(b"".join(ids), dtype=np.uint8).copy(), offsets)
        here = positions != UNKNOWN

        # By plain lists: mostly one row changed, and a data frame's operations would take longer than all else.
        def column(name: str, default: int, removed: int) -> npt.NDArray[np.int64]:
            values = [default if value is None else value for value in rows[name].to_list()]
            whole: npt.NDArray[np.int64] = np.array([*values, *[removed] * len(changes.removed)], dtype=np.int64)
            return np.asarray(whole[here])

        position = positions[here]
        available = _written(self.available, position, column("available", 1, 0).astype(np.bool_))
        published = _written(self.published, position, column("published", _ALWAYS, _ALWAYS))
        expires = _written(self.expires, position, column("expires", _NEVER, _NEVER))
        if available is self.available and published is self.published and expires is self.expires:
            return replace(self, version=changes.version)
        changed = replace(
            self,
            available=available,
            published=published,
            expires=expires,
            appearances=_times(self.appearances, self.published, published, position),
            expiries=_times(self.expiries, self.expires, expires, position),
            version=changes.version,
            _last=[],
        )
        # What may be shown at the last moment that was asked for is known but for these positions.
        masks = [_mask(changed, last.now, last.showable.copy(), position) for last in self._last]
        return replace(changed, _last=masks)

    def gained(self, earlier: Catalog) -> bool:
        """Whether an item may be shown, now or some day, that might not be under an earlier catalogue of the same
        items."""
        more = self.available & ~earlier.available
        if self.published is not earlier.published:
            more |= self.available & (self.published < earlier.published)
        if self.expires is not earlier.expires:
            more |= self.available & (self.expires > earlier.expires)
        return bool(more.any())

    def showable(self, now: int) -> npt.NDArray[np.bool_]:
        """Which items may be shown at `now` (milliseconds UTC): bool, shape (items,). Not to be changed: it is kept
        until the next item appears or expires."""
        return self._mask(now).showable

    def hidden(self, now: int) -> int:
        """How many items may not be shown at `now`."""
        return self._mask(now).hidden

    def hidden_because(self, position: int, now: int) -> Hidden | None:
        """Why the item at a position may not be shown at `now`; None when it may."""
        if not self.available[position]:
            return Hidden.UNAVAILABLE
        if now < self.published[position]:
            return Hidden.NOT_YET_PUBLISHED
        return Hidden.EXPIRED if now >= self.expires[position] else None

    def period(self, now: int) -> int:
        """How many times items appeared or expired by themselves until `now`: between equal periods nothing did."""
        passed = 0
        for times in (self.appearances, self.expiries):
            if len(times):
                passed += int(np.searchsorted(times, now, side="right"))
        return passed

    def _mask(self, now: int) -> _Mask:
        if not self._last or self._last[0].period != self.period(now):
            self._last[:] = [_mask(self, now, np.empty(len(self.available), dtype=np.bool_), slice(None))]
        return self._last[0]


def _mask(catalog: Catalog, now: int, showable: npt.NDArray[np.bool_], which: npt.NDArray[np.int32] | slice) -> _Mask:
    """The mask at `now`, written into `showable` where it is not known yet."""
    dates = (catalog.published[which] <= now) & (now < catalog.expires[which])
    showable[which] = catalog.available[which] & dates
    return _Mask(now, catalog.period(now), showable, int(len(showable) - np.count_nonzero(showable)))


_T = TypeVar("_T", np.bool_, np.int64)


def _written(old: npt.NDArray[_T], position: npt.NDArray[np.int32], values: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """The array with these values at these positions; itself where they are there already."""
    if np.array_equal(old[position], values):
        return old
    new = old.copy()
    new[position] = values
    return new


def _set_times(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Those that are set, ascending."""
    return np.sort(times[(times != _ALWAYS) & (times != _NEVER)])


def _times(
    ascending: npt.NDArray[np.int64],
    old: npt.NDArray[np.int64],
    new: npt.NDArray[np.int64],
    position: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """The times that are set in `new`, ascending, from those of `old`, which differs at `position` alone."""
    if new is old:
        return ascending
    gone, come = _set_times(old[position]), _set_times(new[position])
    # Of equal times each that is gone takes away another one.
    nth = np.arange(len(gone)) - np.searchsorted(gone, gone)
    kept = np.delete(ascending, np.searchsorted(ascending, gone) + nth)
    return np.insert(kept, np.searchsorted(kept, come), come)
