"""All customers' histories at once: customers × items × kinds, with times; immutable."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys.data.events import EventKind
from recsys.data.history import History, ages
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME, EventWeights, fade_by_steps, item_clocks, item_strengths
from recsys.data.vocabulary import UNKNOWN, Vocabulary

_COLUMNS = {
    "item": np.int32,
    "kind": np.int8,
    "timestamp": np.int64,
    "position": np.int64,
    "quantity": np.float32,
    "rating": np.float32,
}
_BLOCK_EVENTS = 2_000_000


@dataclass(frozen=True, slots=True)
class EventTable:
    """Many customers' behaviour as a store hands it out: exposures, undone events and undos are not in it.

    Attributes
    ----------
    events : one row per event, in any order: `customer` and `item` (Int32, rows of the two id series), `kind` (Int8
        code), `timestamp` (Int64, milliseconds UTC, null when unknown), `position` (Int64, null when unknown),
        `quantity` (Float32), `rating` (Float32, null when there is none). Events without an item are not in it.
    customer_ids, item_ids : String; every customer and every item that the store knows, without repetition. An item
        from the catalogue without events is among them.
    """

    events: pl.DataFrame
    customer_ids: pl.Series
    item_ids: pl.Series


@dataclass(frozen=True, slots=True)
class Interactions:
    """Customers' histories as CSR arrays: the events of customer `u` are the rows `indptr[u]:indptr[u + 1]`.

    Within a customer events ascend by time, then by position (unknown first); ties are broken by item, kind, quantity
    and rating, so the arrays do not depend on the order in which events were stored.

    Attributes
    ----------
    customers, items : who and what the positions mean.
    indptr : int64, shape (customers + 1,).
    item : int32, shape (events,).
    kind : int8, shape (events,); kind codes.
    timestamp : int64, shape (events,); milliseconds UTC, `UNKNOWN_TIME` where unknown.
    position : int64, shape (events,); `UNKNOWN_TIME` where unknown.
    quantity, rating : float32, shape (events,); `rating` is NaN where there is none.
    """

    customers: Vocabulary
    items: Vocabulary
    indptr: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    timestamp: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    quantity: npt.NDArray[np.float32]
    rating: npt.NDArray[np.float32]

    @classmethod
    def from_events(cls, table: EventTable) -> Self:
        """The interactions of a store's events."""
        customers, customer = _vocabulary(table.customer_ids)
        items, item = _vocabulary(table.item_ids)
        row = customer[table.events["customer"].to_numpy()]
        indptr = np.zeros(len(customers) + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=len(customers)), out=indptr[1:])
        # A store hands out long runs of ascending customers, which a stable sort finds and merges.
        order = np.argsort(row, kind="stable")
        arrays = {name: np.empty(len(row), dtype=dtype) for name, dtype in _COLUMNS.items()}
        for first, last in _blocks(indptr):
            rows = slice(int(indptr[first]), int(indptr[last]))
            picked = order[rows]
            block = table.events[picked].with_columns(
                pl.Series("customer", row[picked]),
                pl.Series("item", item[table.events["item"].gather(picked).to_numpy()]),
                pl.col("timestamp", "position").fill_null(int(UNKNOWN_TIME)),
                pl.col("rating").cast(pl.Float32).fill_null(float("nan")),
            )
            block = block.sort("customer", "timestamp", "position", "item", "kind", "quantity", "rating")
            for name, array in arrays.items():
                array[rows] = block[name].to_numpy()
        return cls(customers, items, indptr, **arrays)

    def __len__(self) -> int:
        return len(self.item)

    @property
    def row(self) -> npt.NDArray[np.int64]:
        """The customer position of each event, shape (events,)."""
        return np.repeat(np.arange(len(self.customers), dtype=np.int64), np.diff(self.indptr))

    def history(self, customer: int) -> History:
        """One customer's row as a `History`."""
        return self.stretch(slice(self.indptr[customer], self.indptr[customer + 1]))

    def stretch(self, own: slice) -> History:
        """These events as a `History`, all of one customer."""
        return History(
            item=self.item[own],
            kind=self.kind[own],
            timestamp=self.timestamp[own],
            position=self.position[own],
            quantity=self.quantity[own],
            rating=self.rating[own],
        )

    def over(self, items: Vocabulary) -> Self:
        """The same in the positions of other items; events on items that are not among them are left out."""
        place = items.positions(self.items)[self.item]
        kept = place != UNKNOWN
        indptr = np.zeros(len(self.indptr), dtype=np.int64)
        np.cumsum(np.bincount(self.row[kept], minlength=len(self.customers)), out=indptr[1:])
        return replace(
            self,
            items=items,
            indptr=indptr,
            item=place[kept],
            kind=self.kind[kept],
            timestamp=self.timestamp[kept],
            position=self.position[kept],
            quantity=self.quantity[kept],
            rating=self.rating[kept],
        )

    def until(self, now: int) -> Self:
        """The same without what happened later (milliseconds UTC); events without a time stay."""
        early = self.timestamp <= now
        if early.all():
            return self
        indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(early, dtype=np.int64)])[self.indptr]
        columns = {name: getattr(self, name)[early] for name in _COLUMNS}
        return replace(self, indptr=indptr, **columns)

    def of_customers(self, customers: Vocabulary) -> Self:
        """The same of these customers, in their order; those who are not known here have no events."""
        position = self.customers.positions_of(customers.text, customers.offsets)
        known = position != UNKNOWN
        lengths = np.where(known, np.diff(self.indptr)[position] if len(self.customers) else 0, 0)
        indptr = np.zeros(len(customers) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        first = self.indptr[:-1][position[known]]
        picked = np.repeat(first - indptr[:-1][known], lengths[known]) + np.arange(indptr[-1])
        columns = {name: getattr(self, name)[picked] for name in _COLUMNS}
        return replace(self, customers=customers, indptr=indptr, **columns)

    def newest(self, limit: int) -> Self:
        """The same with only the newest `limit` events of each customer; 1 or more."""
        lengths = np.diff(self.indptr)
        if not len(lengths) or lengths.max() <= limit:
            return self
        before_end = np.repeat(self.indptr[1:], lengths) - np.arange(len(self))
        kept = before_end <= limit
        indptr = np.zeros(len(self.indptr), dtype=np.int64)
        np.cumsum(np.minimum(lengths, limit), out=indptr[1:])
        return replace(
            self,
            indptr=indptr,
            item=self.item[kept],
            kind=self.kind[kept],
            timestamp=self.timestamp[kept],
            position=self.position[kept],
            quantity=self.quantity[kept],
            rating=self.rating[kept],
        )

    def groups(self) -> npt.NDArray[np.int64]:
        """Which customer and item each event is about, as customer · items + item: int64, shape (events,)."""
        return self.row * len(self.items) + self.item

    def pairs_with(self, kinds: Collection[EventKind]) -> npt.NDArray[np.bool_]:
        """Which pairs of customer and item, in the order of `tastes`, have an event of these kinds: bool, shape
        (pairs,)."""
        codes = [kind.code for kind in kinds]
        parts = [np.zeros(0, dtype=np.bool_)]
        for first, last in self.blocks():
            own = slice(int(self.indptr[first]), int(self.indptr[last]))
            row = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(self.indptr[first : last + 1]))
            groups, place = np.unique(row * len(self.items) + self.item[own], return_inverse=True)
            has = np.zeros(len(groups), dtype=np.bool_)
            has[place[np.isin(self.kind[own], codes)]] = True
            parts.append(has)
        return np.concatenate(parts)

    def tastes(self, weights: EventWeights) -> Tastes:
        """What every customer thinks of every item they touched, and when they last did.

        Row `u` of `strength`, faded by steps, is what `history(u).speakers(weights)` returns: training and serving see
        the same numbers.
        """
        parts = [self._tastes_of(first, last, weights) for first, last in self.blocks()]
        lengths = np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(part.indptr) for part in parts)])
        return Tastes(
            indptr=np.cumsum(lengths),
            item=np.concatenate([np.zeros(0, dtype=np.int32), *(part.item for part in parts)]),
            strength=np.concatenate([np.zeros(0, dtype=np.float32), *(part.strength for part in parts)]),
            clock=np.concatenate([np.zeros(0, dtype=np.int32), *(part.clock for part in parts)]),
            items=len(self.items),
        )

    def _tastes_of(self, first: int, last: int, weights: EventWeights) -> Tastes:
        """The tastes of customers `first` to `last`."""
        own = slice(int(self.indptr[first]), int(self.indptr[last]))
        row = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(self.indptr[first : last + 1]))
        group = row * len(self.items) + self.item[own]
        age = ages(self.timestamp[own], row, last - first, MS_PER_DAY)
        groups, strength = item_strengths(group, self.kind[own], age, self.quantity[own], self.rating[own], weights)
        clock = item_clocks(group, row, self.timestamp[own], self.position[own])
        customer, item = np.divmod(groups, max(len(self.items), 1))
        indptr = np.zeros(last - first + 1, dtype=np.int64)
        np.cumsum(np.bincount(customer, minlength=last - first), out=indptr[1:])
        return Tastes(indptr, item.astype(np.int32), strength, clock, len(self.items))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of successive customers, all of them in order, of some millions of events each: what is computed for
        each customer alone needs then little memory, however many there are."""
        return _blocks(self.indptr)

    def strengths(self, weights: EventWeights) -> sparse.csr_matrix:
        """The strength of taste of every customer for every item: float32, shape (customers, items), above 0."""
        return self.tastes(weights).faded(weights)


@dataclass(frozen=True, slots=True)
class Tastes:
    """One row per customer and item they touched, in CSR form: those of customer `u` are `indptr[u]:indptr[u + 1]`.

    Attributes
    ----------
    indptr : int64, shape (customers + 1,).
    item : int32, shape (pairs,); ascending within a customer.
    strength : float32, shape (pairs,); 0 where the events carry no taste.
    clock : int32, shape (pairs,); when the customer last had to do with the item, see `item_clocks`.
    items : how many items there are in all.
    """

    indptr: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    strength: npt.NDArray[np.float32]
    clock: npt.NDArray[np.int32]
    items: int

    def matrix(self) -> sparse.csr_matrix:
        """The strengths as they are: float32, shape (customers, items), stored where above 0."""
        shape = (len(self.indptr) - 1, self.items)
        # Taking the zeros out works in place: what is stored here must not be what is changed there.
        matrix = sparse.csr_matrix((self.strength, self.item, self.indptr), shape=shape, copy=True)
        matrix.eliminate_zeros()
        return matrix

    def faded(self, weights: EventWeights) -> sparse.csr_matrix:
        """The strengths faded by steps: float32, shape (customers, items), stored where above 0."""
        lengths = np.diff(self.indptr)
        newest = np.zeros(len(lengths), dtype=np.int32)
        filled = np.flatnonzero(lengths)
        if len(filled):
            newest[filled] = np.maximum.reduceat(self.clock, self.indptr[filled])
        strength = fade_by_steps(self.strength, self.clock, np.repeat(newest, lengths), weights)
        shape = (len(lengths), self.items)
        matrix = sparse.csr_matrix((strength, self.item, self.indptr), shape=shape, copy=True)
        matrix.eliminate_zeros()
        return matrix


def _vocabulary(ids: pl.Series) -> tuple[Vocabulary, npt.NDArray[np.int32]]:
    """The vocabulary of ids without repetition, and the position of each: int32, shape (ids,)."""
    # polars orders text as a vocabulary does, by UTF-8 bytes.
    order = ids.arg_sort().to_numpy()
    position = np.empty(len(ids), dtype=np.int32)
    position[order] = np.arange(len(ids), dtype=np.int32)
    return Vocabulary.from_sorted(ids.gather(order)), position


def _blocks(indptr: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of rows with about `_BLOCK_EVENTS` events each, at least one row."""
    first, rows = 0, len(indptr) - 1
    while first < rows:
        wanted = int(np.searchsorted(indptr, indptr[first] + _BLOCK_EVENTS, side="right")) - 1
        last = min(max(wanted, first + 1), rows)
        yield first, last
        first = last
