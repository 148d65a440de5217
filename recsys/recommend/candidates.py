"""Which items a list may be made of, which not, and how many each rule removed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.recommend.masks import EXCLUDED, FILTERED, ON_PAGE, SEEN, UNAVAILABLE, UNKNOWN_ITEM
from recsys.recommend.types import Request

_NO_ITEMS = np.zeros(0, dtype=np.int32)


class Candidates(NamedTuple):
    """What may be listed.

    Attributes
    ----------
    among : int32; the positions of the only candidates, or None for all items.
    showable : bool, shape (items,).
    hidden : how many candidates may not be shown.
    filtered : how many of those that may be shown a filter keeps out; None where there is no filter.
    unknown : how many of those that the request names the models do not know; None where it names none.
    """

    among: npt.NDArray[np.int32] | None
    showable: npt.NDArray[np.bool_]
    hidden: int
    filtered: int | None = None
    unknown: int | None = None


def allowed(
    items: Vocabulary,
    catalog: Catalog,
    request: Request,
    passing: npt.NDArray[np.bool_] | None = None,
    within: npt.NDArray[np.int32] | None = None,
    known: tuple[npt.NDArray[np.bool_], int] | None = None,
) -> Candidates:
    """What may be listed at all: all items, or those that the request names.

    Parameters
    ----------
    passing : bool, shape (items,); what passes a filter, where there is one.
    within : int32; the only candidates, as well as those that the request names.
    known : what may be shown and passes, and how many items that may be shown do not, for those who know.
    """
    showable = catalog.showable(request.now)
    if request.among is None and within is None:
        if known is not None:
            return Candidates(None, known[0], catalog.hidden(request.now), known[1])
        if passing is None:
            return Candidates(None, showable, catalog.hidden(request.now))
        both = showable & passing
        hidden = catalog.hidden(request.now)
        return Candidates(None, both, hidden, len(both) - hidden - int(np.count_nonzero(both)))
    unknown, among = None, within
    if request.among is not None:
        given = _positions(items, request.among)
        unknown = len(request.among) - len(given)
        among = given if within is None else given[np.isin(given, within)]
    assert among is not None  # noqa: S101 - one of the two is given
    there = showable[among]
    shown = there if passing is None else there & passing[among]
    named = np.zeros(len(showable), dtype=np.bool_)
    named[among] = shown
    hidden, listed = len(among) - int(np.count_nonzero(there)), int(np.count_nonzero(shown))
    return Candidates(among, named, hidden, None if passing is None else len(among) - hidden - listed, unknown)


def left_out(items: Vocabulary, request: Request) -> npt.NDArray[np.int32]:
    """Where the items are that the request does not want."""
    return _positions(items, request.exclude | request.on_page)


def masked(
    items: Vocabulary,
    request: Request,
    candidates: Candidates,
    hidden: npt.NDArray[np.int32],
    seen: int,
    removed: int,
) -> dict[str, int]:
    """How many items each mask removed, by its name.

    Parameters
    ----------
    hidden : int32; positions of what was masked before what the request does not want was counted.
    seen, removed : how many items the customer's history and the request kept out of the list.
    """
    filtered = {} if candidates.filtered is None else {FILTERED: candidates.filtered}
    counts = {UNAVAILABLE: candidates.hidden} | filtered | {SEEN: seen, EXCLUDED: removed}
    if request.on_page:
        shown = _positions(items, request.on_page - request.exclude)
        on_page = int(np.count_nonzero(candidates.showable[shown] & ~np.isin(shown, hidden)))
        counts |= {EXCLUDED: removed - on_page, ON_PAGE: on_page}
    return counts if candidates.unknown is None else {UNKNOWN_ITEM: candidates.unknown} | counts


def _positions(items: Vocabulary, ids: frozenset[str]) -> npt.NDArray[np.int32]:
    """Where the items are that a request names, as far as they are known."""
    if not ids:
        return _NO_ITEMS
    positions = items.positions(sorted(ids))
    return np.asarray(positions[positions != UNKNOWN])
