"""Lists of what customers had to do with already: left in the cart, looked at, bought again, the next of a series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind
from recsys.data.signals import MS_PER_DAY
from recsys.recommend.batch import repeat_probabilities
from recsys.recommend.crowd.crowd import NOT_THEIRS, Crowd
from recsys.recommend.crowd.picks import (
    BOUGHT_BEFORE,
    IN_CART,
    LOOKED_AT,
    NEXT_IN_SERIES,
    Picks,
    best_of_each,
    ends,
    keyed,
    within,
)
from recsys.recommend.kernel import UNITS
from recsys.recommend.own_items import LEAST_PROBABILITY

CART = (EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART, EventKind.PURCHASE, EventKind.OWN)
"""What decides, as the last event on an item, whether it is in the cart: only after the first of them it is."""

_LOOKS = (EventKind.VIEW, EventKind.CLICK, EventKind.EMAIL_CLICK)
_HAVING = (EventKind.PURCHASE, EventKind.OWN)


def left_in_cart(crowd: Crowd, days: float) -> Picks:
    """What was put into the cart within so many days and neither taken out nor bought since, the last first."""
    events = crowd.interactions
    where = np.flatnonzero(crowd.events_of(CART))
    # Events ascend by time within a customer: of a pair's the last one decides.
    last = _last_of_pairs(keyed(events.row[where], events.item[where], crowd.items), where)
    since = crowd.now - days * MS_PER_DAY
    there = last[(events.kind[last] == EventKind.ADD_TO_CART.code) & (events.timestamp[last] >= since)]
    newest = there[np.lexsort((-there, events.row[there]))]
    item = events.item[newest]
    picks = Picks.of(events.row[newest], item, IN_CART, because=item, did=EventKind.ADD_TO_CART.code)
    return crowd.listable(picks, again=True)


def looked_at(crowd: Crowd, times: int, days: float) -> Picks:
    """What was looked at so often within so many days and never had, the last first."""
    events = crowd.interactions
    looks = np.flatnonzero(crowd.events_of(_LOOKS, int(crowd.now - days * MS_PER_DAY)))
    keys = keyed(events.row[looks], events.item[looks], crowd.items)
    pairs, count = np.unique(keys, return_counts=True)
    last = _last_of_pairs(keys, looks)
    often = last[within(keyed(events.row[last], events.item[last], crowd.items), pairs[count >= times])]
    newest = often[np.lexsort((-often, events.row[often]))]
    item = events.item[newest]
    return crowd.listable(Picks.of(events.row[newest], item, LOOKED_AT, because=item, did=EventKind.VIEW.code))


def buy_again(crowd: Crowd, least: float = LEAST_PROBABILITY) -> Picks:
    """What was bought and will probably be bought again within the model's window, the likeliest first: what
    `recsys.recommend.own_items.buy_again` says of one customer. What was bought for somebody else is not there."""
    bundle = crowd.recommender.bundle
    again = repeat_probabilities(bundle, crowd.interactions, crowd.newest).tocoo()
    units = np.rint(again.data * UNITS).astype(np.int64)
    likely = units >= max(least, LEAST_PROBABILITY) * UNITS
    row, item, units = again.row[likely], again.col[likely], units[likely]
    order = np.lexsort((item, -bundle.popularity.count[item], -units, row))
    row, item, units = row[order], item[order], units[order]
    picks = Picks.of(row, item, BOUGHT_BEFORE, relevance=units / UNITS, because=item, did=EventKind.PURCHASE.code)
    return crowd.listable(picks.those(_theirs(crowd, row, item)), again=True)


def next_in_series(crowd: Crowd) -> Picks:
    """The next volume of series of which the customer had one, the series last read first. Volumes are told by the
    attributes `series` and `volume` of items; without them there is nothing. A volume that they gave back, refused or
    bought for somebody else is not one that they had."""
    following = _following(crowd)
    events = crowd.interactions
    having = np.flatnonzero(crowd.events_of(_HAVING))
    code, volume = _series(crowd), _volume(crowd)
    having = having[((code >= 0) & ~np.isnan(volume))[events.item[having]]]
    having = having[_theirs(crowd, events.row[having], events.item[having])]
    series = keyed(events.row[having], code[events.item[having]], crowd.items)
    # The furthest volume of each series decides, and the newest event on one of its volumes the order.
    place = volume[events.item[having]]
    furthest = np.lexsort((place, series))
    last = furthest[ends(series[furthest])]
    newest = _last_of_pairs(series, having)
    read, then = having[last], following[events.item[having[last]]]
    found = np.flatnonzero(then >= 0)
    order = found[np.lexsort((-newest[found], events.row[read[found]]))]
    picks = Picks.of(
        events.row[read[order]], then[order], NEXT_IN_SERIES, because=events.item[read[order]],
        did=events.kind[read[order]],
    )  # fmt: skip
    return crowd.listable(picks)


def newest_purchase(crowd: Crowd, days: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The last thing that each customer bought within so many days for themselves and neither gave back nor refused:
    rows and items; customers without one are left out."""
    events = crowd.interactions
    bought = np.flatnonzero(crowd.events_of((EventKind.PURCHASE,), int(crowd.now - days * MS_PER_DAY)))
    kept = bought[_theirs(crowd, events.row[bought], events.item[bought])][::-1]
    kept = kept[np.argsort(events.row[kept], kind="stable")]
    first = kept[best_of_each(events.row[kept], 1)]
    return events.row[first], events.item[first]


def _theirs(crowd: Crowd, row: npt.NDArray[np.integer], item: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Of pairs of customers and items those with which the customer still has to do."""
    return ~within(keyed(row, item, crowd.items), crowd.pairs_with(NOT_THEIRS))


def _last_of_pairs(keys: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The last event of each key, keys ascending; `events` ascend."""
    order = np.argsort(keys, kind="stable")
    return np.asarray(events[order[ends(keys[order])]])


def _series(crowd: Crowd) -> npt.NDArray[np.int32]:
    """The series of each item, as a code; −1 where it is in none."""
    if "series" not in crowd.table.columns:
        return np.full(crowd.items, -1, dtype=np.int32)
    return crowd.table.codes("series")


def _volume(crowd: Crowd) -> npt.NDArray[np.float64]:
    """The volume of each item; NaN where it has none."""
    if "volume" not in crowd.table.columns:
        return np.full(crowd.items, np.nan)
    return crowd.table.column("volume").numbers


def _following(crowd: Crowd) -> npt.NDArray[np.int32]:
    """The next volume of each item's series: int32, shape (items,); −1 where there is none."""
    series, volume = _series(crowd), _volume(crowd)
    known = np.flatnonzero((series >= 0) & ~np.isnan(volume))
    order = known[np.lexsort((known, volume[known], series[known]))]
    following = np.full(crowd.items, -1, dtype=np.int32)
    goes_on = (series[order][1:] == series[order][:-1]) & (volume[order][1:] > volume[order][:-1])
    following[order[:-1][goes_on]] = order[1:][goes_on]
    return following
