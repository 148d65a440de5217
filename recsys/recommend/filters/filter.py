"""A filter: parsed once, asked for every answer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from recsys.data.held_versions import HeldVersions
from recsys.data.history import History
from recsys.data.item_column import ColumnKind
from recsys.data.item_table import ItemTable
from recsys.recommend.filters.binding import Bound, ParameterValue, bound, parameters_of
from recsys.recommend.filters.checking import Checked, ParameterKind, checked
from recsys.recommend.filters.evaluation import Evaluation
from recsys.recommend.filters.happened import happened
from recsys.recommend.filters.parsing import condition_of
from recsys.recommend.filters.syntax import Condition, Every
from recsys.recommend.filters.truth import Holds
from recsys.recommend.where import Where

Flags = npt.NDArray[np.bool_]
Items = npt.NDArray[np.int32]

_NO_ITEMS = np.zeros(0, dtype=np.int32)
_NO_FLAGS = np.zeros(0, dtype=np.bool_)
_OVERHEAD = 2_000
_OWN_AT_MOST = 16
"""So many filters are remembered with each history."""


@dataclass(frozen=True, slots=True)
class AskerFacts:
    """Who asks, as far as a filter may ask back.

    Attributes
    ----------
    history : in the positions of the table.
    attributes : what the shop knows of the customer, as parsed JSON.
    """

    history: History
    attributes: Mapping[str, object] = field(default_factory=dict)


NOBODY = AskerFacts(History.empty())
"""Somebody of whom nothing is known."""


class _Kept(NamedTuple):
    """A mask that was made before.

    Attributes
    ----------
    columns : the serials of those that it was made of.
    state : of the table.
    same : versions of the catalogue over which these columns stayed as they are.
    """

    where: Where
    columns: tuple[int, ...]
    state: int
    same: HeldVersions


class _Own(NamedTuple):
    """What a filter says of the items that one history has to do with."""

    columns: tuple[int, ...]
    spots: Items
    spared: Flags
    since: int
    until: int


def parse(text: str, columns: Mapping[str, ColumnKind]) -> Filter:
    """The filter that a text says, over a catalogue with these columns (`ItemTable.kinds`).

    Raises FilterError with the name and the place of what is wrong.
    """
    made = Filter(text)
    made.check(columns)
    return made


class Filter:
    """What a text says; `parse` makes one that is known to fit.

    Attributes
    ----------
    text : as it was written.
    """

    def __init__(self, text: str, condition: Condition | None = None) -> None:
        self.text = text
        self._condition = condition or condition_of(text)
        self._checked: tuple[Mapping[str, ColumnKind], Checked] | None = None

    def beside(self, other: Filter) -> Filter:
        """The filter that lets through what both do."""
        return Filter(f"({self.text}) AND ({other.text})", Every((self._condition, other._condition), 0))

    def check(self, columns: Mapping[str, ColumnKind]) -> Checked:
        """What it needs, over a catalogue with these columns. Raises FilterError where it does not fit them."""
        if self._checked is None or self._checked[0] is not columns:
            self._checked = (columns, checked(self._condition, columns))
        return self._checked[1]

    def parameters(self, columns: Mapping[str, ColumnKind]) -> Mapping[str, ParameterKind]:
        """Its parameters by name."""
        return self.check(columns).parameters

    def read(self, columns: Mapping[str, ColumnKind], texts: Mapping[str, Sequence[str]]) -> dict[str, ParameterValue]:
        """Parameters from a query, where all is text. Raises FilterError."""
        return parameters_of(self.check(columns), texts)

    def mask(
        self,
        table: ItemTable,
        asker: AskerFacts = NOBODY,
        now: int = 0,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Flags:
        """Which items it lets through: bool, shape (items,); as `where`. Not to be changed."""
        return self.where(table, asker, now, parameters).mask

    def where(
        self,
        table: ItemTable,
        asker: AskerFacts = NOBODY,
        now: int = 0,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Where:
        """Which items it lets through for whoever asks at `now` (milliseconds UTC).

        What it says of items alone is kept with the table, and what it says of those of one history with the history.
        Raises FilterError for a column that the table does not have and for parameters that do not fit.
        """
        needs = self.check(table.kinds)
        key: Hashable = self.text
        values: tuple[Bound, ...] = ()
        if needs.parameters or needs.attributes or parameters:
            values = bound(needs, parameters or {}, asker.attributes)
            # 1 and TRUE are equal; they are not written alike.
            key = (self.text, values if needs.exact else repr(values))
        kept = cast("_Kept | None", table.kept.get(key))
        if kept is None or kept.state != table.state or not kept.where.unchanged(table.version, now):
            kept = self._for_items(needs, table, values, now, kept)
            table.kept.put(key, kept, kept.where.items.nbytes + _OVERHEAD)
        if not needs.asks or not (len(asker.history) or len(asker.history.earlier_item)):
            return kept.where
        return _with_own(kept, self._for_history(needs, table, values, kept.columns, asker.history, now, key))

    def _for_items(
        self,
        needs: Checked,
        table: ItemTable,
        values: tuple[Bound, ...],
        now: int,
        before: _Kept | None,
    ) -> _Kept:
        """What it says to somebody without a history."""
        columns = tuple(table.columns[name].serial for name in needs.columns)
        followed = _followed(before, columns, table, now)
        if followed is not None:
            return followed
        evaluation = Evaluation(needs, table, values, now)
        items = _whole(evaluation.holds(needs.condition), table.size)
        key = blake2b(f"{self.text}\0{values!r}".encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return _made(before, columns, items, evaluation, table, key)

    def _for_history(
        self,
        needs: Checked,
        table: ItemTable,
        values: tuple[Bound, ...],
        columns: tuple[int, ...],
        history: History,
        now: int,
        key: Hashable,
    ) -> _Own:
        """What it says of the items that a history has to do with."""
        owned: dict[Hashable, _Own] = history.kept(table.kept, dict)
        own = owned.get(key)
        if own is not None and own.since <= now < own.until and own.columns == columns:
            return own
        said = {asked: happened(history, table, asked, now) for asked in needs.asks}
        spots = np.unique(np.concatenate([part for each in said.values() for part in (each.yes, each.maybe)]))
        evaluation = Evaluation(needs, table, values, now, spots, said)
        spared = _whole(evaluation.holds(needs.condition), len(spots))
        since = max(evaluation.since, *(each.since for each in said.values()))
        until = min(evaluation.until, *(each.until for each in said.values()))
        owned[key] = own = _Own(columns, spots, spared, since, until)
        if len(owned) > _OWN_AT_MOST:
            del owned[next(iter(owned))]
        return own


def _followed(before: _Kept | None, columns: tuple[int, ...], table: ItemTable, now: int) -> _Kept | None:
    """The mask of before under a version of the catalogue in which nothing of it changed; None where it may have."""
    version = table.version
    if before is None or not before.where.since <= now < before.where.until or version < before.where.version:
        return None
    if before.columns != columns:
        return None
    where = before.where
    if version == where.version:
        return before._replace(state=table.state)
    where = where._replace(version=version, held=where.held.followed_by(version))
    return _Kept(where, columns, table.state, before.same.followed_by(version))


def _made(
    before: _Kept | None, columns: tuple[int, ...], items: Flags, evaluation: Evaluation, table: ItemTable, key: str
) -> _Kept:
    """A mask that was made now, and what it gained over the one of before."""
    version, since, until = table.version, evaluation.since, evaluation.until
    only = HeldVersions.only(version)
    held, same, steady = only, only, since
    if before is not None and version >= before.where.version and len(items) == len(before.where.items):
        last = before.where
        gained = bool((items & ~last.items).any())
        if version == last.version:
            same = before.same
            held = only if gained else last.held
            # Between the two nothing turned that was not seen.
            steady = last.steady if not gained and since in (last.since, last.until) else since
        elif not gained:
            held = last.held.followed_by(version)
    return _Kept(
        Where(key, items, _NO_ITEMS, _NO_FLAGS, since, until, version, held, steady), columns, table.state, same
    )


def _with_own(kept: _Kept, own: _Own) -> Where:
    """With what is said of a history's own items. Of these none is followed from version to version: where a column
    changed something may have been gained."""
    where = kept.where
    since, until = max(where.since, own.since), min(where.until, own.until)
    return Where(where.key, where.items, own.spots, own.spared, since, until, where.version, kept.same, since)


def _whole(found: Holds, size: int) -> Flags:
    return np.full(size, found, dtype=np.bool_) if isinstance(found, bool) else found
