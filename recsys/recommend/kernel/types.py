"""What goes into a list and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.factors import SUMS, Factors
from recsys.models.kernels import Floats, Items, Places, Singles

RETRIEVED = 100
"""So many candidates are put in order at least, and twice as many as are wanted."""

FEWEST, POOL = 60, 2000
"""Where neighbours name fewer than the first, so many popular items are candidates as well."""

UNITS = 1e5
"""Scores are rounded to so many parts of 1: what is computed in single precision is no reason to prefer one item."""

ROUNDING = 20
"""What is left of a score beside the named shares, in `UNITS`, is no evidence when it is no more than this."""

NAMED_EVIDENCE = 3
"""How many items of the history an explanation names; the others' shares are added up as one."""

MOST_EVIDENCE = NAMED_EVIDENCE + 2
BY_NONE, BY_POPULARITY, BY_OTHERS, BY_RISING, BY_NEW = -1, -2, -3, -4, -5

ITEM_ITEM, RP3BETA, CONTENT, ALS, SPECTRAL, REPEAT, POPULAR = range(7)
"""Places of the sources' weights."""

HIDDEN, TOUCHED, LISTED, TOUCHED_BIT = 1, 2, 4, 1
"""What a mark says of an item: it must not be listed, a source names it, it is on the list; and the second's place."""

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

NO_BOOST = np.zeros(0)
"""Every item's score counts as it is."""


_Function = TypeVar("_Function", bound=Callable[..., object])


def part(function: _Function) -> _Function:
    """Compiles what only compiled code calls: without a way in from Python and an entry on disk of its own, compiling
    takes two thirds of the time."""
    return _compiled(function, set())


def part_of_sums(function: _Function) -> _Function:
    """As `part`, sums taken in any order."""
    return _compiled(function, SUMS)


def _compiled(function: _Function, fastmath: set[str]) -> _Function:
    # Numba's own types do not know these options.
    without_entries: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: _Function = njit(nogil=True, error_model="numpy", fastmath=fastmath, **without_entries)(function)
    return compiled


class Lists(NamedTuple):
    """What items say about others, as `ItemItem` holds it: rows in CSR form."""

    indptr: Places
    neighbour: Items
    weight: Singles


class Sources(NamedTuple):
    """Everything a list is made from.

    Attributes
    ----------
    popular : float64, shape (items,); popularity in units of its spread.
    events : int64, shape (items,); how many there were; decides between equal scores, then the smaller position.
    order : int32; the items that anybody showed interest in, the most popular first.
    """

    item_item: Lists
    rp3beta: Lists
    content: Lists
    als: Factors
    spectral: Factors
    popular: Floats
    events: Places
    order: Items


class Workspace(NamedTuple):
    """Memory for one call at a time, one per thread.

    Attributes
    ----------
    mark : uint8, shape (items,); `HIDDEN`, `TOUCHED` and `LISTED`; zeros between calls.
    slot : int32, shape (items,); the place of an item on the list; means nothing for the others.
    own, total : float64, shape (items,); an item's score by one source, and the sum over sources; zeros between calls.
    touched : int32, shape (items + 1,); the named items. One more, as each is written before it is known to be new.
    value : float64, shape (items,); numbers of the touched items.
    """

    mark: Bytes
    slot: Items
    own: Floats
    total: Floats
    touched: Items
    value: Floats

    @classmethod
    def of(cls, items: int) -> Workspace:
        """For so many items."""
        return cls(
            np.zeros(items, dtype=np.uint8),
            np.zeros(items, dtype=np.int32),
            np.zeros(items),
            np.zeros(items),
            np.zeros(items + 1, dtype=np.int32),
            np.zeros(items),
        )


