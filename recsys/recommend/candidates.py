"""Which items a list may be made of, which not, and how many each rule removed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.recommend.masks import EXCLUDED, ON_PAGE, SEEN, UNAVAILABLE, UNKNOWN_ITEM
from recsys.recommend.types import Request

_NO_ITEMS = np.zeros(0, dtype=np.int32)


class Candidates(NamedTuple):
    """What may be listed.

    Attributes
    ----------
    among : int32; the positions of the only candidates, or None for all items.
    showable : bool, shape (items,).
    hidden : how many candidates may not be shown.
    """

    among: npt.NDArray[np.int32] | None
    showable: npt.NDArray[np.bool_]
    hidden: int


def allowed(items: Vocabulary, catalog: Catalog, request: Request) -> Candidates:
    """What may be listed at all: all items, or those that the request names."""
    showable = catalog.showable(request.now)
    if request.among is None:
        return Candidates(None, showable, catalog.hidden(request.now))
    among = _positions(items, request.among)
    named = np.zeros(len(showable), dtype=np.bool_)
    named[among] = showable[among]
    return Candidates(among, named, int(len(among) - np.count_nonzero(showable[among])))


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
    counts = {UNAVAILABLE: candidates.hidden, SEEN: seen, EXCLUDED: removed}
    if request.on_page:
        shown = _positions(items, request.on_page - request.exclude)
        on_page = int(np.count_nonzero(candidates.showable[shown] & ~np.isin(shown, hidden)))
        counts |= {EXCLUDED: removed - on_page, ON_PAGE: on_page}
    if request.among is not None and candidates.among is not None:
        counts = {UNKNOWN_ITEM: len(request.among) - len(candidates.among)} | counts
    return counts


def _positions(items: Vocabulary, ids: frozenset[str]) -> npt.NDArray[np.int32]:
    """Where the items are that a request names, as far as they are known."""
    if not ids:
        return _NO_ITEMS
    positions = items.positions(sorted(ids))
    return np.asarray(positions[positions != UNKNOWN])
