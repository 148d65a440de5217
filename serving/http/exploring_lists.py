"""A list as it is shown where its placement explores: some slots given to new items, and how likely each was."""

from __future__ import annotations

import weakref
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog_index import CatalogIndex
from recsys.models.kernels import Items
from recsys.recommend.arrangement import Layout
from recsys.recommend.exploration import Chances, Followed, Offer, explore
from recsys.recommend.placement import Exploration
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES, Rules
from serving.cache.payload import Explored, RankedList
from serving.http.arranging import there_for
from serving.http.asking import OVER_BUDGET, Asked
from serving.http.shared_lists import CacheNote

EXPLORE: Final = "explore"
"""The code of the reason of an item that is there to be tried."""

NOT_READ_YET: Final = "nothing is explored: what became of items that were shown has not been read yet"

_DIGITS = 6

_SIZE: Final = 4_000
"""Bytes that a trial takes beside its arrays' content and its JSON, measured with `sys.getsizeof` over the parts."""


class Draw(NamedTuple):
    """What chance decided: the JSON of all items, the positions of those that are tried by their slots, and what is
    said of it."""

    parts: list[bytes]
    positions: dict[int, int]
    explored: Explored


class Trial(NamedTuple):
    """A list of which some slots are to be given to new items: all but the draw.

    Attributes
    ----------
    ranked : the list as it is without.
    parts : the JSON of its items.
    chances : what chance decides of it.
    stay : per slot, how likely it is to hold the item that it holds without.
    ids : of what is tried.
    followed, changed : what was believed, and what had changed since, to know them by: beliefs are not kept.
    drawn_before : position, id and JSON of candidates, by their places; looked up when one is drawn for the first time.
    """

    ranked: RankedList
    parts: list[bytes]
    chances: Chances
    stay: list[float]
    ids: CatalogIndex
    followed: weakref.ref[Followed]
    changed: frozenset[str] | None
    drawn_before: dict[int, tuple[int, str, bytes]]

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        chances = self.chances
        weights = chances.order.nbytes + chances.value.nbytes + chances.won.nbytes + 5 * chances.means.nbytes
        return _SIZE + 2 * len(self.ranked.items) + weights

    def holds(self, followed: Followed, changed: frozenset[str] | None) -> bool:
        """Whether the same is believed still."""
        return self.followed() is followed and self.changed == changed

    def draw(self, seed: str) -> Draw:
        """What an answer with this seed shows."""
        chances, known = self.chances, len(self.ids.items)
        slots, given = (part.tolist() for part in chances.picked(seed))
        parts, propensity, positions, newcomers = self.parts.copy(), self.stay.copy(), {}, {}
        for slot, own in zip(slots, given, strict=True):
            position, item_id, parts[slot] = self.drawn_before.get(own) or self._named(own)
            positions[slot] = position
            if position >= known:
                newcomers[position] = item_id
            propensity[slot] = round(float(chances.won[own, slot]), _DIGITS)
        return Draw(parts, positions, Explored(seed, propensity, len(slots), newcomers, None))

    def _named(self, own: int) -> tuple[int, str, bytes]:
        """As `drawn_before`, of one that was not."""
        position = int(self.chances.candidates[own])
        item_id = self.ids.id_of(position)
        named = self.drawn_before[own] = position, item_id, there_for(EXPLORE, item_id)
        return named

    def drawn(self, seed: str) -> RankedList:
        """The list of an answer with this seed."""
        found, item = self.draw(seed), self.ranked.positions
        if found.positions:
            item = item.copy()
            item[list(found.positions)] = list(found.positions.values())
        return self.ranked.of(found.parts, item)._replace(explored=found.explored)


class Made(NamedTuple):
    """A list on its way: as its placement shows it, what the cache did for it, and what some slots are drawn from; None
    where nothing is tried."""

    ranked: RankedList
    note: CacheNote
    trial: Trial | None


def explores(asked: Asked, ranked: RankedList) -> bool:
    """Whether anything is explored where the placement says so: not for whoever is served without taste on purpose, nor
    in a list that was cut short."""
    return asked.person.why_not is None and ranked.fallback != OVER_BUDGET


def tried(
    asked: Asked, spot: Recommender, exploration: Exploration, ranked: RankedList, layout: Layout, followed: Followed,
    changed: frozenset[str] | None,
) -> Trial:  # fmt: skip
    """What is explored in the first items of a list, `asked.limit` at most.

    Parameters
    ----------
    layout : what the list was arranged by: its pins stay, and its rules of diversity hold for what is explored, too.
    followed : what is believed of new items.
    changed : items whose rows changed since that was read; None where they are many. What they say of newcomers is not
        known here: then those are left out.
    """
    rules, history, index = asked.rules or NO_RULES, asked.person.history, followed.index
    # Which newcomers this customer had or refused is not known by position, nor what they agree in with others, what a
    # filter says of them, or what became of them where that cannot be read: then none is proposed.
    if changed is None or history.unknown_items or len(layout.codes) or rules.filters:
        newcomers = np.zeros(len(index.newcomers), dtype=np.bool_)
    else:
        newcomers = index.shelf.showable(asked.now)
    hidden = spot.hidden(history, asked.request(), rules)
    unwanted = asked.exclude | asked.on_page | (changed or frozenset())
    if unwanted:
        hidden = np.concatenate([hidden, _newcomers(unwanted, followed)])
    offer = Offer(_showable(asked, rules, followed), newcomers, hidden, layout.codes, layout.at_most)
    first, taste = ranked.head(asked.limit), spot.taste(history)
    pins = layout.pinned.tolist()
    fixed = [slot for slot, item in enumerate(first.positions.tolist()) if item in pins] if pins else []
    chances = explore(first.positions, (taste.items, taste.strengths), followed, exploration, offer, fixed)
    return Trial(
        first,
        first.parts(range(len(first.ends))),
        chances,
        chances.stay.round(_DIGITS).tolist(),
        index,
        weakref.ref(followed),
        changed,
        {},
    )


def untried(ranked: RankedList, seed: str) -> RankedList:
    """The list where nothing that it could explore was read yet: as it is, and it says so."""
    return ranked._replace(explored=Explored(seed, (), 0, {}, NOT_READ_YET))


def _showable(asked: Asked, rules: Rules, followed: Followed) -> npt.NDArray[np.bool_]:
    """Which items may be shown and pass everything, but for those of `rules.barred`: bool, shape (items,). Of items
    that are not explored it may not be known."""
    if rules.showable is not None:
        return rules.showable
    showable = asked.engine.catalog.showable(asked.now)
    if not rules.filters:
        return showable
    # A whole mask takes a while.
    passing, explored = np.zeros(len(showable), dtype=np.bool_), followed.beliefs.explored
    known = explored[explored < len(showable)]
    lets = showable[known] if rules.where is None else showable[known] & rules.where.lets(known)
    passing[known] = lets if rules.among is None else lets & rules.among[known]
    return passing


def _newcomers(ids: frozenset[str], followed: Followed) -> Items:
    """Where those of these items are that the bundle does not know."""
    found = followed.index.newcomers.positions(sorted(ids))
    return np.asarray(found[found >= 0] + len(followed.index.items), dtype=np.int32)