class Asked(NamedTuple):
    """What one list is made for.

    Attributes
    ----------
    weights : float64, shape (7,); of the sources, for a history of this length; 0 for those that are not asked.
    items, strengths : int32 and float32, shape (m,); what speaks, ascending, and how much.
    again, probability : int32 and float64, shape (b,); items among `items` that may be bought again, and how likely.
    given : float32, shape (items,) where no source that names few items counts: what the low-rank sources add to each
        item, weighed; else of shape (0,).
    showable : bool, shape (items,).
    seen, excluded : int32; positions of what must not be listed.
    wanted : how many items, 1 or more.
    filled : whether popular items fill up a list that runs short.
    explained : whether shares are wanted; their arrays are empty otherwise.
    among : int32, no position twice; the only candidates. As far as they may be shown all are ranked: those of score 0
        or less follow the others in the order of popularity. None where all items may be listed.
    boost : float64, shape (items,), above 0; what each item's score is multiplied by, and with it the shares; or
        `NO_BOOST`. Popular items that fill up are multiplied among given candidates only.
    """

    weights: Floats
    items: Items
    strengths: Singles
    again: Items
    probability: Floats
    given: Singles
    showable: Flags
    seen: Items
    excluded: Items
    wanted: int
    filled: bool
    explained: bool
    among: Items | None = None
    boost: Floats = NO_BOOST


class Listed(NamedTuple):
    """A list and whose word it is. `k` items, of which the first `personal` are there for the history.

    Attributes
    ----------
    item : int32, shape (k,); positions, best first.
    score : int64, shape (k,); in `UNITS`.
    personal : how many are there for the history.
    factor : float64, shape (7,); w_s / scale_s of the sources that counted, 0 for the others.
    named : int32, shape (k, MOST_EVIDENCE); what speaks for each item, the largest share first: a place in the history,
        `BY_POPULARITY`, `BY_OTHERS` for the rest, last, or `BY_NONE` where there is no more. Items that fill the list
        up have one of `BY_POPULARITY`, `BY_RISING` and `BY_NEW` alone.
    share : int64, as `named`, in `UNITS`; the shares of an item sum to its score.
    seen, excluded : how many items could have been listed, but for being among these.
    """

    item: Items
    score: Places
    personal: int
    factor: Floats
    named: Items
    share: Places
    seen: int
    excluded: int


def only(found: Listed, kept: Flags) -> Listed:
    """A list without its other items; `kept` has shape (k,)."""
    return found._replace(
        item=found.item[kept],
        score=found.score[kept],
        personal=int(np.count_nonzero(kept[: found.personal])),
        named=found.named[kept[: len(found.named)]],
        share=found.share[kept[: len(found.share)]],
    )


class Rows(NamedTuple):
    """What many lists are made for: the fields of n `Asked` end to end, and where each begins: int64, shape (n + 1,).

    Attributes
    ----------
    weights : float64, shape (n, 7).
    given, dense : float32, shape (n, items) or (n, 0), and bool, shape (n,); which rows have given scores.
    showable, excluded, filled, among, boost : the same for all.
    """

    weights: Floats
    start: Places
    items: Items
    strengths: Singles
    again_start: Places
    again: Items
    probability: Floats
    given: Singles
    dense: Flags
    showable: Flags
    seen_start: Places
    seen: Items
    excluded: Items
    filled: bool
    among: Items | None = None
    boost: Floats = NO_BOOST


class ListedRows(NamedTuple):
    """n lists of `wanted` items at most, as `Listed`; what is behind the end of a list stays as it was.

    Attributes
    ----------
    item, score : shape (n, wanted).
    counts : int64, shape (n, 4); how many items, how many of them personal, `seen` and `excluded`.
    factor : shape (n, 7).
    named, share : shape (n, wanted, MOST_EVIDENCE), or (0, wanted, MOST_EVIDENCE) where reasons are not wanted.
    """

    item: Items
    score: Places
    counts: Places
    factor: Floats
    named: Items
    share: Places

    @classmethod
    def of(cls, rows: int, wanted: int, *, explained: bool) -> ListedRows:
        """For so many lists: item −1, score 0 and no reason everywhere."""
        reasons = (rows if explained else 0, wanted, MOST_EVIDENCE)
        return cls(
            np.full((rows, wanted), -1, dtype=np.int32),
            np.zeros((rows, wanted), dtype=np.int64),
            np.zeros((rows, 4), dtype=np.int64),
            np.zeros((rows, 7)),
            np.full(reasons, BY_NONE, dtype=np.int32),
            np.zeros(reasons, dtype=np.int64),
        )

    def part(self, rows: slice) -> ListedRows:
        """Some of the lists; what is written there is written here."""
        item, score, counts, factor, named, share = self
        return ListedRows(item[rows], score[rows], counts[rows], factor[rows], named[rows], share[rows])
