"""What a placement with rules of its own lists for many customers, one by one: slower than `new.for_you`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recsys.data.events import EventKind
from recsys.data.shown import NOTHING_SHOWN, Shown
from recsys.recommend.crowd.crowd import Crowd
from recsys.recommend.crowd.picks import NONE, PICKED, POPULAR, REASONS, Keys, Picks, distinct
from recsys.recommend.filters import AskerFacts
from recsys.recommend.placed import placed
from recsys.recommend.placement import DEFAULT_PLACEMENT, Fallback, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Recommendation, Request
from recsys.recommend.where import Where

_CODES = {code: number for number, code in enumerate(REASONS)} | {str(Fallback.RISING): POPULAR}


@dataclass(frozen=True, eq=False)
class Spot:
    """A placement, and what its rules may ask of customers.

    Attributes
    ----------
    recommender : of the placement.
    attributes : what the shop knows of a customer, as `AskerFacts` has it; called with the id.
    shown : what a customer was shown lately; called where the placement rotates.
    """

    recommender: Recommender
    attributes: Callable[[str], Mapping[str, object]]
    shown: Callable[[str], Shown]


def is_plain(placement: Placement) -> bool:
    """Whether a placement has no rules of its own, so that `new.for_you` lists what it does."""
    own = (placement.lists_as(DEFAULT_PLACEMENT), placement.fallback, placement.where, placement.minimum_relevance)
    usual = (True, DEFAULT_PLACEMENT.fallback, None, 0.0)
    arranged = (placement.diversity, placement.rotation, placement.pins, placement.boosts)
    return own == usual and not any(arranged)


def placed_for_you(crowd: Crowd, spot: Spot, limit: int) -> Picks:
    """What the placement shows each customer, at most `limit` items, as `recsys.recommend.placed` says; nothing that
    the crowd may not list."""
    items, recommender = crowd.recommender.bundle.items, spot.recommender
    # Masks reach back further than the histories that taste is read from.
    hidden = _by_row(distinct(np.concatenate([crowd.barred, _had(crowd, recommender)])), len(crowd), crowd.items)
    rows: list[int] = []
    found: list[Recommendation] = []
    for row, customer_id in enumerate(crowd.interactions.customers):
        asker = AskerFacts(crowd.newest_events.history(row), spot.attributes(customer_id))
        passing = recommender.rules.now(crowd.catalog, crowd.now, crowd.table, asker).passing
        allowed = crowd.allowed if passing is None else crowd.allowed & passing
        exclude = frozenset(items[position] for position in hidden[row])
        request = Request(limit=limit, now=crowd.now, exclude=exclude, where=Where.given(allowed))
        shown = spot.shown(customer_id) if recommender.layout.rotates else NOTHING_SHOWN
        answer = placed(recommender, asker, crowd.catalog, crowd.table, request, shown).answer
        rows += [row] * len(answer.items)
        found += answer.items
    return _picks(crowd, rows, found)


def _had(crowd: Crowd, recommender: Recommender) -> Keys:
    return crowd.pairs_with(recommender.placement.mask_kinds)


def _by_row(keys: Keys, rows: int, items: int) -> list[list[int]]:
    """The items of each row, of keys that ascend."""
    ends = np.searchsorted(keys, np.arange(rows + 1, dtype=np.int64) * items)
    return [(keys[first:last] % max(items, 1)).tolist() for first, last in pairwise(ends.tolist())]


def _picks(crowd: Crowd, rows: Sequence[int], found: Sequence[Recommendation]) -> Picks:
    items = crowd.recommender.bundle.items
    # Of what is new, and of what somebody pinned, there is nothing to say.
    reason = [_CODES.get(each.reason.code, PICKED) for each in found]
    first = [each.reason.evidence[0] if each.reason.evidence else None for each in found]
    named = [each is not None and each.item_id is not None for each in first]
    because = [items.position(each.item_id) if each and each.item_id is not None else NONE for each in first]
    did = [EventKind(each.kind).code if there and each else 0 for there, each in zip(named, first, strict=True)]
    relevance = [np.nan if each.relevance is None else each.relevance for each in found]
    return Picks(
        np.array(rows, dtype=np.int64),
        items.positions(each.item_id for each in found),
        np.array(relevance, dtype=np.float32),
        np.array(because, dtype=np.int32),
        np.array(did, dtype=np.int8),
        np.array(reason, dtype=np.int8),
    )
