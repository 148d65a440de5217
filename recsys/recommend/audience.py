"""Which of some customers would want an item: the recommender's own word on it, for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import UnknownItemError
from recsys.models.blend import BlendWeights
from recsys.models.item_item import ItemItem
from recsys.recommend.recommender import Recommender
from recsys.recommend.sources import CONTENT, FEW, ITEM_ITEM, RP3BETA
from recsys.recommend.types import Reason, Request


@dataclass(frozen=True, slots=True)
class Member:
    """A customer for whom an item is recommended; the rest as in a list that has nothing else."""

    customer_id: str
    score: float
    relevance: float | None
    reason: Reason


def audience(
    recommender: Recommender, catalog: Catalog, item_id: str, people: Iterable[tuple[str, History]], now: int
) -> Sequence[Member]:
    """Those for whom the item is personally recommended, by its score for them; equal scores by id.

    Something in the history must name the item: neighbours by behaviour, by walk or by content, as far as they count.
    Factors alone, which say a little of everything, find no audience. Whoever has, judged or refused the item is not in
    it; nobody is while the item may not be shown.

    Parameters
    ----------
    people : ids and histories, read one after the other.
    now : milliseconds UTC.

    Raises UnknownItemError for an item that the bundle does not know.
    """
    item = recommender.bundle.items.position(item_id)
    if item == UNKNOWN:
        raise UnknownItemError(item_id)
    names_it = speakers(recommender, item)
    request = Request(limit=1, now=now, among=frozenset({item_id}))
    members = []
    for customer_id, history in people:
        # Most histories end here, before anything is made of them.
        if not names_it[history.item].any() or not names_it[recommender.taste(history).items].any():
            continue
        answer = recommender.recommend(history, catalog, request)
        if answer.items and answer.fallback is None:
            (only,) = answer.items
            members.append(Member(customer_id, only.score, only.relevance, only.reason))
    return sorted(members, key=lambda member: (-member.score, member.customer_id))


def speakers(recommender: Recommender, item: int) -> npt.NDArray[np.bool_]:
    """Which items name this one: bool, shape (items,). All do where histories of some length are ranked without
    neighbours."""
    bundle = recommender.bundle
    blend = recommender.placement.blend(bundle.manifest.blend)
    if not _always_by_neighbours(blend):
        return np.ones(len(bundle.items), dtype=np.bool_)
    found = np.zeros(len(bundle.items), dtype=np.bool_)
    for name, lists in _lists(recommender):
        if blend.counts(name):
            places = np.flatnonzero(np.asarray(lists.neighbour) == item)
            found[np.searchsorted(lists.indptr, places, side="right") - 1] = True
    return found


def _lists(recommender: Recommender) -> tuple[tuple[str, ItemItem], ...]:
    bundle = recommender.bundle
    return (ITEM_ITEM, bundle.item_item), (RP3BETA, bundle.rp3beta), (CONTENT, bundle.content.neighbours)


def _always_by_neighbours(blend: BlendWeights) -> bool:
    """Whether a source that names few items counts for histories of every length."""
    few = [blend.weights[name] for name in FEW if name in blend.weights]
    return all(any(weight > 0 for weight in of_length) for of_length in zip(*few, strict=True)) and bool(few)
