"""What a list is filled up with where the history does not say enough: what is popular, rises or is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.catalog_index import CatalogIndex
from recsys.models.kernels import Floats, Items, Places
from recsys.recommend.kernel import BY_NEW, BY_NONE, BY_POPULARITY, BY_RISING, UNITS, Listed
from recsys.recommend.placement import Fallback
from recsys.recommend.popular_lists import Order, PopularQuestion, shop_list
from recsys.recommend.sources import AllSources

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

FILLING = {BY_RISING: "rising", BY_NEW: "new", BY_POPULARITY: "popular"}
"""The sources of what fills a list up, by their codes."""

_CODES = {Fallback.POPULAR: BY_POPULARITY, Fallback.RISING: BY_RISING, Fallback.NEW: BY_NEW}


class Filling(NamedTuple):
    """Items in an order that is the same for everybody.

    Attributes
    ----------
    code : `BY_POPULARITY`, `BY_RISING` or `BY_NEW`.
    item : int32, shape (k,); the best first.
    worth : float64, shape (k,); 0 or more, does not ascend.
    """

    code: int
    item: Items
    worth: Floats


def filling_of(
    fallback: Fallback, bundle: ModelBundle, sources: AllSources, catalog: Catalog, boost: Floats | None
) -> Filling:
    """All that a fallback has; what is popular is multiplied by `boost`. Dates, which new items are ordered by, and
    growth are not: a week does not get longer.

    Takes as long as sorting all items: to be kept.
    """
    if fallback is Fallback.POPULAR:
        worth = sources.popular[sources.order]
        if boost is None:
            return Filling(BY_POPULARITY, sources.order, worth)
        worth = worth * boost[sources.order]
        best = np.argsort(-worth, kind="stable")
        return Filling(BY_POPULARITY, sources.order[best], worth[best])
    order = Order.RISING if fallback is Fallback.RISING else Order.NEW
    listed = shop_list(bundle, catalog, CatalogIndex.nothing(bundle.items), PopularQuestion(order))
    return Filling(_CODES[fallback], listed.item, np.maximum(listed.units, 0) / UNITS)


def filled(listed: Listed, wanted: int, fillings: Sequence[Filling], showable: Flags, hidden: Items) -> Listed:
    """The list with what fills it up to `wanted` items behind it, one filling after the other.

    The first item of each filling scores as the last one before it, and the others in proportion; where there is none
    before it, 1.

    Parameters
    ----------
    showable : bool, shape (items,).
    hidden : int32; positions of what must not be listed.
    """
    for filling in fillings:
        if len(listed.item) >= wanted:
            break
        on_list = np.concatenate([listed.item, hidden]).astype(np.int32)
        item, units = _next(
            filling.item, filling.worth, showable, on_list, wanted - len(listed.item),
            int(listed.score[-1]) if len(listed.item) else int(UNITS),
        )  # fmt: skip
        if not len(item):
            continue
        named = np.full((len(item), *listed.named.shape[1:]), BY_NONE, dtype=np.int32)
        share = np.zeros((len(item), *listed.share.shape[1:]), dtype=np.int64)
        if named.ndim == 2:
            named[:, 0], share[:, 0] = filling.code, units
        listed = listed._replace(
            item=np.concatenate([listed.item, item]),
            score=np.concatenate([listed.score, units]),
            named=np.concatenate([listed.named, named]),
            share=np.concatenate([listed.share, share]),
        )
    return listed


@njit(nogil=True, cache=True, error_model="numpy")
def _next(
    order: Items, worth: Floats, showable: Flags, on_list: Items, wanted: int, ceiling: int
) -> tuple[Items, Places]:  # pragma: no cover - compiled
    """The first of an order that may be shown and are not listed, and their scores."""
    taken = set(on_list)
    item, units = np.empty(wanted, np.int32), np.empty(wanted, np.int64)
    size, top = 0, 0.0
    for place in range(len(order)):
        if size == wanted:
            break
        own = order[place]
        if not showable[own] or own in taken:
            continue
        top = worth[place] if size == 0 else top
        item[size], units[size] = own, np.int64(np.rint(worth[place] / top * ceiling)) if top > 0.0 else 0
        size += 1
    return item[:size], units[:size]
