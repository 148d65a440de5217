"""From a question to the body of an answer: history, cache, recommender, and what is said about how it came about."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence

import numpy as np
import orjson
import structlog

from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.shown import NOTHING_SHOWN, Shown
from recsys.errors import StoreUnavailableError
from recsys.models.related import Relation
from recsys.recommend.arrangement import Layout, arrange
from recsys.recommend.exploration import Followed
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES, Rules
from recsys.recommend.types import Answer, Request
from recsys.recommend.where import Where
from serving.cache.memory import MemoryCache
from serving.cache.payload import Question, RankedList, Sealer
from serving.cache.protocol import Cache, CacheUnavailableError
from serving.http.arranging import arranged_anew, shown
from serving.http.asker_input import Asker
from serving.http.asking import (
    NOBODY,
    OVER_BUDGET,
    RECOMMENDATIONS_OFF,
    Asked,
    Budget,
    InArm,
    Moment,
    OverBudgetError,
    Person,
    Placed,
    depth_for,
    for_item,
    for_person,
    held_out,
    in_arm,
    spot_of,
)
from serving.http.catalog_reading import FEW_CHANGES
from serving.http.engine import Engine, Engines, ranked_list
from serving.http.exploring import Explorer
from serving.http.exploring_lists import EXPLORE, Made, explores, tried, untried
from serving.http.exposures import Exposures
from serving.http.filtering import FilterAsked, FiltersAsked
from serving.http.live import HISTORY_TOO_LONG, CustomerAttributes, LiveStore, Stamp
from serving.http.metrics import Metrics
from serving.http.parameters import DEFAULT
from serving.http.rank_input import Ranking
from serving.http.repeated import RepeatedAnswers, Told
from serving.http.session_input import Session
from serving.http.shared_lists import HIT, MISS, OFF, RECOMPUTED, CacheNote, SharedLists, Wanted
from serving.http.tokens import AnswerIdentity, RecommendationTokens

log = structlog.get_logger("bookmatch.serving")

Lists = MemoryCache[tuple[bytes | None, Question], RankedList]
"""Lists in this process's own memory, by the store's secret and the question."""

SAID_OF_ITEMS = (EventKind.NOT_INTERESTED, EventKind.OWN)
"""What customers say of items themselves. It counts for those, too, who want no personal lists."""

_BODY = b'{"items":[%b],"served_from":%b,"recommendation_id":%b}'

_NOWHERE = np.zeros(0, dtype=np.int32)
"""The positions of a list that is not kept as it is."""


class Answerer:
    """Answers questions of one worker, on the event loop's thread.

    An answer is ranked right there: it takes a few milliseconds, and a thread would only queue for the interpreter.

    Parameters
    ----------
    engines, live : what answers, and what is known of customers.
    cache : where ranked lists are kept; None keeps none.
    history_limit : the newest events of a customer that taste is read from.
    now : milliseconds UTC.
    budget : how much work one list may be.
    exposures : where it is noted who was served which arm of an experiment.
    explorer : what is believed of items that are tried.
    """

    def __init__(
        self,
        engines: Engines,
        live: LiveStore,
        cache: Cache | Lists | None,
        metrics: Metrics,
        history_limit: int,
        now: Callable[[], int],
        budget: Budget,
        exposures: Exposures,
        explorer: Explorer,
    ) -> None:
        self._exposures = exposures
        self._explorer = explorer
        self._engines = engines
        self._live = live
        self._cache = cache if cache is None or isinstance(cache, MemoryCache) else SharedLists(cache, metrics, now)
        self._metrics = metrics
        self._history_limit = history_limit
        self._now = now
        self._seed, self._answers = secrets.token_urlsafe(6), itertools.count()
        self._budget = budget
        self.filters = FiltersAsked(lambda: engines.policies.in_force.file.filters)
        self._signing: tuple[bytes, Sealer, RecommendationTokens] | None = None
        self._repeated = RepeatedAnswers()
        if isinstance(cache, MemoryCache):
            live.when_forgotten += [cache.clear, self._repeated.clear]

    async def moment(self, filtered: object = None, looked: Stamp | None = None) -> Moment:
        """What every list of one call is made from, with what a filter needs where there is one; `looked` is what
        `LiveStore.look` gave when the request started. Raises Problem while nothing can answer, StoreError where a
        filter needs what cannot be read."""
        stamp = looked or self._live.look()
        engine, confirmed = await self._engines.current(stamp)
        if filtered is not None and engine.table is None:
            engine = await self._engines.tabled(engine)
        return Moment(engine, stamp, confirmed, self._now(), self._budget, self._engines.experiments)

    def customer(self, moment: Moment, customer_id: str) -> Person:
        """A customer as of this moment or later."""
        started = self._budget.worked()
        seen = self._live.history(customer_id, moment.engine.bundle, moment.stamp)
        spent = self._budget.worked() - started
        history, why_not = seen.history, seen.unknown
        person_id: str | None = seen.profile.customer_id
        attributes = CustomerAttributes(self._live, seen.profile.customer_id, moment.stamp)
        subject = None if seen.degraded == HISTORY_TOO_LONG else ("customer", seen.profile.customer_id)
        if not seen.profile.recommendations:
            # Not kept: what is kept under the customer's name is personal.
            history, why_not = history.without_taste(SAID_OF_ITEMS), RECOMMENDATIONS_OFF
            subject = person_id = None
        if not history.version:
            # Everybody without a history gets the same list, and it is kept once.
            return Person(("nobody",), history, 0, seen.degraded, why_not, customer_id=person_id, attributes=attributes)
        return Person(subject, history, seen.profile.version, seen.degraded, why_not, spent, person_id, attributes)

    def person(self, moment: Moment, asker: Asker) -> Person:
        """Whoever asks."""
        if asker.customer_id is None:
            return self.visitor(moment, asker.session)
        return self.customer(moment, asker.customer_id)

    def visitor(self, moment: Moment, session: StoredHistory) -> Person:
        """Somebody who is only known by what they did just now."""
        return Person(None, History.from_stored(session, moment.engine.bundle.items))

    async def recommendations(
        self,
        customer_id: str,
        limit: int,
        exclude: frozenset[str] = frozenset(),
        placement: str = DEFAULT,
        filtered: FilterAsked | None = None,
    ) -> bytes:
        """The body for a customer, JSON. Raises Problem while nothing can answer, for an unknown placement and for a
        filter that does not fit."""
        moment = await self.moment(filtered)
        person = self.customer(moment, customer_id)
        asked = await self._of_customer(moment, person, limit, placement, exclude, filtered)
        return self.body(asked, *await self.ranked(asked))

    async def plain_recommendations(self, customer_id: str, limit: int, placement: str, looked: Stamp | None) -> bytes:
        """The same without exceptions and filters, which is what pages ask for; `looked` as for `moment`."""
        moment = await self.moment(None, looked)
        spot, cache = (customer_id, limit, placement), self._cache
        told = self._repeated.find(spot)
        if told is not None and isinstance(cache, MemoryCache) and self._holds(told, moment, customer_id):
            kept = cache.get(told.place)
            if kept is not None and kept.ends is told.ends():
                return self._repeat(told, moment.now, limit, kept)
        asked = await self._of_customer(moment, self.customer(moment, customer_id), limit, placement)
        # Read once: what the answer is known by later is what it was made from.
        asked = asked._replace(shown=self._shown_to(asked))
        made = await self._made(asked)
        ranked = self._drawn(made)
        if made.note.found is not None:
            self._repeated.remember(spot, asked, made, ranked, self._about(asked, ranked, made.note))
        return self.body(asked, ranked, made.note)

    def _holds(self, told: Told, moment: Moment, customer_id: str) -> bool:
        """Whether an answer of before is that of this moment, but for what became of the list."""
        engine, stamp = moment.engine, moment.stamp
        if not told.holds(moment, self._live.history(customer_id, engine.bundle, stamp)):
            return False
        if told.shown is not None:
            shown = self._live.shown(told.person_id, engine.bundle, stamp)
            if told.shown() is not shown.item:
                return False
        if told.trial is None:
            return True
        followed = self._explorer.believed(engine.bundle)
        return followed is not None and told.trial.holds(followed, self._changed(followed, engine))

    def _repeat(self, told: Told, now: int, limit: int, kept: RankedList) -> bytes:
        """As `body`, of an answer that was given before."""
        self._metrics.answered("recommendations", told.basis, HIT)
        if told.short:
            self._metrics.short_answers.labels("recommendations").inc()
        seed = self._next_seed()
        token = self._token(told.engine.bundle.bundle_id, told.placement, "", seed, now)
        items, served_from = told.again(kept, limit, max(0, now - told.computed_at) / 1000, seed)
        return _BODY % (items, served_from, orjson.dumps(token))

    async def _of_customer(
        self,
        moment: Moment,
        person: Person,
        limit: int,
        placement: str,
        exclude: frozenset[str] = frozenset(),
        filtered: FilterAsked | None = None,
    ) -> Asked:
        """The question for a customer, as the placement and the experiments there have it."""
        moment, spot, person, arm = await self.placed(moment, placement, ("query",), person)
        where = self.where(moment, person, filtered, spot)
        return for_person("recommendations", moment, person, limit, exclude, spot=spot, where=where, arm=arm)

    async def placed(self, moment: Moment, placement: str, asked_in: tuple[str | int, ...], person: Person) -> Placed:
        """What answers somebody at a placement, or as their arm says where an experiment runs there. Raises Problem
        (422) for an unknown placement; `asked_in` is where it was named."""
        spot = spot_of(moment, placement, asked_in)
        served = in_arm(moment, placement, person)
        if served is None:
            return Placed(moment, spot, person, None)
        arm = served.arm
        if arm.is_holdout:
            return Placed(moment, spot, held_out(person), served)
        if arm.bundle is not None and arm.bundle != moment.engine.bundle.bundle_id:
            if arm.bundle not in self._engines.others:
                return Placed(moment, spot, person, None)
            engine, confirmed = await self._engines.current(moment.stamp, arm.bundle)
            own = engine.spots.get(arm.placement or placement)
            if own is not None:
                moment = moment._replace(engine=engine, confirmed=confirmed)
                person = self.customer(moment, served.customer_id)
        else:
            own = moment.engine.spots.get(arm.placement or placement)
        # Where the placements changed while the catalogue was read an engine may have those of before or after.
        return Placed(moment, spot, person, None) if own is None else Placed(moment, own, person, served)

    async def session(self, session: Session) -> bytes:
        """The body for somebody who is only known by what they did just now, JSON. Raises Problem as above."""
        moment = await self.moment(session.filtered)
        spot = spot_of(moment, session.placement, ("body",))
        person = self.visitor(moment, session.history)
        where = self.where(moment, person, session.filtered, spot)
        asked = for_person("session", moment, person, session.limit, session.exclude, spot=spot, where=where)
        return self.body(asked, *await self.ranked(asked))

    async def ordered(self, wanted: Ranking) -> bytes:
        """The body for a given list in the order of whoever asks, JSON. Raises Problem as above."""
        moment = await self.moment(wanted.filtered)
        person = self.person(moment, wanted.asker)
        moment, spot, person, arm = await self.placed(moment, wanted.placement, ("body",), person)
        where = self.where(moment, person, wanted.filtered, spot)
        asked = for_person("rank", moment, person, wanted.limit, wanted.exclude, wanted.items, spot, where, arm)
        return self.body(asked, *await self.ranked(asked))

    async def related(
        self,
        item_id: str,
        limit: int,
        relation: Relation,
        exclude: frozenset[str] = frozenset(),
        filtered: FilterAsked | None = None,
    ) -> bytes:
        """The body for an item, JSON. Raises UnknownItemError, and Problem while nothing can answer and for a filter
        that does not fit."""
        moment = await self.moment(filtered)
        where = self.where(moment, NOBODY, filtered)
        asked = for_item(moment, item_id, relation, limit, exclude, where)
        return self.body(asked, *await self.ranked(asked))

    def where(
        self, moment: Moment, person: Person, filtered: FilterAsked | None, spot: Recommender | None = None
    ) -> Where | None:
        """What a filter lets through for somebody, of what that of a placement does; None where there is none. Raises
        Problem (422) for one that does not fit."""
        if filtered is None:
            return None
        return self.filters.chosen(moment, person, filtered, None if spot is None else spot.placement.where).where

    def body_of(
        self,
        route: str,
        basis: str,
        moment: Moment,
        answer: Answer,
        limit: int,
        note: CacheNote,
        degraded: str | None = None,
    ) -> bytes:
        """The body of a list that was made elsewhere, JSON; counted by its fallback, and by `basis` without one.

        `degraded` is why what is known of the customer may not be the latest. Such lists have no relevance.
        """
        listed = ranked_list(answer, _NOWHERE, moment.now, moment.engine.catalog.version)
        person = NOBODY._replace(degraded=degraded)
        asked = Asked(route=route, moment=moment, subject=None, rank=lambda _: listed, limit=limit, person=person)
        return self.body(asked, listed, note, basis)

    async def forget(self, customer_ids: Sequence[str]) -> int:
        """Removes the lists of these ids from a cache that outlives this process; how many there were.

        Memory is emptied by every worker before its next answer. Raises StoreUnavailableError while the cache does not
        serve: its lists go by themselves at the end of their time.
        """
        cache, signing = self._cache, self._signed_with()
        self._live.look()
        if not isinstance(cache, SharedLists) or signing is None:
            return 0
        try:
            return await cache.forget([signing[0].prefix(("customer", each)) for each in customer_ids])
        except CacheUnavailableError as error:
            raise StoreUnavailableError(
                f"the customer is removed from the store, but lists in the cache were not reached: {error}",
                remedy="ask again when the cache works; the lists go by themselves at the end of their time",
            ) from error

    def signed_receipt(self, customer_ids: Sequence[str], at: int) -> str | None:
        """Proof that these ids were forgotten at that time."""
        signing = self._signed_with()
        return None if signing is None else signing[1].sign_receipt(customer_ids, at)

    async def close(self) -> None:
        """Waits for lists on their way into the cache."""
        if isinstance(self._cache, SharedLists):
            await self._cache.settle()

    def report_sizes(self) -> None:
        """Sets the metrics that say how much the cache holds."""
        if isinstance(self._cache, MemoryCache):
            self._metrics.cache_bytes.set(self._cache.bytes_used)
            self._metrics.cache_entries.set(len(self._cache))
        elif self._cache is not None:
            self._metrics.cache_pending_writes.set(self._cache.pending_writes)

    async def ranked(self, asked: Asked) -> tuple[RankedList, CacheNote]:
        """The list, with as many items as asked for where there are any, from the cache or ranked now; of popular items
        where ranking would be more work than its budget. Arranged as its placement says."""
        made = await self._made(asked)
        return self._drawn(made), made.note

    def _drawn(self, made: Made) -> RankedList:
        """The list with what is explored in it."""
        return made.ranked if made.trial is None else made.trial.drawn(self._next_seed())

    async def _made(self, asked: Asked) -> Made:
        """As `ranked`, but for the draw."""
        spot = asked.spot
        if spot is None or not (spot.layout.arranges or spot.placement.exploration) or asked.among is not None:
            return Made(*await self._whole(asked), None)
        layout = self._layout(asked, spot) if spot.layout.arranges else Layout()
        ranked, note = await self._arranged(asked, spot, layout)
        exploration = spot.placement.exploration
        if exploration is None or not explores(asked, ranked):
            return Made(ranked, note, None)
        followed = self._explorer.believed(asked.engine.bundle)
        if followed is None:
            return Made(untried(ranked, self._next_seed()), note, None)
        changed = self._changed(followed, asked.engine)
        return Made(ranked, note, tried(asked, spot, exploration, ranked, layout, followed, changed))

    def _changed(self, followed: Followed, engine: Engine) -> frozenset[str] | None:
        """The items of which anything changed since what is believed was read; None where they are many."""
        return self._live.changed_items(followed.index.version, engine.catalog.version, FEW_CHANGES)

    async def _arranged(self, asked: Asked, spot: Recommender, layout: Layout) -> tuple[RankedList, CacheNote]:
        """The list in the order of its placement."""
        if not spot.layout.arranges:
            return await self._whole(asked)
        # Mostly a few spare items are enough for diversity; a longer list is ranked, and kept, where they are not.
        for further in (0, asked.limit) if len(layout.codes) else (0,):
            asked = asked._replace(spare=layout.spare + further)
            ranked, note = await self._whole(asked)
            found = arrange(ranked.positions, ranked.short is None, asked.limit, layout)
            if found.blocked is None:
                return shown(asked, spot, ranked, found), note
        return arranged_anew(asked, spot, layout, ranked, found), CacheNote(RECOMPUTED)

    def _layout(self, asked: Asked, spot: Recommender) -> Layout:
        """What the rules of a placement that hold for a whole list come to."""
        engine, person = asked.engine, asked.person
        rules = asked.rules or NO_RULES
        return spot.layout.now(
            asked.now, rules.listable(engine.catalog, asked.now),
            lambda: spot.hidden(person.history, asked.request(), rules), engine.table, self._shown_to(asked),
            person.history,
        )  # fmt: skip

    def _shown_to(self, asked: Asked) -> Shown:
        """What the customer was shown, where that matters."""
        customer_id, spot = asked.person.customer_id, asked.spot
        if asked.shown is not None:
            return asked.shown
        if spot is None or not spot.layout.rotates or customer_id is None:
            return NOTHING_SHOWN
        return self._live.shown(customer_id, asked.engine.bundle, asked.moment.stamp)

    async def _whole(self, asked: Asked) -> tuple[RankedList, CacheNote]:
        """As `ranked`, before it is arranged."""
        try:
            return await self._found(asked)
        except OverBudgetError:
            history = asked.person.history
            log.warning("an answer went over its budget", route=asked.route, events=len(history))
            # What was had or refused stays away. Nothing is kept: the next answer goes on from what was done for this.
            spot = asked.spot or asked.engine.recommender
            ranked = asked.engine.for_customer(spot, history.without_taste(), asked.request(), asked.rules)
            return ranked._replace(fallback=OVER_BUDGET), CacheNote(OFF)

    async def _found(self, asked: Asked) -> tuple[RankedList, CacheNote]:
        cache, signing = self._cache, self._signed_with()
        if cache is None or signing is None or not asked.may_be_kept:
            return asked.rank(asked.request()), CacheNote(OFF)
        if isinstance(cache, MemoryCache):
            return self._ranked_here(asked, cache)
        sealer = signing[0]
        wanted = Wanted(
            sealer,
            sealer.key(self._question(asked)),
            lambda: self._fresh(asked),
            lambda kept: _still_good(kept, asked),
            lambda kept: _age(kept, asked),
        )
        return await cache.find(wanted)

    def _ranked_here(self, asked: Asked, cache: Lists) -> tuple[RankedList, CacheNote]:
        """As `ranked`, of this process's own memory, where nothing need be sealed."""
        # Another store in this one's place has another secret: what was made from the first is never found again.
        key = (self._live.secret, self._question(asked))
        kept = cache.get(key)
        usable = _still_good(kept, asked) if kept is not None else None
        if kept is not None and usable is not None:
            return usable, CacheNote(HIT, _age(usable, asked), found=(key, kept))
        ranked = self._fresh(asked)
        cache.put(key, ranked, ranked.size)
        return ranked, CacheNote(MISS if kept is None else RECOMPUTED)

    def _question(self, asked: Asked) -> Question:
        placement = (asked.spot or asked.engine.recommender).placement
        origin = self._live.origin
        return Question(
            store_file=(0, 0) if origin is None else origin[1:],
            bundle=asked.engine.bundle.bundle_id,
            subject=asked.subject or (),
            history_version=asked.person.history.version,
            profile_version=asked.person.profile_version,
            placement=placement.name,
            policy_version=placement.version,
            history_limit=self._history_limit,
            depth=depth_for(asked.limit, asked.spare),
            rules="" if asked.rules is None else asked.rules.state,
        )

    def _fresh(self, asked: Asked) -> RankedList:
        where = None if asked.rules is None else asked.rules.where
        return asked.rank(Request(limit=depth_for(asked.limit, asked.spare), now=asked.now, where=where))

    def body(self, asked: Asked, ranked: RankedList, note: CacheNote, basis: str | None = None) -> bytes:
        """The answer with this list, JSON; it is counted, as personal unless it fell back or has another `basis`."""
        short = _short(asked, ranked)
        fallback, degraded = asked.person.why_not or ranked.fallback, asked.degraded
        self._metrics.answered(asked.route, fallback or basis or "personal", note.status)
        if short is not None:
            self._metrics.short_answers.labels(asked.route).inc()
        if degraded is not None:
            self._metrics.degraded.labels(degraded).inc()
        if asked.arm is not None:
            self._expose(asked.arm, asked.now, short is not None)
        explored = ranked.explored
        spot, arm = asked.spot, asked.arm
        token = self._token(
            asked.engine.bundle.bundle_id,
            asked.route if spot is None else spot.placement.name,
            "" if arm is None else arm.label,
            None if explored is None else explored.seed,
            asked.now,
        )
        return _BODY % (ranked.first(asked.limit), self._about(asked, ranked, note), orjson.dumps(token))

    @staticmethod
    def _about(asked: Asked, ranked: RankedList, note: CacheNote) -> bytes:
        """`served_from`, JSON."""
        spot, explored = asked.spot, ranked.explored
        about = {
            "bundle": asked.engine.bundle.bundle_id,
            "placement": None if spot is None else _placement(spot, ranked, asked.rules),
            "sources": ranked.sources,
            "relevance": asked.engine.foreseen if spot is not None and spot.relevance is not None else None,
            "fallback": asked.person.why_not or ranked.fallback,
            "cache": {"status": note.status, "age_s": note.age_s, "trouble": note.trouble},
            "masked": ranked.masked,
            "short": _short(asked, ranked),
            "degraded": asked.degraded,
            "propensities": None if explored is None else explored.propensity or None,
        }
        return orjson.dumps(about)

    def _expose(self, served: InArm, now: int, short: bool) -> None:
        """Notes who was served which arm, and how the answer was."""
        seconds = max(0.0, self._budget.worked() - served.begun)
        experiment, arm = served.experiment.name, served.arm.name
        self._exposures.served(experiment, arm, served.customer_id, now, seconds=seconds, short=short)

    def _signed_with(self) -> tuple[Sealer, RecommendationTokens] | None:
        """What the store's secret makes; None while the store has never been seen: then nothing is kept or signed."""
        secret = self._live.secret
        if secret is None:
            return None
        if self._signing is None or self._signing[0] != secret:
            self._signing = (secret, Sealer(secret), RecommendationTokens(secret))
        return self._signing[1:]

    def _next_seed(self) -> str:
        """Random for this worker, then counted: no system call for each answer."""
        return f"{self._seed}{next(self._answers):x}"

    def _token(self, bundle: str, placement: str, arm: str, seed: str | None, now: int) -> str | None:
        """As `AnswerIdentity` has it; None while there is nothing to sign with."""
        signing = self._signed_with()
        if signing is None:
            return None
        return signing[1].sign(AnswerIdentity(bundle, placement, arm, seed or self._next_seed(), now))


