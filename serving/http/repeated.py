"""Answers that were given a moment ago and still hold: only what differs from one answer to the next is made again.

A shop asks for the same customer on page after page. Where nothing happened in between, the question, the list and what
is said about it come out the same, and finding that out takes several times as long as seeing that nothing happened:
the engine is the same object, the customer has the versions they had, and the cache holds the very list.
"""

from __future__ import annotations

import weakref
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from recsys.data.catalog import Catalog
from recsys.recommend.recommender import Recommender
from serving.cache.payload import Question, RankedList
from serving.http.asking import Asked, Moment
from serving.http.engine import Engine
from serving.http.live import Seen

MOST_ANSWERS: Final = 20_000
"""So many are remembered, at most; what is remembered of one takes less than a kilobyte."""

_CACHE: Final = b'"cache":{"status":"hit","age_s":'
"""Where the age stands. No text of an answer can have it inside: quotes are escaped there."""

Key = tuple[bytes | None, Question]
"""Of a list in the cache."""

Spot = tuple[str, int, str]
"""Whose list, how long, and at which placement."""


class Told(NamedTuple):
    """What an answer was made from, and what it said beside its items.

    Attributes
    ----------
    engine : of the moment it was given; another catalogue and other placements make another one.
    person_id, history_version, profile_version : the customer's.
    since, until : milliseconds UTC; from when until before when nothing appears in the catalogue or goes by itself.
    key : of the cached list.
    ends : of that list, to know it by; it does not keep the list.
    before_age, after_age : `served_from`, JSON.
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
    key: Key
    ends: weakref.ref[npt.NDArray[np.int32]]
    before_age: bytes
    after_age: bytes
    short: bool
    basis: str
    placement: str

    def holds(self, moment: Moment, seen: Seen) -> bool:
        """Whether nothing happened that could make the answer another, but for what became of the list."""
        return (
            self.engine is moment.engine
            and self.history_version == seen.history.version
            and self.profile_version == seen.profile.version
            and self.since <= moment.now < self.until
            and seen.degraded is None
            and moment.confirmed
            and self.person_id == seen.profile.customer_id
        )

    def served_from(self, age: float) -> bytes:
        """`served_from` of a list of this age in seconds, JSON."""
        return self.before_age + orjson.dumps(age) + self.after_age


class RepeatedAnswers:
    """Those of one worker that were given last."""

    def __init__(self) -> None:
        self._told: dict[Spot, Told] = {}
        self._engine: Engine | None = None
        self.find = self._told.get
        """What was told of this, if anything is remembered."""

    def remember(self, spot: Spot, asked: Asked, key: Key, ranked: RankedList, about: bytes) -> None:
        """Remembers an answer from the cache; not one that may be another the next moment: of a placement with rules or
        an experiment, of nobody known, or while the store does not answer. `about` is its `served_from`."""
        place, person = asked.spot, asked.person
        known = person.subject == ("customer", person.customer_id) and person.why_not is None
        if place is None or not known or asked.degraded is not None or not _is_plain(place, asked.moment, spot[2]):
            return
        before, found, after = about.partition(_CACHE)
        _, comma, rest = after.partition(b",")
        since, until = _period(asked.engine.catalog, asked.now)
        if asked.engine is not self._engine:
            # No answer of another engine holds any more, and each would keep a whole catalogue in memory.
            self._told.clear()
            self._engine = asked.engine
        if len(self._told) >= MOST_ANSWERS and spot not in self._told:
            del self._told[next(iter(self._told))]
        self._told[spot] = Told(
            engine=asked.engine,
            person_id=str(person.customer_id),
            history_version=person.history.version,
            profile_version=person.profile_version,
            since=since,
            until=until,
            key=key,
            ends=weakref.ref(ranked.ends),
            before_age=before + found,
            after_age=comma + rest,
            short=len(ranked.ends) < asked.limit and ranked.short is not None,
            basis=ranked.fallback or "personal",
            placement=place.placement.name,
        )

    def clear(self) -> None:
        """Forgets everything."""
        self._told.clear()
        self._engine = None


def _is_plain(place: Recommender, moment: Moment, asked_for: str) -> bool:
    """Whether the time of day, chance and what others did make no difference at a placement."""
    rules = not place.rules.plain or place.layout.arranges or place.placement.exploration is not None
    return not rules and all(each.placement != asked_for for each in moment.experiments)


def _period(catalog: Catalog, now: int) -> tuple[int, int]:
    """From when until before when, around `now`, no item appears or goes by itself."""
    since, until = -(1 << 62), 1 << 62
    for times in (catalog.appearances, catalog.expiries):
        place = int(np.searchsorted(times, now, side="right"))
        if place:
            since = max(since, int(times[place - 1]))
        if place < len(times):
            until = min(until, int(times[place]))
    return since, until
