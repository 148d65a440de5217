"""Many customers, what they did, and what must not be in their lists."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.catalog import Catalog
from recsys.data.events import EventKind
from recsys.data.history import HISTORY_LIMIT, ages
from recsys.data.interactions import Interactions
from recsys.data.item_table import ItemTable
from recsys.data.signals import MS_PER_DAY, event_strengths
from recsys.recommend.batch import Histories
from recsys.recommend.crowd.picks import Flags, Keys, Picks, distinct, keyed, within
from recsys.recommend.recommender import Recommender

_KINDS = 32
"""More than there are kinds of events."""
_RANKS = 2 * _KINDS * _KINDS

UNWANTED = (EventKind.RETURN, EventKind.NOT_INTERESTED)
"""What was given back or refused is in no list."""

NOT_THEIRS = (*UNWANTED, EventKind.IGNORE_FOR_RECOMMENDATIONS)
"""What was given back, refused or bought for somebody else speaks for nothing, and is not proposed for buying again."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """Some customers of a shop as of one moment.

    Attributes
    ----------
    recommender : what answers them one by one.
    interactions : theirs, over the bundle's items; nothing later than `now`.
    catalog, table : over the bundle's items.
    now : milliseconds UTC.
    allowed : bool, shape (items,); what may be listed at all.
    barred : ascending keys of pairs that may not be listed for further reasons, such as that it was mailed lately.
    threads : 1 or more; does not change what is found.
    """

    recommender: Recommender
    interactions: Interactions
    catalog: Catalog
    table: ItemTable
    now: int
    allowed: Flags
    barred: Keys
    threads: int = 1

    def __len__(self) -> int:
        return len(self.interactions.customers)

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.allowed)

    @property
    def newest(self) -> int:
        """The newest event that the models know, milliseconds UTC, but not later than `now`: what ages count from,
        as in `recsys.recommend.own_items`."""
        known = self.recommender.bundle.manifest.data["newest"] or 0
        return min(self.now, max(known, int(self.interactions.timestamp.max(initial=0))))

    @cached_property
    def histories(self) -> Histories:
        """As the batch takes them: what must not be listed is masked."""
        bundle, placement = self.recommender.bundle, self.recommender.placement
        everybody = np.arange(len(self), dtype=np.int32)
        found = Histories.of(bundle, placement, self.interactions, everybody, self.now)
        row, item = np.divmod(self.barred, max(self.items, 1))
        shape = (len(self), self.items)
        barred = sparse.csr_matrix((np.ones(len(row), dtype=np.bool_), (row, item)), shape=shape)
        return found._replace(masked=sparse.csr_matrix(found.masked + barred))

    @cached_property
    def had(self) -> Keys:
        """What customers had, judged or refused, ascending."""
        return self.pairs_with(self.recommender.placement.mask_kinds)

    @cached_property
    def newest_events(self) -> Interactions:
        """What taste is read from, as the service does."""
        return self.interactions.newest(HISTORY_LIMIT)

    def strongest_kinds(self, row: npt.NDArray[np.int64], item: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
        """By which kind of event each of these customers had to do most with an item, as `History.speakers` says it:
        int8, shape as `row`. Every pair must have an event."""
        wanted = keyed(row, item, self.items) * _RANKS
        place = np.searchsorted(self._ranked_kinds, wanted + _RANKS - 1, side="right") - 1
        return (self._ranked_kinds[place] % _KINDS).astype(np.int8)

    @cached_property
    def _ranked_kinds(self) -> Keys:
        """Every event as one number, ascending: the pair, whether it speaks, the weight of its kind, the kind."""
        events, weights = self.newest_events, self.recommender.bundle.manifest.event_weights
        rank = np.unique(weights.base, return_inverse=True)[1]
        groups = events.groups()
        age = ages(events.timestamp, events.row, len(self), MS_PER_DAY)
        each = event_strengths(groups, events.kind, age, events.quantity, events.rating, weights)
        speaks = (each.strength > 0).astype(np.int64)
        return np.sort(groups * _RANKS + speaks * (_RANKS // 2) + rank[events.kind] * _KINDS + events.kind)

    def pairs_with(self, kinds: Collection[EventKind], since: int | None = None) -> Keys:
        """Customers and items with an event of these kinds, since a moment (milliseconds UTC) or ever: ascending."""
        where = self.events_of(kinds, since)
        return distinct(keyed(self.interactions.row[where], self.interactions.item[where], self.items))

    def events_of(self, kinds: Collection[EventKind], since: int | None = None) -> Flags:
        """Which events are of these kinds: bool, shape (events,). What has no time is not since any moment."""
        which: Flags = np.isin(self.interactions.kind, [kind.code for kind in kinds])
        return which if since is None else which & (self.interactions.timestamp >= since)

    def narrowed(self, passing: Flags) -> Crowd:
        """The same where less may be listed."""
        less = replace(self, allowed=self.allowed & passing)
        # What is known of the customers stays: none of it depends on what may be listed.
        less.__dict__.update({name: made for name, made in self.__dict__.items() if name not in less.__dict__})
        return less

    def listable(self, picks: Picks, *, again: bool = False) -> Picks:
        """What of these may be listed: without what was barred and, unless `again`, what they had."""
        keys = keyed(picks.row, picks.item, self.items)
        fit = self.allowed[picks.item] & ~within(keys, self.barred)
        return picks.those(fit if again else fit & ~within(keys, self.had))


def barred_pairs(interactions: Interactions, items: int, bought_since: int, mailed: Keys) -> Keys:
    """What of all lists is kept away from customers: what they gave back or refused, what they bought since a moment
    (milliseconds UTC), and what they were mailed.

    Parameters
    ----------
    mailed : as of `keyed`.
    """
    refused = np.isin(interactions.kind, [kind.code for kind in UNWANTED])
    refused |= (interactions.kind == EventKind.PURCHASE.code) & (interactions.timestamp >= bought_since)
    own = keyed(interactions.row[refused], interactions.item[refused], items)
    return distinct(np.concatenate([own, mailed]))
