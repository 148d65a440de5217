"""Who is like whom before anybody has been shown anything: items by category and by author, newcomers too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.catalog_index import CatalogIndex
from recsys.data.vocabulary import UNKNOWN

NO_GROUP = -1

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ItemGroups:
    """Groups in the positions of a `CatalogIndex`: the bundle's items first, then the newcomers.

    Attributes
    ----------
    category, author : int32, shape (items + newcomers,); numbers from 0 on without gaps, `NO_GROUP` where there is
        none.
    """

    category: Codes
    author: Codes

    def at(self, positions: Codes) -> ItemGroups:
        """Those of some items alone: int32, as many."""
        return ItemGroups(self.category[positions], self.author[positions])

    def __len__(self) -> int:
        return len(self.category)

    @classmethod
    def of(cls, rows: pl.DataFrame, index: CatalogIndex) -> Self:
        """The groups of items with these rows (`item_id`, `category`, `author`), each item once."""
        position = index.positions(rows["item_id"])
        kept = position != UNKNOWN
        codes = []
        for name in ("category", "author"):
            code = np.full(len(index.items) + len(index.newcomers), NO_GROUP, dtype=np.int32)
            dense = rows[name].filter(pl.Series(kept, dtype=pl.Boolean)).rank("dense").cast(pl.Int64).fill_null(0)
            code[position[kept]] = dense.to_numpy() - 1
            codes.append(code)
        return cls(*codes)

    @classmethod
    def nothing(cls, size: int) -> Self:
        """Of so many items of which nothing is known."""
        return cls(np.full(size, NO_GROUP, dtype=np.int32), np.full(size, NO_GROUP, dtype=np.int32))
