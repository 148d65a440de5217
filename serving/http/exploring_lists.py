"""A list as it is shown where its placement explores: some slots given to new items, and how likely each was."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from recsys.models.kernels import Items
from recsys.recommend.arrangement import Layout
from recsys.recommend.exploration import Followed, explore
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES, Rules
from serving.cache.payload import Explored, RankedList
from serving.http.arranging import there_for
from serving.http.asking import OVER_BUDGET, Asked

EXPLORE: Final = "explore"
"""The code of the reason of an item that is there to be tried."""

NOT_READ_YET: Final = "nothing is explored: what became of items that were shown has not been read yet"

_DIGITS = 6


def with_explored(
    asked: Asked, spot: Recommender, ranked: RankedList, pinned: tuple[int, ...], layout: Layout,
    followed: Followed | None, changed: frozenset[str] | None, seed: str,
) -> RankedList:  # fmt: skip
    """The first items of a list with what its placement explores; `asked.limit` at most.

    Nothing is explored for whoever is served without taste on purpose, nor in a list that was cut short.

    Parameters
    ----------
    pinned : slots, from 0, that are not explored.
    layout : whose rules of diversity hold for what is explored, too.
    followed : what is believed of new items; None where nothing was read yet: then the list stays as it is and says so.
    changed : items whose rows changed since that was read; None where they are many. What they say of newcomers is not
        known here: then those are left out.
    seed : of the answer.
    """
    exploration = spot.placement.exploration
    if exploration is None or asked.person.why_not is not None or ranked.fallback == OVER_BUDGET:
        return ranked
    if followed is None:
        return ranked._replace(explored=Explored(seed, (), 0, {}, NOT_READ_YET))
    size, rules = min(len(ranked.positions), asked.limit), asked.rules or NO_RULES
    listed, taste = ranked.positions[:size], spot.taste(asked.person.history)
    # Which newcomers this customer had or refused is not known by position, nor what they agree in with others, what a
    # filter says of them, or what became of them where that cannot be read: then none is proposed.
    unknown = changed is None or asked.person.history.unknown_items or len(layout.codes)
    newcomers_too = not (unknown or rules.filters)
    passing = None if newcomers_too else _passing(rules, followed.beliefs.explored, len(asked.engine.bundle.items))
    hidden = spot.hidden(asked.person.history, asked.request(), rules)
    unwanted = asked.exclude | asked.on_page | (changed or frozenset())
    if unwanted:
        hidden = np.concatenate([hidden, _newcomers(unwanted, followed)])
    if len(layout.codes):
        hidden = np.concatenate([hidden, _alike(listed, layout, followed.beliefs.explored)])
    found = explore(
        seed, listed, (taste.items, taste.strengths), followed, asked.engine.catalog, exploration, asked.now,
        hidden=hidden, passing=passing, fixed=pinned,
    )  # fmt: skip
    propensity, slots = np.round(found.propensity, _DIGITS).tolist(), found.slots.tolist()
    if not slots:
        return ranked._replace(explored=Explored(seed, propensity, 0, {}, None))
    parts, newcomers = ranked.parts(range(size)), {}
    for slot in slots:
        position = int(found.item[slot])
        item_id = followed.index.id_of(position)
        if position >= len(asked.engine.bundle.items):
            newcomers[position] = item_id
        parts[slot] = there_for(EXPLORE, item_id)
    explored = Explored(seed, propensity, len(slots), newcomers, None)
    return ranked.of(parts, found.item)._replace(explored=explored)


def _passing(rules: Rules, explored: Items, size: int) -> npt.NDArray[np.bool_]:
    """Which of the explored items pass everything: bool, shape (size,); the others are not asked about, as a whole mask
    takes a while."""
    passing = np.zeros(size, dtype=np.bool_)
    known = explored[explored < size]
    lets = np.ones(len(known), dtype=np.bool_) if rules.where is None else rules.where.lets(known)
    passing[known] = lets if rules.among is None else lets & rules.among[known]
    return passing


def _newcomers(ids: frozenset[str], followed: Followed) -> Items:
    """Where those of these items are that the bundle does not know."""
    found = followed.index.newcomers.positions(sorted(ids))
    return np.asarray(found[found >= 0] + len(followed.index.items), dtype=np.int32)


def _alike(listed: Items, layout: Layout, explored: Items) -> Items:
    """Explored items that agree in an attribute with as many of the list as may; newcomers are not among them."""
    alike = np.zeros(len(explored), dtype=np.bool_)
    for of_all, at_most in zip(layout.codes, layout.at_most.tolist(), strict=True):
        known = explored < len(of_all)
        own, count = np.unique(of_all[listed], return_counts=True)
        alike[known] |= np.isin(of_all[explored[known]], own[(count >= at_most) & (own >= 0)])
    chosen: npt.NDArray[np.int32] = explored[alike]
    return chosen
