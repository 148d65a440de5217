"""What came of showing items: how often each was shown, clicked and bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.catalog_index import CatalogIndex
from recsys.data.vocabulary import UNKNOWN

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """Counts in the positions of a `CatalogIndex`: the bundle's items first, then the newcomers.

    Attributes
    ----------
    impressions, clicks, purchases : int64, shape (items + newcomers,); how often each was shown, and how often it was
        clicked and bought by somebody who had been shown it.
    """

    impressions: Counts
    clicks: Counts
    purchases: Counts

    def __len__(self) -> int:
        return len(self.impressions)

    @classmethod
    def nothing(cls, size: int) -> Self:
        """Of so many items, none of which was ever shown."""
        return cls(*(np.zeros(size, dtype=np.int64) for _ in range(3)))

    @classmethod
    def placed(cls, items: pl.DataFrame, index: CatalogIndex) -> Self:
        """The counts of a frame in `RESPONSE_SCHEMA`, each item once; items that the index does not know are left
        out."""
        position = index.positions(items["item_id"])
        kept = position != UNKNOWN
        counts = cls.nothing(len(index.items) + len(index.newcomers))
        for name in ("impressions", "clicks", "purchases"):
            getattr(counts, name)[position[kept]] = items[name].to_numpy()[kept]
        return counts

    @property
    def engaged(self) -> Counts:
        """Of the impressions, those that led to anything: clicks, or purchases where a shop does not report clicks or
        something is bought without one. At most as many as there were impressions."""
        return np.minimum(self.impressions, np.maximum(self.clicks, self.purchases))

    @property
    def bought(self) -> Counts:
        """Of `engaged`, those that ended in a purchase."""
        return np.minimum(self.engaged, self.purchases)
