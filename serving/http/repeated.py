"""Answers that were given a moment ago and still hold: only what differs from one answer to the next is made again.

A shop asks for the same customer on page after page. Where nothing happened in between, the question, the list, its
order and what is said about it come out the same, and finding that out takes several times as long as seeing that
nothing happened: the engine is the same object, the customer has the versions they had, was shown what they had been
shown, no date passed, and the cache holds the very list. Where slots are explored, chance decides anew, among what it
decided among before.
"""

from __future__ import annotations

import math
import weakref
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from recsys.data.shown import Shown
from recsys.recommend.rules import LONG_AGO, NEVER
from serving.cache.memory import MemoryCache
from serving.cache.payload import RankedList
from serving.http.asking import Asked, Moment
from serving.http.engine import Engine
from serving.http.exploring_lists import EXPLORE, Made, Trial
from serving.http.live import Seen
from serving.http.shared_lists import Place

MOST_BYTES: Final = 20_000_000
"""So much is remembered, at most: 20,000 answers of placements without rules."""

_SIZE: Final = 1_000
"""Bytes that an answer takes beside items of its own and what chance decides among."""

_AGE: Final = b'"cache":{"status":"hit","age_s":'
_TRIED: Final = b'"%b":' % EXPLORE.encode()
_PROPENSITIES: Final = b'"propensities":'
"""Where what differs stands. No text of an answer can have it inside: quotes are escaped there."""

Spot = tuple[str, int, str]
"""Whose list, how long, and at which placement."""


class Told(NamedTuple):
    """What an answer was made from, and what it said.

    Attributes
    ----------
    engine : of the moment it was given; another catalogue and other placements make another one.
    person_id, history_version, profile_version : the customer's.
    since, until : milliseconds UTC; from when until before when nothing appears in the catalogue or goes by itself, and
        no rule of the placement turns.
    shown : what the customer had been shown, to know it by; None where it does not matter.
    place, ends : of the cached list, and to know it by; neither keeps the list.
    items : JSON of the items where they are not the first of the cached list.
    trial : what explored slots are drawn from; None where nothing is explored.
    said : `served_from`, JSON, in the pieces between what differs.
    computed_at : of the list, milliseconds UTC.
    short : whether the list was shorter than asked for.
    basis : what it is counted as.
    placement : its name, for the token.
    """

    engine: Engine
    person_id: str
    history_version: int
    profile_version: int
    since: int
    until: int
    shown: weakref.ref[npt.NDArray[np.int32]] | None
    place: Place
    ends: weakref.ref[npt.NDArray[np.int32]]
    items: bytes | None
    trial: Trial | None
    said: tuple[bytes, ...]
    computed_at: int
    short: bool
    basis: str
    placement: str

    def holds(self, moment: Moment, seen: Seen) -> bool:
        """Whether nothing happened that could make the answer another, but for what became of the list, what the
        customer was shown and what is believed of items."""
        return (
            self.engine is moment.engine
            and self.history_version == seen.history.version
            and self.profile_version == seen.profile.version
            and self.since <= moment.now < self.until
            and seen.degraded is None
            and moment.confirmed
            and self.person_id == seen.profile.customer_id
        )

    def again(self, kept: RankedList, limit: int, age: float, seed: str) -> tuple[bytes, bytes]:
        """The items once more and `served_from`, JSON: of the list in the cache, which has this age in seconds; what is
        explored is drawn with this seed."""
        said = orjson.dumps(age)
        if self.trial is None:
            return kept.first(limit) if self.items is None else self.items, said.join(self.said)
        found = self.trial.draw(seed)
        explored = found.explored
        before, between, after, end = self.said
        slots, propensities = orjson.dumps(explored.slots), orjson.dumps(explored.propensity or None)
        return b",".join(found.parts), b"".join((before, slots, between, said, after, propensities, end))


class RepeatedAnswers:
    """Those of one worker that were given last."""

    def __init__(self) -> None:
        self._told: MemoryCache[Spot, Told] = MemoryCache(MOST_BYTES, math.inf, lambda: 0.0)
        self._engine: Engine | None = None
        self.find = self._told.get
        """What was told of this, if anything is remembered."""

    def remember(self, spot: Spot, asked: Asked, made: Made, ranked: RankedList, about: bytes) -> None:
        """Remembers an answer from the cache; not one that may be another the next moment: of a placement with an
        experiment, of rules about what a shop knows of its customers, of nobody known, or while the store does not
        answer.

        Parameters
        ----------
        asked : with what the customer had been shown.
        ranked, about : the list that was answered, and its `served_from`.
        """
        place, person, found = asked.spot, asked.person, made.note.found
        known = person.subject == ("customer", person.customer_id) and person.why_not is None
        shown = asked.shown
        if place is None or found is None or shown is None or not known or asked.degraded is not None:
            return
        if (place.placement.exploration is not None) != (made.trial is not None):
            return
        since, until = _period(asked, made, shown)
        if not since <= asked.now < until or any(each.placement == spot[2] for each in asked.moment.experiments):
            return
        if asked.engine is not self._engine:
            # No answer of another engine holds any more, and each would keep a whole catalogue in memory.
            self.clear()
            self._engine = asked.engine
        own = None if made.ranked is found[1] or made.trial is not None else made.ranked.first(asked.limit)
        size = _SIZE + (0 if own is None else len(own)) + (0 if made.trial is None else made.trial.size)
        told = Told(
            engine=asked.engine,
            person_id=str(person.customer_id),
            history_version=person.history.version,
            profile_version=person.profile_version,
            since=since,
            until=until,
            shown=weakref.ref(shown.item) if place.layout.rotates else None,
            place=found[0],
            ends=weakref.ref(found[1].ends),
            items=own,
            trial=made.trial,
            said=_pieces(about, explored=made.trial is not None),
            computed_at=ranked.computed_at,
            short=len(ranked.ends) < asked.limit and ranked.short is not None,
            basis=ranked.fallback or "personal",
            placement=place.placement.name,
        )
        self._told.put(spot, told, size)

    def clear(self) -> None:
        """Forgets everything."""
        self._told.clear()
        self._engine = None


def _pieces(about: bytes, *, explored: bool) -> tuple[bytes, ...]:
    """`served_from`, JSON, without what differs from one answer to the next."""
    pieces = []
    marks = ((_TRIED, b"}"), (_AGE, b","), (_PROPENSITIES, b"}")) if explored else ((_AGE, b","),)
    for mark, behind in marks:
        before, found, rest = about.partition(mark)
        pieces.append(before + found)
        about = rest[rest.index(behind) :]
    return (*pieces, about)


def _period(asked: Asked, made: Made, shown: Shown) -> tuple[int, int]:
    """From when until before when, around the moment of an answer, no item appears or goes by itself and no rule of its
    placement turns."""
    since, until, spot = LONG_AGO, NEVER, asked.spot
    catalogs = [asked.engine.catalog, *([] if made.trial is None else [made.trial.ids.shelf])]
    for times in (each for catalog in catalogs for each in (catalog.appearances, catalog.expiries)):
        place = int(np.searchsorted(times, asked.now, side="right"))
        if place:
            since = max(since, int(times[place - 1]))
        if place < len(times):
            until = min(until, int(times[place]))
    if asked.rules is not None:
        since, until = max(since, asked.rules.since), min(until, asked.rules.until)
    if spot is not None:
        turned, turns = spot.layout.period(shown, asked.now)
        since, until = max(since, turned), min(until, turns)
    return since, until
