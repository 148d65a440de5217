"""What the catalogue says of items, as typed columns in the positions of a vocabulary: for filters, and for lists that
hold only so many items of one author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from recsys.data.bounded import Bounded
from recsys.data.catalog import UNREAD, CatalogChanges
from recsys.data.item_column import ColumnKind, ItemColumn, Kind
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import InputError

MOST_ATTRIBUTES = 100
"""So many attributes are held beside those that every catalogue has, the first that are met: each takes memory for
every item."""

KEPT_BYTES = 64 * 1024 * 1024
"""What may be kept of what was made of a table."""

_STATES = count()
_AT_ONCE = 50_000
_DECLARED: Mapping[str, Kind] = {
    "author": Kind.TEXT,
    "category": Kind.TEXT,
    "price": Kind.NUMBER,
    "currency": Kind.TEXT,
    "available": Kind.FLAG,
    "published": Kind.TIME,
    "expires": Kind.TIME,
}
"""The columns of `ITEM_SCHEMA` that are held."""


@dataclass(frozen=True, eq=False)
class ItemTable:
    """The columns of a catalogue by item position. Never changed: `with_changes` makes the next one, which shares with
    this one every column that stayed the same.

    There are `author`, `category`, `price`, `currency`, `available`, `published` and `expires`, and every key of the
    `attributes` of which some item has a value; where both say the same name the former counts. A number takes 8 bytes
    for every item of the vocabulary, a text or a list 4, yes or no 1, and each distinct text itself once.

    Attributes
    ----------
    size : how many items.
    columns : by name.
    left_out : names of attributes beyond `MOST_ATTRIBUTES`.
    version : the store's version of the catalogue, or `UNREAD`.
    kept : what was made of this table and of those before it, as far as there is room.
    state : tables with equal ones have the same columns.
    """

    size: int
    columns: Mapping[str, ItemColumn]
    left_out: frozenset[str] = frozenset()
    version: int = UNREAD
    kept: Bounded = field(default_factory=lambda: Bounded(KEPT_BYTES), repr=False)
    state: int = field(default_factory=_STATES.__next__, repr=False)

    @classmethod
    def unread(cls, size: int) -> Self:
        """A table of `size` items of which nothing is known, but that they are available."""
        columns = {name: ItemColumn(size, declared=kind) for name, kind in _DECLARED.items()}
        columns["available"] = ItemColumn.all_true(size)
        return cls(size, MappingProxyType(columns))

    @classmethod
    def of(cls, changes: CatalogChanges, items: Vocabulary) -> ItemTable:
        """The table of all there is in a store: its changes since `UNREAD`."""
        return cls.unread(len(items)).with_changes(changes, items)

    @classmethod
    def from_items(cls, frame: pl.DataFrame, items: Vocabulary, version: int = 0) -> ItemTable:
        """The table of a frame in `ITEM_SCHEMA`."""
        return cls.of(CatalogChanges(frame, (), version), items)

    def moved(self, origins: npt.NDArray[np.int32]) -> ItemTable:
        """The same in the positions of another vocabulary, of whose other items nothing is known; `origins` as of
        `Catalog.moved`."""
        columns = {name: column.moved(origins) for name, column in self.columns.items()}
        new = np.flatnonzero(origins == UNKNOWN).astype(np.int32)
        columns["available"] = columns["available"].with_values(new, new.tolist(), [True] * len(new))
        held = {name: column for name, column in columns.items() if name in _DECLARED or not column.empty}
        kept = Bounded(KEPT_BYTES)
        return replace(self, size=len(origins), columns=MappingProxyType(held), kept=kept, state=next(_STATES))

    def with_changes(self, changes: CatalogChanges, items: Vocabulary) -> ItemTable:
        """The table after these changes, which follow this one's version; `items` is its vocabulary. Costs what
        changed, and a copy of each column that did."""
        gone = _positions(changes.removed, items)
        table = self._without(gone[gone != UNKNOWN])
        for start in range(0, len(changes.items), _AT_ONCE):
            table = table.with_rows(changes.items.slice(start, _AT_ONCE), items)
        return replace(table, version=changes.version)

    def with_kinds(self, kinds: Mapping[str, ColumnKind]) -> ItemTable:
        """With these columns, too, of which no item here has a value."""
        missing = {name: ItemColumn(self.size, declared=kind.kind) for name, kind in kinds.items() if kind.kind}
        return replace(self, columns=MappingProxyType({**missing, **self.columns}), state=next(_STATES))

    def column(self, name: str) -> ItemColumn:
        """The values of an attribute. Raises InputError for one that no item has."""
        found = self.columns.get(name)
        if found is None:
            raise InputError(f"the attribute {name[:80]!r}", expected=self.instead_of(name))
        return found

    def codes(self, name: str) -> npt.NDArray[np.int32]:
        """Which items agree in an attribute: equal codes, int32, shape (items,); −1 where an item does not have it.

        Raises InputError for an attribute that no item has, and for one of lists or of several kinds of values.
        """
        try:
            return self.column(name).codes
        except InputError as error:
            raise InputError(f"{name[:80]}: {error.found}", expected=error.expected) from error

    @cached_property
    def kinds(self) -> Mapping[str, ColumnKind]:
        """What the values of each column are."""
        return {name: column.kind for name, column in self.columns.items()}

    def instead_of(self, name: str) -> str:
        """What an unknown attribute could have been meant to be."""
        return instead_of(name, self.columns, self.left_out)

    def _without(self, gone: npt.NDArray[np.int32]) -> ItemTable:
        """Without what is known of these items, which are not available any more."""
        if not len(gone):
            return self
        return self._written(gone, {"available": (gone.tolist(), [False] * len(gone))})

    def with_rows(self, rows: pl.DataFrame, items: Vocabulary) -> ItemTable:
        """With these rows in `ITEM_SCHEMA` in the place of what was known of their items, under the same version."""
        position = _positions(rows["item_id"].to_list(), items)
        places = position.tolist()
        # By plain lists: mostly one row changed, and a data frame's operations would take longer than all else.
        present: dict[str, tuple[list[int], list[object]]] = {}
        for name in _DECLARED:
            none = True if name == "available" else None
            values = [none if value is None else value for value in rows[name].to_list()]
            there = [at for at, value in enumerate(values) if value is not None and places[at] != UNKNOWN]
            present[name] = ([places[at] for at in there], [values[at] for at in there])
        own = set(_DECLARED)
        for place, text in zip(places, rows["attributes"].to_list(), strict=True):
            if text is None or place == UNKNOWN:
                continue
            for name, value in orjson.loads(text).items():
                if value is None or name in own:
                    continue
                held = present.get(name)
                if held is None:
                    held = present[name] = ([], [])
                held[0].append(place)
                held[1].append(value)
        return self._written(position[position != UNKNOWN], present)

    def _written(
        self, touched: npt.NDArray[np.int32], present: Mapping[str, tuple[list[int], list[object]]]
    ) -> ItemTable:
        """With these values of the touched items, and no others."""
        columns, left_out = dict(self.columns), set(self.left_out)
        for name, (places, values) in present.items():
            column = columns.get(name)
            if column is None and len(columns) >= MOST_ATTRIBUTES + len(_DECLARED):
                left_out.add(name)
                continue
            columns[name] = (column or ItemColumn(self.size)).with_values(touched, places, values)
        for name in self.columns.keys() - present.keys():
            columns[name] = columns[name].with_values(touched, (), ())
        for name in [name for name, column in columns.items() if column.empty and name not in _DECLARED]:
            del columns[name]
        if columns == self.columns and len(left_out) == len(self.left_out):
            return self
        return replace(self, columns=MappingProxyType(columns), left_out=frozenset(left_out), state=next(_STATES))


def instead_of(name: str, known: Mapping[str, object], left_out: frozenset[str] = frozenset()) -> str:
    """What could have been meant by the name of an unknown attribute."""
    if name in left_out:
        return f"one of the {MOST_ATTRIBUTES} attributes that are held; this is another one"
    close = get_close_matches(name[:80].casefold(), [each.casefold() for each in known], n=1, cutoff=0.6)
    meant = next((each for each in known if close and each.casefold() == close[0]), None)
    names = ", ".join(sorted(known)[:20]) + (", …" if len(known) > 20 else "")
    return (f"did you mean {meant}? There are " if meant else "one of ") + names


def _positions(ids: Sequence[str], items: Vocabulary) -> npt.NDArray[np.int32]:
    # End to end they are looked up by compiled code, and none is remembered: one day every item will have changed.
    raw = [identifier.encode() for identifier in ids]
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in raw], out=offsets[1:])
    return items.positions_of(np.frombuffer(b"".join(raw), dtype=np.uint8).copy(), offsets)
