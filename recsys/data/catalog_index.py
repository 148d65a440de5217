"""What lists of a whole category, or of what is new, need of the catalogue: who is in which category, and the items
that came after the models were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.catalog import ITEM_SCHEMA, UNREAD, Catalog, CatalogChanges
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import InputError

NO_CATEGORY = -1
_FEW = 5
_COMPARED = 500


@dataclass(frozen=True, slots=True)
class CatalogIndex:
    """Categories of items, and newcomers. Built when a list first needs it; `with_changes` makes the next one.

    Positions run over a vocabulary's items first and go on with the newcomers, which it does not know.

    Attributes
    ----------
    items : the vocabulary.
    codes : the code of each category by its name, with those that no item is in any more.
    code : int32, shape (items + newcomers,); `NO_CATEGORY` where there is none.
    rows : of the newcomers, in `ITEM_SCHEMA`, in no order.
    newcomers : their ids.
    shelf : when newcomers may be shown, in their positions among themselves.
    version : the store's version of the catalogue, or `UNREAD`.
    """

    items: Vocabulary
    codes: Mapping[str, int]
    code: npt.NDArray[np.int32]
    rows: pl.DataFrame
    newcomers: Vocabulary
    shelf: Catalog
    version: int

    @classmethod
    def nothing(cls, items: Vocabulary) -> Self:
        """The index of a shop that says nothing of its items."""
        rows, nobody = pl.DataFrame(schema=ITEM_SCHEMA), Vocabulary.from_ids(())
        code = np.full(len(items), NO_CATEGORY, dtype=np.int32)
        return cls(items, {}, code, rows, nobody, Catalog.unread(0), UNREAD)

    @classmethod
    def from_items(cls, frame: pl.DataFrame, items: Vocabulary, version: int = 0) -> Self:
        """The index of a frame in `ITEM_SCHEMA`."""
        return cls.nothing(items).with_changes(CatalogChanges(frame, (), version))

    def with_changes(self, changes: CatalogChanges) -> Self:
        """The index after these changes, which follow this one's version."""
        frame, removed, version = changes.items, changes.removed, changes.version
        size = len(self.items)
        position = self.items.positions(frame["item_id"])
        known = position != UNKNOWN
        touched = pl.concat([frame["item_id"], pl.Series(removed, dtype=pl.String)])
        rows = pl.concat(
            [
                self.rows.filter(~pl.col("item_id").is_in(touched.implode())),
                frame.filter(pl.Series(known, dtype=pl.Boolean).not_()),
            ]
        )
        codes = dict(self.codes)
        for name in frame["category"].drop_nulls().unique().sort():
            codes.setdefault(name, len(codes))
        newcomers = Vocabulary.from_ids(rows["item_id"])
        code = np.full(size + len(newcomers), NO_CATEGORY, dtype=np.int32)
        code[:size] = self.code[:size]
        gone = self.items.positions(removed)
        code[gone[gone != UNKNOWN]] = NO_CATEGORY
        code[position[known]] = _codes(frame["category"], codes)[known]
        code[size + newcomers.positions(rows["item_id"])] = _codes(rows["category"], codes)
        shelf = Catalog.from_items(rows, newcomers, version)
        return replace(self, codes=codes, code=code, rows=rows, newcomers=newcomers, shelf=shelf, version=version)

    def members(self, category: str) -> npt.NDArray[np.bool_]:
        """Which items are in a category, by its exact name: bool, shape (items + newcomers,).

        Raises InputError for a category that no item is in.
        """
        found = np.asarray(self.code == self.codes.get(category, len(self.codes)))
        if not found.any():
            counted = np.bincount(self.code[self.code != NO_CATEGORY], minlength=len(self.codes))
            names = [name for name, code in self.codes.items() if counted[code]]
            raise InputError(f"the category {category[:80]!r}", expected=_known(category, names))
        return found

    def positions(self, item_ids: pl.Series) -> npt.NDArray[np.int32]:
        """The positions of items and newcomers by their ids: int32, shape (n,); `UNKNOWN` for others."""
        known, new = self.items.positions(item_ids), self.newcomers.positions(item_ids)
        return np.where(known != UNKNOWN, known, np.where(new != UNKNOWN, len(self.items) + new, UNKNOWN)).astype(
            np.int32
        )

    def id_of(self, position: int) -> str:
        """The id of an item or a newcomer."""
        size = len(self.items)
        return self.items[position] if position < size else self.newcomers[position - size]

    def showable(self, catalog: Catalog, now: int) -> npt.NDArray[np.bool_]:
        """Which items and newcomers may be shown at `now`: bool; `catalog` is in the vocabulary's positions."""
        if not len(self.newcomers):
            return catalog.showable(now)
        return np.concatenate([catalog.showable(now), self.shelf.showable(now)])


def _codes(names: pl.Series, codes: Mapping[str, int]) -> npt.NDArray[np.int32]:
    return np.array([NO_CATEGORY if name is None else codes[name] for name in names], dtype=np.int32)


def _known(category: str, names: Sequence[str]) -> str:
    """What there is instead: all names where they are few, else those that look like it."""
    if not names:
        return "none: no item of the catalogue has a category"
    if len(names) <= _FEW:
        return f"one of {', '.join(map(repr, names))}"
    # Only so many are compared: it takes time, and a catalogue may have any number.
    nearest = sorted(names, key=lambda name: (name[:1].casefold() != category[:1].casefold(), name))[:_COMPARED]
    close = get_close_matches(category[:80], nearest, cutoff=0.5)
    return f"one of the catalogue's {len(names)} categories" + (
        f", such as {', '.join(map(repr, close))}" if close else ""
    )
