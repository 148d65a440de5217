"""Which items the history of whoever asks has to do with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.history import History
from recsys.data.item_column import NO_CODE
from recsys.data.item_table import ItemTable
from recsys.data.signals import UNKNOWN_TIME
from recsys.recommend.filters.syntax import Did, Same

Items = npt.NDArray[np.int32]

ALWAYS, NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_NO_ITEMS = np.zeros(0, dtype=np.int32)


class Happened(NamedTuple):
    """What a history says to one question about items.

    Attributes
    ----------
    yes : int32, ascending; the items of which it is true.
    maybe : int32, ascending; items of which it is not known: of all others it is false.
    since, until : milliseconds UTC from when until before when it says just this.
    """

    yes: Items
    maybe: Items
    since: int = ALWAYS
    until: int = NEVER


def happened(history: History, table: ItemTable, asked: Did | Same, now: int) -> Happened:
    """What a history says; `now` in milliseconds UTC."""
    if isinstance(asked, Did):
        return _did(history, asked, now)
    did = _did(history, asked.did, now)
    yes = _agreeing(table, asked.column.name, did.yes)
    return did._replace(yes=yes, maybe=np.setdiff1d(_agreeing(table, asked.column.name, did.maybe), yes))


def _agreeing(table: ItemTable, name: str, items: Items) -> Items:
    """All items that agree in an attribute with one of these."""
    if not len(items):
        return _NO_ITEMS
    column = table.column(name)
    codes = np.unique(column.text_codes[items])
    order, start = column.by_code
    parts = [order[start[code] : start[code + 1]] for code in codes[codes != NO_CODE].tolist()]
    return np.sort(np.concatenate(parts)) if parts else _NO_ITEMS


def _did(history: History, asked: Did, now: int) -> Happened:
    codes = [kind.code for kind in asked.kinds]
    rows = np.flatnonzero(np.isin(history.kind, codes))
    earlier = np.unique(history.earlier_item[np.isin(history.earlier_kind, codes)])
    if asked.rating is not None:
        return _rated(history, rows, earlier, asked.rating)
    item = history.item[rows]
    if asked.within is None:
        return Happened(np.union1d(item, earlier), _NO_ITEMS)
    time = history.timestamp[rows]
    timed = time != UNKNOWN_TIME
    yes = np.unique(item[timed & (time >= now - asked.within)])
    # Events before those that are held are older than the oldest of them: whether that is old enough is known, or not.
    oldest = int(history.timestamp[0]) if len(history) else UNKNOWN_TIME
    ends = time[timed] + asked.within + 1
    maybe = item[~timed]
    if len(earlier):
        known_old = oldest != UNKNOWN_TIME and oldest < now - asked.within
        maybe = maybe if known_old else np.union1d(maybe, earlier)
        ends = ends if oldest == UNKNOWN_TIME else np.append(ends, oldest + asked.within + 1)
    return Happened(
        yes,
        np.setdiff1d(maybe, yes),
        int(ends[ends <= now].max(initial=ALWAYS)),
        int(ends[ends > now].min(initial=NEVER)),
    )


def _rated(history: History, rows: npt.NDArray[np.int64], earlier: Items, least: float) -> Happened:
    """The items whose last rating is so high at least; of one before what is held the number is not known."""
    rows = rows[~np.isnan(history.rating[rows])][::-1]
    item, last = np.unique(history.item[rows], return_index=True)
    return Happened(item[history.rating[rows[last]] >= least], np.setdiff1d(earlier, item))