def _placement(spot: Recommender, ranked: RankedList, rules: Rules | None) -> dict[str, object]:
    """Whose policy made a list, and what it did."""
    trouble, moved, explored = None if rules is None else rules.trouble, ranked.moved, ranked.explored
    if explored is not None:
        trouble, moved = trouble or explored.trouble, {**moved, EXPLORE: explored.slots}
    placement = spot.placement
    return {"name": placement.name, "version": placement.version, "moved": moved, "trouble": trouble}


def _short(asked: Asked, ranked: RankedList) -> str | None:
    """Why there are fewer items than asked for, if there are."""
    return ranked.short if len(ranked.ends) < asked.limit else None


def _age(ranked: RankedList, asked: Asked) -> float:
    return max(0, asked.now - ranked.computed_at) / 1000


def _still_good(kept: RankedList, asked: Asked) -> RankedList | None:
    """The kept list without what may no longer be shown; None when it must be ranked anew."""
    engine, where = asked.engine, None if asked.rules is None else asked.rules.where
    version, at = kept.catalog_version, kept.computed_at
    if engine.unchanged(version, at, asked.now) and (where is None or where.unchanged(version, at)):
        return kept
    if not engine.missed_nothing(version, at, asked.now) or not (where is None or where.missed_nothing(version, at)):
        return None
    showable = engine.catalog.showable(asked.now)[kept.positions]
    if where is not None:
        showable = showable & where.lets(kept.positions)
    if showable.all():
        return kept
    kept_places = np.flatnonzero(showable)
    return None if len(kept_places) < asked.wanted else kept.only(kept_places)
