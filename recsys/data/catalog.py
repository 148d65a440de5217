"""What the shop sells: item attributes, prices and availability, as columns and as masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

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

_NEVER = np.iinfo(np.int64).max
_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Catalog:
    """Which items of a vocabulary may be shown, and when. Built anew when the catalogue's version changes.

    Attributes
    ----------
    available : bool, shape (items,).
    published, expires : int64, shape (items,); milliseconds UTC.
    version : the store's version of the catalogue.
    """

    available: npt.NDArray[np.bool_]
    published: npt.NDArray[np.int64]
    expires: npt.NDArray[np.int64]
    version: int = 0
    _changes: npt.NDArray[np.int64] = field(init=False, repr=False)
    _last: list[tuple[int, npt.NDArray[np.bool_], int]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        times = np.unique(np.concatenate([self.published, self.expires]))
        object.__setattr__(self, "_changes", times[(times != _ALWAYS) & (times != _NEVER)])

    @classmethod
    def from_items(cls, frame: pl.DataFrame, items: Vocabulary, version: int = 0) -> Self:
        """The catalogue of a frame in `ITEM_SCHEMA`. An item without a row is available."""
        size = len(items)
        available = np.ones(size, dtype=np.bool_)
        published = np.full(size, _ALWAYS, dtype=np.int64)
        expires = np.full(size, _NEVER, dtype=np.int64)
        limited = frame.filter(
            ~pl.col("available").fill_null(True) | pl.col("published").is_not_null() | pl.col("expires").is_not_null()
        )
        position = items.positions(limited["item_id"])
        known = position != UNKNOWN
        position = position[known]
        available[position] = limited["available"].fill_null(True).to_numpy()[known]
        published[position] = limited["published"].fill_null(int(_ALWAYS)).to_numpy()[known]
        expires[position] = limited["expires"].fill_null(int(_NEVER)).to_numpy()[known]
        return cls(available, published, expires, version)

    def showable(self, now: int) -> npt.NDArray[np.bool_]:
        """Which items may be shown at `now` (milliseconds UTC): bool, shape (items,). Not to be changed: it is kept
        until the next item appears or expires."""
        period = self.period(now)
        if not self._last or self._last[0][0] != period:
            mask = self.available & (self.published <= now) & (now < self.expires)
            self._last[:] = [(period, mask, int(len(mask) - np.count_nonzero(mask)))]
        return self._last[0][1]

    def hidden(self, now: int) -> int:
        """How many items may not be shown at `now`."""
        self.showable(now)
        return self._last[0][2]

    def period(self, now: int) -> int:
        """How many times items appeared or expired by themselves until `now`: between equal periods nothing did."""
        return int(np.searchsorted(self._changes, now, side="right")) if len(self._changes) else 0
