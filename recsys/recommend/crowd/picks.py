"""Items for many customers as flat arrays, and how several lists become the blocks of one mail each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

NONE = -1
"""No item, where one could be named."""

REASONS = (
    "history", "popular", "similar", "new_from_author", "bought_before", "in_cart", "popular_in_category",
    "looked_at", "next_in_series", "picked",
)  # fmt: skip
"""Why an item is listed; `Picks.reason` has places in it."""

(
    HISTORY, POPULAR, SIMILAR, NEW_FROM_AUTHOR, BOUGHT_BEFORE, IN_CART, POPULAR_IN_CATEGORY, LOOKED_AT, NEXT_IN_SERIES,
    PICKED,
) = range(len(REASONS))  # fmt: skip


class Picks(NamedTuple):
    """Items for many customers; all of shape (n,). A customer's stand together, best first; customers ascend.

    Attributes
    ----------
    row : int64; the customer.
    item : int32; the item's position.
    relevance : float32; the probability that the customer buys it; NaN where it is not known.
    because : int32; the position of the item that speaks for it, `NONE` where no single one does.
    did : int8; the code of the kind of event by which the customer had to do with that one, 0 where there is none.
    reason : int8; a place in `REASONS`.
    """

    row: Rows
    item: Items
    relevance: npt.NDArray[np.float32]
    because: Items
    did: npt.NDArray[np.int8]
    reason: npt.NDArray[np.int8]

    @classmethod
    def of(
        cls,
        row: npt.NDArray[np.integer],
        item: npt.NDArray[np.integer],
        reason: int,
        *,
        relevance: npt.NDArray[np.floating] | None = None,
        because: npt.NDArray[np.integer] | None = None,
        did: npt.NDArray[np.integer] | int = 0,
    ) -> Self:
        """Items that are all there for one reason."""
        size = len(row)
        return cls(
            row.astype(np.int64),
            item.astype(np.int32),
            np.full(size, np.nan, np.float32) if relevance is None else relevance.astype(np.float32),
            np.full(size, NONE, np.int32) if because is None else because.astype(np.int32),
            np.broadcast_to(np.asarray(did, dtype=np.int8), (size,)).copy(),
            np.full(size, reason, dtype=np.int8),
        )

    @classmethod
    def none(cls) -> Self:
        """Nothing for anybody."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls.of(nothing, nothing, HISTORY)

    def those(self, which: Flags | npt.NDArray[np.integer]) -> Self:
        """Some of them."""
        row, item, relevance, because, did, reason = self
        return type(self)(row[which], item[which], relevance[which], because[which], did[which], reason[which])


def keyed(row: npt.NDArray[np.integer], item: npt.NDArray[np.integer], items: int) -> Keys:
    """One number for each pair of a customer and one of so many items: ascending with the customer, then the item."""
    return row.astype(np.int64) * items + item


def within(keys: Keys, known: Keys) -> Flags:
    """Which keys are among known ones, which ascend: bool, as `keys`."""
    if not len(known):
        return np.zeros(len(keys), dtype=np.bool_)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[place] == keys)


def begins(keys: npt.NDArray[np.integer]) -> Flags:
    """Where another key stands than before, of keys of which equal ones stand together: bool, as `keys`."""
    return np.asarray(np.append(True, keys[1:] != keys[:-1])[: len(keys)])


def ends(keys: npt.NDArray[np.integer]) -> Flags:
    """Where another key follows, or none, of keys of which equal ones stand together: bool, as `keys`."""
    return np.asarray(np.append(keys[1:] != keys[:-1], True)[: len(keys)])


def best_of_each(row: Rows, limit: int) -> Flags:
    """The first `limit` of each customer's, who stand together: bool, as `row`."""
    start = np.maximum.accumulate(np.where(begins(row), np.arange(len(row)), 0))
    return np.asarray(np.arange(len(row)) - start < limit)


def chosen(blocks: Sequence[tuple[Picks, int]], items: int) -> list[Picks]:
    """What each block shows of its list, at most so many items for each customer: the best that no block before it
    shows them. No item stands in a customer's mail twice.

    Parameters
    ----------
    items : how many there are in all.
    """
    used, found = np.zeros(0, dtype=np.int64), []
    for picks, limit in blocks:
        keys = keyed(picks.row, picks.item, items)
        left = picks.those(_first_of_each(keys) & ~within(keys, used))
        shown = left.those(best_of_each(left.row, limit))
        found.append(shown)
        if len(found) < len(blocks):
            used = np.sort(np.concatenate([used, keyed(shown.row, shown.item, items)]))
    return found


def distinct(keys: Keys) -> Keys:
    """The keys in ascending order, each once."""
    ordered = np.sort(keys)
    return np.asarray(ordered[begins(ordered)])


def _first_of_each(keys: Keys) -> Flags:
    """The first of equal keys: bool, as `keys`."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.ones(len(keys), dtype=np.bool_)
    first[order[1:][ordered[1:] == ordered[:-1]]] = False
    return first
