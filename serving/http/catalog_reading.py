"""Keeping the catalogue of a worker up to date: only what changed is read, and what it does not know is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from recsys.data.catalog import UNREAD, Catalog
from recsys.data.vocabulary import Vocabulary
from recsys.stores.protocols import Store
from serving.http.store_handle import Origin, file_identity, reading

FEW_CHANGES = 1_000
"""So many changed items are read right where answers are made: it takes a few milliseconds at most."""

_WHOLE_IS_QUICKER = 4
"""Where more than this part of the items changed, everything is read: most rows say nothing about what may be shown."""


@dataclass(frozen=True, slots=True)
class ReadCatalog:
    """A catalogue in the positions of a bundle, and the store that it was read from; None when it was never read."""

    catalog: Catalog
    origin: Origin | None

    @classmethod
    def unread(cls, items: Vocabulary) -> Self:
        """Nothing is known: everything counts as available."""
        return cls(Catalog.unread(len(items)), None)


def caught_up(
    store: Store, origin: Origin, known: ReadCatalog, items: Vocabulary, at_most: int | None
) -> ReadCatalog | None:
    """The catalogue as the store has it now, by what changed since it was read; None when that is more than `at_most`.

    Another store, or a backup that was put in its place, counts its versions differently: then everything is read.
    """
    catalog = known.catalog
    if known.origin != origin or store.catalog.version() < catalog.version:
        catalog = Catalog.unread(len(items))
    changes = store.catalog.changes(catalog.version, at_most)
    return None if changes is None else ReadCatalog(catalog.with_changes(changes, items), origin)


def read_catalog(store_path: Path, items: Vocabulary, known: ReadCatalog) -> ReadCatalog:
    """The catalogue as the store has it now, through a connection of its own. Raises StoreError."""
    file = file_identity(store_path)

    def ask(store: Store) -> ReadCatalog:
        origin = (store.secret(), *file)
        read = caught_up(store, origin, known, items, len(items) // _WHOLE_IS_QUICKER)
        return read or ReadCatalog(Catalog.of(store.catalog.changes(UNREAD), items), origin)

    return reading(store_path, ask)
