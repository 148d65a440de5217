"""Keeping the catalogue of a worker up to date: only what changed is read, and what it does not know is remembered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import UNREAD, Catalog, CatalogChanges
from recsys.data.item_table import ItemTable
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.stores.protocols import Store
from serving.http.store_handle import Origin, file_identity, reading

FEW_CHANGES = 1_000
"""So many changed items are read right where answers are made: it takes a few milliseconds at most."""

_WHOLE_IS_QUICKER = 4
"""Where more than this part of the items changed or is new, everything is read: most rows say nothing about what may be
shown."""


@dataclass(frozen=True, slots=True)
class ReadCatalog:
    """A catalogue in the positions of a bundle.

    Attributes
    ----------
    catalog : what may be shown.
    table : the attributes of items, of the same version; None as long as nobody asks for them.
    origin : the store that it was read from; None when it was never read.
    """

    catalog: Catalog
    table: ItemTable | None
    origin: Origin | None

    @classmethod
    def unread(cls, items: Vocabulary, *, tabled: bool) -> Self:
        """Nothing is known: everything counts as available. `tabled` is whether attributes are asked for."""
        return cls(Catalog.unread(len(items)), ItemTable.unread(len(items)) if tabled else None, None)

    def taken_over(
        self, items: Vocabulary, origins: npt.NDArray[np.int32], *, tabled: bool
    ) -> tuple[ReadCatalog, list[str]]:
        """What this says of the items of another bundle, and those that are new to it; nothing where it has not what
        is asked for, or where most are new.

        Parameters
        ----------
        origins : as of `Catalog.moved`.
        tabled : whether attributes are asked for.
        """
        # Attributes that had no room are in no table: with other items there may be.
        fits = tabled == (self.table is not None) and (self.table is None or not self.table.left_out)
        new = np.flatnonzero(origins == UNKNOWN).tolist()
        if not fits or len(new) >= len(origins) // _WHOLE_IS_QUICKER:
            return self.unread(items, tabled=tabled), []
        table = None if self.table is None else self.table.moved(origins)
        return ReadCatalog(self.catalog.moved(origins), table, self.origin), [items[place] for place in new]

    def followed_by(self, changes: CatalogChanges, items: Vocabulary, origin: Origin) -> ReadCatalog:
        """After these changes, which were read from that store."""
        table = None if self.table is None else self.table.with_changes(changes, items)
        return ReadCatalog(self.catalog.with_changes(changes, items), table, origin)


def caught_up(
    store: Store,
    origin: Origin,
    known: ReadCatalog,
    items: Vocabulary,
    at_most: int | None,
    new: Collection[str] = (),
) -> ReadCatalog | None:
    """The catalogue as the store has it now, by what changed since it was read, and by all there is of items that were
    `new` to it; None when that is more than `at_most`.

    Another store, or a backup that was put in its place, counts its versions differently: then everything is read.
    """
    if known.origin != origin or store.catalog.version() < known.catalog.version:
        known, new = ReadCatalog.unread(items, tabled=known.table is not None), ()
    changes = store.catalog.changes(known.catalog.version, at_most, new)
    return None if changes is None else known.followed_by(changes, items, origin)


def read_catalog(store_path: Path, items: Vocabulary, known: ReadCatalog, new: Collection[str] = ()) -> ReadCatalog:
    """The catalogue as the store has it now, through a connection of its own; `new` as for `caught_up`. Raises
    StoreError."""
    file = file_identity(store_path)

    def ask(store: Store) -> ReadCatalog:
        origin = (store.secret(), *file)
        read = caught_up(store, origin, known, items, len(items) // _WHOLE_IS_QUICKER, new)
        if read is not None:
            return read
        nothing = ReadCatalog.unread(items, tabled=known.table is not None)
        return nothing.followed_by(store.catalog.changes(UNREAD), items, origin)

    return reading(store_path, ask)
